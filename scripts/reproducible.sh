#!/usr/bin/env bash
# Builds and installs what is committed twice, in folders and homes of different names, one with a space in it: both trees are to be
# equal byte for byte.
#   reproducible.sh     PROFILE=small FEATURES=crypto-rust-p256,http by default; FEATURES=default for all
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-small}
features=${FEATURES:-crypto-rust-p256,http}
[ "$features" != default ] || features=
work=$(mktemp -d "${TMPDIR:-/tmp}/devid-reproducible.XXXXXX")
trap 'rm -rf "$work"' EXIT
home=$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd -P)
number=0
for place in "one/devid" "another home/some where/sources"; do
    number=$((number + 1))
    tree=$work/$place
    crates="$work/$(dirname "$place")/crates"
    mkdir -p "$tree" "$crates"
    git archive HEAD | tar x -C "$tree"
    # Crates that are there need not be fetched; what is read is shared, what is written is not.
    [ ! -d "$home/registry" ] || cp -rl "$home/registry" "$crates/" 2> /dev/null || cp -r "$home/registry" "$crates/"
    # Not from this call: its flags, its folder, its words.
    (cd "$tree" && env -u MAKEFLAGS -u CARGO_TARGET_DIR -u CARGO_ENCODED_RUSTFLAGS CARGO_HOME="$crates" \
        make --no-print-directory PROFILE="$profile" FEATURES="$features" > "$work/log" 2>&1) || { tail -n 30 "$work/log" >&2; exit 1; }
    env -u MAKEFLAGS -u CARGO_TARGET_DIR make --no-print-directory -C "$tree" install PROFILE="$profile" DESTDIR="$work/image-$number" PREFIX=/usr > "$work/log" 2>&1 \
        || { tail -n 30 "$work/log" >&2; exit 1; }
    # Kept for the comparison; the rest makes room for the next.
    rm -rf "$tree" "$crates"
done
if ! diff -r "$work/image-1" "$work/image-2" > "$work/differences"; then
    cat "$work/differences" >&2
    for name in libdevid.a libdevid.so; do
        for image in 1 2; do strings -n 8 "$work/image-$image/usr/lib/$name" | sort > "$work/strings-$image"; done
        diff "$work/strings-1" "$work/strings-2" | head -n 10 >&2 || true
    done
    echo "reproducible: two builds differ" >&2
    exit 1
fi
if grep -rl "$work" "$work/image-1" "$work/image-2" >&2; then
    echo "reproducible: the files above say where they were built" >&2
    exit 1
fi
(cd "$work/image-1/usr/lib" && sha256sum libdevid.a libdevid.so.*.*)
echo "reproducible: two builds in different places are equal ($profile${features:+, $features})"
