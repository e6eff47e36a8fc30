#!/bin/sh
# Prints the features that a compiler newer than rust-version in Cargo.toml adds to a build, with a comma before each:
#   newer.sh [PACKAGE]       ",oaep-mixed" or, for `--features` of a workspace, ",devid-capi/oaep-mixed"; nothing with an older one
# This is the one place that decides it: `make`, the packages, wheels and tests all ask here. A crate that asks for more than rust-version
# is behind such a feature; scripts/check_dependencies.py finds one that is not.
set -eu
needs=87
found=$("${RUSTC:-rustc}" --version 2> /dev/null | sed -nE 's/^rustc 1\.([0-9]+).*/\1/p')
if [ -n "$found" ] && [ "$found" -ge "$needs" ]; then
    printf ',%soaep-mixed\n' "${1:+$1/}"
elif [ -n "$found" ]; then
    echo "built with Rust 1.$found: left out is oaep-mixed (RSA-OAEP whose mask has a digest of its own, as Java makes it), which needs 1.$needs" >&2
fi
