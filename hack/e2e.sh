#!/usr/bin/env bash
#
# e2e.sh runs the end-to-end suite (test/e2e): in the cluster that KUBECONFIG names, which must have the operator and the suite's
# images, or else in a cluster of one real node that it starts and takes away (hack/node), which takes root, Linux and Debian
# packages. Arguments go to the suite. `e2e.sh prepare` does no more than to see whether a node can run here, and to install packages;
# what it says last is why not.

set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0

step() { printf '\n== %s\n' "$1" >&2; }

packages() { # the packages whose programs this machine lacks
  local program package
  while read -r program package; do
    [[ -x $program ]] || command -v "$program" >/dev/null || echo "$package"
  done <<'END'
containerd containerd
runc runc
iptables iptables
nft nftables
ipset ipset
conntrack conntrack
ip iproute2
/usr/lib/cni/host-local containernetworking-plugins
/usr/lib/postgresql/15/bin/postgres postgresql-15
END
}

try() { # what a node does to a machine, in namespaces that end with it: a container may have root, and not all of this
  unshare --net --mount --pid --ipc --uts --fork true 2>/dev/null || {
    echo "A node takes namespaces of its own, and this machine lets root make none." >&2
    return 1
  }
  unshare --net --mount --pid --ipc --uts --fork bash -euo pipefail -c '
    may() { "${@:2}" >/dev/null 2>&1 || { echo "A node takes $1, and this machine lets root have none." >&2; exit 1; }; }
    may "pairs of interfaces" ip link add node-a type veth peer name node-b
    may "sets of addresses" ipset create node hash:net
    may "rules of a firewall" iptables -A INPUT -m set --match-set node src -m conntrack --ctstate ESTABLISHED -j ACCEPT
    may "translation of addresses" iptables -t nat -A POSTROUTING -j MASQUERADE
    may "file systems of its own" mount -t tmpfs tmpfs /mnt
    mkdir /mnt/{lower,upper,work,merged}
    may "file systems in layers" mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/merged
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/{memory,pids}; do
      [[ -e $hierarchy/cgroup.procs ]] || continue
      may "control groups" mkdir "$hierarchy/entrustment-try"
      may "control groups" rmdir "$hierarchy/entrustment-try"
    done
  '
}

prepare() { # a machine for a node
  [[ $(uname) == Linux && $(id -u) == 0 ]] || {
    echo "A node takes Linux and root. Set KUBECONFIG to use a cluster that is there." >&2
    return 1
  }
  local missing
  mapfile -t missing < <(packages)
  if ((${#missing[@]})); then
    step "Installing ${missing[*]}"
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >&2; then
      echo "A node takes ${missing[*]}, which apt-get could not install here." >&2
      return 1
    fi
  fi
  try
}

if [[ ${1:-} == prepare ]]; then
  prepare
  exit
fi

image() { # image NAME [OPTION…]: of the program of that name
  bin/image --name "e2e.entrustment.dev/$1:run" --output "bin/e2e/$1.tar" "${@:2}" "linux/$(go env GOARCH)=bin/e2e/$1" >&2
}

step "Programs of the suite"
mkdir -p bin/e2e
make bin/image
(cd test/e2e && GOOS=linux go build -o ../../bin/e2e/ ./agent ./dns && go test -c -o ../../bin/e2e/suite .)
image agent

if [[ -n ${KUBECONFIG:-} ]]; then
  step "Suite, in the cluster of $KUBECONFIG"
  cd test/e2e
  exec ../../bin/e2e/suite -ginkgo.v "$@"
fi

prepare
step "Kubernetes and Calico"
# Downloaded control planes have no kubelet.
KUBEBUILDER_ASSETS=$(ENTRUSTMENT_ASSETS=build hack/controlplane/assets.sh)
CALICO_ASSETS=$(hack/calico/assets.sh)
export KUBEBUILDER_ASSETS CALICO_ASSETS

step "The operator, and Helm to install it"
make image IMAGE=e2e.entrustment.dev/manager:run DIST=bin/e2e >&2
go -C test/install build -o ../../bin/e2e/helm helm.sh/helm/v4/cmd/helm
go build -o bin/e2e/node ./hack/node
image dns
image node --argument pause # it holds the namespaces of pods
test/e2e/postgres.sh bin/e2e/postgres.tar

node() { # node IMAGE… -- COMMAND…
  local images=()
  while [[ $1 != -- ]]; do images+=(--image "bin/e2e/$1.tar") && shift; done
  exec bin/e2e/node run "${images[@]}" --manifests test/e2e/dns/dns.yaml "$@"
}

ended() { # ended SIGNAL: a node with a pod on it ends by a signal. It complains of what it leaves, and so does the next one.
  local status=0 first up
  coproc NODE { node node dns -- bash -c 'kubectl rollout status --namespace=kube-system deployment/dns >&2 && echo up && exec sleep infinity'; }
  first=$NODE_PID
  read -r up <&"${NODE[0]}" || return 1
  kill "-$1" "$first"
  wait "$first" || status=$?
  echo "ended with $status" >&2
  ((status == 130 || status == 128 + 9))
}

if (($# == 0)); then
  step "A node that is interrupted"
  ended INT
  step "A node that is killed"
  ended KILL
fi

step "Suite, in a cluster of one node"
node entrustment-operator agent dns node postgres -- bash -c 'cd test/e2e && exec ../../bin/e2e/suite -ginkgo.v "$@"' suite "$@"
