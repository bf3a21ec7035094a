#!/usr/bin/env bash
# Have PostgreSQL and Redis on this machine, from Debian's packages. Exit code 3 where they cannot be had, with a sentence.
set -euo pipefail

there() {
  command -v redis-server > /dev/null && { command -v postgres > /dev/null || compgen -G "/usr/lib/postgresql/*/bin/postgres" > /dev/null; }
}
without() {
  echo "The services cannot be had here: $1. The tests in tests/services are left out." >&2
  exit 3
}

there && exit 0
command -v apt-get > /dev/null || without "PostgreSQL or Redis is missing, and there is no apt-get to install it"
as_root=()
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2> /dev/null || without "PostgreSQL or Redis is missing, and installing it takes root or sudo without a password"
  as_root=(sudo -n)
fi
said="$(mktemp)"
echo "Installing PostgreSQL and Redis with apt-get"
{ "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends postgresql redis-server; } > "$said" 2>&1 || without "apt-get failed ($(tail -n 1 "$said"))"
rm -f "$said"
there || without "apt-get installed the packages, and PostgreSQL or Redis is still missing"
