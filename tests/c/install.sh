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
if TARGET=aarch64-unknown-linux-gnu DESTDIR="$work/wrong" sh bindings/c/install.sh "$built" > "$work/log" 2>&1 \
    && [ "$(uname -m)" != aarch64 ]; then
    echo "install: a library for another machine was installed" >&2; exit 1
fi
echo "install: devid $version found by pkg-config$cmake, linked shared and static, moved"
