# Sourced by the run.sh of the clients in JavaScript, in the repository's root: fetches the packages, once for each state of the lock file, and generates messages and
# services from the schema. Sets modules to the folder that has both, node_modules and gen.
node=$(pwd)/internal/interop/clients/node
stamp=$(cksum <"$node/package-lock.json" | tr ' ' -)
modules=$PRISM_CACHE/node-$stamp
if [ ! -e "$modules/ready" ]; then
  rm -rf "$modules"
  mkdir -p "$modules"
  cp "$node/package.json" "$node/package-lock.json" "$modules"
  (cd "$modules" && npm ci --no-audit --no-fund --loglevel=error)
  touch "$modules/ready"
fi
rm -rf "$modules/gen"
template="{\"version\":\"v2\",\"plugins\":[{\"local\":[\"node\",\"$modules/node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es\"],\"out\":\"$modules/gen\",\"opt\":[\"target=js\",\"import_extension=js\"],\"include_imports\":true}]}"
"$PRISM_TOOLS/buf" generate --template "$template" --path schema/prism/keyvalue/v1
"$PRISM_TOOLS/buf" generate --template "$template" internal/interop/clients/proto
