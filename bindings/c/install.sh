#!/bin/sh
# Installs headers, shared library with its links, static library and devid.pc.
#   PREFIX=/usr/local DESTDIR= LIBDIR=$PREFIX/lib INCLUDEDIR=$PREFIX/include install.sh BUILT
# BUILT is the folder where cargo left libdevid.so and libdevid.a. For another machine: CROSS_COMPILE, see pack.sh.
set -eu
built=${1:?usage: install.sh BUILT}
root=$(cd "$(dirname "$0")/../.." && pwd)
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
includedir=${INCLUDEDIR:-$prefix/include}
destdir=${DESTDIR:-}

constant() { awk -v name="$1" '$1 == name { print $2 }' "$root/bindings/c/constants.txt"; }
version=$(constant DEVID_VERSION_STRING)
abi=$(constant DEVID_ABI_VERSION)
# The file's name begins with the ABI generation, as the SONAME does, and goes on with the release: unique per release.
file=libdevid.so.$abi.$(constant DEVID_VERSION_MINOR).$(constant DEVID_VERSION_PATCH)

install -d "$destdir$libdir/pkgconfig" "$destdir$includedir/devid/unstable"
# Those of an older release may have other names.
rm -f "$destdir$includedir"/devid/*.h "$destdir$includedir"/devid/unstable/*.h
(cd "$root/include" && find . -name '*.h') | while read -r header; do
    install -m 644 "$root/include/$header" "$destdir$includedir/$header"
done
install -m 755 "$built/libdevid.so" "$destdir$libdir/$file"
ln -sf "$file" "$destdir$libdir/libdevid.so.$abi"
ln -sf "libdevid.so.$abi" "$destdir$libdir/libdevid.so"
sh "$root/bindings/c/pack.sh" "$built/libdevid.a" "$destdir$libdir/libdevid.a"
chmod 644 "$destdir$libdir/libdevid.a"
sed -e "s|@PREFIX@|$prefix|" -e "s|@LIBDIR@|$libdir|" -e "s|@INCLUDEDIR@|$includedir|" -e "s|@VERSION@|$version|" \
    "$root/bindings/c/devid.pc.in" > "$destdir$libdir/pkgconfig/devid.pc"
chmod 644 "$destdir$libdir/pkgconfig/devid.pc"
echo "installed devid $version (ABI $abi) under $destdir$prefix"
