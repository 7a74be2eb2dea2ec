#!/usr/bin/env bash
#
# assets.sh PACKAGE… prints the directory that holds programs of Debian's packages, with the libraries that they need: / where this
# machine has them all, or else one under ~/.cache/entrustment-operator. Nothing is installed. Packages are unpacked there, so that the
# machine gets no service, no user and no database of theirs, and an interrupt leaves its packages alone. It takes no root.

set -euo pipefail
exec 3>&1 1>&2 # standard output carries the answer and nothing else

source "$(dirname "${BASH_SOURCE[0]}")/../work.sh"

say() { printf 'Packages of Debian: %s\n' "$*" >&2; }

programs() { # programs PACKAGE: what it is wanted for
  case $1 in
  containerd) echo containerd containerd-shim-runc-v2 ctr ;;
  containernetworking-plugins) echo /usr/lib/cni/host-local /usr/lib/cni/loopback /usr/lib/cni/portmap ;;
  iproute2) echo ip ;;
  iptables) echo iptables iptables-legacy-save ;;
  nftables) echo nft ;;
  postgresql) echo '/usr/lib/postgresql/*/bin/postgres' ;;
  *) echo "$1" ;;
  esac
}

lacks() { # lacks PACKAGE…: those of which this machine has not every program
  local package program
  for package in "$@"; do
    for program in $(programs "$package"); do # patterns are expanded
      [[ -x $program ]] || command -v "$program" >/dev/null || { echo "$package" && break; }
    done
  done
}

answer() { # answer DIRECTORY
  echo "$1" >&3
  exit
}

missing=$(lacks "$@" | paste -sd ' ')
[[ -n $missing ]] || answer /

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
  say "this machine lacks the programs of $missing, and has no apt-get to fetch them; install what provides them here"
  exit 1
}
fetched=$cache/debian-$(dpkg --print-architecture)-$( (echo "$*" && cat /etc/os-release) | sha256sum | cut -c1-12)

libraries() { # libraries DIRECTORY: where they are in it, as the loader wants to know
  find "$1" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd :
}

use_cache() {
  [[ -d $fetched ]] || return 0
  # What else a package needs depends on what is installed, which changes.
  if find "$fetched" -type f -path '*bin/*' -exec env LD_LIBRARY_PATH="$(libraries "$fetched")" ldd {} + 2>/dev/null | grep -q 'not found'; then
    say "a library is missing since it was fetched"
  else
    say "$1"
    answer "$fetched"
  fi
}

apt() { # as apt-get, with lists of its own
  apt-get -qq --no-install-recommends -o Dir::State::lists="$partial/lists" -o Dir::Cache="$partial/apt" -o APT::Sandbox::User=root \
    -o Debug::NoLocking=true "$@"
}

fetch() { # fetch PACKAGE…, and what they need beyond what is installed
  local needs name
  mkdir -p "$partial"/{lists/partial,apt/archives/partial,packages,usr/sbin}
  apt update || return 1
  needs=$(apt --simulate install "$@" | awk '$1 == "Inst" { print $2 }') || return 1
  (cd "$partial/packages" && apt download $(printf '%s\n' "$@" $needs | sort -u)) || return 1
  for name in "$partial"/packages/*.deb; do
    dpkg-deb --extract "$name" "$partial" || return 1
  done
  for name in {iptables,ip6tables}{,-save,-restore}; do # of the two kinds, an installation would choose this one
    ln -sf "${name/tables/tables-nft}" "$partial/usr/sbin/$name"
  done
  rm -rf "$partial"/{lists,apt,packages}
}

fetching() { echo "fetching, $(du -sm "$partial" | cut -f1) MiB"; }

use_cache "fetched by an earlier run"
lock
use_cache "fetched by an earlier run" # the run that held the lock may have prepared it
say "this machine lacks $missing; fetching $* into $cache, installing nothing"
begin
start=$SECONDS
attend fetching fetch "$@" || failed "not fetched"
publish "$fetched"
use_cache "fetched in $(clock $((SECONDS - start)))"
