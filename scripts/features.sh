#!/usr/bin/env bash
# The library and its C face compile, without a warning, with each set of features that people build and the default is not.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
for features in crypto-rust-p256 crypto-rust-p256,rust-p384,http crypto-rust-p256,http,settings,export crypto-rust,http,enveloped,pkcs12,inspect crypto-awslc crypto-awslc,http,status-fetch,ra; do
    echo "features: $features"
    "$cargo" clippy --locked --quiet -p devid-capi --no-default-features --features "devid-capi/${features//,/,devid-capi/}" -- -D warnings
done
# What a small build leaves out says so.
echo "features: what is left out says so"
"$cargo" test --locked --quiet -p devid-capi --no-default-features --features devid-capi/crypto-rust-p256 --lib left_out
# The engine without an operating system.
for features in crypto-rust-p256 crypto-rust,unicode-names,legacy-ciphers; do
    echo "features: $features, without std"
    "$cargo" clippy --locked --quiet -p devid --no-default-features --features "$features" -- -D warnings
done
# Tokens, with all tests.
echo "features: pkcs11"
"$cargo" clippy --locked --quiet --workspace --all-targets --features devid/pkcs11,devid-capi/pkcs11 -- -D warnings
