#!/usr/bin/env bash
#
# assets.sh prints the directory that holds a real control plane: etcd, kube-apiserver, kube-controller-manager
# and kubectl. Tests take it as KUBEBUILDER_ASSETS, the local cluster starts it.
#
# It takes the first way that works and says on standard error which:
#
#   1. found       KUBEBUILDER_ASSETS names a directory that holds all four
#   2. cached      an earlier run left them under ~/.cache/entrustment-operator
#   3. downloaded  setup-envtest and the official release, where they can be reached
#   4. built       from Kubernetes' own Go modules: some minutes, once
#
# ENTRUSTMENT_ASSETS=download or =build leaves the other ways out. The version is the one that go.mod beside
# this file requires, and is written nowhere else.

set -euo pipefail

# Standard output carries the answer and nothing else, whatever the programs below print.
exec 3>&1 1>&2

readonly programs=(etcd kube-apiserver kube-controller-manager kubectl)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$here/go.mod")
os=$(go env GOOS)
arch=$(go env GOARCH)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/entrustment-operator
way=${ENTRUSTMENT_ASSETS:-any}
readonly here version os arch cache way

say() { printf 'Kubernetes %s: %s\n' "$version" "$*"; }

answer() { # answer DIRECTORY HOW…: says how, prints the directory, and is done.
  say "${*:2}"
  cd "$1" && pwd >&3
  exit
}

missing() { # missing DIRECTORY: the programs it lacks.
  local program
  for program in "${programs[@]}"; do
    [[ -x $1/$program ]] || printf ' %s' "$program"
  done
}

sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }

# ---- Nothing half-done stays behind ---------------------------------------------------------------------------

worker='' # the process group that downloads or builds
partial='' # the directory it works in; renamed when complete, so that nobody ever sees half of it

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

attend() { # attend STATUS COMMAND…: runs COMMAND, and shows what the function STATUS says meanwhile.
  local status=$1 start=$SECONDS elapsed shown=0
  shift
  # Job control gives the worker a process group of its own: an interrupt ends the compilers, not only their parent.
  # It must not inherit the lock (9), which would outlive this script with it, nor the answer's descriptor (3).
  set -m
  "$@" >"$partial/log" 2>&1 3>&- 9>&- &
  worker=$!
  set +m
  while kill -0 "$worker" 2>/dev/null; do
    sleep 1
    elapsed=$((SECONDS - start))
    if [[ -t 2 ]]; then
      printf '\r\033[K%s' "$(say "$("$status"), $(clock $elapsed)")"
    elif ((elapsed >= shown + 15)); then
      shown=$elapsed
      say "$("$status"), $(clock $elapsed)"
    fi
  done
  [[ ! -t 2 ]] || printf '\r\033[K'
  local code=0
  wait "$worker" || code=$?
  worker=''
  return $code
}

clock() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }

lock() { # lock: lets one run at a time prepare the cache; the others then find it ready.
  mkdir -p "$cache"
  command -v flock >/dev/null || return 0 # macOS: two runs may do the same work twice, which harms nothing
  exec 9>"$cache/lock"
  if ! flock -n 9; then
    say "waiting for another run that is preparing it"
    until flock -w 1 9; do :; done # short waits, because a signal is handled only between two commands
  fi
  discard "$cache"/partial.* # what a killed run could not remove
}

publish() { # publish DIRECTORY: makes the finished work visible, all at once.
  rm -f "$partial/log"
  [[ -d $1 ]] || mv "$partial" "$1"
  rm -rf "$partial"
  partial=''
}

# ---- Download -------------------------------------------------------------------------------------------------

fetch() { # fetch URL FILE: gives up after five seconds where nothing answers.
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --connect-timeout 5 --output "$2" "$1"
  else
    wget --quiet --tries=1 --timeout=5 --output-document="$2" "$1"
  fi
}

