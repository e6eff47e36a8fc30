"""No key of a peer comes out but through a verdict: checked over the whole surface, so that a new function cannot forget it."""

from __future__ import annotations

import inspect
import re
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest

import devid
from devid.testing import TestCa

def now() -> int:
    """Seconds since 1970, taken when what it judges was made already."""
    return int(time.time())

WHOLE_CERTIFICATES = {"devid_cert_der", "devid_cert_pem", "devid_cert_list_pem"}
"""The certificate as it came, whole: what the program handed in itself."""
OTHER_BYTES = {
    "devid_key_decrypt": "plain text, by the program's own key",
    "devid_pkcs12_write": "the program's own key and its certificates",
    "devid_subject_apply_template": "names that were left out",
    "devid_store_import": "the name of the identity",
    "devid_store_import_pkcs12": "the name of the identity",
    "devid_store_import_by_policy": "the name of the identity",
    "devid_op_save": "the state of an operation",
}
GATES = {
    "devid_validate",
    "devid_device_check",
    "devid_validate_bytes",
    "devid_validate_without_time",
    "devid_validate_sent",
    "devid_fetcher_validate",
    "devid_fetcher_validate_sent",
}
"""Where a devid_peer comes from."""


@pytest.fixture(scope="module")
def surface(checkout: Path) -> List[Any]:
    sys.path.insert(0, str(checkout / "scripts"))
    import header  # type: ignore[import-not-found, unused-ignore]

    found: List[Any] = header.functions()
    assert len(found) > 150
    return found


def inputs(function: Any) -> Set[str]:
    types = (re.search(r"devid_\w+", p.ctype) for p in function.parameters if not p.name.startswith("out_"))
    return {found[0] for found in types if found} - {"devid_error"}


def outputs(function: Any) -> Set[str]:
    types = (re.search(r"devid_\w+", p.ctype) for p in function.parameters if p.name.startswith("out_"))
    return {found[0] for found in types if found} | ({"bytes"} if "uint8_t *" in function.result else set())


def test_only_validation_makes_a_peer(surface: List[Any]) -> None:
    assert {f.name for f in surface if "devid_peer" in outputs(f)} == GATES


def test_no_function_makes_bytes_of_a_certificate_but_the_whole_of_it(surface: List[Any]) -> None:
    certificates = {"devid_cert", "devid_cert_list", "devid_report", "devid_trust"}
    giving = {f.name for f in surface if inputs(f) & certificates and outputs(f) & {"bytes", "devid_bytes"}}
    assert giving - set(OTHER_BYTES) == WHOLE_CERTIFICATES


def test_what_uses_a_public_key_takes_a_peer_or_a_key_of_our_own(surface: List[Any]) -> None:
    of_keys = [f for f in surface if re.search(r"public|spki|encrypt|agree|verify|seal|wrap", f.name)]
    assert {"devid_peer_public_key", "devid_peer_encrypt", "devid_peer_agree", "devid_peer_verify"} <= {f.name for f in of_keys}
    for function in of_keys:
        takes = inputs(function)
        assert takes & {"devid_peer", "devid_key", "devid_store"} or not takes & {"devid_cert", "devid_cert_list"}, function.name
    # A key of our own is made of no certificate.
    makers = [f for f in surface if "devid_key" in outputs(f)]
    assert all(not inputs(f) & {"devid_cert", "devid_cert_list", "devid_report", "devid_peer"} for f in makers)


def test_every_use_of_a_peer_names_the_present(surface: List[Any]) -> None:
    free_of_time = {"devid_peer_certificate", "devid_peer_expires", "devid_peer_free"}
    for function in surface:
        if function.name.startswith("devid_peer_") and function.name not in free_of_time:
            assert "now" in {p.name for p in function.parameters}, function.name


def shown(thing: Any) -> Dict[str, Any]:
    """Every public value and every answer of a method without arguments."""
    values: Dict[str, Any] = {"repr": repr(thing)}
    for name in dir(thing):
        if name.startswith("_") or name == "close":
            continue
        value = getattr(thing, name)
        if callable(value):
            if not inspect.isclass(value) and all(
                p.default is not p.empty for p in inspect.signature(value).parameters.values()
            ):
                value = value()
            else:
                continue
        values[name] = value
    return values


def test_a_certificate_in_python_shows_no_key(devid_testca: TestCa) -> None:
    point = devid.Key.load(devid_testca.read("peer-good.key")).public_key[-65:]
    certificate = devid.Certificate.parse(devid_testca.read("peer-good.pem"))
    values = shown(certificate)
    assert point in values["der"] and "subject" in values and len(values) > 6
    for name, value in values.items():
        if name not in ("der", "pem"):
            assert point not in value if isinstance(value, bytes) else point.hex() not in str(value).lower(), name
    assert not [name for name in values if "key" in name]


def test_a_forged_certificate_is_refused_by_a_report(devid_testca: TestCa) -> None:
    der = bytearray(devid.Certificate.parse(devid_testca.read("peer-good.pem")).der)
    der[-1] ^= 1
    forged = devid.Certificate.parse(bytes(der))
    checks = devid.Validator(devid.Trust(devid_testca.root), purposes=None, any_name=True)
    checks.add_intermediates(devid_testca.read("issuing.pem"))
    report = checks.examine(forged, now())
    assert not report.is_valid and report.findings
    with pytest.raises(devid.ValidationError) as refused:
        checks.validate(forged, now())
    assert refused.value.report is not None


def test_a_refused_peer_leaves_nothing_behind(devid_testca: TestCa) -> None:
    point = devid.Key.load(devid_testca.read("peer-good.key")).public_key[-65:]
    checks = devid.Validator(devid.Trust(devid_testca.root), purposes=None, dns=["other.example"])
    checks.add_intermediates(devid_testca.read("issuing.pem"))
    with pytest.raises(devid.ValidationError) as refused:
        checks.validate(devid.Certificate.parse(devid_testca.read("peer-good.pem")), now())
    report = refused.value.report
    assert report is not None and report.path == () and point.hex() not in repr(report)
    assert not [value for value in vars(refused.value).values() if isinstance(value, devid.Peer)]
    with pytest.raises(TypeError):
        devid.Peer()
