#!/bin/bash
# Writes the configuration folder of a node, in Elasticsearch's image, before the node starts: the
# image's own, HTTPS, our role, and two users: search_service, and operator, who may do everything.
#
#   configure.sh TARGET ROLES PASSWORDS CERTIFICATES
#
#   TARGET        the folder; mounted as the node's config
#   ROLES         roles.yml
#   PASSWORDS     folder with a file of each user's password, named as the user is
#   CERTIFICATES  folder with tls.crt, tls.key and ca.crt
#
# TARGET/USER.curl is for `curl -K`, so that no password is on a command line.
set -euo pipefail
umask 027
target=$1 roles=$2 passwords=$3 certificates=$4
image=${ES_HOME:-/usr/share/elasticsearch}

# The tools take seconds to start: what is made of the same is not made again.
made_of=$({
  echo "$image"/lib/elasticsearch-[0-9]*.jar
  cat "$0" "$roles" "$passwords"/{search_service,operator} "$certificates"/{tls.crt,tls.key,ca.crt}
} | sha256sum)
if [[ $made_of == "$(cat "$target/.made-of" 2>/dev/null || true)" ]]; then
  exit 0
fi

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
cp -rL "$image/config/." "$new/"
cp -f "$roles" "$new/roles.yml"
mkdir -p "$new/certs"
cp -fL "$certificates"/{tls.crt,tls.key,ca.crt} "$new/certs/"

add_user() { # NAME ROLE
  local password
  password=$(cat "$passwords/$1")
  ES_PATH_CONF=$new "$image/bin/elasticsearch-users" useradd "$1" -p "$password" -r "$2"
  printf 'user = "%s:%s"\ncacert = "%s/config/certs/ca.crt"\nsilent\nshow-error\nfail\n' \
    "$1" "$password" "$image" >"$new/$1.curl"
}
add_user search_service imagesearch_search
add_user operator superuser

cp -rf "$new/." "$target/"
echo "$made_of" >"$target/.made-of"