download() {
  local minor=${version#v} release=https://dl.k8s.io/release/$version/bin/$os/$arch/kube-controller-manager from
  minor=${minor%.*}
  # The small file first: it tells whether there is a way out at all.
  fetch "$release.sha256" "$partial/sha256" || return 1
  fetch "$release" "$partial/kube-controller-manager" || return 1
  [[ $(sha256 <"$partial/kube-controller-manager") == "$(cut -d' ' -f1 "$partial/sha256")" ]] ||
    { echo "the checksum of kube-controller-manager is wrong" && return 1; }
  chmod +x "$partial/kube-controller-manager"
  # setup-envtest knows minor versions better than patches, and takes the latest patch that it has.
  from=$(cd "$here/../tools" && go tool setup-envtest use "$minor.x" --bin-dir "$partial/envtest" -p path) || return 1
  cp "$from"/{etcd,kube-apiserver,kubectl} "$partial/" || return 1
  discard "$partial/envtest" "$partial/sha256"
}

download_status() { echo "downloading, $(du -sk "$partial" | cut -f1) KiB"; }

# ---- Build ----------------------------------------------------------------------------------------------------

build() {
  local flags='-s -w' package number=${version#v} major minor program
  IFS=. read -r major minor _ <<<"$number"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    # Unstamped, the API server calls itself v0.0.0 and clients refuse what they think too old.
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  done
  cd "$here"
  go list -deps ./kube >"$partial/packages" &&
    CGO_ENABLED=0 nice go build -v -buildvcs=false -ldflags "$flags" -o "$partial/kube" ./kube || return 1
  for program in "${programs[@]}" kube-scheduler kube-proxy kubelet; do
    ln -s kube "$partial/$program"
  done
  rm "$partial/packages"
}

build_status() { # counts the lines that go prints: one for each module fetched, one for each package compiled
  local total compiled
  total=$(wc -l <"$partial/packages" 2>/dev/null || echo 0)
  compiled=$(grep -vc '^go: ' "$partial/log" || true)
  if ((total == 0)); then
    echo "building, $(grep -c '^go: downloading' "$partial/log" || true) modules fetched"
  elif grep -q '^entrustment.dev/' "$partial/log"; then
    echo "building, linking"
  else
    echo "building, $compiled of $((total)) packages compiled"
  fi
}

# ---- The ways, in order ---------------------------------------------------------------------------------------

case $way in any | download | build) ;; *) say "ENTRUSTMENT_ASSETS is '$way'; it may be download or build" && exit 2 ;; esac

if [[ $way == any && -n ${KUBEBUILDER_ASSETS:-} ]]; then
  lacks=$(missing "$KUBEBUILDER_ASSETS")
  [[ -n $lacks ]] || answer "$KUBEBUILDER_ASSETS" "found in KUBEBUILDER_ASSETS"
  say "KUBEBUILDER_ASSETS ($KUBEBUILDER_ASSETS) lacks$lacks, so it is not used"
fi

readonly base=$cache/kubernetes-$version-$os-$arch
readonly downloaded=$base-download
built=$base-build-$(cat "$here/go.mod" "$here/kube/main.go" | sha256 | cut -c1-12)
readonly built

use_cache() {
  if [[ $way != build && -z $(missing "$downloaded") ]]; then answer "$downloaded" "cached by an earlier download"; fi
  if [[ $way != download && -z $(missing "$built") ]]; then answer "$built" "cached by an earlier build"; fi
}

use_cache
lock
use_cache # the run that held the lock may have prepared it

if [[ $way != build ]]; then
  if [[ $os == linux ]]; then
    partial=$(mktemp -d "$cache/partial.XXXXXX")
    if attend download_status download; then
      publish "$downloaded"
      answer "$downloaded" "downloaded"
    fi
    say "not downloaded: $(tail -n 1 "$partial/log")"
    discard "$partial"
  else
    say "not downloaded: there is no official kube-controller-manager for $os"
  fi
  [[ $way == any ]] || exit 1
fi

say "building it from its Go modules; this takes some minutes the first time"
partial=$(mktemp -d "$cache/partial.XXXXXX")
start=$SECONDS
if ! attend build_status build; then
  tail -n 20 "$partial/log"
  say "not built; the end of the log is above"
  exit 1
fi
publish "$built"
answer "$built" "built in $(clock $((SECONDS - start)))"
