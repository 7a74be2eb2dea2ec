#!/usr/bin/env bash
#
# archive.sh DIR ADDRESS… runs a PostgreSQL of Debian's, as the user postgres, until it is ended: a database that no cluster knows of.
# It has five invoices and a role that may read them, and speaks TLS alone, with the certificate DIR/server.crt.

set -euo pipefail
dir=$1
addresses=("${@:2}")
programs=/usr/lib/postgresql/15/bin

install -d -o postgres -g postgres -m 700 "$dir"
cd "$dir"
as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups env -i LC_ALL=C.UTF-8 PGDATA="$dir/data")

echo owners-password >owner
chmod 644 owner
"${as_postgres[@]}" "$programs/initdb" --username=owner --auth=scram-sha-256 --pwfile=owner --no-locale --encoding=UTF8 --no-sync >/dev/null
"${as_postgres[@]}" "$programs/postgres" --single template1 >/dev/null <<<'CREATE DATABASE ledger'
"${as_postgres[@]}" "$programs/postgres" --single ledger >/dev/null <<'SQL'
CREATE TABLE invoices (customer text, amount int)
INSERT INTO invoices VALUES ('D', 100), ('E', 200), ('F', 300), ('G', 400), ('H', 500)
CREATE ROLE reader LOGIN PASSWORD 'another-password'
GRANT SELECT ON invoices TO reader
SQL
echo 'hostssl all all all scram-sha-256' >>data/pg_hba.conf

names=$(printf ',IP:%s' "${addresses[@]}")
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=archive -addext "subjectAltName=${names:1}" \
  -keyout server.key -out server.crt.new 2>/dev/null
chown postgres server.key server.crt.new
mv server.crt.new server.crt # whoever finds it finds the whole

exec "${as_postgres[@]}" "$programs/postgres" -c "listen_addresses=$(IFS=, && echo "${addresses[*]}")" -c unix_socket_directories="$dir" \
  -c fsync=off -c jit=off -c ssl=on -c ssl_cert_file="$dir/server.crt" -c ssl_key_file="$dir/server.key"
