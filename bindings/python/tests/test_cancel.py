"""A run that another thread ends; signers of answers that are revoked; further header fields."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Callable, List

import pytest

import devid
from devid.testing import TestCa


def config(ca: TestCa) -> devid.Config:
    settings = devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
    settings.set_credential(*ca.idevid())
    return settings


def ended_from_another_thread(ca: TestCa, **run: Any) -> devid.Operation:
    operation = devid.Client(config(ca)).enroll(devid.Key.generate(), "CN=device")
    with devid.Cancel() as cancel:
        assert not cancel.is_triggered
        timer = threading.Timer(0.3, cancel.trigger)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(devid.TransportError) as ended:
            operation.run(cancel=cancel, **run)
        timer.join()
        assert ended.value.code is devid.Code.CANCELLED and time.monotonic() - begun < 10
        with pytest.raises(devid.TransportError):
            operation.run(cancel=cancel, **run)
    return operation


def test_exchange_that_hangs_is_ended_and_the_operation_stands_where_it_was(devid_testca: TestCa) -> None:
    devid_testca.set(delay_ms=30_000)
    operation = ended_from_another_thread(devid_testca)
    assert operation.output_name == "ir" and operation.save()


def test_wait_is_ended_and_the_operation_goes_on_later(devid_testca: TestCa) -> None:
    devid_testca.set(waiting=1, check_after=2)
    operation = ended_from_another_thread(devid_testca)
    assert operation.run().certificate.subject == "CN=device"
    assert devid_testca.received() == ["ir", "pollReq", "pollReq", "certConf"]


def test_answers_of_a_revoked_signer_are_not_believed() -> None:
    with TestCa() as ca:
        answers_of_a_revoked_signer(ca)


def answers_of_a_revoked_signer(devid_testca: TestCa) -> None:
    def enrol(settings: devid.Config) -> devid.Issued:
        return devid.Client(settings).enroll(devid.Key.generate(), "CN=device").run()

    settings = config(devid_testca)
    settings.set_signer_revocation(devid.Revocation.HARD, scope=devid.Scope.LEAF)
    with pytest.raises(devid.ProtocolError) as unknown:
        enrol(settings)
    assert unknown.value.code is devid.Code.PROTECTION_INVALID
    settings.add_signer_crls(devid_testca.crl())
    assert enrol(settings).certificate

    devid_testca.revoke(devid.Certificate.parse(devid_testca.read("cmp-signer.pem")).serial, 1)
    settings = config(devid_testca)
    settings.set_signer_revocation(devid.Revocation.SOFT, scope=devid.Scope.LEAF)
    settings.add_signer_crls(devid_testca.crl())
    with pytest.raises(devid.ProtocolError, match="revoked") as revoked:
        enrol(settings)
    assert revoked.value.code is devid.Code.PROTECTION_INVALID


def test_signers_are_held_to_what_device_memory_has_seen(devid_testca: TestCa, tmp_path: Path) -> None:
    peer = devid.Certificate.parse(devid_testca.read("peer-good.pem"))
    store, issuing = devid.Store(tmp_path / "store"), devid.load_certificates(devid_testca.read("issuing.pem"))
    store.put_crl(devid_testca.crl(), peer, devid.Trust(devid_testca.root), intermediates=issuing)
    settings = config(devid_testca)
    settings.set_signer_revocation(devid.Revocation.HARD, scope=devid.Scope.LEAF)
    settings.set_signer_status_age(max_age_seconds=86_400, skew_seconds=60)
    settings.use_signer_store(store)
    assert devid.Client(settings).enroll(devid.Key.generate(), "CN=device").run().certificate


def test_settings_out_of_range_are_refused() -> None:
    settings = devid.Config()
    refusals: List[Callable[[], None]] = [
        lambda: settings.set_signer_revocation(9),  # type: ignore[arg-type]
        lambda: settings.set_signer_status_age(max_age_seconds=-2),
        lambda: settings.add_general_info("colour"),
        lambda: settings.add_general_info("1.3.6.1.5.5.7.4.13", b"\x05\x00"),
    ]
    for refused in refusals:
        with pytest.raises(devid.UsageError):
            refused()
    for broken in (settings.add_signer_crls, settings.add_signer_ocsp):
        with pytest.raises(devid.InputError):
            broken(b"\x30\x80no")
    with pytest.raises(devid.InputError):
        settings.add_general_info("1.2.3", b"\x30\x80no")


def test_further_header_fields_go_out_with_requests(devid_testca: TestCa) -> None:
    sent = []

    class Seen(Exception):
        pass

    def look(request: bytes) -> bytes:
        sent.append(request)
        raise Seen

    settings = config(devid_testca)
    settings.add_general_info("1.3.6.1.4.1.32473.5", b"\x0c\x04blue")
    settings.set_message_time(False)
    with pytest.raises(Seen):
        devid.Client(settings).enroll(devid.Key.generate(), "CN=device").run(exchange=look)
    assert b"\x0c\x04blue" in sent[0]
    assert devid.Client(settings).enroll(devid.Key.generate(), "CN=device").run().certificate
