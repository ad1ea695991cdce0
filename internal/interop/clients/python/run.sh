#!/bin/sh
# grpcio. The packages go into a virtual environment that is made anew when requirements.txt changes; the stubs are generated each time.
set -eu
root=$(pwd)
here=$root/internal/interop/clients/python
stamp=$(cksum <"$here/requirements.txt" | tr ' ' -)
venv=$PRISM_CACHE/python-$stamp
if [ ! -e "$venv/ready" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$here/requirements.txt"
  touch "$venv/ready"
fi
stubs=$(mktemp -d)
trap 'rm -rf "$stubs"' EXIT
cd schema
"$venv/bin/python" -m grpc_tools.protoc -I. -I"$root/third_party" --python_out="$stubs" --grpc_python_out="$stubs" \
  prism/keyvalue/v1/keyvalue_basic.proto prism/keyvalue/v1/keyvalue_scan.proto prism/options/v1/options.proto buf/validate/validate.proto
PYTHONPATH=$stubs PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$here/client.py"
