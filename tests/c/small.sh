#!/usr/bin/env bash
# What `make small` has built does a device's work: C programs, with the shared library and with the static one, enrol, install, renew by an
# event loop and validate against the test CA, and refuse what is wrong. A build that has its own standard library, no Debug and nothing
# that unwinds can miss what the same sources have otherwise.
#   small.sh LIBRARY-FOLDER TESTCA
set -euo pipefail
libraries=$(cd "${1:?usage: small.sh LIBRARY-FOLDER TESTCA}" && pwd)
testca=$(realpath "${2:?usage: small.sh LIBRARY-FOLDER TESTCA}")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR= PREFIX=$work sh bindings/c/install.sh "$libraries" > /dev/null
export PKG_CONFIG_PATH=$work/lib/pkgconfig LD_LIBRARY_PATH=$work/lib
programs="enroll install event_loop external_key validate"
mkdir "$work/shared" "$work/static"
cat > "$work/supports.c" <<'C'
#include <devid.h>
#include <stdio.h>
int main(int argc, char **argv) { return argc < 2 || puts(devid_supports(argv[1]) ? "yes" : "no") < 0; }
C
for name in $programs supports; do
    source=examples/c/$name.c
    [ -e "$source" ] || source=$work/$name.c
    gcc -std=c99 -Os "$source" -o "$work/shared/$name" $(pkg-config --cflags --libs devid)
    gcc -std=c99 -Os "$source" -o "$work/static/$name" $(pkg-config --cflags devid) -Wl,--gc-sections,--as-needed "$work/lib/libdevid.a" \
        -lgcc_s -lutil -lrt -lpthread -lm -ldl
done
cat > "$work/all.sh" <<'SH'
set -eu
cd "$1"
expect() { grep -q -- "$1" out || { echo "small: no '$1' in:" >&2; cat out >&2; exit 1; }; }
run() { "$@" > out 2>&1 || { echo "small: $1 failed" >&2; cat out >&2; exit 1; }; }
refused() {
    code=0; "$@" > out 2>&1 || code=$?
    [ $code = 1 ] || { echo "small: exit status $code, and not 1: $*" >&2; cat out >&2; exit 1; }
}
cp "$TESTCA_DIR"/*.pem "$TESTCA_DIR"/issuing.crl .
enroll() { "$1/enroll" "$TESTCA_CMP" "$(cat "$TESTCA_DIR/reference.txt")" "$2" root.pem CN=router-7 "memory-$1"; }
for kind in shared static; do
    # Nothing is caught, and nothing else is in it than was asked for.
    run ./$kind/supports panic-guard
    expect "^no$"
    run ./$kind/supports http
    expect "^yes$"
    run enroll $kind "$(cat "$TESTCA_DIR/secret.txt")"
    expect "^CN=router-7, serial"
    refused enroll $kind wrong
    expect "^DEVID_E_"
    run ./$kind/install "$TESTCA_DIR" "$TESTCA_CMP" memory-3-$kind stop
    expect "to be continued"
    run ./$kind/install "$TESTCA_DIR" "$TESTCA_CMP" memory-3-$kind
    expect "in use"
    run ./$kind/external_key "$TESTCA_DIR" "$TESTCA_CMP"
    expect "signed [2-9]* times"
    run ./$kind/event_loop "$TESTCA_DIR" "$TESTCA_CMP"
    expect "device 2: done"
    run ./$kind/validate root.pem peer-good.pem good.peer.example issuing.pem issuing.crl
    expect "public key: 30"
    refused ./$kind/validate root.pem peer-revoked.pem revoked.peer.example issuing.pem issuing.crl
    expect DEVID_E_REVOKED
    refused ./$kind/validate root.pem peer-good.pem another.example issuing.pem
    # What was left out says so.
    refused ./$kind/validate root.pem peer-good.pem good.peer.example issuing.pem fetch
    expect "without the feature .status-fetch."
done
SH
PYTHONDONTWRITEBYTECODE=1 python3 scripts/with_testca.py "$testca" "$work/material" --waiting=1 -- sh "$work/all.sh" "$work"
echo "small: $(wc -w <<< "$programs") C programs ran against the test CA, with the shared library and the static one"
