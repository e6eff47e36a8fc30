#!/usr/bin/env python3
"""A CMP client of ours in Python for the interop harness: see client.c, which takes and prints the same."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import devid


def main() -> int:
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    config = devid.Config(given["server"], implicit_confirm=given.get("implicit") == "1")
    anchors = Path(given["anchors"]).read_bytes()
    config.add_cmp_anchors(anchors)
    config.add_enrolment_anchors(anchors)
    if "secret" in given:
        config.set_secret(given["reference"].encode(), given["secret"].encode())
        if given.get("pbmac1") == "1":
            config.set_mac(pbmac1=True, iterations=1000)
    else:
        chain = Path(given["chain"]).read_bytes() if "chain" in given else b""
        config.set_credential(
            devid.Key.load(Path(given["key"]).read_bytes()), Path(given["certificate"]).read_bytes() + chain
        )
    new_key = devid.Key.load(Path(given["new_key"]).read_bytes())
    try:
        client = devid.Client(config)
        if given["command"] == "kur":
            operation = client.renew(new_key)
        elif given["command"] == "cr":
            operation = client.enroll_further(new_key, given["subject"])
        else:
            operation = client.enroll(new_key, given["subject"])
        drive(operation, given.get("accept_differences") == "1")
    except devid.Error as error:
        print(f"error={error.name}\nmessage={one_line(error.message)}")
        if error.pki_status is not None:
            print(f"pki_status={int(error.pki_status)}")
        print(f"fail_info={int(error.fail_info)}\nauthenticated={int(error.server_authenticated)}")
        for text in error.server_texts:
            print(f"text={one_line(text)}")
        return 1
    return 0


def drive(operation: devid.Operation, accepts_differences: bool) -> None:
    while True:
        action = operation.step(int(time.time()))
        if action is devid.Action.SEND:
            print(f"sent={operation.output_name}")
            operation.exchange()
        elif action is devid.Action.WAIT:
            time.sleep(operation.wait_seconds)
        elif action is devid.Action.ACCEPT:
            issued = operation.issued
            assert issued is not None
            if issued.differences and not accepts_differences:
                operation.reject(issued.differences[0])
            else:
                operation.accept()
        else:
            issued = operation.issued
            assert action is devid.Action.DONE and issued is not None and issued.pki_status is not None
            print(f"pki_status={int(issued.pki_status)}\ncertificate={issued.certificate.der.hex()}")
            return


def one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
