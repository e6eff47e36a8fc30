#!/usr/bin/env bash
# Installs to a DESTDIR and compiles a program against it through pkg-config, shared and static.
#   install.sh BUILT
set -euo pipefail
built=$(cd "${1:?usage: install.sh BUILT}" && pwd)
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR=$work/root PREFIX=/opt/devid sh bindings/c/install.sh "$built" > "$work/log"
lib=$work/root/opt/devid/lib
export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/root
version=$(pkg-config --modversion devid)
[ -L "$lib/libdevid.so" ] && [ -e "$lib/libdevid.so" ] || { echo "install: libdevid.so is no link to the library" >&2; exit 1; }

gcc -std=c99 tests/c/basics.c -o "$work/shared" $(pkg-config --cflags --libs devid)
LD_LIBRARY_PATH=$lib "$work/shared" tests/c/data
readelf -d "$work/shared" | grep "NEEDED.*libdevid.so.$(awk '$1 == "DEVID_ABI_VERSION" { print $2 }' bindings/c/constants.txt)\]" > /dev/null
rm "$lib"/libdevid.so*
gcc -std=c99 tests/c/basics.c -o "$work/static" $(pkg-config --static --cflags --libs devid)
"$work/static" tests/c/data
echo "install: devid $version found by pkg-config, linked shared and static"
