#!/usr/bin/env bash
# The portable library for other machines, built with Debian's cross compilers, and programs of examples/c against it, run under qemu's
# user mode against a test CA on this machine: one enrols step by step, one keeps a device by its settings.
#   cross_c.sh [TARGET...]      all of the list below
# What a target needs and cannot get is printed, and the target left out; that at least one ran is for the caller to see in the last line.
#   PROFILE=small FEATURES=crypto-rust-p256,http,settings,export       as it would be shipped. A debug build is quicker to compile and cannot
#                               be packed: it has 300,000 sections, and binutils for ARM take time by the square of them
set -euo pipefail
cd "$(dirname "$0")/.."
known=(armv7-unknown-linux-gnueabihf aarch64-unknown-linux-gnu riscv64gc-unknown-linux-gnu i686-unknown-linux-gnu x86_64-unknown-linux-musl)
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=("${known[@]}")
profile=${PROFILE:-small}
features=${FEATURES:-crypto-rust-p256,http,settings,export}
out=build/cross-c
mkdir -p "$out"

# compiler, prefix of its binutils, emulator (empty: this processor runs it), the machine's libraries, Debian's packages
way_of() {
    case $1 in
    armv7-unknown-linux-gnueabihf) echo arm-linux-gnueabihf-gcc arm-linux-gnueabihf- qemu-arm /usr/arm-linux-gnueabihf gcc-arm-linux-gnueabihf libc6-dev-armhf-cross ;;
    aarch64-unknown-linux-gnu) echo aarch64-linux-gnu-gcc aarch64-linux-gnu- qemu-aarch64 /usr/aarch64-linux-gnu gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
    riscv64gc-unknown-linux-gnu) echo riscv64-linux-gnu-gcc riscv64-linux-gnu- qemu-riscv64 /usr/riscv64-linux-gnu gcc-riscv64-linux-gnu libc6-dev-riscv64-cross ;;
    i686-unknown-linux-gnu) echo i686-linux-gnu-gcc i686-linux-gnu- qemu-i386 /usr/i686-linux-gnu gcc-i686-linux-gnu libc6-dev-i386-cross ;;
    x86_64-unknown-linux-musl) echo musl-gcc - - - musl-tools ;;
    *) echo "cross-c: unknown target $1; there are ${known[*]}" >&2; exit 2 ;;
    esac
}
# The static one needs no libraries of the machine in a chroot.
emulator_of() { [ "$1" = - ] || command -v "$1" || command -v "$1-static" || true; }

missing_for() {
    local target=$1 compiler=$2 emulator=$3
    shift 3
    if { ! command -v "$compiler" || [ -z "$(emulator_of "$emulator")" ] && [ "$emulator" != - ]; } > /dev/null; then
        [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "$@" qemu-user-static > "$out/apt.log" 2>&1 || true
    fi
    command -v "$compiler" > /dev/null || echo "$compiler (Debian: $*)"
    [ "$emulator" = - ] || [ -n "$(emulator_of "$emulator")" ] || echo "$emulator (Debian: qemu-user-static)"
    if command -v rustup > /dev/null; then
        rustup target list --installed | grep -qx "$target" || rustup target add "$target" > "$out/rustup.log" 2>&1 || true
    fi
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || echo "Rust's standard library for $target (rustup target add $target)"
}

testca=${DEVID_TESTCA:-${CARGO_TARGET_DIR:-$PWD/target}/debug/devid-testca}
[ -n "${DEVID_TESTCA:-}" ] || cargo build --locked --quiet -p devid-testca
ran=() left=()
for target in "${targets[@]}"; do
    way=$(way_of "$target")
    read -r compiler prefix emulator sysroot packages <<< "$way"
    # shellcheck disable=SC2086
    missing=$(missing_for "$target" "$compiler" "$emulator" $packages)
    if [ -n "$missing" ]; then
        echo "cross-c: $target is left out, missing:"
        while read -r line; do echo "  $line"; done <<< "$missing"
        left+=("$target")
        continue
    fi
    name=$(tr 'a-z-' 'A-Z_' <<< "$target")
    # Of musl only the static library: a shared one needs a loader of its own on the machine.
    env "CARGO_TARGET_${name}_LINKER=$compiler" \
        cargo build --locked --quiet --profile "$profile" --target "$target" -p devid-capi --no-default-features --features "$features" 2> "$out/$target.log" \
        || { tail -n 30 "$out/$target.log" >&2; exit 1; }
    built=${CARGO_TARGET_DIR:-$PWD/target}/$target/$([ "$profile" = dev ] && echo debug || echo "$profile")
    image=$PWD/$out/$target
    rm -rf "$image"
    [ "$prefix" = - ] && prefix=
    PREFIX=/usr DESTDIR=$image TARGET=$target CROSS_COMPILE=$prefix sh bindings/c/install.sh "$built" > /dev/null
    export PKG_CONFIG_LIBDIR=$image/usr/lib/pkgconfig
    for source in enroll device; do
        # shellcheck disable=SC2046
        [ ! -e "$image/usr/lib/libdevid.so" ] || "$compiler" -std=c99 -pedantic -Wall -Wextra -Werror "examples/c/$source.c" \
            -o "$image/$source" $(pkg-config --cflags --libs devid)
        # What a static program of glibc cannot do without glibc's own files is said by the linker.
        # shellcheck disable=SC2046
        "$compiler" -static -std=c99 "examples/c/$source.c" -o "$image/$source-static" $(pkg-config --static --cflags --libs devid) \
            2> "$out/$target.link" || { cat "$out/$target.link" >&2; exit 1; }
    done
    unset PKG_CONFIG_LIBDIR
    run=()
    [ "$emulator" = - ] || run=("$(emulator_of "$emulator")" -L "$sysroot" -E "LD_LIBRARY_PATH=$image/usr/lib")
    kinds=(-static)
    [ ! -e "$image/enroll" ] || kinds+=("")
    for kind in "${kinds[@]}"; do
        rm -rf "$image/work"
        mkdir "$image/work"
        RUN="${run[*]}" IMAGE=$image KIND=$kind PYTHONPATH=bindings/python/src PYTHONDONTWRITEBYTECODE=1 \
            python3 scripts/with_testca.py "$testca" "$image/work/ca" -- sh scripts/cross_c_story.sh
    done
    size=$(stat -c %s "$image"/usr/lib/libdevid.so.0.* 2> /dev/null || stat -c %s "$image/usr/lib/libdevid.a")
    echo "cross-c: $target: two programs by $compiler, ${#kinds[@]} ways of linking, under ${run[0]:-this processor}; $size bytes ($profile)"
    ran+=("$target")
done
echo "cross-c: ${#ran[@]} passed, ${#left[@]} left out"
