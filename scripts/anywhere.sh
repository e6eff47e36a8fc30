#!/bin/sh
# Runs a command that builds Rust, cargo as a rule, so that what comes of it does not tell where it was built: of one state of the
# sources and one compiler, two builds are equal byte for byte, whatever the folders and the user are called (`make reproducible`).
#   anywhere.sh COMMAND [ARGUMENT...]
# RUSTFLAGS are taken over. A path may have spaces in it, which RUSTFLAGS cannot say: so it goes by CARGO_ENCODED_RUSTFLAGS.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
between=$(printf '\037')
flags=${CARGO_ENCODED_RUSTFLAGS:-}
add() { flags=${flags:+$flags$between}$1; }
if [ -z "$flags" ]; then
    # shellcheck disable=SC2086
    for flag in ${RUSTFLAGS:-}; do add "$flag"; done
fi
# Of several that fit, rustc takes the last.
add "--remap-path-prefix=$root=/devid"
case ${CARGO_TARGET_DIR:-} in
"") ;;
/*) add "--remap-path-prefix=$CARGO_TARGET_DIR=/devid/target" ;;
*) add "--remap-path-prefix=$PWD/$CARGO_TARGET_DIR=/devid/target" ;;
esac
add "--remap-path-prefix=${CARGO_HOME:-${HOME:-/root}/.cargo}=/cargo"
# Where the sources of the standard library are installed, rustc names them by their place, and else by this name.
if sysroot=$(rustc ${DEVID_TOOLCHAIN:+"+$DEVID_TOOLCHAIN"} --print sysroot 2> /dev/null); then
    commit=$(rustc ${DEVID_TOOLCHAIN:+"+$DEVID_TOOLCHAIN"} -vV | sed -n 's/^commit-hash: //p')
    add "--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit"
fi
unset RUSTFLAGS
export CARGO_ENCODED_RUSTFLAGS="$flags"
exec "$@"
