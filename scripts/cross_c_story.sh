#!/bin/sh
# What the programs do on the other machine; run by cross_c.sh, with the test CA's addresses in the environment.
set -eu
cd "$IMAGE/work"
fail() { echo "cross-c: $*" >&2; cat out >&2; exit 1; }
# shellcheck disable=SC2086
run() { $RUN "$IMAGE/$@" > out 2>&1; }

reference=$(cat "$TESTCA_DIR/reference.txt")
secret=$(cat "$TESTCA_DIR/secret.txt")
run "enroll$KIND" "$TESTCA_CMP" "$reference" "$secret" "$TESTCA_DIR/root.pem" CN=router-7 memory-1 || fail "enroll failed"
grep -q "^CN=router-7, serial" out || fail "no certificate"
[ -s memory-1/identity/device/gen-000001/certificate.pem ] || fail "nothing was installed"
if run "enroll$KIND" "$TESTCA_CMP" "$reference" wrong "$TESTCA_DIR/root.pem" CN=router-7 memory-2; then fail "a wrong secret was accepted"; fi
grep -q "^DEVID_E_" out || fail "a wrong secret has no error"

cp "$TESTCA_DIR/secret.txt" secret
chmod 600 secret
cat > devid.toml <<TOML
[device]
memory = "memory-3"
[ca]
server = "$TESTCA_CMP"
[ca.login]
reference = "$reference"
secret = "file:secret"
[ca.trust]
all = ["$TESTCA_DIR/root.pem"]
signers = ["$TESTCA_DIR/cmp-signer.pem"]
[identity.device]
subject = "CN=router-8"
TOML
mkdir nginx
run "device$KIND" devid.toml nginx || fail "device failed"
grep -q "^call again in [1-9]" out || fail "no time to call again"
[ -s nginx/current/fullchain.pem ] || fail "nothing was exported"
run "device$KIND" devid.toml nginx || fail "device failed when nothing was due"
