#!/bin/sh
# Runs provider.py with the arguments that it is given. Its packages go into a virtual environment, and the code that is generated from the schema beside them, both
# once: until requirements.txt or the schema changes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
schema=$here/../../schema
protos="prism/provider/v1/provider.proto prism/keyvalue/v1/keyvalue_basic.proto prism/options/v1/options.proto"
stamp=$(cd "$schema" && cat "$here/requirements.txt" $protos | cksum | tr ' ' -)
venv=${PRISM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/prism}/provider-python-$stamp
if [ ! -e "$venv/ready" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$here/requirements.txt"
  mkdir "$venv/stubs"
  (cd "$schema" && "$venv/bin/python" -m grpc_tools.protoc -I. -I"$here/../../third_party" --python_out="$venv/stubs" --grpc_python_out="$venv/stubs" \
    $protos buf/validate/validate.proto)
  touch "$venv/ready"
fi
PYTHONPATH=$venv/stubs PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/provider.py" "$@"
