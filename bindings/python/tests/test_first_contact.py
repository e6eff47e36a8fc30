"""First contact with a CA: what it is like, a root by its fingerprint, requests as operators want them, import by a policy."""

from __future__ import annotations

import hashlib

import pytest

import devid
from devid.testing import TestCa


def config_of(ca: TestCa) -> devid.Config:
    key, chain = ca.idevid()
    config = devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
    config.set_credential(key, chain)
    return config


def test_a_server_is_asked_what_it_is_like_by_questions_alone(devid_testca: TestCa) -> None:
    found = devid.probe(config_of(devid_testca))
    assert found.works and not found.switches and "ok: " in str(found)
    assert set(devid_testca.received()) == {"genm"}


def test_what_would_fail_is_told_and_is_no_exception(devid_testca: TestCa) -> None:
    devid_testca.set(wrong_sender=True)
    found = devid.probe(config_of(devid_testca))
    assert not found.works and "other_sender_name" in found.switches
    marks = {True: "fails: ", False: "warning: "}
    told = [f"{marks[one.fails] if one.fails or one.remedy else 'ok: '}{one.text}" for one in found.findings]
    assert any(one.fails for one in found.findings)
    assert all(line.startswith(start) for line, start in zip(found.report.splitlines(), told)) and told
    nowhere = devid.Config("http://127.0.0.1:9/cmp", enrolment_anchors=devid_testca.root)
    nowhere.set_secret(b"4711", b"secret")
    assert not devid.probe(nowhere).works
    with pytest.raises(devid.UsageError):
        devid.probe(devid.Config(devid_testca.cmp_url))


def test_a_root_that_could_be_an_anchor_is_told_as_the_certificate_to_look_at(devid_testca: TestCa) -> None:
    devid_testca.set(root_in_extra_certs=True)
    assert devid.probe(config_of(devid_testca)).roots == []
    key, chain = devid_testca.idevid()
    config = devid.Config(devid_testca.cmp_url, cmp_anchors=devid.load_certificates(chain)[0], enrolment_anchors=devid_testca.root)
    config.set_credential(key, chain)
    found = devid.probe(config)
    assert not found.works and found.roots == devid.load_certificates(devid_testca.root) and found.pins == []
    config.add_cmp_anchors(found.roots)
    assert devid.probe(config).works


def test_a_root_told_by_its_fingerprint_is_the_anchor_when_it_comes(devid_testca: TestCa) -> None:
    devid_testca.set(root_in_extra_certs=True)
    root = devid.load_certificates(devid_testca.root)[0].der
    key, chain = devid_testca.idevid()
    for told, is_right in ((hashlib.sha256(root).hexdigest(), True), (hashlib.sha256(b"another").hexdigest(), False)):
        config = devid.Config(devid_testca.cmp_url)
        config.add_root_fingerprint(told)
        config.set_credential(key, chain)
        operation = devid.Client(config).enroll(devid.Key.generate(), "CN=device")
        if is_right:
            assert operation.run().issuers[-1].der == root
        else:
            with pytest.raises(devid.ProtocolError):
                operation.run()
    with pytest.raises(devid.UsageError):
        devid.Config().add_root_fingerprint("01:23")


def test_a_request_without_a_name_leaves_the_name_to_the_ca(devid_testca: TestCa) -> None:
    client = devid.Client(config_of(devid_testca))
    issued = client.enroll(devid.Key.generate(), devid.Subject(nameless=True)).run()
    assert issued.certificate.subject and devid_testca.complaints() == []
    with pytest.raises(devid.UsageError):
        client.enroll(devid.Key.generate(), devid.Subject("CN=device", nameless=True))
    with_texts = devid.Subject("CN=device", reg_token="one-time", authenticator="again")
    assert client.enroll(devid.Key.generate(), with_texts).run().certificate.subject == "CN=device"


def test_well_known_urls_are_made_of_server_profile_and_operation() -> None:
    assert devid.well_known_url("http://ca.example") == "http://ca.example/.well-known/cmp"
    url = devid.well_known_url("http://ca.example", profile="iot", operation="keyupdate")
    assert url == "http://ca.example/.well-known/cmp/p/iot/keyupdate"
    with pytest.raises(devid.Error):
        devid.well_known_url("http://ca.example", profile="a/b")


def test_an_import_goes_by_a_policy(devid_testca: TestCa) -> None:
    store, key = devid.Store.in_memory(), devid.Key.generate()
    store.put_request("device", key, devid.Request(key, devid.Subject("CN=device", dns=["a.example"])))
    other = devid.Client(config_of(devid_testca)).enroll(key, devid.Subject("CN=device")).run()
    trust = devid.Trust(devid_testca.root)
    with pytest.raises(devid.ProtocolError):
        store.import_certificate(other.pem, trust, acceptance="any-order")
    with pytest.raises(devid.UsageError):
        store.import_certificate(other.pem, trust, acceptance="some")
    taken = store.import_certificate(other.pem, trust, acceptance="anything-but-the-key")
    assert taken.name == "device"
    assert [(one.field, one.deviation) for one in taken.differences] == [("subjectAltName", devid.Deviation.CHANGED)]
    assert taken.differences[0].details == "dns:a.example is missing"


def test_a_server_that_closes_in_place_of_an_answer_is_told(devid_testca: TestCa) -> None:
    import socket
    import threading

    assert not devid.probe(config_of(devid_testca)).is_closed
    key, chain = devid_testca.idevid()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def close_all() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1)

        thread = threading.Thread(target=close_all, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{port}/cmp"
        config = devid.Config(url, cmp_anchors=devid_testca.root, enrolment_anchors=devid_testca.root)
        config.set_credential(key, chain)
        found = devid.probe(config)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert found.is_closed and not found.works and "closed: " in found.report
