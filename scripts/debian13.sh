#!/usr/bin/env bash
# The whole workspace, tests and all, by the compiler of rust-version: Debian 13's own, in a root of its own; the committed tree, its crates
# beside it, no network.
#   debian13.sh [ROOT]      ROOT: such a system that is there already; kept in build/debian13 otherwise
set -euo pipefail
cd "$(dirname "$0")/.."
root=${1:-build/debian13}
[ "$(id -u)" = 0 ] || { echo "msrv: a root is made and entered as root" >&2; exit 1; }
if [ ! -x "$root/usr/bin/cargo" ]; then
    command -v mmdebstrap > /dev/null || apt-get install -y --no-install-recommends mmdebstrap > build/msrv.log 2>&1
    echo "msrv: making a Debian 13 in $root"
    mmdebstrap --quiet --variant=minbase --include=gcc,g++,libc6-dev,make,cmake,python3,cargo,rustc trixie "$root"
fi
rm -rf "$root/src/devid"
mkdir -p "$root/src/devid/.cargo"
git archive HEAD | tar x -C "$root/src/devid"
(cd "$root/src/devid" && cargo vendor --locked vendor >> .cargo/config.toml 2> ../vendor.log) || { tail "$root/src/vendor.log" >&2; exit 1; }
oldest=$(sed -nE 's/^rust-version = "(.*)"/\1/p' Cargo.toml)
found=$(chroot "$root" rustc --version)
[[ $found == "rustc $oldest"* ]] || echo "msrv: rust-version is $oldest, and this is $found"
chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin CARGO_TARGET_DIR=/target CARGO_NET_OFFLINE=true \
    sh -c 'cd /src/devid && cargo check --locked --workspace --all-targets --features devid/pkcs11,devid-capi/pkcs11'
rm -rf "$root/src/devid"
echo "msrv: the workspace and its tests compile with $found"
