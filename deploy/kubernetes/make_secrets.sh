#!/bin/bash
# Writes the Secrets that the manifests name: keys, passwords and a certificate, made at random.
#
#   deploy/kubernetes/make_secrets.sh [NAMESPACE] | kubectl create -f -
#
# Once: run again it makes others, which `create` then refuses. Needs kubectl, openssl and imagesearch.
set -euo pipefail
umask 077
namespace=${1:-imagesearch}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

secret() { # NAME OPTION...
  echo ---
  kubectl create secret generic "$@" --namespace "$namespace" --dry-run=client -o yaml
}

key() { # NAME SCOPE...
  local name=$1 options=()
  shift
  for scope in "$@"; do options+=(--scope "$scope"); done
  imagesearch keys create "$name" --file keys.json "${options[@]}"
}

random() { openssl rand -hex 24 | tr -d '\n'; }

key gateway search ingest >gateway-key
key operator search ingest admin >operator-key
secret imagesearch-keys --from-file=keys.json
secret gateway-backend-key --from-file=api-key=gateway-key
secret imagesearch-operator-key --from-file=api-key=operator-key

echo -n search_service >username
random >password
echo -n imagesearch_search >roles
secret elasticsearch-search-service --type=kubernetes.io/basic-auth \
  --from-file=username --from-file=password --from-file=roles

# The rest is for components/elasticsearch alone.
random >operator-password
secret elasticsearch-operator --from-file=password=operator-password

names=DNS:elasticsearch,DNS:elasticsearch.$namespace.svc,DNS:localhost,IP:127.0.0.1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 \
  -subj /CN=imagesearch-elasticsearch -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
  -subj /CN=elasticsearch -keyout tls.key -out tls.csr 2>/dev/null
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -days 3650 \
  -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$names") \
  -out tls.crt 2>/dev/null
secret elasticsearch-tls --from-file=tls.crt --from-file=tls.key --from-file=ca.crt
