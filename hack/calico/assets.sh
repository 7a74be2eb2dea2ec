#!/usr/bin/env bash
#
# assets.sh prints the directory that holds Calico for one node: felix, calico (the plugin that gives a pod its interface) and the
# definitions of its kinds. It builds them from Calico's own Go module, which takes some minutes, once, and keeps them under
# ~/.cache/entrustment-operator until the module file beside this script changes.

set -euo pipefail
exec 3>&1 1>&2 # standard output carries the answer and nothing else

cd "$(dirname "${BASH_SOURCE[0]}")"
module=github.com/projectcalico/calico
cache=${XDG_CACHE_HOME:-$HOME/.cache}/entrustment-operator
built=$cache/calico-$(go env GOARCH)-build-$(cat go.mod calico/main.go | sha256sum | cut -c1-12)

if [[ -x $built/felix ]]; then
  echo "Calico: cached by an earlier build"
  echo "$built" >&3
  exit
fi

mkdir -p "$cache"
partial=$(mktemp -d "$cache/partial-calico.XXXXXX") # renamed when complete, so that nobody ever sees half of it
trap 'rm -rf "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

echo "Calico: building it from its Go module; this takes some minutes the first time"
start=$SECONDS
CGO_ENABLED=0 nice go build -buildvcs=false -ldflags '-s -w' -o "$partial/felix" ./calico
ln -s felix "$partial/calico"
cp -r "$(go list -m -f '{{.Dir}}' $module)/libcalico-go/config/crd" "$partial/crds"
chmod -R u+w "$partial/crds"
mv -T "$partial" "$built" 2>/dev/null || [[ -x $built/felix ]] # another run may have been faster
echo "Calico: built in $((SECONDS - start))s"
echo "$built" >&3
