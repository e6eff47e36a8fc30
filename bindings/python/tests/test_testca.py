"""The fixture that starts the test CA, and what a program sees when the CA misbehaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List

import pytest

import devid
from devid.testing import TestCa, _program


def enrol(ca: TestCa, **run: Any) -> devid.Issued:
    key, chain = ca.idevid()
    with devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root) as config:
        config.set_credential(key, chain)
        return devid.Client(config).enroll(devid.Key.generate(), devid.Subject("CN=device", dns=["d.example"])).run(**run)


def test_device_enrols_with_its_idevid(devid_testca: TestCa) -> None:
    issued = enrol(devid_testca)
    assert issued.certificate.subject == "CN=device" and len(issued.issuers) == 2
    assert issued.certificate.names == ["DNS:d.example"] and issued.issuers[-1].names == []
    assert devid_testca.received() == ["ir", "certConf"] and devid_testca.complaints() == []


def test_operation_saved_while_it_waits_goes_on_in_another_client(devid_testca: TestCa) -> None:
    class PowerCut(Exception):
        pass

    def cut(_: int) -> None:
        raise PowerCut

    devid_testca.set(waiting=1, check_after=1)
    new_key = devid.Key.generate()

    def client() -> devid.Client:
        config = devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root)
        config.set_secret(devid_testca.reference, devid_testca.secret)
        return devid.Client(config)

    with client().enroll(new_key, "CN=device") as operation:
        with pytest.raises(PowerCut):
            operation.run(wait=cut)
        saved = operation.save()
    assert client().restore(new_key, saved).run().certificate.subject == "CN=device"
    assert devid_testca.received() == ["ir", "pollReq", "pollReq", "certConf"]


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"status": 2, "fail_info": 512, "text": "no"}, "REJECTED"),
        ({"error": True}, "REJECTED"),
        ({"broken_protection": True}, "PROTECTION_INVALID"),
        ({"no_protection": True}, "UNPROTECTED"),
        ({"signer": "stranger"}, "PROTECTION_INVALID"),
        ({"signer": "expired"}, "PROTECTION_INVALID"),
        ({"wrong_transaction": True}, "TRANSACTION_ID"),
        ({"wrong_recip_nonce": True}, "NONCE"),
        ({"wrong_key": True}, "WRONG_CERTIFICATE"),
        ({"modify_subject": True}, "REFUSED"),
        ({"wrong_body": True}, "UNEXPECTED_BODY"),
        ({"html": True, "http_status": 503, "retry_after": 30, "content_type": "text/html"}, "BUSY"),
        ({"http_status": 404, "html": True, "content_type": "text/html"}, "HTTP_STATUS"),
    ],
)
def test_each_misbehaviour_has_its_code(devid_testca: TestCa, knobs: Dict[str, Any], code: str) -> None:
    devid_testca.set(**knobs)
    with pytest.raises(devid.Error) as refused:
        enrol(devid_testca)
    assert refused.value.name == code, refused.value
    if code == "BUSY":
        assert refused.value.http_status == 503 and refused.value.retry_after_seconds == 30


def test_broken_confirmation_leaves_the_certificate_unconfirmed(devid_testca: TestCa) -> None:
    devid_testca.set(at="pkiconf", broken_protection=True)
    with pytest.raises(devid.ProtocolError) as refused:
        enrol(devid_testca)
    assert refused.value.code is devid.Code.UNCONFIRMED and refused.value.phase == "certConf"


def test_renewal_keeps_the_names(devid_testca: TestCa) -> None:
    first = enrol(devid_testca)
    assert first.differences == ()
    key = devid.Key.generate()
    with devid.Config(devid_testca.cmp_url, cmp_anchors=devid_testca.root, enrolment_anchors=devid_testca.root) as config:
        config.set_secret(devid_testca.reference, devid_testca.secret)
        issued = devid.Client(config).enroll(key, "CN=device").run()
        config.set_credential(key, [issued.certificate, *issued.issuers])
        renewed = devid.Client(config).renew(devid.Key.generate()).run()
    assert renewed.certificate.subject == issued.certificate.subject and renewed.certificate != issued.certificate
    with devid.Config(devid_testca.cmp_url) as config:
        config.set_secret(devid_testca.reference, devid_testca.secret)
        with pytest.raises(devid.UsageError):
            devid.Client(config).renew(key)


def test_secret_by_pbmac1_and_by_old_password_based_mac(devid_testca: TestCa) -> None:
    settings: List[Dict[str, Any]] = [{"pbmac1": True}, {"derivation": "SHA1", "mac": "SHA1", "iterations": 500}]
    for mac in settings:
        with devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root) as config:
            config.set_secret(devid_testca.reference, devid_testca.secret)
            config.set_mac(**mac)
            assert devid.Client(config).enroll(devid.Key.generate(), "CN=device").run().certificate


def test_program_that_is_not_there_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEVID_TESTCA", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sysconfig.get_path", lambda *_: "/nowhere")
    with pytest.raises(FileNotFoundError, match="pip install devid-testca, or set DEVID_TESTCA"):
        TestCa()


def test_program_of_an_environment_that_is_not_activated_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("environment", "path"):
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "devid-testca"
        program.write_text(f"#!/bin/sh\necho of {folder} >&2\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.delenv("DEVID_TESTCA", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path / "environment"))
    assert _program(None) == str(tmp_path / "environment" / "devid-testca")
    (tmp_path / "environment" / "devid-testca").unlink()
    assert _program(None) == str(tmp_path / "path" / "devid-testca")


def test_unknown_knob_is_an_error(devid_testca: TestCa) -> None:
    with pytest.raises(OSError):
        devid_testca.set(brew_coffee=True)
    with pytest.raises(RuntimeError, match="before it was ready"):
        TestCa(brew_coffee=True)
