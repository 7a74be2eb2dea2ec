#!/usr/bin/env bash
#
# assets.sh prints the directory that holds Calico for one node: felix, calico (the plugin that gives a pod its interface) and the
# definitions of its kinds. It builds them from Calico's own Go module, which takes some minutes, once, and keeps them under
# ~/.cache/entrustment-operator until the module file beside this script changes.

set -euo pipefail
exec 3>&1 1>&2 # standard output carries the answer and nothing else

cd "$(dirname "${BASH_SOURCE[0]}")"
source ../work.sh
module=github.com/projectcalico/calico
built=$cache/calico-$(go env GOARCH)-build-$(cat go.mod calico/main.go | sha256sum | cut -c1-12)

say() { printf 'Calico: %s\n' "$*" >&2; }

use_cache() {
  [[ -x $built/felix && -d $built/crds ]] || return 0
  say "$1"
  echo "$built" >&3
  exit
}

build() {
  compile . ./calico "$partial/felix" -ldflags '-s -w' || return 1
  ln -s felix "$partial/calico"
  cp -r "$(go list -m -f '{{.Dir}}' $module)/libcalico-go/config/crd" "$partial/crds" && chmod -R u+w "$partial/crds"
}

use_cache "cached by an earlier build"
lock
use_cache "cached by an earlier build" # the run that held the lock may have prepared it

say "building it from its Go module; this takes some minutes the first time"
begin
start=$SECONDS
attend compiling build || failed "not built"
publish "$built"
use_cache "built in $(clock $((SECONDS - start)))"
