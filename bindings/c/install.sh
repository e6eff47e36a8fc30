#!/bin/sh
# Installs headers, shared library with its links, static library, devid.pc and devidConfig.cmake. The tree may be moved afterwards.
#   PREFIX=/usr/local DESTDIR= LIBDIR=$PREFIX/lib INCLUDEDIR=$PREFIX/include MANDIR=$PREFIX/share/man DOCDIR= TARGET= install.sh BUILT
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

# A library for another machine than was asked for is nobody's.
[ -z "${TARGET:-}" ] || sh "$root/bindings/c/machine.sh" "$TARGET" "$built/libdevid.so" "$built/libdevid.a"

install -d "$destdir$libdir/pkgconfig" "$destdir$includedir/devid/unstable"
# Those of an older release may have other names.
rm -f "$destdir$includedir"/devid/*.h "$destdir$includedir"/devid/unstable/*.h
(cd "$root/include" && find . -name '*.h') | while read -r header; do
    install -m 644 "$root/include/$header" "$destdir$includedir/$header"
done
# Before the shared one: where it cannot be packed, nothing is installed. For musl, Rust brings an unwinder: that of a gcc which is made
# for glibc asks for what musl does not have.
set --
case ${TARGET:-} in
*-musl*)
    unwinder=$(rustc --print target-libdir --target "$TARGET" 2> /dev/null || true)/self-contained/libunwind.a
    [ ! -e "$unwinder" ] || set -- "$unwinder"
    ;;
esac
sh "$root/bindings/c/pack.sh" "$built/libdevid.a" "$destdir$libdir/libdevid.a" "$@"
chmod 644 "$destdir$libdir/libdevid.a"
# For a C library that is linked whole, as musl is here, there is the static one alone.
case ${TARGET:-} in
*-musl) [ -e "$built/libdevid.so" ] && is_shared=1 || is_shared= ;;
*) is_shared=1 ;;
esac
if [ -n "$is_shared" ]; then
    install -m 755 "$built/libdevid.so" "$destdir$libdir/$file"
    ln -sf "$file" "$destdir$libdir/libdevid.so.$abi"
    ln -sf "libdevid.so.$abi" "$destdir$libdir/libdevid.so"
fi
# Paths by way of the file itself where they lie below the prefix, so that the tree may be moved; spaces and all.
# (pkg-config escapes the spaces of its own place; those of other paths are escaped here.)
below() { case $1 in "$prefix"/*) printf '${prefix}/%s' "${1#"$prefix"/}" ;; *) printf '%s' "$1" | sed 's/ /\\ /g' ;; esac; }
quoted() { printf '%s' "$1" | sed 's/[&|\\]/\\&/g'; }
fill() {
    sed -e "s|@RELATIVE@|$(quoted "$relative")|" -e "s|@LIBDIR@|$(quoted "$(below "$libdir")")|" \
        -e "s|@INCLUDEDIR@|$(quoted "$(below "$includedir")")|" -e "s|@VERSION@|$version|" -e "s|@ABI@|$abi|" \
        -e "s|@INCLUDE_FROM_CMAKE@|$(quoted "$(realpath -m --relative-to="$libdir/cmake/devid" "$includedir")")|" "$1" > "$2"
    chmod 644 "$2"
}
case $libdir in
"$prefix"/*) relative="\${pcfiledir}/$(realpath -m --relative-to="$libdir/pkgconfig" "$prefix")" ;;
*) relative=$(printf '%s' "$prefix" | sed 's/ /\\ /g') ;;
esac
install -d "$destdir$libdir/cmake/devid"
fill "$root/bindings/c/devid.pc.in" "$destdir$libdir/pkgconfig/devid.pc"
for name in devidConfig devidConfigVersion; do
    fill "$root/packaging/cmake/$name.cmake.in" "$destdir$libdir/cmake/devid/$name.cmake"
done
# A page for each function, from the headers; licences where DOCDIR says.
if command -v python3 > /dev/null; then
    python3 "$root/scripts/reference.py" --man "$destdir${MANDIR:-$prefix/share/man}/man3" > /dev/null
fi
if [ -n "${DOCDIR:-}" ]; then
    install -d "$destdir$DOCDIR"
    install -m 644 "$root/LICENSE-APACHE" "$root/LICENSE-MIT" "$root/README.md" "$destdir$DOCDIR"
fi
echo "installed devid $version (ABI $abi) under $destdir$prefix"
