#!/usr/bin/env bash
# The C tests against a built library, shared and static, then under valgrind and under gcc's sanitizers.
#   run.sh FOLDER        where libdevid.so and libdevid.a are
#   PANIC_LIBRARY=...    a libdevid.so built with the feature capi-panic-injection: tests the panic boundary as well
set -euo pipefail
libraries=$(cd "${1:?usage: run.sh FOLDER}" && pwd)
cd "$(dirname "$0")/../.."
. scripts/left_out.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/lib"
abi=$(awk '$1 == "DEVID_ABI_VERSION" { print $2 }' bindings/c/constants.txt)
ln -s "$libraries/libdevid.so" "$work/lib/libdevid.so.$abi"
ln -s "libdevid.so.$abi" "$work/lib/libdevid.so"
export LD_LIBRARY_PATH=$work/lib

python3 tests/c/null_walk.py > "$work/null_walk.c"
private=$(sed -n 's/^Libs.private: //p' bindings/c/devid.pc.in)
warnings="-std=c99 -D_XOPEN_SOURCE=700 -pedantic -Wall -Wextra -Werror -g"
passed=0
run() {
    local kind=$1 name=$2
    shift 2
    if "$@" > "$work/out" 2>&1; then
        passed=$((passed + 1))
    else
        echo "c: $name ($kind) failed" >&2
        tail -n 40 "$work/out" >&2
        exit 1
    fi
}
for source in tests/c/*.c "$work/null_walk.c"; do
    name=$(basename "$source" .c)
    gcc $warnings -Iinclude -Itests/c "$source" -o "$work/$name" -L"$work/lib" -ldevid -lpthread
    run shared "$name" "$work/$name" tests/c/data
    gcc $warnings -Iinclude -Itests/c "$source" -o "$work/$name-static" "$libraries/libdevid.a" $private
    run static "$name" "$work/$name-static" tests/c/data
    if command -v valgrind > /dev/null; then
        run valgrind "$name" valgrind -q --leak-check=full --show-leak-kinds=definite,indirect,possible \
            --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=9 "$work/$name" tests/c/data
    else
        left_out "valgrind is not installed: C tests under valgrind"
    fi
    gcc $warnings -fsanitize=address,undefined -fno-sanitize-recover=all -Iinclude -Itests/c "$source" \
        -o "$work/$name-asan" -L"$work/lib" -ldevid -lpthread
    # The sanitizer is really in: a test that cannot fail shows nothing.
    readelf --dyn-syms -W "$work/$name-asan" | grep __asan_init > /dev/null || { echo "c: no sanitizer in $name" >&2; exit 1; }
    run sanitizers "$name" env ASAN_OPTIONS=detect_leaks=1 "$work/$name-asan" tests/c/data
done
echo "c: $passed runs passed (shared, static, valgrind, sanitizers)"

# The archive shows devid_* alone, so that it goes into one program with another Rust library: both whole, one standard library each.
nm -g --defined-only "$libraries/libdevid.a" 2> /dev/null | awk 'NF == 3 { print $3 }' | LC_ALL=C sort > "$work/archive"
LC_ALL=C sort bindings/c/symbols.txt | diff -u - "$work/archive" > "$work/out" || { echo "c: symbols of libdevid.a" >&2; head -n 20 "$work/out" >&2; exit 1; }
${RUSTC:-rustc} --edition 2024 -O --crate-type staticlib tests/c/second.rs -o "$work/libsecond.a"
gcc -std=c99 -Iinclude -x c - -x none -o "$work/two" -Wl,--whole-archive "$libraries/libdevid.a" "$work/libsecond.a" -Wl,--no-whole-archive $private <<'C'
#include <devid.h>
int second_answer(int word);
int main(void)
{
    devid_error *err = 0;
    devid_key *key = 0;
    if (second_answer(1) != 42 || second_answer(2) != -1) return 1;
    if (devid_key_generate("P-256", &key, &err) != DEVID_OK) return 2;
    devid_key_free(key);
    if (devid_key_generate("?", &key, &err) != DEVID_E_INVALID_ARGUMENT) return 3;
    devid_error_free(err);
    return second_answer(1) != 42;
}
C
run static "two Rust libraries" "$work/two"
echo "c: libdevid.a shows $(wc -l < "$work/archive") symbols and links beside a second Rust library"

if [ -n "${PANIC_LIBRARY:-}" ]; then
    ln -sf "$(realpath "$PANIC_LIBRARY")" "$work/lib/libdevid.so.$abi"
    calls=0
    # The n-th call panics inside: the program may see an error, never a crash, and nothing on stderr but its own words.
    for at in $(seq 1 300) $(seq 307 13 4000); do
        code=0
        DEVID_PANIC_AT=$at "$work/null_walk" tests/c/data > "$work/out" 2>&1 || code=$?
        [ $code -le 1 ] || { echo "c: a panic in call $at ended the process with $code" >&2; cat "$work/out" >&2; exit 1; }
        if grep -q "panicked at" "$work/out"; then echo "c: a panic printed to stderr" >&2; exit 1; fi
        grep -q "DEVID_E_PANIC" "$work/out" && calls=$((calls + 1))
    done
    [ "$calls" -ge 20 ] || { echo "c: only $calls injected panics were reported" >&2; exit 1; }
    gcc -std=c99 -Iinclude -x c - -o "$work/panic" -L"$work/lib" -ldevid <<'C'
#include <devid.h>
#include <string.h>
int main(void)
{
    devid_error *err = 0;
    devid_key *key = (devid_key *)&err;
    devid_bytes *spki = (devid_bytes *)&err;
    if (devid_supports("http") < 0 || devid_supports("http") < 0) return 1;
    if (devid_key_generate("P-256", &key, &err) != DEVID_E_PANIC || err == 0 || key != 0) return 2;
    if (strstr(devid_error_message(err), "guard.rs") == 0) return 3;
    devid_error_free(err);
    if (devid_key_generate("P-256", &key, &err) != DEVID_OK) return 4;
    if (devid_key_public(key, &spki, &err) != DEVID_OK) return 5;
    devid_bytes_free(spki);
    devid_key_free(key);
    return 0;
}
C
    DEVID_PANIC_AT=3 "$work/panic" || { echo "c: an injected panic was not reported as DEVID_E_PANIC ($?)" >&2; exit 1; }
    gcc -std=c99 -Iinclude -x c - -o "$work/poison" -L"$work/lib" -ldevid <<'C'
#include <devid.h>
int main(void)
{
    devid_error *err = 0;
    devid_key *key;
    devid_bytes *spki = (devid_bytes *)&err;
    if (devid_key_generate("P-256", &key, &err) != DEVID_OK) return 1;
    if (devid_key_public(key, &spki, &err) != DEVID_E_PANIC || spki != 0) return 2;
    devid_error_free(err);
    if (devid_key_public(key, &spki, &err) != DEVID_E_POISONED || spki != 0) return 3;
    devid_error_free(err);
    if (devid_key_kind(key)[0] != 0) return 4;
    devid_key_free(key);
    return 0;
}
C
    DEVID_PANIC_AT=2 "$work/poison" || { echo "c: a handle was not poisoned by a panic ($?)" >&2; exit 1; }
    echo "c: $calls injected panics ended as DEVID_E_PANIC"
fi
