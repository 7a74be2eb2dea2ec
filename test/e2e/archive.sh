#!/usr/bin/env bash
#
# archive.sh DIR ADDRESS… runs the PostgreSQL of the suite's image, until it is ended: a database that no cluster knows of. It has five
# invoices and a role that may read them, and speaks TLS alone, with DIR/server.crt and DIR/server.key. It wants mounts of its own, as
# `ip netns exec` gives them.

set -euo pipefail
dir=$1
addresses=$(IFS=, && echo "${*:2}")
root=$dir/root

mkdir "$root"
tar -xOf ../../bin/e2e/postgres.tar layer.tar | tar -xC "$root"
mount --rbind /dev "$root/dev"
chown 65532:65532 "$root/data"
install -o 65532 -m 600 "$dir"/server.{crt,key} "$root/data/"
echo owners-password >"$root/tmp/owner"

programs=("$root"/usr/lib/postgresql/*/bin)
export PATH=$PATH:${programs#"$root"} PGDATA=/data/pg LC_ALL=C.UTF-8
postgres=(chroot --userspec=65532:65532 "$root")
"${postgres[@]}" initdb --username=owner --auth=scram-sha-256 --pwfile=/tmp/owner --no-locale --encoding=UTF8 --no-sync >/dev/null
"${postgres[@]}" postgres --single template1 >/dev/null <<<'CREATE DATABASE ledger'
"${postgres[@]}" postgres --single ledger >/dev/null <<'SQL'
CREATE TABLE invoices (customer text, amount int)
INSERT INTO invoices VALUES ('D', 100), ('E', 200), ('F', 300), ('G', 400), ('H', 500)
CREATE ROLE reader LOGIN PASSWORD 'another-password'
GRANT SELECT ON invoices TO reader
SQL
echo 'hostssl all all all scram-sha-256' >>"$root/data/pg/pg_hba.conf"

exec "${postgres[@]}" postgres -c "listen_addresses=$addresses" -c unix_socket_directories=/tmp -c fsync=off -c jit=off \
  -c ssl=on -c ssl_cert_file=/data/server.crt -c ssl_key_file=/data/server.key
