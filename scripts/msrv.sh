#!/usr/bin/env bash
# Nothing newer than rust-version in Cargo.toml: the language by its own parser (let chains came with 1.88, and edition 2021 names each
# of them), the library by clippy (incompatible_msrv, in `make lint`), the crates of the default build and of its tests by their own word. The real compiler of that age is asked by `make msrv`
# (debian13.sh), or where it is there:
#   MSRV_CARGO="cargo +1.85" msrv.sh
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
features=$(sed -n '/^\[features\]/,/^\[/s/^\([a-z0-9-]*\) = .*/--cfg feature="\1"/p' Cargo.toml)
found=$(for root in $(git ls-files '*src/lib.rs' '*src/main.rs' 'tests/*.rs' 'tests/*/main.rs' 'examples/rust/*.rs' '*/tests/*.rs' 'benches/*.rs' 'fuzz/**.rs'); do
    # Nothing else is looked at: what is imported from elsewhere cannot be found this way.
    rustc --edition 2021 --crate-name one --crate-type lib --cfg test $features --emit metadata --out-dir "$out" --error-format short "$root" 2>&1 \
        | grep 'let chains' || true
done | sort -u)
[ -z "$found" ] || { echo "$found" >&2; echo "msrv: let chains need Rust 1.88" >&2; exit 1; }
# The crates, by what each of them states.
python3 scripts/check_dependencies.py > "$out/crates" || { cat "$out/crates" >&2; exit 1; }
if [ -n "${MSRV_CARGO:-}" ]; then
    $MSRV_CARGO check --locked --workspace --all-targets --features devid/pkcs11,devid-capi/pkcs11
fi
echo "msrv: nothing newer than Rust $(sed -nE 's/^rust-version = "(.*)"/\1/p' Cargo.toml)"
