#!/usr/bin/env python3
"""Every message in a folder is decoded and encoded again by `pyasn1-alt-modules` (RFC 9810): the bytes must be the same.

    decode.py FOLDER     *.pki, as the test CA keeps them (DEVID_TESTCA_RECORD)

Exits with 1 if one is not, or if there are none.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from pyasn1.codec.der.decoder import decode  # type: ignore[import-untyped]
from pyasn1.codec.der.encoder import encode  # type: ignore[import-untyped]
from pyasn1.error import PyAsn1Error  # type: ignore[import-untyped]
from pyasn1_alt_modules import rfc9810  # type: ignore[import-untyped]


def main() -> int:
    """Checks all, and says which bodies there were."""
    messages = sorted(Path(sys.argv[1]).glob("*.pki"))
    bodies: Counter[str] = Counter()
    complaints = []
    for path in messages:
        body, complaint = examined(path.read_bytes())
        bodies[body] += 1
        if complaint:
            complaints.append(f"{path}: {body}: {complaint}")
    print("\n".join(complaints))
    told = ", ".join(f"{count} {body}" for body, count in sorted(bodies.items()))
    print(f"pyasn1-alt-modules: {len(messages)} messages of different shapes decoded ({told}), {len(complaints)} faults")
    return 1 if complaints or not messages else 0


def examined(message: bytes) -> tuple[str, str]:
    """Name of the body, and what is wrong; empty if nothing is."""
    try:
        decoded, rest = decode(message, asn1Spec=rfc9810.PKIMessage())
    except PyAsn1Error as error:
        return "unreadable", " ".join(str(error).split())[:300]
    body = str(decoded["body"].getName())
    if rest:
        return body, f"{len(rest)} bytes behind the end"
    again = encode(decoded)
    if again != message:
        at = next((i for i, pair in enumerate(zip(again, message)) if pair[0] != pair[1]), min(len(again), len(message)))
        return body, f"encoded again it differs from byte {at}: {message[at:at + 8].hex()} became {again[at:at + 8].hex()}"
    return body, ""


if __name__ == "__main__":
    sys.exit(main())
