# work.sh is for scripts whose work takes long; they read it with `source`. It shows how far the work is, ends what was begun when the
# script is ended, and keeps what was made under ~/.cache/entrustment-operator, the whole of it or nothing. A script says what it works
# at by its function `say`.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/entrustment-operator
worker=''  # the process group that works
partial='' # the directory it works in; renamed when complete, so that nobody ever sees half of it

# ---- Nothing half-done stays behind ---------------------------------------------------------------------------

clean_up() {
  if [[ -n $worker ]]; then
    kill -TERM -- "-$worker" 2>/dev/null && wait "$worker" || true
  fi
  [[ -z $partial ]] || discard "$partial"
}

discard() { # discard DIRECTORY…: setup-envtest makes some that may not be written
  chmod -R u+w "$@" 2>/dev/null || true
  rm -rf "$@"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- Work that can be interrupted, and is seen ----------------------------------------------------------------

run() { # run COMMAND…: what it starts ends with this script
  # Job control gives the worker a process group of its own: an interrupt ends the compilers, not only their parent. And the shell
  # heeds a signal while it waits for a worker, not while a command is before it.
  set -m
  "$@" </dev/null &
  worker=$!
  set +m
  local code=0
  wait "$worker" || code=$?
  worker=''
  return $code
}

attend() { # attend STATUS COMMAND…: runs COMMAND, and shows what the function STATUS says meanwhile. Its output goes to $partial/log.
  local status=$1 start=$SECONDS elapsed shown=0
  shift
  # It must not inherit the lock (9), which would outlive this script with it, nor the answer's descriptor (3).
  set -m
  "$@" >"$partial/log" 2>&1 </dev/null 3>&- 9>&- &
  worker=$!
  set +m
  while kill -0 "$worker" 2>/dev/null; do
    sleep 1
    elapsed=$((SECONDS - start))
    if [[ -t 2 ]]; then
      printf '\r\033[K%s' "$(say "$("$status"), $(clock $elapsed)" 2>&1)" >&2
    elif ((elapsed >= shown + 15)); then
      shown=$elapsed
      say "$("$status"), $(clock $elapsed)"
    fi
  done
  [[ ! -t 2 ]] || printf '\r\033[K' >&2
  local code=0
  wait "$worker" || code=$?
  worker=''
  return $code
}

failed() { # failed WHAT: shows why, and ends.
  tail -n 20 "$partial/log" >&2
  say "$1 ($(df -Pm "$partial" | awk 'NR == 2 { print $4 }') MiB free in ${partial%/*}): $(tail -n 1 "$partial/log")"
  exit 1
}

clock() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }

compile() { # compile MODULE PACKAGE OUTPUT FLAG…: builds a program
  cd "$1"
  go list "$2" >"$partial/program" && go list -deps "$2" >"$partial/packages" &&
    CGO_ENABLED=0 nice go build -v -buildvcs=false "${@:4}" -o "$3" "$2"
}

compiling() { # counts the lines that go prints: one for each module fetched, one for each package compiled
  local total compiled
  total=$(wc -l <"$partial/packages" 2>/dev/null || echo 0)
  compiled=$(grep -vc '^go: ' "$partial/log" || true)
  if ((total == 0)); then
    echo "building, $(grep -c '^go: downloading' "$partial/log" || true) modules fetched"
  elif grep -qxFf "$partial/program" "$partial/log"; then
    echo "building, linking"
  else
    echo "building, $compiled of $((total)) packages compiled"
  fi
}

# ---- What is kept ---------------------------------------------------------------------------------------------

lock() { # lock: lets one run at a time prepare the cache; the others then find it ready.
  mkdir -p "$cache" && [[ -w $cache ]] || {
    say "$cache cannot be written; XDG_CACHE_HOME names another place"
    exit 1
  }
  command -v flock >/dev/null || return 0 # macOS: two runs may do the same work twice, which harms nothing
  exec 9>"$cache/lock"
  if ! flock -n 9; then
    say "waiting for another run that is preparing it"
    until flock -w 1 9; do :; done # short waits, because a signal is handled only between two commands
  fi
  discard "$cache"/partial.* # what a killed run could not remove
}

begin() { # begin: makes the directory to work in
  partial=$(mktemp -d "$cache/partial.XXXXXX")
}

publish() { # publish DIRECTORY: makes the finished work visible, all at once.
  rm -f "$partial"/{log,packages,program}
  discard "$1" # what somebody took half of away
  mv "$partial" "$1"
  partial=''
}
