#!/usr/bin/env bash
#
# verify.sh checks everything that can be checked without running the code. It writes nothing into the tree and does
# not ask git, so it says the same of a dirty tree, a clean one and an unpacked archive. `make verify` calls it.

set -euo pipefail
cd "$(dirname "$0")/.."

failed=()

check() { # check NAME COMMAND…: a check fails when its command fails; the others still run.
  local start=$SECONDS
  printf '\n== %s\n' "$1"
  if "${@:2}"; then
    printf 'ok (%ds)\n' $((SECONDS - start))
  else
    failed+=("$1")
  fi
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

generated() { # generates anew in a copy, from which everything generated was first removed, and compares
  tar --exclude=./.git --exclude=./.local --exclude=./bin -cf - . | tar -xf - -C "$scratch"
  rm -rf "$scratch"/config/crd/bases/*.yaml "$scratch/config/rbac/role.yaml" \
    "$scratch/api/v1alpha1/applyconfiguration" "$scratch"/api/v1alpha1/zz_generated.* \
    "$scratch"/charts/*/files "$scratch/docs/reference.md"
  make -C "$scratch" generate manifests TOOLS="$TOOLS" >"$scratch/log" 2>&1 || {
    cat "$scratch/log"
    return 1
  }
  diff -ru api "$scratch/api" && diff -ru config "$scratch/config" && diff -ru charts "$scratch/charts" && diff -u docs/reference.md "$scratch/docs/reference.md" || {
    echo "Generated files are not current. Run: make generate manifests"
    return 1
  }
}

formatted() {
  local files
  files=$(gofmt -l api cmd config controllers hack internal test 2>/dev/null)
  [[ -z $files ]] || {
    printf 'Not formatted:\n%s\nRun: make fmt\n' "$files"
    return 1
  }
}

rendered() { "$KUSTOMIZE" build config/default >/dev/null && "$KUSTOMIZE" build config/prometheus >/dev/null && "$KUSTOMIZE" build config/removal/open >/dev/null; }

vetted() { go vet ./... && go -C test/oracle/cyclonus vet ./... && go -C test/install vet ./... && go -C test/certmanager vet ./... && go -C test/e2e vet ./... && go -C hack/image vet ./...; }

linted() {
  local module
  "$GOLANGCI_LINT" run || return 1
  for module in test/oracle/cyclonus test/install test/certmanager test/e2e hack/image; do
    (cd "$module" && "$GOLANGCI_LINT" run --config "$OLDPWD/.golangci.yml") || return 1
  done
}

tidy() { # every module says exactly what it needs
  local module code=0
  for module in . hack/tools hack/controlplane hack/calico hack/image hack/reference test/oracle/cyclonus test/definitions test/install test/certmanager test/e2e; do
    (cd "$module" && go mod tidy -diff) || { echo "Not tidy: $module" && code=1; }
  done
  return $code
}

check "Generated files are current" generated
check "gofmt" formatted
check "go vet" vetted
check "golangci-lint, import directions included" linted
check "config/default and config/prometheus render" rendered
check "go mod tidy" tidy

if ((${#failed[@]})); then
  printf '\nFailed: %s\n' "$(IFS=';' && echo "${failed[*]}")"
  exit 1
fi
printf '\nAll is as it should be.\n'
