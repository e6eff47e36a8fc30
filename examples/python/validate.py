"""Validates a peer's certificate and encrypts something for the peer, which only a valid one allows.

validate.py ANCHORS.pem PEER.pem DNS-NAME [CRL... | fetch]: with CRLs every certificate of the path must be known not to be
revoked, with "fetch" the peer's own: by the URLs in it, its issuers too.
"""

import sys
import time
from pathlib import Path

import devid


def main() -> int:
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return validate(*sys.argv[1:])
    except (devid.Error, OSError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 1


def validate(anchors: str, peer_file: str, name: str, *crls: str) -> int:
    sent = Path(peer_file).read_bytes()
    is_fetching = crls == ("fetch",)
    validator = devid.Validator(
        devid.Trust(Path(anchors).read_bytes()),
        purposes=["serverAuth"],
        dns=[name],
        revocation=devid.Revocation.HARD if crls else devid.Revocation.OFF,
        scope=devid.Scope.LEAF if is_fetching else devid.Scope.CHAIN,
    )
    for crl in [] if is_fetching else crls:
        validator.add_crls(Path(crl).read_bytes())
    now = int(time.time())
    try:
        if is_fetching:
            peer = devid.Fetcher(issuers=True).validate(validator, sent, now)
        else:
            peer = validator.validate(sent, now)
    except devid.ValidationError as error:
        print(f"refused: {error}", file=sys.stderr)
        for finding in error.report.findings if error.report is not None else ():
            print(f"  certificate {finding.certificate_index}: {finding.text}", file=sys.stderr)
        return 1
    # There is no other way to a peer's public key: an unchecked certificate gives none away.
    message = peer.encrypt(b"for your eyes only", now)
    print(f"{peer.certificate.subject} is valid; its key can be used until {peer.expires}")
    print(f"encrypted for it: {len(message)} bytes of CMS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
