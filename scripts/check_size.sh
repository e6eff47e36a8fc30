#!/usr/bin/env bash
# The library for small devices stays within its budget: profile small, RustCrypto, HTTP without TLS, stripped.
#   check_size.sh            builds it (some minutes) and compares
# The budget is what the library may have at most; ROADMAP.md says what it is to come to. Whoever raises it says why in the commit.
set -euo pipefail
cd "$(dirname "$0")/.."
budget=3900000
mkdir -p build
cargo build --locked --profile small --no-default-features --features crypto-rust,http -p devid-capi \
    > build/size.log 2>&1 || { tail -n 20 build/size.log >&2; exit 1; }
strip --strip-unneeded -o build/libdevid-small.so "${CARGO_TARGET_DIR:-target}/small/libdevid.so"
bytes=$(wc -c < build/libdevid-small.so)
if [ "$bytes" -gt "$budget" ]; then
    echo "size: libdevid.so, profile small, has $bytes bytes; the budget is $budget" >&2
    exit 1
fi
echo "size: libdevid.so, profile small: $bytes bytes of $budget"
