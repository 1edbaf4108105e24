#!/bin/bash
# Before Elasticsearch in docker-compose.yml, in its image, as root: makes passwords and certificates
# at random, once, and hands each part what it needs of them, and nothing else.
set -euo pipefail
umask 077
own=${OWN:-/own} config=${CONFIG:-/config} search=${SEARCH:-/search} snapshots=${SNAPSHOTS:-/snapshots}
here=${HERE:-/deploy}
image=${ES_HOME:-/usr/share/elasticsearch}
elasticsearch_ids=1000:0 service_id=65532

mkdir -p "$own/passwords"
for user in search_service operator; do
  if [[ ! -s $own/passwords/$user ]]; then
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' >"$own/passwords/$user.new"
    mv "$own/passwords/$user.new" "$own/passwords/$user"
  fi
done

if [[ ! -d $own/certificates ]]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cat >"$work/instances.yml" <<'YAML'
instances:
  - name: elasticsearch
    dns: [elasticsearch, localhost]
    ip: [127.0.0.1]
YAML
  # Its key is gone afterwards: nobody can make another certificate that search_service trusts.
  "$image/bin/elasticsearch-certutil" ca --silent --pem --days 3650 --out "$work/ca.zip"
  unzip -q "$work/ca.zip" -d "$work"
  "$image/bin/elasticsearch-certutil" cert --silent --pem --days 3650 --in "$work/instances.yml" \
    --ca-cert "$work/ca/ca.crt" --ca-key "$work/ca/ca.key" --out "$work/node.zip"
  unzip -q "$work/node.zip" -d "$work"
  rm -rf "$own/certificates.new"
  mkdir "$own/certificates.new"
  cp "$work/elasticsearch/elasticsearch.crt" "$own/certificates.new/tls.crt"
  cp "$work/elasticsearch/elasticsearch.key" "$own/certificates.new/tls.key"
  cp "$work/ca/ca.crt" "$own/certificates.new/ca.crt"
  mv "$own/certificates.new" "$own/certificates"
fi

bash "$here/configure.sh" "$config" "$here/roles.yml" "$own/passwords" "$own/certificates"
chown -R "$elasticsearch_ids" "$config" "$snapshots"

install -m 0400 -o "$service_id" -g "$service_id" \
  "$own/passwords/search_service" "$search/elasticsearch-password"
install -m 0444 "$own/certificates/ca.crt" "$search/elasticsearch-ca.crt"
