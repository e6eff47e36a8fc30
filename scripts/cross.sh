#!/usr/bin/env bash
# Tests of the portable provider on machines of other kinds: 32 bits (i686) and big-endian (s390x), under qemu's user mode.
#   cross.sh [TARGET...]     i686-unknown-linux-gnu s390x-unknown-linux-gnu
# What a target needs and cannot get is printed, and the target left out; that at least one ran is for the caller to see in the
# last line.
set -euo pipefail
cd "$(dirname "$0")/.."
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(i686-unknown-linux-gnu s390x-unknown-linux-gnu)
features=$(python3 scripts/cross.py)

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || return 1
    # What goes to standard output here is what is missing.
    echo "cross: apt-get install $*" >&2
    DEBIAN_FRONTEND=noninteractive apt-get update > build/cross/apt.log 2>&1 || return 1
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >> build/cross/apt.log 2>&1
}

# What is missing for a target, or nothing.
missing_for() {
    local target=$1 linker=$2 emulator=$3 packages=$4
    # shellcheck disable=SC2086
    { command -v "$linker" && command -v "$emulator"; } > /dev/null || install $packages || true
    command -v "$linker" > /dev/null || echo "$linker (Debian: $packages)"
    command -v "$emulator" > /dev/null || echo "$emulator (Debian: qemu-user)"
    if command -v rustup > /dev/null; then
        rustup target list --installed | grep -qx "$target" || rustup target add "$target" > build/cross/rustup.log 2>&1 || true
    fi
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || echo "Rust's standard library for $target (rustup target add $target)"
}

ran=0 left_out=0
for target in "${targets[@]}"; do
    case $target in
    i686-unknown-linux-gnu)
        linker=i686-linux-gnu-gcc emulator=qemu-i386 root=/usr/i686-linux-gnu
        packages="gcc-i686-linux-gnu libc6-dev-i386-cross qemu-user"
        ;;
    s390x-unknown-linux-gnu)
        linker=s390x-linux-gnu-gcc emulator=qemu-s390x root=/usr/s390x-linux-gnu
        packages="gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user"
        ;;
    *)
        echo "cross: unknown target $target" >&2
        exit 2
        ;;
    esac
    missing=$(missing_for "$target" "$linker" "$emulator" "$packages")
    if [ -n "$missing" ]; then
        echo "cross: $target is left out, missing:"
        while read -r line; do echo "  $line"; done <<< "$missing"
        left_out=$((left_out + 1))
        continue
    fi
    name=$(tr 'a-z-' 'A-Z_' <<< "$target")
    runner="$emulator -L $root"
    # A processor that runs it by itself is quicker than one that is played.
    if [ -x "$root/lib/ld-linux.so.2" ] && "$root/lib/ld-linux.so.2" --version > /dev/null 2>&1; then
        runner="$root/lib/ld-linux.so.2 --library-path $root/lib"
    fi
    echo "cross: $target"
    env "CARGO_TARGET_${name}_LINKER=$linker" "CARGO_TARGET_${name}_RUNNER=$runner" \
        cargo test --quiet --manifest-path build/cross/Cargo.toml --target "$target" --no-default-features \
        --features "$features" --lib --tests
    ran=$((ran + 1))
done
echo "cross: $ran passed, $left_out left out"
