#!/usr/bin/env bash
# The engine on a board: the firmware of examples/baremetal, its size, and its runs on an emulated Cortex-M4 against devid-testca.
#   baremetal.sh        CARGO_TOOLCHAIN=nightly builds with that toolchain and a standard library of its own
set -euo pipefail
cd "$(dirname "$0")/.."
target=thumbv7em-none-eabihf
out=$PWD/build/baremetal
mkdir -p "$out"

if ! command -v qemu-system-arm > /dev/null; then
    command="apt-get install -y --no-install-recommends qemu-system-arm"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        echo "baremetal: qemu-system-arm is missing. On Debian: sudo $command" >&2
        exit 1
    fi
    echo "baremetal: $command"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && $command; } > "$out/setup.log" 2>&1 || { tail -n 20 "$out/setup.log" >&2; exit 1; }
fi

# The compiler's libraries for the board: those of rustup, or built from their sources with a nightly compiler.
cargo=(cargo)
extra=()
has_target() { [ -d "$(rustc --print target-libdir --target "$target" 2> /dev/null)" ]; }
if [ -n "${CARGO_TOOLCHAIN:-}" ] || ! { has_target || { rustup target add "$target" > "$out/rustup.log" 2>&1 && has_target; }; }; then
    nightly=${CARGO_TOOLCHAIN:-nightly}
    if ! [ -d "$(rustc "+$nightly" --print sysroot 2> /dev/null)/lib/rustlib/src" ]; then
        echo "baremetal: no library for $target: rustup target add $target; or: rustup toolchain install nightly --component rust-src" >&2
        exit 1
    fi
    cargo=(cargo "+$nightly")
    extra=(-Z "build-std=core,alloc")
fi

build() { # NAME FEATURES
    (cd examples/baremetal && "${cargo[@]}" build --locked --release --quiet "${extra[@]}" --target-dir "$out/target" --no-default-features --features "$2")
    cp "$out/target/$target/release/devid-baremetal" "$out/$1"
    python3 examples/baremetal/size.py "$1" "$out/$1"
}

cargo build --locked --quiet -p devid-testca
build firmware enrolment,validation
python3 examples/baremetal/run.py "$out/firmware" "${CARGO_TARGET_DIR:-target}/debug/devid-testca"
build enrolment enrolment
build validation validation
