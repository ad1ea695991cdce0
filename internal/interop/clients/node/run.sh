#!/bin/sh
# connect-es in Node.
set -eu
. internal/interop/clients/node/setup.sh
cp internal/interop/clients/node/*.mjs "$modules"
NODE_EXTRA_CA_CERTS=$PRISM_CA node "$modules/client.mjs"
