#!/usr/bin/env bash
# A device whose keys are in a TPM 2.0: swtpm, with tpm2-abrmd in the kernel's place, by tpm2-pkcs11; it enrols and renews against the
# test CA. What is missing is installed as root, or named.
set -euo pipefail
cd "$(dirname "$0")/.."
need=()
for pair in swtpm:swtpm tpm2-abrmd:tpm2-abrmd pkcs11-tool:opensc dbus-run-session:dbus-daemon; do
    command -v "${pair%%:*}" > /dev/null || need+=("${pair##*:}")
done
module=$(find /usr/lib -name 'libtpm2_pkcs11.so.1' 2> /dev/null | head -1)
[ -n "$module" ] || need+=(libtpm2-pkcs11-1)
find /usr/lib -name 'libtss2-tcti-tabrmd.so.0' 2> /dev/null | grep -q . || need+=(libtss2-tcti-tabrmd0)
if [ ${#need[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || { echo "tpm: missing: ${need[*]}" >&2; exit 1; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${need[@]}" > build/tpm.log 2>&1 || { tail -n 20 build/tpm.log >&2; exit 1; }
    module=$(find /usr/lib -name 'libtpm2_pkcs11.so.1' | head -1)
fi
cargo build --locked --quiet -p devid-cli -p devid-testca
bin=${CARGO_TARGET_DIR:-$PWD/target}/debug
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$bin/devid" "$work/"
cat > "$work/story.sh" <<'SH'
set -eu
cd "$WORK"
fail() { echo "tpm: $*" >&2; cat out >&2; exit 1; }
mkdir tpm store
# Two ports in a row that are free now, as the way to swtpm wants them: commands go to the first, control to the second.
cat > ports.py <<'PY'
import socket
for first in range(20000, 60000, 2):
    with socket.socket() as one, socket.socket() as two:
        try:
            one.bind(("127.0.0.1", first))
            two.bind(("127.0.0.1", first + 1))
        except OSError:
            continue
    print(first)
    break
PY
port=$(python3 ports.py)
# As a daemon it answers when its ports are open.
swtpm socket --tpm2 --tpmstate "dir=$WORK/tpm" --ctrl type=tcp,port=$((port + 1)) --server type=tcp,port=$port --flags not-need-init,startup-clear --daemon --pid file="$WORK/pid"
tpm2-abrmd --session --allow-root --tcti=swtpm:port=$port > abrmd.log 2>&1 &
manager=$!
trap 'kill $(cat pid) $manager 2> /dev/null' EXIT
export TPM2_PKCS11_TCTI=tabrmd:bus_type=session TPM2_PKCS11_STORE=$PWD/store PIN=0000
# Until its name is on the bus.
for _ in $(seq 200); do
    pkcs11-tool --module "$MODULE" --slot-index 0 --init-token --label device --so-pin 1111 > out 2>&1 && break
    sleep 0.1
done
pkcs11-tool --module "$MODULE" --token-label device --init-pin --so-pin 1111 --pin 0000 > out 2>&1 || fail "no token"
cp "$TESTCA_DIR/secret.txt" secret
chmod 600 secret
cat > devid.toml <<TOML
[device]
memory = "memory"
[device.pkcs11]
module = "$MODULE"
pin = "env:PIN"
[ca]
server = "$TESTCA_CMP"
[ca.login]
reference = "$(cat "$TESTCA_DIR/reference.txt")"
secret = "file:secret"
[ca.trust]
all = ["$TESTCA_DIR/root.pem"]
signers = ["$TESTCA_DIR/cmp-signer.pem"]
[identity.device]
subject = "CN=router-7"
key-at = "pkcs11:token=device;object=ldevid"
TOML
./devid -c devid.toml enroll > out 2>&1 || fail "enroll failed"
./devid -c devid.toml renew --now > out 2>&1 || fail "renew failed: signed by one key of the TPM for another"
[ "$(find memory -name key.ref | wc -l)" = 2 ] && [ -z "$(find memory -name key.pem)" ] || fail "a key is not in the TPM"
./devid -c devid.toml status > out 2>&1 && grep -q "^device  valid" out || fail "no valid identity"
./devid -c devid.toml store verify > out 2>&1 || fail "device memory does not find its keys in the TPM"
if PIN=9999 ./devid -c devid.toml renew --now > out 2>&1; then fail "a wrong PIN was taken"; fi
grep -q WRONG_SECRET out || fail "a wrong PIN has no error of its own"
SH
WORK=$work MODULE=$module PYTHONPATH=bindings/python/src PYTHONDONTWRITEBYTECODE=1 \
    python3 scripts/with_testca.py "$bin/devid-testca" "$work/ca" -- dbus-run-session -- sh "$work/story.sh" 2> "$work/words" || { cat "$work/words" >&2; exit 1; }
echo "tpm: enrolled and renewed with keys in a TPM 2.0"
