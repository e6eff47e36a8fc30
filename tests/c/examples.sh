#!/usr/bin/env bash
# Each C example compiles without a warning and does what it says, against the test CA. README quotes enroll.c as it is.
#   examples.sh LIBRARY-FOLDER TESTCA
set -euo pipefail
libraries=$(cd "${1:?usage: examples.sh LIBRARY-FOLDER TESTCA}" && pwd)
testca=$(realpath "${2:?usage: examples.sh LIBRARY-FOLDER TESTCA}")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR= PREFIX=$work sh bindings/c/install.sh "$libraries" > /dev/null
export PKG_CONFIG_PATH=$work/lib/pkgconfig LD_LIBRARY_PATH=$work/lib
for source in examples/c/*.c; do
    gcc -std=c99 -pedantic -Wall -Wextra -Werror "$source" -o "$work/$(basename "$source" .c)" \
        $(pkg-config --cflags --libs devid)
    # As a project in C++ takes them over.
    g++ -x c++ -Wall -Wextra -Werror -fsyntax-only "$source" $(pkg-config --cflags devid)
done
python3 - <<'PY'
from pathlib import Path
for name in ("device.c", "enroll.c"):
    code = Path("examples/c", name).read_text()
    assert f"```c\n{code}```" in Path("README.md").read_text(), f"README.md does not quote examples/c/{name} as it is"
PY
cat > "$work/all.sh" <<'SH'
set -eu
cd "$1"
expect() { grep -q -- "$1" out || { echo "examples: no '$1' in:" >&2; cat out >&2; exit 1; }; }
run() { "$@" > out 2>&1 || { echo "examples: $1 failed" >&2; cat out >&2; exit 1; }; }

run ./enroll "$TESTCA_CMP" "$(cat "$TESTCA_DIR/reference.txt")" "$(cat "$TESTCA_DIR/secret.txt")" "$TESTCA_DIR/root.pem" CN=router-7 memory-1
expect "^CN=router-7, serial"
[ -f memory-1/identity/device/current ] || [ -e memory-1/identity ] || { echo "examples: enroll installed nothing" >&2; exit 1; }
if ./enroll "$TESTCA_CMP" "$(cat "$TESTCA_DIR/reference.txt")" wrong "$TESTCA_DIR/root.pem" CN=router-7 memory-2 > out 2>&1; then
    echo "examples: a wrong secret was accepted" >&2; exit 1
fi
expect "^DEVID_E_"

mkdir easy easy/nginx
cp "$TESTCA_DIR/secret.txt" easy/secret
chmod 600 easy/secret
cat > easy/devid.toml <<TOML
[device]
memory = "memory"
[ca]
server = "$TESTCA_CMP"
[ca.login]
reference = "$(cat "$TESTCA_DIR/reference.txt")"
secret = "file:secret"
[ca.trust]
all = ["$TESTCA_DIR/root.pem"]
signers = ["$TESTCA_DIR/cmp-signer.pem"]
[identity.device]
subject = "CN=router-8"
TOML
run ./device easy/devid.toml easy/nginx
expect "^call again in [1-9][0-9]* seconds"
[ -s easy/nginx/current/fullchain.pem ] && [ -s easy/nginx/current/privkey.pem ] || { echo "examples: device exported nothing" >&2; exit 1; }
run ./device easy/devid.toml easy/nginx
sed -i 's/^server/sever/' easy/devid.toml
code=0; ./device easy/devid.toml easy/nginx > out 2>&1 || code=$?
[ $code = 1 ] || { echo "examples: wrong settings gave exit status $code" >&2; cat out >&2; exit 1; }
expect "did you mean ca.server"

cp "$TESTCA_DIR/peer-good.pem" "$TESTCA_DIR/issuing.pem" easy/
cat easy/peer-good.pem easy/issuing.pem > easy/peer.pem
values() {
    ./device_values easy/memory-2 "$TESTCA_CMP" "$TESTCA_DIR/root.pem" "$(cat "$TESTCA_DIR/reference.txt")" "$2" CN=router-9 \
        "$TESTCA_DIR/cmp-signer.pem" easy/peer.pem "$1"
}
run values dns:good.peer.example file:easy/secret
expect "^installed, again in"
expect '"standing":"valid"'
expect "good.peer.example is to be believed"
code=0; values dns:other.example file:easy/secret > out 2>&1 || code=$?
[ $code = 1 ] || { echo "examples: another name gave exit status $code" >&2; cat out >&2; exit 1; }
expect "nothing was due"
expect "is not to be believed"
code=0; values dns:good.peer.example hunter2 > out 2>&1 || code=$?
[ $code = 1 ] || { echo "examples: a secret in clear gave exit status $code" >&2; cat out >&2; exit 1; }
! grep -q hunter2 out || { echo "examples: a secret in clear is repeated" >&2; exit 1; }

run ./install "$TESTCA_DIR" "$TESTCA_CMP" memory-3 stop
expect "to be continued"
run ./install "$TESTCA_DIR" "$TESTCA_CMP" memory-3
expect "going on with the operation"
expect "in use"

run ./external_key "$TESTCA_DIR" "$TESTCA_CMP"
expect "signed [2-9]* times"

run ./event_loop "$TESTCA_DIR" "$TESTCA_CMP"
expect "device 2: done"
https=https://127.0.0.1:${TESTCA_HTTPS##*:}/cmp
run ./event_loop "$TESTCA_DIR" "$https"
expect "device 2: done"
cp -r "$TESTCA_DIR" strange
cp "$TESTCA_DIR/supplier-root.pem" strange/root.pem
code=0; ./event_loop strange "$https" > out 2>&1 || code=$?
[ $code = 1 ] || { echo "examples: a server under a strange root gave exit status $code" >&2; cat out >&2; exit 1; }
expect "DEVID_E_TLS"

cp "$TESTCA_DIR"/*.pem "$TESTCA_DIR"/issuing.crl .
run ./validate root.pem peer-good.pem good.peer.example issuing.pem issuing.crl
expect "public key: 30"
run ./validate root.pem peer-good.pem good.peer.example issuing.pem fetch
expect "public key: 30"
code=0; ./validate root.pem peer-revoked.pem revoked.peer.example issuing.pem fetch > out 2>&1 || code=$?
[ $code = 1 ] || { echo "examples: a revoked peer that was asked about gave exit status $code" >&2; cat out >&2; exit 1; }
expect DEVID_E_REVOKED
code=0; ./validate root.pem peer-revoked.pem revoked.peer.example issuing.pem issuing.crl > out 2>&1 || code=$?
[ $code = 1 ] || { echo "examples: a revoked peer gave exit status $code" >&2; cat out >&2; exit 1; }
expect DEVID_E_REVOKED
code=0; ./validate root.pem peer-good.pem another.example issuing.pem > out 2>&1 || code=$?
[ $code = 1 ] || { echo "examples: another name gave exit status $code" >&2; exit 1; }

run ./demo "$TESTCA_DIR" "$TESTCA_CMP" "$TESTCA_OCSP" "$TESTCA_CRL" memory-4
expect "device -> RA -> CA"
expect "every step succeeded"

# The factory's identity is there from the story before; anchors are files that a person may put there.
mkdir -p memory-4/anchors
cp root.pem memory-4/anchors/cmp.pem
cp root.pem memory-4/anchors/enrolment.pem
rm -rf memory-4/identity/device
knob() { python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], sys.argv[2].encode()).read()' "$TESTCA_CONTROL" "$1"; }
knob waiting=0
knob certificate-seconds=9
run ./daemon "$TESTCA_CMP" memory-4 CN=device-7 SN-7 once
expect "device: generation 1 is in use"
knob certificate-seconds=0
sleep 7
run ./daemon "$TESTCA_CMP" memory-4 CN=device-7 SN-7 once
expect "device: generation 2 is in use"
run ./daemon "$TESTCA_CMP" memory-4 CN=device-7 SN-7 once
expect "nothing is due; next look in [0-9]* s"
code=0; ./daemon http://127.0.0.1:9/ memory-5 CN=device-7 SN-7 once > out 2>&1 || code=$?
[ $code = 1 ] || { echo "examples: a daemon without an identity gave exit status $code" >&2; cat out >&2; exit 1; }
expect "ALARM: there is no usable identity"

knob forget
knob waiting=1
mkdir stick
run sh "$SCRIPTS/stick.sh" ./offline memory-6 stick
expect "pollReq is on the stick"
expect "4. the certificate from a file found its key"
expect "every step succeeded, without a network"
SH
export SCRIPTS=$PWD/scripts PYTHONPATH=$PWD/bindings/python/src PYTHONDONTWRITEBYTECODE=1 DEVID_LIBRARY=$work/lib/libdevid.so
python3 scripts/with_testca.py "$testca" "$work/material" --waiting=1 --ra=ra-verified --tls -- sh "$work/all.sh" "$work"
echo "examples: $(ls examples/c/*.c | wc -l) C programs compiled and ran against the test CA"
