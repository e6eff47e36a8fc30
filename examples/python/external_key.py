"""Enrols with keys that live elsewhere, in two ways: a callback, and an operation that is stepped.

external_key.py URL ANCHORS.pem IDEVID.pem IDEVID.key SUBJECT

`Token` stands for an HSM, TPM or secure element: it hands out public keys and signatures, never a private key.
"""

import sys
import time
from pathlib import Path
from typing import Dict

import devid


class Token:
    """Keys by slot. A real one would forward to PKCS#11 or a vendor's SDK."""

    def __init__(self) -> None:
        self._keys: Dict[str, devid.Key] = {}

    def generate(self, slot: str) -> None:
        self._keys[slot] = devid.Key.generate("P-256")

    def load(self, slot: str, key: bytes) -> None:
        self._keys[slot] = devid.Key.load(key)

    def public_key(self, slot: str) -> bytes:
        return self._keys[slot].public_key

    def sign(self, slot: str, algorithm: str, message: bytes) -> bytes:
        print(f"  the token signs {len(message)} bytes in slot {slot} by {algorithm}")
        return self._keys[slot].sign(message, algorithm)


def main() -> int:
    url, anchors_file, idevid, idevid_key, subject = sys.argv[1:]
    anchors = Path(anchors_file).read_bytes()
    token = Token()
    token.load("idevid", Path(idevid_key).read_bytes())

    config = devid.Config(url, cmp_anchors=anchors, enrolment_anchors=anchors)
    supplier = devid.Key.external(token.public_key("idevid"), lambda a, m: token.sign("idevid", a, m))
    config.set_credential(supplier, Path(idevid).read_bytes())
    client = devid.Client(config)

    print("by callback: the library asks when it needs a signature")
    token.generate("first")
    key = devid.Key.external(token.public_key("first"), lambda a, m: token.sign("first", a, m))
    print(f"  issued: {client.enroll(key, subject).run().certificate}")

    print("by steps: the program fetches what is to be signed, and takes its time")
    token.generate("second")
    deferred = devid.Key.deferred(token.public_key("second"))
    operation = client.enroll(deferred, subject)
    while (action := operation.step(int(time.time()))) is not devid.Action.DONE:
        if action is devid.Action.SIGN:
            request = operation.to_sign
            assert request is not None and request.role is devid.SignRole.NEW_KEY
            signature = token.sign("second", request.algorithm, request.message)
            operation.signature(signature, int(time.time()))
        elif action is devid.Action.SEND:
            operation.exchange()
        elif action is devid.Action.WAIT:
            time.sleep(operation.wait_seconds)
        elif action is devid.Action.ACCEPT:
            operation.accept()
    assert operation.issued is not None
    print(f"  issued: {operation.issued.certificate}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
