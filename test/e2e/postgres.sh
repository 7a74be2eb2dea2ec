#!/usr/bin/env bash
#
# postgres.sh FILE NAME writes an image of PostgreSQL in the form of `docker save`: the programs of Debian's newest that are in
# DEBIAN_ASSETS, or on this machine, with the libraries that they need, a shell, and nothing else.

set -euo pipefail
umask 022
out=$(realpath -m "$1")
name=$2
assets=${DEBIAN_ASSETS:-/}
assets=${assets%/}
for root in "$assets" ''; do # what is installed here was not fetched, though other packages were
  home=$(printf '%s\n' "$root"/usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
  [[ ! -x $home ]] || break
done
[[ -x $home ]] || { echo "There is no PostgreSQL in $assets/usr/lib/postgresql, nor on this machine." >&2 && exit 1; }
home=${home%/bin/postgres}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

programs=("$home"/bin/{postgres,initdb,pg_isready,psql} /bin/sh /bin/cat)
libraries=("$home"/lib/{plpgsql,dict_snowball,libpqwalreceiver}.so)
{
  printf '%s\n' "${programs[@]}" "${libraries[@]}"
  ldd "${programs[@]}" "${libraries[@]}" 2>/dev/null | grep -o '/[^ :)]*' | sort -u
} | sort -u >"$scratch/files"
mkdir -p "$scratch/root"/{dev,tmp,data,etc}
chmod 1777 "$scratch/root/tmp"
echo 'postgres:x:65532:65532::/data:/bin/sh' >"$scratch/root/etc/passwd"
while read -r file; do
  [[ -f $file ]] || continue
  mkdir -p "$scratch/root$(dirname "${file#"$assets"}")"
  cp -L "$file" "$scratch/root${file#"$assets"}"
done <"$scratch/files"
home=${home#"$root"}
mkdir -p "$scratch/root/usr/share/postgresql"
cp -r "$root/usr/share/postgresql/${home##*/}" "$scratch/root/usr/share/postgresql/"
tar -C "$scratch/root" --owner=0 --group=0 -cf "$scratch/layer.tar" .
digest=$(sha256sum "$scratch/layer.tar" | cut -d' ' -f1)
arch=$(dpkg --print-architecture)
cat >"$scratch/config.json" <<JSON
{"architecture": "$arch", "os": "linux",
 "config": {"User": "65532:65532", "Env": ["PATH=$home/bin:/bin", "PGDATA=/data/pg", "LC_ALL=C.UTF-8"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}}
JSON
printf '[{"Config": "config.json", "RepoTags": ["%s"], "Layers": ["layer.tar"]}]' "$name" >"$scratch/manifest.json"
tar -C "$scratch" -cf "$out" manifest.json config.json layer.tar
