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
way=${ENTRUSTMENT_ASSETS:-any}
readonly here version os arch way
source "$here/../work.sh"

say() { printf 'Kubernetes %s: %s\n' "$version" "$*" >&2; }

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
  compile "$here" ./kube "$partial/kube" -ldflags "$flags" || return 1
  for program in "${programs[@]}" kube-scheduler kube-proxy kubelet; do
    ln -s kube "$partial/$program"
  done
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
    begin
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
begin
start=$SECONDS
attend compiling build || failed "not built"
publish "$built"
answer "$built" "built in $(clock $((SECONDS - start)))"
