#!/usr/bin/env bash
# Installs the servers that tests run against and that no Go module has: Redis and PostgreSQL. It does so where it may without asking, as root or with a sudo that wants no password;
# elsewhere it says what to install. That is an error where PRISM_SERVERS names servers, as in CI; else the tests that need them are skipped, loudly.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
postgres() { compgen -G "$1" >/dev/null; }
command -v initdb >/dev/null || postgres '/usr/lib/postgresql/*/bin/initdb' || postgres '/usr/local/pgsql/bin/initdb' || postgres '/opt/homebrew/bin/initdb' || missing+=(postgresql)
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo='sudo -n'
if command -v apt-get >/dev/null && $sudo true 2>/dev/null; then
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  exit 0
fi
cat >&2 <<END
These servers are missing and could not be installed from here: ${missing[*]}
  Debian, Ubuntu: sudo apt-get install ${missing[*]}
  macOS:          brew install redis postgresql@17
  else:           Redis 6.2 or newer (redis-server on the PATH), PostgreSQL 14 or newer (postgres, initdb and pg_isready on the PATH)
END
[ -z "${PRISM_SERVERS:-}" ] || exit 1
echo 'The tests that need them are skipped.' >&2
