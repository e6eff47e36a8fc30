"""Renewal: an identity is kept up by asking what is due."""

from __future__ import annotations

import http.client
import subprocess
import time
from pathlib import Path
from typing import List, Type

import pytest

import devid
from devid.testing import TestCa
from left_out import left_out

DAY = 86_400


def factory(ca: TestCa, folder: Path) -> devid.Store:
    """Device memory as it leaves the factory, with the operator's anchors."""
    store = devid.Store(folder / "memory")
    key, chain = ca.idevid()
    idevid, *above = devid.load_certificates(chain)
    store.install("idevid", key, idevid, above, purpose="idevid")
    for use in ("cmp", "enrolment"):
        store.put_anchors(use, ca.root)
    return store


def keeper(ca: TestCa, **settings: object) -> devid.Renewal:
    settings.setdefault("device_id", b"SN-7")
    settings.setdefault("subject", devid.Subject("CN=router-7", dns=["router-7.example"]))
    return devid.Renewal(devid.Config(ca.cmp_url), "router", factory="idevid", **settings)  # type: ignore[arg-type]


def test_device_enrols_and_renews_when_it_is_due(devid_testca: TestCa, tmp_path: Path) -> None:
    ca, store = devid_testca, factory(devid_testca, tmp_path)
    ca.set(certificate_seconds=6)
    renewal = keeper(ca, spread_permille=0)
    assert renewal.due(store, int(time.time())).step is devid.Step.ENROLL
    first = renewal.run(store, int(time.time()))
    assert first.done is devid.Done.INSTALLED and first.error is None
    assert first.plan.standing is devid.Standing.VALID and first.plan.alarm is devid.Alarm.QUIET
    assert 0 < first.wait_seconds <= 6

    time.sleep(first.wait_seconds + 0.5)
    # A restart: nothing but device memory is left.
    ca.set(certificate_seconds=0)
    renewal = keeper(ca, subject=None)
    assert renewal.due(store, int(time.time())).step in (devid.Step.UPDATE, devid.Step.ENROLL_AGAIN)
    assert renewal.run(store, int(time.time())).done is devid.Done.INSTALLED
    assert store.current("router").generation == 2
    assert ca.received() == ["ir", "certConf", "kur", "certConf"]
    plan = renewal.due(store, int(time.time()))
    assert plan.step is devid.Step.NOTHING and plan.renewal_at is not None
    assert 100 < (plan.renewal_at - store.current("router").created).days < 260
    assert not ca.complaints()


def test_failure_is_waited_out_and_remembered(devid_testca: TestCa, tmp_path: Path) -> None:
    ca, store = devid_testca, factory(devid_testca, tmp_path)
    ca.set(status=2, fail_info=4, text="not today")
    now = int(time.time())
    report = keeper(ca).run(store, now)
    assert report.done is None and report.error is not None and report.error.code is devid.Code.REJECTED
    assert report.error.server_texts == ("not today",)
    assert 450 <= report.wait_seconds <= 900 and report.plan.attempts == 1
    ca.reset()
    later = keeper(ca)
    assert later.run(store, now + 1).done is devid.Done.NOTHING
    later.reset(store)
    assert later.run(store, now + 1).done is devid.Done.INSTALLED


def test_ca_that_takes_its_time_is_asked_again(devid_testca: TestCa, tmp_path: Path) -> None:
    ca, store = devid_testca, factory(devid_testca, tmp_path)
    ca.set(waiting=1, check_after=2)
    renewal = keeper(ca, longest_nap_seconds=0)
    report = renewal.run(store, int(time.time()))
    assert report.done is devid.Done.WAITING and report.wait_seconds <= 2
    time.sleep(report.wait_seconds + 1)
    assert renewal.due(store, int(time.time())).step is devid.Step.RESUME
    assert renewal.run(store, int(time.time())).done is devid.Done.INSTALLED
    assert ca.received() == ["ir", "pollReq", "pollReq", "certConf"]


