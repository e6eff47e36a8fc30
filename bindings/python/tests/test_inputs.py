"""What is kept in files comes as bytes, PEM text, a path or the object itself; secrets as bytes or text."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Callable, List

import pytest

import devid
from devid.testing import TestCa


def forms(ca: TestCa, folder: Path) -> List[Any]:
    """The operator's root in every form."""
    file = folder / "root.pem"
    file.write_bytes(ca.root)
    certificate = devid.Certificate.parse(ca.root)
    return [ca.root, bytearray(ca.root), ca.root.decode(), file, certificate, [certificate], certificate.der]


def test_anchors_are_taken_in_every_form(devid_testca: TestCa, tmp_path: Path) -> None:
    expected = devid.Certificate.parse(devid_testca.root)
    for form in forms(devid_testca, tmp_path):
        trust = devid.Trust(form)
        assert trust.certificates() == [expected] and len(trust) == 1
        assert devid.load_certificates(form if not isinstance(form, (list, devid.Certificate)) else expected.der) == [expected]
        config = devid.Config(devid_testca.cmp_url, cmp_anchors=form, enrolment_anchors=form, intermediates=form)
        config.set_secret(devid_testca.reference.decode(), devid_testca.secret.decode())
        assert devid.Client(config).enroll(devid.Key.generate(), "CN=device").run().certificate
        store = devid.Store.in_memory()
        store.put_anchors("peer", form)
        kept = devid.Trust()
        kept.add_store(store, "peer")
        assert kept.certificates() == [expected]


def test_whom_a_file_rejects_becomes_an_anchor_by_no_door(devid_testca: TestCa, tmp_path: Path) -> None:
    """OpenSSL's settings behind a TRUSTED CERTIFICATE: bundles of operating systems have roots that they distrust."""
    lines = "".join(devid_testca.root.decode().split("-----")[2].split())
    # -addreject serverAuth
    settings = bytes.fromhex("300ca00a06082b06010505070301")
    armoured = base64.encodebytes(base64.b64decode(lines) + settings).decode()
    rejected = f"-----BEGIN TRUSTED CERTIFICATE-----\n{armoured}-----END TRUSTED CERTIFICATE-----\n"
    file = tmp_path / "rejected.pem"
    file.write_text(rejected)
    expected = devid.Certificate.parse(devid_testca.root)
    assert devid.load_certificates(rejected) == [expected], "it is a certificate all the same"
    config, store = devid.Config(devid_testca.cmp_url), devid.Store.in_memory()
    key = devid.Key.generate()
    config.set_secret(devid_testca.reference, devid_testca.secret)
    config.add_enrolment_anchors(devid_testca.root)
    issued = devid.Client(config).enroll(key, "CN=device").run()
    store.install("device", key, issued.certificate, issued.issuers)
    doors: List[Callable[[Any], Any]] = [
        devid.Trust,
        config.add_anchors,
        config.add_cmp_anchors,
        config.add_enrolment_anchors,
        config.add_tls_anchors,
        config.pin_signers,
        lambda form: store.put_anchors("peer", form),
        lambda form: store.export("device", "pem", tmp_path / "export", anchors=form),
    ]
    for door in doors:
        for form in (rejected, rejected.encode(), file, [file], [rejected.encode()]):
            with pytest.raises(devid.Error, match="not to be trusted for serverAuth"):
                door(form)
    assert store.anchors("peer") == []


def test_keys_requests_and_lists_come_from_files(devid_testca: TestCa, tmp_path: Path) -> None:
    key = devid.Key.generate()
    (tmp_path / "device.key").write_bytes(key.export_encrypted("sesame"))
    assert devid.Key.load(tmp_path / "device.key", "sesame").public_key == key.public_key
    request = devid.Request(key, devid.Subject("CN=device"))
    (tmp_path / "device.csr").write_bytes(request.export())
    config = devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root)
    config.set_secret(devid_testca.reference, devid_testca.secret)
    client = devid.Client(config)
    for form in (request, tmp_path / "device.csr", request.export().decode()):
        assert client.enroll_pkcs10(form).run().certificate.subject == "CN=device"
    (tmp_path / "list.crl").write_bytes(devid_testca.crl())
    validator = devid.Validator(devid.Trust(devid_testca.root), purposes=None, any_name=True, crls=tmp_path / "list.crl")
    validator.set_budget(signatures=10, steps=1000)
    assert "CertificateList" in devid.inspect(tmp_path / "list.crl")


