#!/bin/sh
# Packs a static library of Rust into one whose only global symbols are devid_*: two Rust libraries, or two releases of one crypto
# library, then link into one program.
#   pack.sh LIBRARY PACKED [ARCHIVE...]      of the ARCHIVEs what LIBRARY needs
# For another machine: CROSS_COMPILE=aarch64-linux-gnu- names its binutils; LD, OBJCOPY and AR name them one by one.
set -eu
library=${1:?usage: pack.sh LIBRARY PACKED}
packed=${2:?usage: pack.sh LIBRARY PACKED}
shift 2
prefix=${CROSS_COMPILE:-}
ld=${LD:-${prefix}ld}
objcopy=${OBJCOPY:-${prefix}objcopy}
ar=${AR:-${prefix}ar}
if ! "$ld" --version 2> /dev/null | grep -q GNU; then
    echo "pack: $ld is not GNU ld: $packed keeps the symbols of the Rust libraries in it" >&2
    cp "$library" "$packed"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Everything as one object, then nothing is seen from outside but what the headers declare. Groups are dissolved: one that a second
# library has as well would throw this one's out.
"$ld" -r --whole-archive --force-group-allocation "$library" --no-whole-archive "$@" -o "$work/devid.o" || {
    echo "pack: $ld cannot read $library: for another machine CROSS_COMPILE names its binutils, CROSS_COMPILE=aarch64-linux-gnu-" >&2
    exit 1
}
"$objcopy" --wildcard --keep-global-symbol='devid_*' --remove-section=.llvmbc --remove-section=.llvmcmd "$work/devid.o"
rm -f "$work/libdevid.a"
# Equal libraries make equal archives: no times, no owners.
"$ar" rcsD "$work/libdevid.a" "$work/devid.o"
cp "$work/libdevid.a" "$packed"
