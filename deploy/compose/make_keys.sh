#!/bin/sh
# Before the services in docker-compose.yml, in the image of the command line: makes the keys that
# the parts call one another with, and Grafana's password, at random, once.
set -eu
umask 077
secrets=${SECRETS:-/secrets}

# FILE NAME SCOPE...: a key, in a file of its own.
make_key() {
  key_file=$secrets/$1 name=$2
  shift 2
  if [ -s "$key_file" ]; then
    return
  fi
  # Each scope becomes an option.
  for scope in "$@"; do
    set -- "$@" --scope "$scope"
    shift
  done
  python -m imagesearch_cli keys create "$name" --file "$secrets/keys/keys.json" "$@" >"$key_file.new"
  mv "$key_file.new" "$key_file"
}

make_key gateway/backend-key gateway search ingest
make_key web/api-key page search ingest
make_key cli/api-key operator search ingest admin

if [ ! -s "$secrets/grafana/admin-password" ]; then
  python -c 'import secrets; print(secrets.token_urlsafe(24), end="")' >"$secrets/grafana/password.new"
  chmod 0444 "$secrets/grafana/password.new" # Grafana runs as somebody else; it alone has this volume
  mv "$secrets/grafana/password.new" "$secrets/grafana/admin-password"
fi
