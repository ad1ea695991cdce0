#!/bin/sh
# Chromium, over TLS, with the browser's connect-es; the packages are those of the client in Node.
set -eu
. internal/interop/clients/node/setup.sh
cp internal/interop/clients/node/calls.mjs internal/interop/clients/chromium/*.mjs "$modules"
cd "$modules"
node_modules/.bin/esbuild page.mjs --bundle --format=iife --outfile=page.bundle.js --log-level=warning
node browser.mjs
