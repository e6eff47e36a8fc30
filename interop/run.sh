#!/usr/bin/env bash
# `make interop` and, with --short, its part of `make test`: see docs/interop.md.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -e build/debug/libdevid.so ] || make debug-libraries
json=build/interop.json
case " $* " in *" --short "*) json=build/interop-short.json ;; esac
exec python3 interop/run.py --library build/debug/libdevid.so --json "$json" "$@"