def test_device_without_a_clock_learns_the_time_from_the_ca(devid_testca: TestCa, tmp_path: Path) -> None:
    ca, store = devid_testca, factory(devid_testca, tmp_path)
    assert devid.last_known_time(store) is None
    renewal = keeper(ca)
    report = renewal.run(store, None)
    assert report.done is devid.Done.INSTALLED, report
    known = devid.last_known_time(store)
    assert known is not None and abs(known.timestamp() - time.time()) < 60
    plan = renewal.due(store, None)
    assert plan.step is devid.Step.LEARN_TIME and plan.clock is devid.Clock.UNKNOWN and plan.at_least == known
    assert plan.standing is devid.Standing.UNKNOWN
    behind = renewal.due(store, 1000)
    assert behind.clock is devid.Clock.BEHIND and behind.at_least == known
    report = renewal.run(store, None)
    assert report.done is devid.Done.TIME_LEARNT and report.wait_seconds > DAY
    assert devid.note_time(store, 0) == devid.last_known_time(store), "it never goes back"
    devid.forget_time(store)
    assert devid.last_known_time(store) is None, "but for people who say so"

    config = devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
    config.set_secret(ca.reference, ca.secret)
    client = devid.without_clock(devid.Client(config))
    operation = client.enroll(devid.Key.generate(), "CN=other")
    learnt = devid.run_without_clock(operation, store)
    assert learnt is not None and operation.issued is not None
    ca.set(broken_protection=True)
    with pytest.raises(devid.ProtocolError):
        devid.run_without_clock(client.enroll(devid.Key.generate(), "CN=other"), store)


