#!/usr/bin/env bash
# Installs what strangers' clients need besides Go: curl, h2load, Python with venv, Node with npm, Chromium. Rust, for tonic alone, must be newer than Debian's.
set -euo pipefail

missing=()
want() { command -v "$1" >/dev/null || missing+=("$2"); }
want curl curl
want h2load nghttp2-client
want python3 python3
want node nodejs
want npm npm
want chromium chromium
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "install ${missing[*]} first: there is no apt-get to do it with" >&2; exit 1; }
  sudo=
  [ "$(id -u)" = 0 ] || ! command -v sudo >/dev/null || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
command -v cargo >/dev/null || echo 'there is no cargo: `make client-tonic` needs Rust 1.88 or newer, https://rustup.rs has it' >&2
