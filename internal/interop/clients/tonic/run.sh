#!/bin/sh
# tonic. What is built stays in the cache; the first build takes a minute.
set -eu
crate=$(pwd)/internal/interop/clients/tonic
export CARGO_TARGET_DIR=$PRISM_CACHE/tonic PRISM_DESCRIPTORS=$PRISM_CACHE/tonic-prism.binpb GRPC_DESCRIPTORS=$PRISM_CACHE/tonic-grpc.binpb
# A file that is as it was is not written: its time would make cargo build again.
descriptors() { # FILE ARGUMENT...
  file=$1
  shift
  "$PRISM_TOOLS/buf" build "$@" -o "$file.new.binpb"
  if cmp -s "$file.new.binpb" "$file"; then rm "$file.new.binpb"; else mv "$file.new.binpb" "$file"; fi
}
descriptors "$PRISM_DESCRIPTORS" --path schema/prism/keyvalue/v1
descriptors "$GRPC_DESCRIPTORS" internal/interop/clients/proto
cargo run --quiet --locked --manifest-path "$crate/Cargo.toml"
