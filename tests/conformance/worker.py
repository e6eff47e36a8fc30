#!/usr/bin/env python3
"""Validation cases through the C functions: one JSON object a line in, one a line out; the protocol of the packs.

    DEVID_LIBRARY=.../libdevid.so PYTHONPATH=bindings/python/src worker.py            answers on standard output
    ... worker.py --check FOLDER                                                      runs all packs *.jsonl in FOLDER

Beside the verdict it is checked in each case that a public key comes out exactly when the verdict is positive.
"""

import base64
import ctypes
import json
import sys
import time
from pathlib import Path

from devid import _abi
from devid._library import library

LIB = library()
KINDS = {"DNS": 1, "IP": 2, "EMAIL": 3, "RFC822": 3, "URI": 4}
REVOCATION = {"off": 1, "soft": 2, "hard": 3}


def new(name, function, *arguments):
    """Calls a constructor; gives the handle."""
    handle = ctypes.POINTER(getattr(_abi, name))()
    status = function(*arguments, ctypes.byref(handle), None)
    return handle if status == 0 else None


def tell(function, *arguments):
    """Calls a setter that must succeed."""
    status = function(*arguments, None)
    if status != 0:
        raise ValueError(f"{function.__name__} answered {LIB.devid_status_name(status).decode()}")


def add(function, handle, data, *more):
    """Adds a document. One that cannot be read proves nothing and is left out."""
    data = base64.b64decode(data)
    function(handle, data, len(data), *more, None)


def validator_for(case):
    trust = new("devid_trust", LIB.devid_trust_new)
    for anchor in case["anchors"]:
        add(LIB.devid_trust_add_bytes, trust, anchor)
    validator = new("devid_validator", LIB.devid_validator_new, trust)
    LIB.devid_trust_free(trust)
    for certificate in case["pool"]:
        add(LIB.devid_validator_add_intermediates, validator, certificate)
    for crl in case["crls"]:
        add(LIB.devid_validator_add_crls, validator, crl)
    if case.get("ocsp"):
        add(LIB.devid_validator_add_ocsp, validator, case["ocsp"], None)
    scope = 1 if case.get("rev_scope") == "leaf" else 2
    tell(LIB.devid_validator_set_revocation, validator, REVOCATION[case["revocation"]], scope, 1)
    age = case.get("max_age_s")
    tell(LIB.devid_validator_set_status_age, validator, -1 if age is None else age, 0, 0)
    tell(LIB.devid_validator_set_profile, validator, 2 if case["strict"] else 1)
    tell(LIB.devid_validator_set_allow_weak, validator, int(case["weak_ok"]))
    if case["max_depth"] is not None:
        tell(LIB.devid_validator_set_max_intermediates, validator, case["max_depth"])
    for usage in case["key_usage"]:
        tell(LIB.devid_validator_add_key_usage, validator, usage.encode())
    if not case["eku"]:
        tell(LIB.devid_validator_set_any_purpose, validator)
    for purpose in case["eku"]:
        tell(LIB.devid_validator_add_purpose, validator, purpose.encode())
    if not case["names"]:
        tell(LIB.devid_validator_set_any_name, validator)
    for name in case["names"]:
        tell(LIB.devid_validator_add_name, validator, KINDS[name["kind"]], name["value"].encode())
    policy = case["policy"]
    if policy:
        for identifier in policy["set"]:
            tell(LIB.devid_validator_add_policy, validator, identifier.encode())
        rules = [int(policy[key]) for key in ("explicit", "inhibit_map", "inhibit_any")]
        tell(LIB.devid_validator_set_policy_rules, validator, *rules)
    return validator


def verdict(case):
    data = base64.b64decode(case["leaf"])
    leaf = new("devid_cert", LIB.devid_cert_parse, data, len(data))
    if not leaf:
        return "fail", "the certificate cannot be read"
    validator = validator_for(case)
    peer = ctypes.POINTER(_abi.devid_peer)()
    error = ctypes.POINTER(_abi.devid_error)()
    at = case["time_ms"] // 1000
    status = LIB.devid_validate(validator, leaf, at, None, ctypes.byref(peer), ctypes.byref(error))
    detail = f"{LIB.devid_status_name(status).decode()} {LIB.devid_error_message(error).decode()}" if status else ""
    key = new("devid_bytes", LIB.devid_peer_public_key, peer, at) if peer else None
    answer = ("ok" if status == 0 else "fail"), detail
    if bool(key) != (status == 0):
        answer = "error", f"status {status}, but key released: {bool(key)}"
    LIB.devid_bytes_free(key)
    LIB.devid_peer_free(peer)
    LIB.devid_error_free(error)
    LIB.devid_validator_free(validator)
    LIB.devid_cert_free(leaf)
    return answer


def check(folder):
    failed = 0
    for pack in sorted(Path(folder).glob("*.jsonl")):
        cases = [json.loads(line) for line in pack.read_text().splitlines()]
        wrong = []
        for case in cases:
            found, detail = verdict(case["req"])
            if found != case["expected"]:
                wrong.append(f"  {case['id']}: expected {case['expected']}, found {found} {detail}")
        print(f"{pack.name}: {len(cases) - len(wrong)} of {len(cases)} as expected", *wrong, sep="\n")
        failed += len(wrong)
    return 1 if failed else 0


def main():
    if sys.argv[1:2] == ["--check"]:
        return check(sys.argv[2])
    for line in sys.stdin:
        case = json.loads(line)
        begun = time.perf_counter_ns()
        found, detail = verdict(case)
        answer = {"id": case["id"], "verdict": found, "detail": detail, "ns": time.perf_counter_ns() - begun}
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