def test_what_could_be_meant_otherwise_is_refused(tmp_path: Path) -> None:
    for wrong in ("/etc/ssl/root.pem", ""):
        with pytest.raises(devid.UsageError, match="pathlib.Path"):
            devid.Trust(wrong)
    for number in (3, None, 1.5):
        with pytest.raises(TypeError):
            devid.load_certificates(number)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        devid.Trust(tmp_path / "nothing")
    with pytest.raises(TypeError):
        devid.Config().set_secret(b"reference", 4711)  # type: ignore[arg-type]
    with pytest.raises(devid.UsageError):
        devid.Validator(devid.Trust(), purposes=None, any_name=True).set_budget(patience=3)


def test_settings_are_named_by_members_or_by_their_words() -> None:
    config = devid.Config(
        profile=devid.Profile.EJBCA,
        limits={devid.Limit.MAX_POLLS: 3, "max_certificates": 10},
        tolerances={devid.Tolerance.NULL_SENDER: False, "null_sender": True},
    )
    with pytest.raises(devid.UsageError):
        config.set_limit("max_patience", 3)


def test_certificates_come_in_a_list_of_whatever_each_of_them_is(devid_testca: TestCa) -> None:
    root, other = devid_testca.folder / "root.pem", devid_testca.folder / "supplier-root.pem"
    forms: "tuple[Any, ...]" = ([root, other], [root.read_text(), other.read_bytes()], (root, devid.Certificate.parse(other)))
    for anchors in forms:
        assert len(devid.Trust(anchors)) == 2
        devid.Config(cmp_anchors=anchors, enrolment_anchors=anchors, tls_anchors=anchors, intermediates=anchors)
    with pytest.raises(devid.UsageError, match="pathlib.Path"):
        devid.Config(cmp_anchors=[str(root)])
    with pytest.raises(TypeError, match="bytes, PEM text or a pathlib.Path"):
        devid.Config(cmp_anchors=[7])  # type: ignore[list-item]


def test_objects_show_what_they_are_and_no_secret(devid_testca: TestCa, tmp_path: Path) -> None:
    config = devid.Config("http://ca.example/cmp?token=hunter2", enrolment_anchors=devid_testca.root)
    config.set_secret("4711", "hunter2")
    client = devid.Client(config)
    things: List[Any] = [
        config,
        client,
        devid.Trust(devid_testca.root),
        devid.Cancel(),
        devid.Fetcher(),
        devid.Renewal(config, "router"),
        client.enroll(devid.Key.generate(), "CN=a"),
        devid.Store(tmp_path / "store"),
    ]
    for thing in things:
        assert type(thing).__name__ in repr(thing) and "object at" not in repr(thing) and "hunter2" not in repr(thing)
        thing.close()
        assert "closed" in repr(thing)
    assert devid.__version__ == devid.version()


def test_what_an_operation_knows_is_told(devid_testca: TestCa) -> None:
    config = devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root)
    config.set_secret(devid_testca.reference, devid_testca.secret)
    operation = devid.Client(config).enroll(devid.Key.generate(), "CN=device")
    assert operation.transaction_id is None and not operation.has_failed
    issued = operation.run()
    assert operation.transaction_id is not None and len(operation.transaction_id) == 16
    assert not issued.is_implicitly_confirmed
    assert issued.certificate.urls(devid.UrlKind.OCSP) == issued.certificate.urls(devid.UrlKind.OCSP)


def test_a_program_that_steps_tells_the_planner(devid_testca: TestCa, tmp_path: Path) -> None:
    store, now = devid.Store(tmp_path / "memory"), 1_900_000_000
    config = devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root, cmp_anchors=devid_testca.root)
    renewal = devid.Renewal(config, "router", subject="CN=a")
    assert renewal.due(store, now).step is devid.Step.ENROLL
    renewal.begun(store, now)
    busy = devid.TransportError("the modem", devid.Code.BUSY, retry_after_seconds=5000)
    assert renewal.ended(store, now, busy) >= 5000
    assert renewal.due(store, now).why is devid.Why.RETRYING
    later = now + 200_000
    assert renewal.due(store, later).step is devid.Step.ENROLL
    renewal.begun(store, later)
    assert renewal.waiting(store, later, 7000) >= 7000
    try:
        devid.Key.generate("P-1")
    except devid.Error as error:
        refused = error
    assert renewal.ended(store, later, refused) > 0
    assert store.operations() == [] and store.pending_keys() == [] and store.pending_request("router") is None
