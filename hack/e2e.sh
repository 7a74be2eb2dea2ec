#!/usr/bin/env bash
#
# e2e.sh runs the end-to-end suite (test/e2e): in the cluster that KUBECONFIG names, which must have the operator and the suite's
# images, or else in a cluster of one real node that it starts and takes away (hack/node), which takes root and Linux. Arguments go to
# the suite. There are two more ways to call it:
#
#   e2e.sh prepare   sees whether a node can run here, and fetches what it takes; what it says last is why not
#   e2e.sh images    writes the images of the suite for a cluster of yours
#
# ENTRUSTMENT_IMAGES is where that cluster gets the images, as in registry.example.com/e2e, and PLATFORMS are those of its nodes.

set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
what='' # is at work
source hack/work.sh

step() { printf '\n== %s\n' "$1" >&2; }
say() { printf '%s: %s\n' "$what" "$*" >&2; }

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
    may "tables of nftables" nft add table inet node
    may "file systems of its own" mount -t tmpfs tmpfs /mnt
    mkdir /mnt/{lower,upper,work,merged}
    may "file systems in layers" mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/merged
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/{memory,pids}; do
      [[ -e $hierarchy/cgroup.procs ]] || continue
      # Another run may try the same, and one that was killed may have left it.
      may "control groups" mkdir -p "$hierarchy/entrustment-try"
      rmdir "$hierarchy/entrustment-try" 2>/dev/null || true
      [[ ! -e $hierarchy/cgroup.subtree_control ]] || may "controllers of control groups" bash -c "echo +memory +pids >$hierarchy/cgroup.subtree_control"
    done
  '
}

prepare() { # a machine for a node
  [[ $(uname) == Linux && $(id -u) == 0 ]] || {
    echo "A node takes Linux and root. Set KUBECONFIG to use a cluster that is there." >&2
    return 1
  }
  programs containerd runc iptables nftables ipset conntrack iproute2 containernetworking-plugins postgresql
  try
}

programs() { # programs PACKAGE…: finds Debian's programs, as DEBIAN_ASSETS says, and by name
  answer hack/debian/assets.sh "$@"
  export DEBIAN_ASSETS=$answer
  [[ $answer != / ]] || return 0
  PATH=$answer/usr/sbin:$answer/usr/bin:$answer/sbin:$answer/bin:$PATH
  LD_LIBRARY_PATH=$(find "$answer" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd :)
  XTABLES_LIBDIR=$(dirname "$(find "$answer" -name libxt_conntrack.so)")
  export PATH LD_LIBRARY_PATH XTABLES_LIBDIR
}

answer() { # answer COMMAND…: keeps in $answer what a command prints
  run "$@" >bin/e2e/answer
  answer=$(<bin/e2e/answer)
}

build() { # build WHAT COMMAND…
  what=$1
  attend working "${@:2}" || failed "not built"
}

working() { echo "building"; }

image() { # image NAME [OPTION…]: of the program of that name
  bin/image --name "$images/$1:run" --output "bin/e2e/$1.tar" "${@:2}" "linux/$(go env GOARCH)=bin/e2e/$1" >/dev/null
}

agent() { # its image, which may be for several platforms
  local platform programs=()
  for platform in ${PLATFORMS:-linux/$(go env GOARCH)}; do
    GOOS=${platform%%/*} GOARCH=${platform#*/} go -C test/e2e build -o "$PWD/bin/e2e/$platform/" ./agent
    programs+=("$platform=bin/e2e/$platform/agent")
  done
  bin/image --name "$images/agent:run" --output bin/e2e/agent.tar "${programs[@]}"
}

# ---- What two runs in one directory would both write ----------------------------------------------------------

mkdir -p bin/e2e
exec 8>bin/e2e/lock
if command -v flock >/dev/null && ! flock -n 8; then
  echo "Waiting for another run in this directory." >&2
  until flock -w 1 8; do :; done
fi
partial=$(mktemp -d)

if [[ ${1:-} == prepare ]]; then
  prepare
  exit
fi

images=e2e.entrustment.dev
if [[ ${1:-} == images || -n ${KUBECONFIG:-} ]]; then
  images=${ENTRUSTMENT_IMAGES:-$images}
fi

if [[ ${1:-} == images ]]; then
  step "Images of the suite"
  build "The writer of images" make bin/image
  build "The agent" agent
  programs postgresql
  run test/e2e/postgres.sh bin/e2e/postgres.tar "$images/postgres:run"
  printf '%s holds %s\n' bin/e2e/agent.tar "$images/agent:run" bin/e2e/postgres.tar "$images/postgres:run"
  exit
fi

step "Programs of the suite"
build "The suite" go -C test/e2e test -c -o "$PWD/bin/e2e/suite" .

if [[ -n ${KUBECONFIG:-} ]]; then
  step "Suite, in the cluster of $KUBECONFIG"
  clean_up
  cd test/e2e
  exec ../../bin/e2e/suite -ginkgo.v "$@"
fi

unset ENTRUSTMENT_IMAGES PLATFORMS
prepare
step "Kubernetes and Calico"
# Downloaded control planes have no kubelet.
ENTRUSTMENT_ASSETS=build answer hack/controlplane/assets.sh
export KUBEBUILDER_ASSETS=$answer
answer hack/calico/assets.sh
export CALICO_ASSETS=$answer

step "The operator, and Helm to install it"
build "The operator" make image IMAGE=$images/manager:run DIST=bin/e2e
build "Helm" go -C test/install build -o "$PWD/bin/e2e/helm" helm.sh/helm/v4/cmd/helm
build "The node" go build -o bin/e2e/node ./hack/node
build "DNS" go -C test/e2e build -o "$PWD/bin/e2e/" ./dns
build "The writer of images" make bin/image
build "The agent" agent
image dns
image node --argument pause # it holds the namespaces of pods
run test/e2e/postgres.sh bin/e2e/postgres.tar "$images/postgres:run"

node() { # node IMAGE… -- COMMAND…
  local images=()
  while [[ $1 != -- ]]; do images+=(--image "bin/e2e/$1.tar") && shift; done
  exec bin/e2e/node run "${images[@]}" --manifests test/e2e/dns/dns.yaml "$@"
}

ended() { # ended SIGNAL: a node with a pod on it ends by a signal. It complains of what it leaves, and so does the next one.
  local status=0 up
  set -m
  # It ends with its input as well, which is this script's to give.
  coproc NODE { node node dns -- bash -c 'kubectl rollout status --namespace=kube-system deployment/dns >&2 && echo up && exec cat'; }
  worker=$NODE_PID
  set +m
  read -r up <&"${NODE[0]}" || return 1
  kill "-$1" "$worker"
  { wait "$worker" || status=$?; } 2>/dev/null # the shell has a word for those that are killed
  worker=''
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
run node entrustment-operator agent dns node postgres -- bash -c 'cd test/e2e && exec ../../bin/e2e/suite -ginkgo.v "$@"' suite "$@"
