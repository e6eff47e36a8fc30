#!/usr/bin/env bash
# The library under sanitizers, with a nightly compiler (rustup toolchain install nightly --component rust-src --component miri):
#   address   C programs, and random sequences of C calls, over a library in which every access is checked
#   thread    eight threads over what may be shared
#   miri      the tests of the C face's own parts and of the readers, in Rust, in an interpreter that knows what is undefined
# Without arguments: all. The C of AWS-LC is not instrumented: what it does with memory is not looked at, only what it is given.
# SECONDS_FOR_SEQUENCES (60): how long random sequences run.
set -euo pipefail
cd "$(dirname "$0")/.."
toolchain=${NIGHTLY:-nightly}
rustc "+$toolchain" --version > /dev/null 2>&1 || { echo "sanitize: no toolchain $toolchain: rustup toolchain install nightly --component rust-src --component miri" >&2; exit 1; }
host=$(rustc "+$toolchain" -vV | sed -n 's/^host: //p')
runtimes=$(rustc "+$toolchain" --print sysroot)/lib/rustlib/$host/lib
work=$PWD/build/sanitize
mkdir -p "$work"
abi=$(awk '$1 == "DEVID_ABI_VERSION" { print $2 }' bindings/c/constants.txt)
compiler=${CLANG:-clang}

# The shared library with every access checked, where the runtime comes with the program.
library() {
    local kind=$1
    shift
    CARGO_TARGET_DIR=$work/target-$kind RUSTFLAGS="-Zsanitizer=$kind -Cforce-frame-pointers=yes" RUSTC_BOOTSTRAP=1 \
        cargo "+$toolchain" build --locked --target "$host" -p devid-capi --features devid-capi/pkcs11 "$@"
    mkdir -p "$work/lib-$kind"
    cp "$work/target-$kind/$host/debug/libdevid.so" "$work/lib-$kind/libdevid.so.$abi"
    ln -sf "libdevid.so.$abi" "$work/lib-$kind/libdevid.so"
}

# A program with the runtime of the same compiler that made the library.
program() {
    local kind=$1 runtime=$2 source=$3 out=$4
    shift 4
    "$compiler" -std=c99 -D_XOPEN_SOURCE=700 -g -O1 -Wall -Wextra "-fsanitize=$kind" -Iinclude -Itests/c -c "$source" -o "$out.o" "$@"
    "$compiler" "$out.o" -rdynamic -Wl,--whole-archive "$runtimes/$runtime" -Wl,--no-whole-archive -L"$work/lib-$kind" -ldevid \
        -lpthread -ldl -lm -lrt -lresolv -lgcc_s -o "$out"
    readelf --dyn-syms -W "$work/lib-$kind/libdevid.so" | grep -E "__(asan|tsan)_" > /dev/null ||
        { echo "sanitize: no sanitizer in the library" >&2; exit 1; }
}

address() {
    library address
    export LD_LIBRARY_PATH=$work/lib-address ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
    python3 tests/c/null_walk.py > "$work/null_walk.c"
    local passed=0
    for source in tests/c/*.c "$work/null_walk.c"; do
        local name
        name=$(basename "$source" .c)
        program address librustc-nightly_rt.asan.a "$source" "$work/$name"
        case $name in
            sequences) "$work/$name" tests/c/data "${SECONDS_FOR_SEQUENCES:-60}" > "$work/out" 2>&1 || { tail -n 60 "$work/out" >&2; exit 1; }; tail -n 1 "$work/out" ;;
            *) "$work/$name" tests/c/data > "$work/out" 2>&1 || { tail -n 60 "$work/out" >&2; echo "sanitize: $name" >&2; exit 1; } ;;
        esac
        passed=$((passed + 1))
    done
    echo "sanitize: address: $passed programs, nothing found"
}

thread() {
    # The standard library too: its locks and channels are what threads meet by.
    library thread -Zbuild-std
    export LD_LIBRARY_PATH=$work/lib-thread TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    program thread librustc-nightly_rt.tsan.a tests/c/threads.c "$work/threads"
    "$work/threads" tests/c/data > "$work/out" 2>&1 || { tail -n 80 "$work/out" >&2; echo "sanitize: threads" >&2; exit 1; }
    tail -n 1 "$work/out"
    echo "sanitize: thread: nothing found"
}

miri() {
    # What calls C (AWS-LC, the system's directory and socket calls) cannot run; the portable provider can, slowly.
    export MIRIFLAGS="-Zmiri-disable-isolation" CARGO_TARGET_DIR=$work/target-miri
    cargo "+$toolchain" miri test --locked -p devid --no-default-features --features std,crypto-rust,identifier-names,enveloped,pkcs12,inspect,ra,status-fetch,import,export,probe --lib -- \
        asn1:: validation::revoked validation::crl_numbers validation::signed transport::url time::
    cargo "+$toolchain" miri test --locked -p devid-capi --no-default-features --features crypto-rust,enveloped,pkcs12,inspect,ra,status-fetch,import,export,probe --lib -- \
        bytes guard handle
    echo "sanitize: miri: nothing found"
}

[ $# -gt 0 ] || set -- address thread miri
for part in "$@"; do "$part"; done
