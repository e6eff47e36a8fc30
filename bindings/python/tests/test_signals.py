"""Signals end what blocks, at once, and nothing is lost by it."""

from __future__ import annotations

import dis
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

import devid
from devid import _blocking
from devid._call import relayed
from devid.testing import TestCa


class Hurry(Exception):
    """What the handler raises."""


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """A signal after so many seconds, whose handler raises."""

    def told(_number: int, _frame: Optional[FrameType]) -> None:
        raise Hurry

    before = signal.signal(signal.SIGALRM, told)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def silence() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def config(ca: TestCa, server: Optional[str] = None) -> devid.Config:
    settings = devid.Config(server or ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
    settings.set_credential(*ca.idevid())
    return settings


def ended_early(call: Callable[[], Any]) -> None:
    begun = time.monotonic()
    with pytest.raises(Hurry):
        call()
    assert time.monotonic() - begun < 10, "the server is silent for a minute"


def asking(ca: TestCa, silence: str, store: devid.Store) -> Tuple[devid.Operation, List[Callable[[], Any]]]:
    """An operation at a server that says nothing, and calls that wait for it: its own, and those of others."""
    operation = devid.Client(config(ca, silence)).enroll(devid.Key.generate(), "CN=device")
    renewal = devid.Renewal(config(ca, silence), "device", subject="CN=device")
    fetcher = devid.Fetcher()
    return operation, [
        operation.run,
        operation.exchange,
        lambda: renewal.run(store, int(time.time())),
        lambda: fetcher.look_up(silence, name="router"),
        lambda: devid.fetch(silence),
    ]


def test_a_signal_ends_every_call_that_blocks(
    devid_testca: TestCa, silence: str, alarm: Callable[[float], None], tmp_path: Path
) -> None:
    ca = devid_testca
    store = devid.Store(tmp_path / "memory")
    operation, calls = asking(ca, silence, store)
    used = devid.Cancel()
    (tmp_path / "root.pem").write_bytes(ca.root)
    (tmp_path / "secret").write_bytes(ca.secret)
    (tmp_path / "secret").chmod(0o600)
    device = devid.Device(
        memory=tmp_path / "device",
        server=silence,
        trust=tmp_path / "root.pem",
        subject="CN=device",
        reference=ca.reference.decode(),
        secret=f"file:{tmp_path / 'secret'}",
    )
    calls += [lambda: operation.run(cancel=used), device.keep]
    for call in calls:
        alarm(0.3)
        ended_early(call)
    assert not used.is_triggered, "the signal was no wish of the switch's owner"
    assert operation.output_name == "ir" and operation.save(), "it stands where it was"
    saved = devid.unfinished(store, "device")
    assert saved is not None and saved.request == "ir" and saved.state is devid.SavedState.SENDING
    assert device.store().operations() == ["device"]


def test_signals_are_served_while_another_process_holds_the_lock(devid_testca: TestCa, tmp_path: Path) -> None:
    """Here the handler ends the other process: a call that put the signal off would have waited in vain by then."""
    ca = devid_testca
    store = devid.Store(tmp_path / "memory")
    renewal = devid.Renewal(config(ca), "other", subject="CN=other")
    key, now = devid.Key.generate(), int(time.time())
    issued = devid.Client(config(ca)).enroll(key, "CN=device").run()
    store.install("device", key, issued.certificate, issued.issuers)
    assert renewal.due(store, now).step is devid.Step.ENROLL
    calls: Dict[str, Callable[[], Any]] = {
        "put_blob": lambda: store.put_blob("words", b"1"),
        "verify": lambda: store.verify(mend=True),
        "note_time": lambda: devid.note_time(store, now).timestamp() - now,
        "begun": lambda: renewal.begun(store, now),
        "waiting": lambda: renewal.waiting(store, now, 5) - 5,
        "ended": lambda: renewal.ended(store, now),
        "reset": lambda: renewal.reset(store),
        "forget_time": lambda: devid.forget_time(store),
    }
    hold = "import fcntl, sys, time; lock = open(sys.argv[1]); fcntl.flock(lock, fcntl.LOCK_EX); print(flush=True); time.sleep(600)"
    for name, call in calls.items():
        call_it = [sys.executable, "-c", hold, str(tmp_path / "memory" / "lock")]
        with subprocess.Popen(call_it, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None and holder.stdout.readline()
            before = signal.signal(signal.SIGALRM, lambda _number, _frame: holder.kill())
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                assert not call(), name
                assert holder.poll() is not None or holder.wait(60), f"{name} has waited for nothing"
            except devid.Error as error:
                raise AssertionError(f"{name}: the signal was put off, or {error}") from error
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
                holder.kill()


def test_a_wait_is_ended_and_the_certificate_comes_later(
    devid_testca: TestCa, alarm: Callable[[float], None]
) -> None:
    devid_testca.set(waiting=1, check_after=2)
    operation = devid.Client(config(devid_testca)).enroll(devid.Key.generate(), "CN=device")
    alarm(0.5)
    ended_early(operation.run)
    assert operation.run().certificate.subject == "CN=device"
    assert devid_testca.received().count("ir") == 1, "nothing is asked twice"


def test_what_was_issued_is_not_lost(devid_testca: TestCa, alarm: Callable[[float], None], tmp_path: Path) -> None:
    """The signal comes when the certificate is here and the CA does not know that yet."""
    store = devid.Store(tmp_path / "memory")
    operation = devid.Client(config(devid_testca)).enroll(devid.Key.generate(), "CN=device")
    operation.install_into(store, "device")

    def decide(issued: devid.Issued) -> bool:
        alarm(0.05)
        time.sleep(5)
        return True

    ended_early(lambda: operation.run(decide=decide))
    assert operation.issued is not None
    saved = devid.unfinished(store, "device")
    assert saved is not None and saved.state is devid.SavedState.DECIDING
    assert operation.run().certificate == store.current("device").certificate
    assert devid_testca.received() == ["ir", "certConf"]


def test_a_handler_that_raises_nothing_disturbs_nothing(devid_testca: TestCa) -> None:
    heard = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    devid_testca.set(waiting=1, check_after=1)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        issued = devid.Client(config(devid_testca)).enroll(devid.Key.generate(), "CN=device").run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert issued.certificate.subject == "CN=device" and len(heard) > 3


def test_functions_of_the_program_run_in_the_thread_of_the_caller(devid_testca: TestCa, tmp_path: Path) -> None:
    threads = set()

    def here(*_: Any) -> None:
        threads.add(threading.get_ident())

    def decide(_issued: devid.Issued) -> bool:
        here()
        return True

    inner = devid.Key.generate()

    def sign(algorithm: str, message: bytes) -> bytes:
        here()
        return inner.sign(message, algorithm)

    devid_testca.set(waiting=1, check_after=1)
    key = devid.Key.external(inner.public_key, sign)
    devid.Client(config(devid_testca)).enroll(key, "CN=device").run(wait=here, decide=decide, watch=here)
    assert threads == {threading.get_ident()}


def test_getters_tell_the_truth_inside_callbacks(devid_testca: TestCa) -> None:
    devid_testca.set(waiting=1, check_after=1, text="patience, please")
    operation = devid.Client(config(devid_testca)).enroll(devid.Key.generate(), "CN=device")
    seen = []

    def wait(seconds: devid.WaitSeconds) -> None:
        assert operation.wait_seconds == seconds == 1
        assert operation.wait_reason == seconds.reason
        seen.append(seconds.reason)

    def decide(issued: devid.Issued) -> bool:
        assert operation.issued is issued and issued.pki_status == devid.PkiStatus.ACCEPTED
        assert repr(operation) == "<Operation ir>" and operation.request_name == "ir"
        return True

    names = []

    def watch(progress: devid.Progress) -> None:
        assert operation.output == progress.output and operation.save() == progress.saved
        assert devid.read_saved(progress.saved).request == "ir"
        names.append(operation.output_name or progress.action.name)

    begun = time.monotonic()
    assert operation.run(wait=wait, decide=decide, watch=watch).certificate
    assert names == ["ir", "pollReq", "WAIT", "pollReq", "ACCEPT", "certConf"] and len(seen) == 1
    assert time.monotonic() - begun >= 1, "what the program did not wait is slept"


def test_no_question_from_another_thread_blocks(devid_testca: TestCa) -> None:
    devid_testca.set(waiting=1, check_after=2)
    operation = devid.Client(config(devid_testca)).enroll(devid.Key.generate(), "CN=device")
    waiting = threading.Event()
    answers = []

    def ask() -> None:
        waiting.wait(10)
        answers.append((repr(operation), operation.wait_seconds, time.monotonic()))

    asking = threading.Thread(target=ask)
    asking.start()
    operation.run(watch=lambda progress: waiting.set() if progress.action is devid.Action.WAIT else None)
    ended = time.monotonic()
    asking.join()
    text, seconds, when = answers[0]
    assert text == "<Operation ir>" and seconds == 2 and when < ended - 0.5


def test_a_second_signal_gives_a_call_up_that_does_not_end(alarm: Callable[[float], None]) -> None:
    ended, switched = threading.Event(), []
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    with pytest.raises(Hurry):
        _blocking.beside(lambda: ended.wait(30), lambda: switched.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0)
    ended.set()
    assert switched, "and again as it is left: a switch takes that"


def test_ctrl_c_is_noticed_whichever_thread_the_system_chooses(silence: str) -> None:
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        devid.fetch(silence)
    assert time.monotonic() - begun < 10


def test_a_signal_ends_what_a_callback_calls(
    devid_testca: TestCa, silence: str, alarm: Callable[[float], None], tmp_path: Path
) -> None:
    """And that one alone, where the callback takes the exception."""
    ca = devid_testca
    operation, inner = asking(ca, silence, devid.Store(tmp_path / "memory"))

    def called(*_: Any) -> bool:
        for call in inner:
            alarm(0.3)
            ended_early(call)
        return True

    for callback in ("wait", "decide", "watch"):
        ca.set(waiting=1, check_after=1)
        seen: List[bool] = []

        def once(*_: Any) -> bool:
            if not seen:
                seen.append(called())
            return True

        programs: Dict[str, Any] = {callback: once}
        issued = devid.Client(config(ca)).enroll(devid.Key.generate(), "CN=outer").run(**programs)
        assert issued.certificate.subject == "CN=outer" and seen, callback

    def not_taken(_progress: devid.Progress) -> None:
        alarm(0.3)
        operation.run()

    sent = len(ca.received())
    outer = devid.Client(config(ca)).enroll(devid.Key.generate(), "CN=outer")
    ended_early(lambda: outer.run(watch=not_taken))
    assert len(ca.received()) == sent, "the outer call has ended, too"
    assert not _blocking._RUNNING


def test_a_second_signal_leaves_what_a_callback_calls_and_nothing_is_freed_under_it(
    alarm: Callable[[float], None], certificate_pem: bytes
) -> None:
    ended, freed_early = threading.Event(), []
    handle = devid.Certificate.parse(certificate_pem)
    finalizer = handle._finalizer

    def work() -> None:
        ended.wait(30)
        freed_early.append(not finalizer.alive)

    def called() -> None:
        with handle, handle._use():
            signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
            try:
                _blocking.beside(work, lambda: None)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def caught() -> None:
        with pytest.raises(Hurry):
            called()
        handle.close()
        ended.set()

    _blocking.beside(lambda: relayed(caught), lambda: None)
    assert freed_early == [False] and not finalizer.alive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("where", ["callback", "handler", "thread"])
def test_a_process_forked_during_a_call_makes_calls_of_its_own(devid_testca: TestCa, tmp_path: Path, where: str) -> None:
    ca = devid_testca
    store = devid.Store(tmp_path / "memory")
    told = tmp_path / "told"

    def child() -> None:
        """What is called for the first time, and what the parent's call works with."""
        devid.Key.generate()
        store.put_blob("of-the-child", b"1")
        issued = devid.Client(config(ca)).enroll(devid.Key.generate(), "CN=child").run(watch=lambda _: None)
        told.write_text(issued.certificate.subject)

    def fork(*_: Any) -> None:
        forked = os.fork()
        if forked == 0:
            status = 1
            signal.alarm(60)
            try:
                child()
                assert not _blocking._RUNNING
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(forked, 0)[1] == 0

    ca.set(waiting=1, check_after=2)
    operation = devid.Client(config(ca)).enroll(devid.Key.generate(), "CN=device")
    operation.install_into(store, "device")
    forked: List[threading.Thread] = []

    def wait(_seconds: devid.WaitSeconds) -> None:
        ca.set(waiting=0)
        if where == "callback":
            fork()
        elif where == "handler":
            signal.signal(signal.SIGUSR1, fork)
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        else:
            forked.append(threading.Timer(0.3, fork))
            forked[0].start()

    before = signal.signal(signal.SIGALRM, signal.SIG_DFL), signal.getsignal(signal.SIGUSR1)
    try:
        assert operation.run(wait=wait).certificate.subject == "CN=device"
    finally:
        signal.signal(signal.SIGALRM, before[0])
        signal.signal(signal.SIGUSR1, before[1])
    for thread in forked:
        thread.join()
    assert told.read_text() == "CN=child" and store.blob("of-the-child") == b"1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_in_the_hands_of_a_forked_process_the_call_of_its_parent_has_ended(devid_testca: TestCa, tmp_path: Path) -> None:
    ca, told = devid_testca, tmp_path / "told"
    operation = devid.Client(config(ca)).enroll(devid.Key.generate(), "CN=device")
    parent = os.getpid()
    forked: List[int] = []
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def watch(_progress: devid.Progress) -> None:
        if not forked:
            forked.append(os.fork())
            signal.alarm(60 if os.getpid() != parent else 0)

    try:
        operation.run(watch=watch)
    except devid.UsageError as error:
        told.write_text(str(error))
    finally:
        if os.getpid() != parent:
            os._exit(0)
        signal.signal(signal.SIGALRM, before)
    assert os.waitpid(forked[0], 0)[1] == 0
    assert "forked" in told.read_text() and ca.received() == ["ir", "certConf"]


def test_a_switch_ends_a_renewal_and_what_is_under_way_stays(devid_testca: TestCa, silence: str, tmp_path: Path) -> None:
    store, now = devid.Store(tmp_path / "memory"), int(time.time())
    renewal = devid.Renewal(config(devid_testca, silence), "device", subject="CN=device")
    with devid.Cancel() as cancel:
        timer = threading.Timer(0.3, cancel.trigger)
        timer.start()
        report = renewal.run(store, now, cancel=cancel)
        timer.join()
    assert report.error is not None and report.error.code is devid.Code.CANCELLED
    assert devid.unfinished(store, "device") is not None
    with devid.Cancel() as thrown:
        thrown.trigger()
        with pytest.raises(devid.TransportError) as ended:
            devid.fetch(silence, cancel=thrown)
    assert ended.value.code is devid.Code.CANCELLED


def test_a_wait_of_days_is_not_slept_through(devid_testca: TestCa) -> None:
    devid_testca.set(waiting=1, check_after=100_000)
    operation = devid.Client(config(devid_testca)).enroll(devid.Key.generate(), "CN=device")
    with pytest.raises(devid.TransportError) as later:
        operation.run()
    assert later.value.code is devid.Code.BUSY and later.value.retry_after_seconds is not None
    assert 99_000 < later.value.retry_after_seconds <= 100_000
    saved = devid.read_saved(operation.save())
    assert saved.state is devid.SavedState.WAITING and saved.wait_until is not None
    assert saved.protected_by is devid.SavedBy.CERTIFICATE and saved.new_key is not None
    assert saved.reason == operation.wait_reason and saved.dropped == 0


class Shelf(devid.Storage):
    """Device memory in this program: each read and write is a callback."""

    def __init__(self) -> None:
        self.files: Dict[str, bytes] = {}

    def read(self, key: str) -> Optional[bytes]:
        return self.files.get(key)

    def write(self, key: str, content: bytes) -> None:
        self.files[key] = content

    def remove(self, key: str, wipe: bool) -> None:
        self.files.pop(key, None)

    def list(self, prefix: str) -> List[str]:
        return [key for key in self.files if key.startswith(prefix)]

    def sync(self) -> None:
        pass


class Interrupter:
    """Raises at the n-th place in what serves a blocking call where Python may run the handler of a signal: behind a call, at the
    beginning of a function, where a loop goes back."""

    FILES = ("_blocking.py", "_handle.py")

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0
        self.before: Dict[FrameType, str] = {}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(self.FILES):
            return self
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            before = self.before.get(frame, "RESUME")
            self.before[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before.startswith("CALL") or before in ("RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE"):
                self.seen += 1
                if self.seen == self.at:
                    raise Hurry
        elif event == "return":
            self.before.pop(frame, None)
        return self


def test_wherever_a_handler_raises_nothing_stays_held(devid_testca: TestCa) -> None:
    ca = devid_testca
    shelf = Shelf()
    with devid.Store.over(shelf) as store, config(ca) as settings, devid.Renewal(settings, "device", subject="CN=device") as renewal:
        assert renewal.run(store, None).done == devid.Done.INSTALLED
        now = int(time.time())

        def steps(at: int) -> int:
            interrupter = Interrupter(at)
            before = sys.gettrace()
            sys.settrace(interrupter)
            try:
                renewal.run(store, now)
            finally:
                sys.settrace(before)
            return interrupter.seen

        total = steps(-1)
        assert total > 300, "the trace sees what serves the call"
        # Every step of the beginning and of the end, and some of those between them, which repeat themselves.
        points = sorted({*range(1, 120, 2), *range(120, total, 1 + total // 30), *range(total - 60, total, 2)})
        for at in points:
            try:
                steps(at)
            except Hurry:
                pass
            # The same objects go on at once; what was left behind is ended by this call.
            report = renewal.run(store, now)
            assert report.error is None, f"after a handler raised at step {at}: {report.error}"
        assert not _blocking._RUNNING, "a thread is left over"


def test_what_a_lost_call_works_with_is_not_freed_under_it(silence: str, devid_testca: TestCa, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: List[_blocking._Beside] = []
    real = _blocking._Beside.begin

    def begin(self: _blocking._Beside) -> None:
        real(self)
        begun.append(self)
        while not self.is_begun:
            time.sleep(0.001)
        raise Hurry

    monkeypatch.setattr(_blocking._Beside, "begin", begin)
    operation = devid.Client(config(devid_testca, silence)).enroll(devid.Key.generate(), "CN=device")
    finalizer = operation._finalizer
    # Without this the call would be ended as it is left: as if another signal came just then.
    monkeypatch.setattr(_blocking._Beside, "leave", lambda _self: None)
    with pytest.raises(Hurry):
        operation.run()
    operation.close()
    (other,) = begun
    assert finalizer.alive and not other.is_done, "the thread beside works with it still"
    monkeypatch.undo()
    with pytest.raises(devid.TransportError), devid.Client(config(devid_testca, "http://127.0.0.1:1/")).ask_ca_certs() as question:
        question.run()
    assert other.is_done and not finalizer.alive, "the next call has ended it"


class Interrupted(Shelf):
    """Ctrl-C comes while the n-th callback of device memory runs."""

    def __init__(self, ca: TestCa, at: int) -> None:
        super().__init__()
        self.ca, self.left, self.sent = ca, at, -1

    def read(self, key: str) -> Optional[bytes]:
        self.left -= 1
        if self.left == 0:
            self.sent = len(self.ca.received())
            raise KeyboardInterrupt
        return super().read(key)


def test_ctrl_c_in_a_callback_of_device_memory_ends_the_run_before_anything_more_is_sent(devid_testca: TestCa) -> None:
    ca = devid_testca
    for at in (1, 6, 11, 16, 21):
        with config(ca) as settings, devid.Renewal(settings, "device", subject="CN=device") as renewal:
            shelf = Interrupted(ca, at)
            with devid.Store.over(shelf) as store:
                with pytest.raises(KeyboardInterrupt):
                    renewal.run(store, int(time.time()))
                assert len(ca.received()) == shelf.sent, f"sent after Ctrl-C in read {at}"
                # The same renewal goes on when it is called again.
                assert renewal.run(store, int(time.time())).error is None


def test_an_uptime_that_fails_hides_nothing_that_was_done(devid_testca: TestCa) -> None:
    def uptime() -> Any:
        raise OSError("no such counter")

    with devid.Store.in_memory() as store, config(devid_testca) as settings:
        with devid.Renewal(settings, "device", subject="CN=device", uptime=uptime) as renewal:
            report = renewal.run(store, int(time.time()))
    assert report.error is None and report.done == devid.Done.INSTALLED
