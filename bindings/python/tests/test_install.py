"""Enrolment straight into device memory: what is interrupted goes on, what is refused leaves no trace."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Iterator, List, Union

import pytest

import devid
from devid import State
from devid.testing import TestCa


class PowerCut(Exception):
    """The device is switched off."""


@pytest.fixture
def store(tmp_path: Path) -> devid.Store:
    return devid.Store(tmp_path / "store")


def client(ca: TestCa) -> devid.Client:
    with devid.Config(ca.cmp_url, enrolment_anchors=ca.root, cmp_anchors=ca.root) as config:
        config.set_secret(ca.reference, ca.secret)
        return devid.Client(config)


def renewing(ca: TestCa, store: devid.Store) -> devid.Client:
    identity = store.current("device")
    with devid.Config(ca.cmp_url, enrolment_anchors=ca.root, cmp_anchors=ca.root) as config:
        config.set_credential(identity.key, identity.chain)
        return devid.Client(config)


def cut(_: int) -> None:
    raise PowerCut


def dead_line_after(count: int, ca: TestCa) -> "devid.Exchange":
    """An exchange that carries so many messages."""
    import urllib.request

    left: Iterator[int] = iter(range(count))

    def exchange(request: bytes) -> bytes:
        if next(left, None) is None:
            raise PowerCut
        asked = urllib.request.Request(ca.cmp_url, request, {"Content-Type": "application/pkixcmp"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=20) as answer:
            content: bytes = answer.read()
            return content

    return exchange


def test_enrolment_ends_in_device_memory_and_renewal_after_it(devid_testca: TestCa, store: devid.Store) -> None:
    assert store.state("device") == State(0)
    issued = client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device").run()
    assert store.state("device") == State.CURRENT
    assert store.current("device").certificate == issued.certificate
    renewed = renewing(devid_testca, store).renew(devid.Key.generate()).install_into(store, "device").run()
    assert store.state("device") == State.CURRENT | State.PREVIOUS
    identity = store.current("device")
    assert identity.certificate == renewed.certificate and identity.generation == 2 and identity.purpose == "ldevid"
    assert store.previous("device").certificate == issued.certificate
    assert store.verify() == []


def test_enrolment_goes_on_after_a_reboot_while_the_ca_thinks(devid_testca: TestCa, store: devid.Store) -> None:
    devid_testca.set(waiting=1, check_after=1)
    with pytest.raises(PowerCut):
        client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device").run(wait=cut)
    assert store.state("device") == State.OPERATION | State.PENDING_KEY
    with pytest.raises(devid.UsageError) as unfinished:
        client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device")
    assert unfinished.value.code is devid.Code.STATE

    resumed = client(devid_testca).resume(store, "device")
    assert resumed is not None and resumed.run().certificate == store.current("device").certificate
    assert store.state("device") == State.CURRENT
    assert devid_testca.received() == ["ir", "pollReq", "pollReq", "certConf"]


def test_issued_and_unconfirmed_is_a_state_to_see_and_to_resolve(devid_testca: TestCa, store: devid.Store) -> None:
    operation = client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device")
    with pytest.raises(PowerCut):
        operation.run(exchange=dead_line_after(1, devid_testca))
    assert store.state("device") == State.UNCONFIRMED | State.OPERATION | State.PENDING_KEY
    with pytest.raises(devid.StoreError):
        store.current("device")
    resumed = client(devid_testca).resume(store, "device")
    assert resumed is not None
    certificate = resumed.run().certificate
    assert store.current("device").certificate == certificate and store.state("device") == State.CURRENT
    assert devid_testca.received() == ["ir", "certConf"]
    with pytest.raises(devid.StoreError) as nothing:
        client(devid_testca).resume(store, "device")
    assert nothing.value.code is devid.Code.NOT_FOUND


def test_stepped_operation_keeps_device_memory_ahead(devid_testca: TestCa, store: devid.Store) -> None:
    operation = client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device")
    states: List[State] = []
    while (action := operation.step(int(time.time()))) is not devid.Action.DONE:
        states.append(store.state("device"))
        if action is devid.Action.SEND:
            operation.exchange()
        else:
            operation.accept()
    waiting = State.OPERATION | State.PENDING_KEY
    assert states == [waiting, waiting, waiting | State.UNCONFIRMED]
    assert store.state("device") == State.CURRENT
    assert operation.step(int(time.time())) is devid.Action.DONE


def test_refused_enrolment_leaves_no_trace(devid_testca: TestCa, store: devid.Store) -> None:
    devid_testca.set(status=2, fail_info=512)
    for run in range(2):
        with pytest.raises(devid.ProtocolError):
            client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device").run()
        assert store.state("device") == State(0)
    devid_testca.reset()
    with pytest.raises(devid.ProtocolError):
        operation = client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device")
        operation.run(decide=lambda _: False)
    assert store.state("device") == State(0) and store.verify() == []


def test_failed_operation_does_not_disturb_the_next_one_under_its_name(devid_testca: TestCa, store: devid.Store) -> None:
    devid_testca.set(status=2, requests=1)
    failed = client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device")
    with pytest.raises(devid.ProtocolError):
        failed.run()
    devid_testca.set(waiting=1)
    with pytest.raises(PowerCut):
        client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device").run(wait=cut)
    with pytest.raises(devid.ProtocolError):
        failed.step(int(time.time()))
    with pytest.raises(devid.ProtocolError):
        failed.run()
    assert store.state("device") == State.OPERATION | State.PENDING_KEY


def test_unfinished_enrolment_is_given_up(devid_testca: TestCa, store: devid.Store) -> None:
    operation = client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device")
    with pytest.raises(PowerCut):
        operation.run(exchange=dead_line_after(1, devid_testca))
    store.abandon("device")
    assert store.state("device") == State(0)
    store.abandon("device")


def test_binding_comes_before_the_first_step_and_once(devid_testca: TestCa, store: devid.Store) -> None:
    operation = client(devid_testca).enroll(devid.Key.generate(), "CN=device")
    operation.step(int(time.time()))
    with pytest.raises(devid.UsageError):
        operation.install_into(store, "device")
    operation = client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device")
    with pytest.raises(devid.UsageError):
        operation.install_into(store, "other")
    assert store.state("other") == State(0)


def test_key_elsewhere_is_named_and_stands_in_after_a_reboot(devid_testca: TestCa, store: devid.Store) -> None:
    token = devid.Key.generate()
    external = devid.Key.external(token.public_key, lambda algorithm, message: token.sign(message, algorithm))
    with pytest.raises(devid.UsageError):
        client(devid_testca).enroll(external, "CN=device").install_into(store, "device")
    devid_testca.set(waiting=1, check_after=1)
    operation = client(devid_testca).enroll(external, "CN=device")
    with pytest.raises(PowerCut):
        operation.install_into(store, "device", reference="pkcs11:object=1").run(wait=cut)
    with pytest.raises(devid.CryptoError):
        client(devid_testca).resume(store, "device", key=devid.Key.generate())
    resumed = client(devid_testca).resume(store, "device", key=external)
    assert resumed is not None and resumed.run()
    assert store.current("device").key_reference == "pkcs11:object=1"


def test_request_that_is_out_is_brought_to_the_ca_by_p10cr(devid_testca: TestCa, store: devid.Store) -> None:
    key = devid.Key.generate()
    with devid.Request(key, devid.Subject("CN=device")) as request:
        store.put_request("device", key, request)
        csr = request.export()
    assert store.state("device") == State.PENDING_KEY | State.REQUEST
    with devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root, cmp_anchors=devid_testca.root) as config:
        config.set_credential(*devid_testca.idevid())
        carrier = devid.Client(config)
    operation = carrier.enroll_pkcs10(csr).install_into(store, "device")
    with pytest.raises(PowerCut):
        operation.run(exchange=dead_line_after(1, devid_testca))
    resumed = carrier.resume(store, "device")
    assert resumed is not None and resumed.run().certificate == store.current("device").certificate
    assert store.state("device") == State.CURRENT and store.current("device").key.public_key == key.public_key


def test_a_revocation_is_asked_for_once_and_known_once_it_is_done(devid_testca: TestCa, store: devid.Store) -> None:
    client(devid_testca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device").run()
    own = store.current("device").certificate

    def revoking(reason: devid.Reason = devid.Reason.CESSATION_OF_OPERATION) -> devid.support.Revoking:
        return renewing(devid_testca, store).revoke(own, reason).install_into(store, "device")

    def standing() -> "tuple[devid.Standing, Union[devid.Why, int]]":
        with devid.Config(devid_testca.cmp_url) as config:
            plan = devid.Renewal(config, "device").due(store, int(time.time()))
            return plan.standing, plan.why

    devid_testca.set(other_waiting=1, check_after=1)
    with pytest.raises(PowerCut):
        revoking().run(wait=cut)
    saved = devid.unfinished_revocation(store, "device")
    assert saved is not None and saved.request == "rr" and devid.unfinished(store, "device") is None
    assert standing()[0] is devid.Standing.VALID
    with pytest.raises(devid.UsageError) as other:
        revoking(devid.Reason.SUPERSEDED)
    assert other.value.code is devid.Code.STATE
    assert revoking().run().pki_status is devid.PkiStatus.ACCEPTED
    assert devid.unfinished_revocation(store, "device") is None
    assert standing() == (devid.Standing.REVOKED, devid.Why.REVOKED)
