"""A device without any network gets its identity, renews it and checks peers; files travel on a stick.

Every round is a fresh start, as after a reboot: the device does what it can with what is on the stick and in device memory, then
somebody carries the stick to the CA and back.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import devid
from devid.testing import TestCa

CARRY = Path(__file__).resolve().parents[2] / "scripts" / "carry.py"
NAME, WEB = "device", "device-pkcs10"


class StickNeeded(Exception):
    """Nothing more can be done before the stick was carried."""


def say(words: str) -> None:
    print(f"     {words}", flush=True)


class Device:
    """One run of the device's program."""

    def __init__(self, material: Path, memory: Path, stick: Path) -> None:
        self.material, self.stick = material, stick
        self.store = devid.Store(memory, secret=b"burnt into this device's fuses")

    def read(self, name: str) -> bytes:
        return (self.material / name).read_bytes()

    def has(self, name: str) -> bool:
        """Whether an identity is in use."""
        return devid.State.CURRENT in self.store.state(name)

    def live(self) -> None:
        """As far as it goes."""
        if not self.has("idevid"):
            self.factory()
        if not self.has(NAME):
            self.travel("idevid", None)
            say("2. enrolled by files: generation 1 is in use")
        if self.store.current(NAME).generation == 1:
            self.travel(NAME, NAME)
            say("3. key update by files: generation 2 is in use")
        if not self.has(WEB):
            self.by_request()
        self.peers()

    def factory(self) -> None:
        """The supplier's identity and the operator's anchors come from files."""
        idevid, *above = devid.load_certificates(self.read("idevid.pem") + self.read("idevid-chain.pem"))
        self.store.install("idevid", devid.Key.load(self.read("idevid.key")), idevid, above, purpose="idevid")
        for use in ("cmp", "enrolment", "peer"):
            self.store.put_anchors(use, self.read("root.pem"))
        say("1. factory: the supplier's identity and the operator's anchors are in device memory")

    def travel(self, credential: str, renewed: "str | None") -> None:
        """An enrolment or a key update, message by message on the stick (RFC 9483 section 6.4.1)."""
        mine = self.store.current(credential)
        config = devid.Config(cmp_anchors=self.read("root.pem"), enrolment_anchors=self.read("root.pem"))
        config.set_time_window(None)  # answers may be weeks old
        config.set_credential(mine.key, mine.chain)
        client = devid.Client(config)
        if devid.State.OPERATION in self.store.state(NAME):
            operation = client.resume(self.store, NAME)
            if operation is None:
                return
        else:
            key = devid.Key.generate("P-256")
            operation = client.renew(key) if renewed else client.enroll(key, "CN=device-10,O=Operator")
            operation.install_into(self.store, NAME)
        operation.set_files(self.stick, NAME)
        try:
            operation.run()
        except devid.TransportError as error:
            if error.code is not devid.Code.BUSY:
                raise
            say(f"{operation.output_name} is on the stick")
            raise StickNeeded from None

    def validator(self, use: str, dns: "str | None") -> devid.Validator:
        """Anchors from device memory, CRLs from a file; no network, so no OCSP."""
        anchors = "".join(anchor.pem for anchor in self.store.anchors(use)).encode()
        return devid.Validator(
            devid.Trust(anchors),
            purposes=None,
            dns=[dns] if dns else [],
            any_name=dns is None,
            intermediates=self.read("issuing.pem"),
            crls=self.read("issuing.crl"),
            revocation=devid.Revocation.HARD,
            scope=devid.Scope.LEAF,
            prefer=devid.Prefer.CRL,
        )

    def by_request(self) -> None:
        """A CA that takes no CMP: PKCS#10 out, certificate in."""
        answer = self.stick / f"{WEB}.pem"
        if devid.State.REQUEST not in self.store.state(WEB):
            key = devid.Key.generate("P-384")
            request = devid.Request(key, devid.Subject("CN=device-10-web,O=Operator"), algorithm="ECDSA-SHA384")
            self.store.put_request(WEB, key, request)
            (self.stick / f"{WEB}.csr").write_bytes(request.export())
        if not answer.exists():
            say("a PKCS#10 request is on the stick, its key in device memory")
            raise StickNeeded
        identity = self.store.import_certificate(answer.read_bytes(), self.validator("enrolment", None), purpose="tls")
        say(f"4. the certificate from a file found its key, passed the CRL, and is in use: {identity.certificate.subject}")

    def peers(self) -> None:
        """Anchors, certificates and CRLs from files."""
        good, revoked = (devid.Certificate.parse(self.read(f"peer-{kind}.pem")) for kind in ("good", "revoked"))
        peer = self.validator("peer", "good.peer.example").validate(good, int(time.time()))
        message = peer.encrypt(b"meter reading: 42 kWh", int(time.time()))
        say(f"5. {peer.certificate.subject} is valid; {len(message)} bytes are encrypted for it")
        try:
            self.validator("peer", "revoked.peer.example").validate(revoked, int(time.time()))
        except devid.ValidationError as error:
            if error.code is not devid.Code.REVOKED:
                raise
            say(f"   {revoked.subject} is refused: {error.message}")
        else:
            sys.exit("FAILED: a revoked peer was accepted")


def main() -> int:
    print("devid from Python: a device without any network")
    with tempfile.TemporaryDirectory(prefix="devid-offline-") as folder, TestCa(waiting=1) as ca:
        memory, stick = Path(folder) / "memory", Path(folder) / "stick"
        stick.mkdir()
        for _ in range(20):
            try:
                Device(ca.folder, memory, stick).live()
            except StickNeeded:
                carry = [sys.executable, str(CARRY), str(stick), ca.cmp_url, str(ca.folder)]
                subprocess.run(carry, check=True)
            except devid.Error as error:
                print(f"\nFAILED: {error}", file=sys.stderr)
                return 1
            else:
                received, complaints = ca.received(), ca.complaints()
                if complaints or received.count("ir") != 1 or received.count("kur") != 1:
                    print(f"FAILED: the CA received {received} and complains: {complaints}", file=sys.stderr)
                    return 1
                print("     Python: every step succeeded, without a network.")
                return 0
    print("FAILED: the story does not end", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
