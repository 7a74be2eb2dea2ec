#!/usr/bin/env bash
#
# The operator at work on a published privacy policy, step by step. `make demo` starts a cluster for it and runs it there.
# Every step is checked: if the operator did not do what is told here, the demonstration fails.

set -euo pipefail
cd "$(dirname "$0")/.."

# Never in a cluster that somebody uses: without one of its own, it asks for one.
[[ -n ${ENTRUSTMENT_LOCAL:-} ]] || exec make demo

# ---- How a step is told and checked ---------------------------------------------------------------------------------

bold='' plain=''
if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi

number=0
step() { printf '\n\n%s%d. %s%s\n' "$bold" $((number += 1)) "$1" "$plain"; }
tell() { printf '   %s\n' "$@"; }

broken() {
  printf '\nThis is not what should have happened: %s\n' "$1" >&2
  exit 1
}

try() { # try COMMAND: shows it as one would type it, runs it, and keeps what it printed and how it ended
  printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"
  code=0
  output=$(eval "$1" 2>&1) || code=$?
  [[ -z $output ]] || printf '%s\n' "$output"
}

works() { # works COMMAND [TEXT…]: it succeeds, and what it prints contains each text
  try "$1"
  ((code == 0)) || broken "the command failed"
  local text
  for text in "${@:2}"; do
    [[ $output == *"$text"* ]] || broken "the answer does not mention $text"
  done
}

refused() { # refused REASON COMMAND: it fails, for this reason and no other
  try "$2"
  ((code != 0)) || broken "the command succeeded"
  [[ $output == *"admission webhook"* && $output == *" $1: "* ]] || broken "it was not refused for the reason $1"
}

await() { # await CONDITION OBJECT…: what a step needs and a reader need not see
  kubectl wait --timeout=60s --for="$1" "${@:2}" >/dev/null || broken "waiting for $1 of ${*:2}"
}

lacks() { # lacks TEXT: the last answer does not contain the text
  [[ $output != *"$1"* ]] || broken "the answer still mentions $1"
}

# ---- The policy -----------------------------------------------------------------------------------------------------

# Its contracts run from April 2026 to April 2027. In another year its dates are moved, so that they are in force.
policy=config/samples/policy
year=$(date +%Y)
((10#$(date +%m) >= 4)) || year=$((year - 1))
if ((year != 2026)); then
  policy=$(dirname "$KUBECONFIG")/policy
  cp -R config/samples/policy "$policy"
  for file in "$policy"/*.yaml; do
    sed -e "s/\"2026-/\"first-/g; s/\"2027-/\"second-/g; s/\"first-/\"$year-/g; s/\"second-/\"$((year + 1))-/g" \
      "$file" >"$file.moved" && mv "$file.moved" "$file"
  done
fi

step "A published privacy policy becomes objects"
tell "Purposes of use, the parties to which handling is entrusted, their contracts, and the stores that hold the data."
works "kubectl apply -f $policy | cut -d/ -f1 | sort | uniq -c"
works "kubectl wait --for=condition=Active --timeout=60s entrustment/fees"
works "kubectl get entrustment fees" billing-entrustee Enforced

step "What the pods of one namespace may do follows from it"
tell "The operator compiles it; the namespace's developers may read it."
await create personaldataaccess/effective -n billing-entrustee
await jsonpath='{.grants[0].entrustment}'=fees personaldataaccess/effective -n billing-entrustee
readonly grants="kubectl get personaldataaccess effective -n billing-entrustee -o jsonpath='{range .grants[*]}{.purpose}{\" under \"}{.entrustment}{\": \"}{.stores}{\"\\n\"}{end}'"
works "$grants" "billing under fees" data-billing/billing-ledger

step "A pod that bills customers under the contract is admitted"
# Pods need the namespace's ServiceAccount, which a controller makes a moment after the namespace.
await create serviceaccount/default -n billing-entrustee
await create serviceaccount/default -n core-services
works "kubectl apply -f hack/demo/invoice-run.yaml" created
tell "It stays Pending, because this cluster has no nodes. In one that has, it would now start."

step "Without the contract it is refused"
refused NoEntrustment "kubectl apply -f hack/demo/without-contract.yaml"

step "Under the contract, but for a purpose beyond it, it is refused"
refused PurposeNotEntrusted "kubectl apply -f hack/demo/claims-handler.yaml"

step "A purpose that the policy prohibits is refused to everyone, the data controller included"
refused PurposeProhibited "kubectl apply -f hack/demo/applicant-scoring.yaml"

step "The same question can be asked before anything is deployed"
works "kubectl entrust can --namespace billing-entrustee --purpose billing --entrustment fees --store data-billing/billing-ledger" \
  Entrusted

step "The store's network policy admits exactly the pods that have a grant"
readonly peers="kubectl describe networkpolicy pds.billing-ledger -n data-billing"
readonly fees="{.spec.ingress[*].from[?(@.podSelector.matchLabels.entrustment\\.dev/entrustment==\"fees\")]}"
await jsonpath="$fees" networkpolicy/pds.billing-ledger -n data-billing
works "$peers" kubernetes.io/metadata.name=billing-entrustee entrustment.dev/entrustment=fees

step "The contract is suspended"
generation=$(kubectl get networkpolicy pds.billing-ledger -n data-billing -o jsonpath='{.metadata.generation}')
works "kubectl patch entrustment fees --type=merge -p '{\"spec\":{\"suspended\":true,\"suspendedReason\":\"Incident reported by the entrustee\"}}'" \
  patched
works "kubectl wait --for=condition=Active=false --timeout=60s entrustment/fees"
works "kubectl get entrustment fees" Suspended

step "Its peer is gone from the network policy, and its grants from the namespace"
# One edit is one write: the next generation is the answer to the suspension.
await jsonpath='{.metadata.generation}'=$((generation + 1)) networkpolicy/pds.billing-ledger -n data-billing
works "$peers"
lacks entrustment.dev/entrustment=fees
await jsonpath='{.grantCount}'=0 personaldataaccess/effective -n billing-entrustee
works "kubectl get personaldataaccess effective -n billing-entrustee"

step "A pod like the first one is now refused"
refused Suspended "kubectl apply -f hack/demo/late-invoice-run.yaml"

printf '\n\n%sThat was all of it.%s The cluster of this demonstration is stopped now; `make up` starts one that stays.\n' "$bold" "$plain"
