#!/usr/bin/env bash
# The smallest library: the standard library is built along with it, for size, and nothing unwinds. A panic, which would be a fault of this
# library, ends the process at once (SIGILL or SIGTRAP) and writes nothing; other builds catch it and answer DEVID_E_PANIC.
#   small.sh [OPTION OF CARGO...]       by `make small`
# Cargo calls what this needs unstable, so one toolchain is pinned, which is known to do it, and told by RUSTC_BOOTSTRAP.
# SMALL_TOOLCHAIN names another; empty: the one that `cargo` is. The library lands in target/TRIPLE/small-abort.
set -euo pipefail
cd "$(dirname "$0")/.."
toolchain=${SMALL_TOOLCHAIN-1.95.0}
rustc=(rustc ${toolchain:+"+$toolchain"})
has_sources() { [ -f "$("${rustc[@]}" --print sysroot 2> /dev/null)/lib/rustlib/src/rust/library/Cargo.lock" ]; }
if ! has_sources; then
    command="rustup toolchain install $toolchain --profile minimal --component rust-src"
    if [ -z "$toolchain" ] || ! command -v rustup > /dev/null; then
        echo "small: no sources of the standard library: ${toolchain:+$command; or }rust-src of the distribution and SMALL_TOOLCHAIN=" >&2
        exit 1
    fi
    echo "small: $command"
    $command > build/small-setup.log 2>&1 || { tail -n 20 build/small-setup.log >&2; exit 1; }
fi
target=${TARGET:-$("${rustc[@]}" -vV | sed -n 's/^host: //p')}

# No places of panics, as nobody would see them, and no Debug; but the HTTP client writes the version into each request by Debug, and what
# the other features named here say of another library's errors is that library's Debug.
flags="-C force-unwind-tables=no -Z location-detail=none"
case ",$FEATURES," in
*,http,* | *,tls,* | *,ldap,* | *,status-fetch,* | *,settings,* | *,pkcs11,*) ;;
*) flags="$flags -Z fmt-debug=none" ;;
esac
export RUSTC_BOOTSTRAP=1 CARGO_PROFILE_SMALL_ABORT_PANIC=immediate-abort RUSTFLAGS="${RUSTFLAGS:-} $flags"
DEVID_TOOLCHAIN=$toolchain exec sh scripts/anywhere.sh "${CARGO:-cargo}" ${toolchain:+"+$toolchain"} build --locked -Z build-std=std -Z build-std-features=optimize_for_size -Z panic-immediate-abort \
    --profile small-abort --target "$target" -p devid-capi --no-default-features --features "$FEATURES" "$@"
