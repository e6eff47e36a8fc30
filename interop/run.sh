#!/usr/bin/env bash
# `make interop` and, with --short, its part of `make test`: see docs/interop.md.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
[ -e build/debug/libdevid.so ] || make debug-libraries
cargo build --locked --quiet -p devid-testca
json=build/interop.json
case " $* " in *" --short "*) json=build/interop-short.json ;; esac
exec python3 interop/run.py --library build/debug/libdevid.so --testca "$target/debug/devid-testca" --json "$json" "$@"