def test_waits_are_measured_by_the_uptime_that_the_program_tells(devid_testca: TestCa, tmp_path: Path) -> None:
    ca, store = devid_testca, factory(devid_testca, tmp_path)
    ca.set(waiting=1, check_after=600)
    uptime = [7, 20]
    renewal = keeper(ca, uptime=lambda: tuple(uptime), longest_nap_seconds=0)
    report = renewal.run(store, None)
    assert report.done is devid.Done.WAITING and report.wait_seconds == 600
    uptime[1] += 100
    assert renewal.run(store, None).done is devid.Done.NOTHING
    plan = renewal.due(store, None)
    assert (plan.step, plan.ask_again_seconds) == (devid.Step.NOTHING, 500), plan
    # Another start of the device: nobody can tell how long it was off.
    uptime[:] = -8, 5
    assert renewal.due(store, None).step is not devid.Step.NOTHING
    # The dark twin: without a measure whoever comes back has waited; and what it tells is looked at.
    assert keeper(ca).due(store, None).step is not devid.Step.NOTHING
    assert keeper(ca, uptime="system").due(store, None).step is not devid.Step.NOTHING
    with pytest.raises(TypeError, match="uptime"):
        keeper(ca, uptime=5)
    # One that fails is one witness less, and hides nothing.
    assert keeper(ca, uptime=lambda: 1 // 0).due(store, None).step is not devid.Step.NOTHING


def test_messages_can_be_carried_by_the_program(devid_testca: TestCa, tmp_path: Path) -> None:
    store = factory(devid_testca, tmp_path)

    def no_line(_request: bytes) -> bytes:
        raise ConnectionError("no line")

    renewal = keeper(devid_testca, exchange=no_line)
    report = renewal.run(store, int(time.time()))
    assert report.error is not None and report.error.code is devid.Code.TRANSPORT
    assert isinstance(report.error.__cause__, ConnectionError) and "no line" in str(report.error)
    assert renewal.due(store, int(time.time())).attempts == 1

    def of_no_use(_request: bytes) -> bytes:
        raise KeyError("a mistake in the program")

    renewal = keeper(devid_testca, exchange=of_no_use)
    renewal.reset(store)
    with pytest.raises(KeyError):
        renewal.run(store, int(time.time()))


def test_own_transport_that_is_told_to_come_back_later_counts(devid_testca: TestCa, tmp_path: Path) -> None:
    """As the built-in client would: the wait of the server is in the plan."""
    store, now = factory(devid_testca, tmp_path), int(time.time())
    for exchange in (busy_by_status, busy_by_error):
        renewal = keeper(devid_testca, exchange=exchange)
        renewal.reset(store)
        report = renewal.run(store, now)
        error = report.error
        assert error is not None and error.code is devid.Code.BUSY and error.retry_after_seconds == 7000, error
        assert report.wait_seconds >= 7000 and report.plan.why is devid.Why.RETRYING
        assert report.plan.next_at is not None and report.plan.next_at.timestamp() >= now + 7000


def test_a_server_that_is_not_there_is_no_ca_that_asks_to_wait(devid_testca: TestCa, tmp_path: Path) -> None:
    """Also where messages are sent again: the waits in between are nobody's wish."""
    store, now = factory(devid_testca, tmp_path), int(time.time())
    for nap in (0, 1):
        settings = devid.Config("http://127.0.0.1:9/", max_retries=3)
        renewal = devid.Renewal(settings, "router", factory="idevid", subject="CN=a", longest_nap_seconds=nap)
        renewal.reset(store)
        report = renewal.run(store, now)
        assert report.error is not None and report.error.code is devid.Code.CONNECT, report
        assert report.plan.attempts == 1 and report.plan.why is devid.Why.RETRYING


def test_cut_and_odd_answers_of_an_own_transport_are_outages(devid_testca: TestCa, tmp_path: Path) -> None:
    def cut(_request: bytes) -> bytes:
        raise http.client.IncompleteRead(b"half")

    def odd(status: int) -> devid.Exchange:
        return lambda _request: devid.Reply(b"", status)

    store, now = factory(devid_testca, tmp_path), int(time.time())
    for exchange in (cut, odd(0), odd(99), odd(100), odd(700)):
        renewal = keeper(devid_testca, exchange=exchange)
        renewal.reset(store)
        report = renewal.run(store, now)
        assert report.error is not None and report.error.code is devid.Code.TRANSPORT, report
    renewal = keeper(devid_testca, exchange=lambda _request: devid.Reply(b"", 503, retry_after_seconds=10**12))
    renewal.reset(store)
    report = renewal.run(store, now)
    assert report.error is not None and report.error.code is devid.Code.BUSY and 57_600 <= report.wait_seconds <= 86_400


def test_a_program_looks_at_each_certificate_before_it_comes_into_use(devid_testca: TestCa, tmp_path: Path) -> None:
    ca, store, now = devid_testca, factory(devid_testca, tmp_path), int(time.time())
    ca.set(waiting=1, check_after=1)
    seen: List[object] = []

    def refuse(issued: devid.Issued) -> bool:
        seen.append(issued.certificate.subject)
        return False

    report = keeper(ca, decide=refuse, wait=lambda seconds: seen.append(int(seconds))).run(store, now)
    assert report.error is not None and report.error.code is devid.Code.REFUSED and seen == [1, "CN=router-7"]
    renewal = keeper(ca, decide=lambda issued: True)
    renewal.reset(store)
    assert renewal.run(store, now).done is devid.Done.INSTALLED


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
def test_what_a_decision_raises_counts_as_no_failure_of_the_ca(
    devid_testca: TestCa, tmp_path: Path, raised: Type[BaseException]
) -> None:
    """What its user ends goes on at once; a program that fails waits half a minute, and nothing is asked for twice."""
    ca, store, now = devid_testca, factory(devid_testca, tmp_path), int(time.time())
    failing = [raised]

    def decide(_issued: devid.Issued) -> bool:
        if failing:
            raise failing.pop()
        return True

    renewal = keeper(ca, decide=decide)
    with pytest.raises(raised):
        renewal.run(store, now)
    plan = renewal.due(store, now)
    assert plan.attempts == 0, plan
    at_once = not issubclass(raised, Exception)
    assert (plan.step is not devid.Step.NOTHING) == at_once, plan
    report = renewal.run(store, now if at_once else now + 60)
    assert report.done is devid.Done.INSTALLED, report
    assert ca.received().count("ir") == 1


def test_a_new_identity_comes_beside_the_old_one(devid_testca: TestCa, tmp_path: Path) -> None:
    """Where a consumer needs both for a while: under a name of its own, vouched for by the one in use."""
    ca, store, now = devid_testca, factory(devid_testca, tmp_path), int(time.time())
    assert keeper(ca).run(store, now).done is devid.Done.INSTALLED
    old = store.current("router")
    settings = devid.Config(ca.cmp_url)
    beside = devid.Renewal(settings, "router-next", factory="router", subject=devid.Subject("CN=router-7"))
    ca.set(status=2)
    assert beside.run(store, now).error is not None
    assert store.current("router").certificate.der == old.certificate.der, "a refusal takes nothing away"
    ca.set(status=0)
    beside.reset(store)
    assert beside.run(store, now).done is devid.Done.INSTALLED
    new = store.current("router-next")
    assert store.current("router").certificate.der == old.certificate.der
    assert (new.certificate.subject, new.certificate.der != old.certificate.der) == ("CN=router-7", True)
    store.remove("router")
    assert store.current("router-next").certificate.der == new.certificate.der


def test_a_renewal_travels_as_files(devid_testca: TestCa, tmp_path: Path) -> None:
    store, now, stick = factory(devid_testca, tmp_path), int(time.time()), tmp_path / "stick"
    stick.mkdir()
    renewal = keeper(devid_testca)
    renewal.set_files(stick)
    report = renewal.run(store, now)
    assert report.error is not None and report.error.code is devid.Code.BUSY, report
    assert [file.name for file in stick.iterdir()] == ["device-1-request.pki"]


def test_why_an_operation_was_given_up_is_told(devid_testca: TestCa, tmp_path: Path) -> None:
    store, now = factory(devid_testca, tmp_path), int(time.time())
    devid_testca.set(waiting=1, check_after=60)
    renewal = keeper(devid_testca)
    assert renewal.run(store, now).done is devid.Done.WAITING
    store.put_operation("router", b"no operation")
    for later in range(1, 5):
        report = renewal.run(store, now + later * 3600)
        if report.done is devid.Done.ABANDONED:
            assert report.abandoned_for
            return
    pytest.fail("a damaged operation is never given up")


def busy_by_status(_request: bytes) -> devid.Reply:
    return devid.Reply(b"<html>later</html>", 503, "text/html", retry_after_seconds=7000)


def busy_by_error(_request: bytes) -> bytes:
    raise devid.TransportError("the modem says later", devid.Code.BUSY, retry_after_seconds=7000)


def test_rules_that_make_no_sense_are_refused(devid_testca: TestCa, tmp_path: Path) -> None:
    for settings in ({"share_permille": 0}, {"spread_permille": 900}, {"first_retry_seconds": 0}):
        with pytest.raises(devid.UsageError):
            keeper(devid_testca, **settings)
    with pytest.raises(TypeError):
        keeper(devid_testca, exchange=3)


def test_units_for_systemd_are_well_formed(checkout: Path) -> None:
    units = sorted((checkout / "examples" / "systemd").glob("devid-renew.*"))
    assert [unit.suffix for unit in units] == [".service", ".timer"]
    for unit in units:
        section = ""
        for line in unit.read_text().splitlines():
            if line.startswith("["):
                section = line
            elif line and not line.startswith("#"):
                assert section and "=" in line, f"{unit}: {line}"
    try:
        subprocess.run(["systemd-analyze", "--version"], check=True, capture_output=True)
    except FileNotFoundError:
        left_out("systemd-analyze is not installed")
