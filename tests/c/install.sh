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
# Wholly static, by the same file.
gcc -std=c99 -static tests/c/basics.c -o "$work/whole" $(pkg-config --static --cflags --libs devid) 2> "$work/warnings" || {
    cat "$work/warnings" >&2; exit 1; }
"$work/whole" tests/c/data

# Moved, to where there is a space in the path, and found there: by pkg-config and by CMake, in C and in C++.
moved="$work/moved here"
DESTDIR="$work/other" PREFIX=/opt/devid sh bindings/c/install.sh "$built" > "$work/log"
mkdir "$moved"
mv "$work/other/opt/devid" "$moved/devid"
unset PKG_CONFIG_SYSROOT_DIR
export PKG_CONFIG_PATH="$moved/devid/lib/pkgconfig"
eval "gcc -std=c99 tests/c/basics.c -o '$work/again' $(pkg-config --cflags --libs devid)"
LD_LIBRARY_PATH="$moved/devid/lib" "$work/again" tests/c/data
cmake=""
if command -v cmake > /dev/null; then
    mkdir "$work/project"
    cat > "$work/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(try C CXX)
find_package(devid 0.1 REQUIRED)
add_executable(shared main.c)
target_link_libraries(shared devid::devid)
add_executable(fixed main.c)
target_link_libraries(fixed devid::static)
add_executable(plus main.cpp)
target_link_libraries(plus devid::devid)
CMAKE
    printf '#include <devid.h>\n#include <stdio.h>\nint main(void) { return devid_abi_version() == DEVID_ABI_VERSION ? 0 : 1; }\n' \
        > "$work/project/main.c"
    cp "$work/project/main.c" "$work/project/main.cpp"
    cmake -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$moved/devid" > "$work/cmake.log" 2>&1 \
        && cmake --build "$work/project/build" >> "$work/cmake.log" 2>&1 || { cat "$work/cmake.log" >&2; exit 1; }
    for program in shared fixed plus; do "$work/project/build/$program"; done
    ! cmake -S "$work/project" -B "$work/project/wrong" -DCMAKE_PREFIX_PATH=/nowhere > /dev/null 2>&1
    sed 's/devid 0.1/devid 9.0/' -i "$work/project/CMakeLists.txt"
    ! cmake -S "$work/project" -B "$work/project/newer" -DCMAKE_PREFIX_PATH="$moved/devid" > /dev/null 2>&1
    cmake=" and CMake"
fi
# By make, with the words that it was built with: from a folder of cargo's and to places that have a space in their names.
unset PKG_CONFIG_PATH
host=$(rustc -vV 2> /dev/null | sed -n 's/^host: //p')
host=${host:-$(uname -m)-unknown-linux-gnu}
by_make() { env -u MAKEFLAGS CARGO_TARGET_DIR="$work/cargo s" make --no-print-directory install "$@" > "$work/log" 2>&1; }
mkdir -p "$work/cargo s/$host" "$work/cargo s/s390x-unknown-linux-gnu" "$work/cargo s/hexagon-unknown-linux-musl" "$work/cargo s/static"
ln -s "$built" "$work/cargo s/debug"
ln -s "$built" "$work/cargo s/$host/small"
ln -s "$built" "$work/cargo s/s390x-unknown-linux-gnu/small"
ln -s "$built" "$work/cargo s/hexagon-unknown-linux-musl/small"
ln -s "$built/libdevid.a" "$work/cargo s/static/libdevid.a"
for number in 1 2; do
    by_make PROFILE=dev FEATURES=crypto-rust,http DESTDIR="$work/a root $number" PREFIX="/opt/de vid" \
        || { cat "$work/log" >&2; exit 1; }
done
# Twice the same, byte for byte.
diff -r "$work/a root 1" "$work/a root 2"
export PKG_CONFIG_PATH="$work/a root 1/opt/de vid/lib/pkgconfig"
eval "gcc -std=c99 -static tests/c/basics.c -o '$work/spaces' $(pkg-config --static --cflags --libs devid)" 2> "$work/warnings" || {
    cat "$work/warnings" >&2; exit 1; }
"$work/spaces" tests/c/data
by_make TARGET="$host" PROFILE=small DESTDIR="$work/for host" || { cat "$work/log" >&2; exit 1; }
diff "$work/for host/usr/local/lib/libdevid.a" "$work/a root 1/opt/de vid/lib/libdevid.a"

# What is not there, or is for another machine, is refused and nothing is left of the attempt.
refused() {
    ! by_make DESTDIR="$work/refused" "$@" || { echo "install: make install $* went through" >&2; exit 1; }
    grep -q "$told" "$work/log" || { echo "install: make install $*: '$told' is not told:" >&2; cat "$work/log" >&2; exit 1; }
    [ ! -e "$work/refused" ] || { echo "install: make install $* left something behind" >&2; exit 1; }
}
told="make first, with the same words" refused PROFILE=release
told="make first, with the same words" refused TARGET=s390x-unknown-linux-gnu PROFILE=release
told="not for s390x-unknown-linux-gnu (ELF64 big IBM S/390)" refused TARGET=s390x-unknown-linux-gnu PROFILE=small
told="what machine hexagon-unknown-linux-musl is cannot be told" refused TARGET=hexagon-unknown-linux-musl PROFILE=small
case $host in
*-gnu)
    mkdir "$work/cargo s/${host%-gnu}-musl"
    ln -s "$built" "$work/cargo s/${host%-gnu}-musl/small"
    told="no C library of ${host%-gnu}-musl" refused TARGET="${host%-gnu}-musl" PROFILE=small
    # Of musl cargo makes the static one alone, and that is what is installed.
    ln -sfn "$work/cargo s/static" "$work/cargo s/${host%-gnu}-musl/small"
    by_make TARGET="${host%-gnu}-musl" PROFILE=small DESTDIR="$work/musl" || { cat "$work/log" >&2; exit 1; }
    [ -e "$work/musl/usr/local/lib/libdevid.a" ] && [ ! -e "$work/musl/usr/local/lib/libdevid.so" ]
    ;;
esac
# For each machine that the book names, the library of this one is refused unless it is this one.
for target in $(sed -n 's/^known=(\(.*\))/\1/p' scripts/cross_c.sh) s390x-unknown-linux-gnu powerpc64le-unknown-linux-gnu mipsel-unknown-linux-musl; do
    if sh bindings/c/machine.sh "$target" "$built/libdevid.so" 2> /dev/null && [ "$target" != "$host" ]; then
        echo "install: a library for $host was taken for one of $target" >&2; exit 1
    fi
done
echo "install: devid $version found by pkg-config$cmake, linked shared and static, moved; by make, and refused for other machines"
