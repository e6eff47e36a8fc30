#!/usr/bin/env bash
# `make demo`: builds and installs the release library under build/stage, compiles the C example against what was installed,
# and runs it, then the Python one, against the test CA.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-$PWD/target}
stage=$PWD/build/stage

echo "building the release library (the first time takes a few minutes; build/demo-build.log)"
{
    make --no-print-directory release && make --no-print-directory install PREFIX="$stage" &&
        $cargo build --locked --release -p devid-testca
} > build/demo-build.log 2>&1 || { tail -n 30 build/demo-build.log >&2; exit 1; }

export PKG_CONFIG_PATH=$stage/lib/pkgconfig
for story in demo offline; do
    gcc -std=c99 -D_XOPEN_SOURCE=700 -O2 -Wall -Wextra -Werror "examples/c/$story.c" -o "build/$story" \
        $(pkg-config --cflags --libs devid) -Wl,-rpath,"$stage/lib"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 scripts/with_testca.py "$target/release/devid-testca" "$work/material" --waiting=1 --ra=ra-verified -- \
    sh -c 'exec build/demo "$TESTCA_DIR" "$TESTCA_CMP" "$TESTCA_OCSP" "$TESTCA_CRL" "$0"' "$work/memory"

export PYTHONPATH=$PWD/bindings/python/src PYTHONDONTWRITEBYTECODE=1 DEVID_LIBRARY=$stage/lib/libdevid.so
echo
echo "The same device without any network: files on a stick"
mkdir "$work/stick"
python3 scripts/with_testca.py "$target/release/devid-testca" "$work/material-offline" --waiting=1 -- \
    sh scripts/stick.sh build/offline "$work/memory-offline" "$work/stick"

echo
PYTHONPATH=$PWD/bindings/python/src PYTHONDONTWRITEBYTECODE=1 DEVID_LIBRARY=$stage/lib/libdevid.so \
    DEVID_TESTCA=$target/release/devid-testca python3 examples/python/demo.py

echo
DEVID_TESTCA=$target/release/devid-testca python3 examples/python/offline.py
