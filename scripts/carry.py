#!/usr/bin/env python3
"""Plays the person with the stick: brings what is on it to a CMP server, and the answers back.

    carry.py STICK CMP-URL [MATERIAL]

Each NAME-n-request.pki without an answer is sent as it is, its answer becomes NAME-n-answer.pki (RFC 9483 section 6.4.1). With
MATERIAL, a folder of devid-testca, each NAME.csr without a NAME.pem is asked for by an operator's machine (p10cr).
"""

import sys
import urllib.request
from pathlib import Path


def main() -> int:
    stick, url = Path(sys.argv[1]), sys.argv[2]
    count = 0
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for request in sorted(stick.glob("*-request.pki")):
        answer = request.with_name(request.name.replace("-request.pki", "-answer.pki"))
        if answer.exists():
            continue
        post = urllib.request.Request(url, request.read_bytes(), {"Content-Type": "application/pkixcmp"})
        with opener.open(post, timeout=30) as response:
            answer.write_bytes(response.read())
        count += 1
    for request in sorted(stick.glob("*.csr")) if len(sys.argv) > 3 else []:
        if not request.with_suffix(".pem").exists():
            request.with_suffix(".pem").write_text(certified(request.read_bytes(), url, Path(sys.argv[3])))
            count += 1
    print(f"   ... carried {count} file{'' if count == 1 else 's'} to the CA and back")
    return 0 if count else 1


def certified(request: bytes, url: str, material: Path) -> str:
    """What the CA issues for a PKCS#10 request, as PEM."""
    import devid

    config = devid.Config(url, enrolment_anchors=(material / "root.pem").read_bytes())
    config.set_secret((material / "reference.txt").read_bytes(), (material / "secret.txt").read_bytes())
    return devid.Client(config).enroll_pkcs10(request).run().pem


if __name__ == "__main__":
    sys.exit(main())
