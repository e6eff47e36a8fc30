"""Homes of device memory: the program's own storage, memory; secrets that are asked for; retention."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional

import pytest

import devid
from devid.testing import TestCa


class Flash(devid.Storage):
    """Records in a dictionary; may lose power in a write, or refuse to sync."""

    def __init__(self) -> None:
        self.records: Dict[str, bytes] = {}
        self.wiped: List[str] = []
        self.writes_left: Optional[int] = None
        """After so many the power fails in the middle of one, and is off from then on."""
        self.is_off = False
        self.locks = 0
        self.fails: Callable[[str, str], bool] = lambda what, key: False
        """Which calls the medium fails, by what is done and to which record."""
        self.store: Optional[devid.Store] = None

    def read(self, key: str) -> Optional[bytes]:
        self.needs_power("read", key)
        if self.store is not None:
            self.store.identities()
        return self.records.get(key)

    def write(self, key: str, content: bytes) -> None:
        self.needs_power("write", key)
        if self.writes_left is not None:
            if self.writes_left == 0:
                self.is_off = True
                self.records[key] = content[: len(content) // 2]
                raise PowerCut(key)
            self.writes_left -= 1
        self.records[key] = content

    def remove(self, key: str, wipe: bool) -> None:
        self.needs_power("remove", key)
        self.records.pop(key, None)
        if wipe:
            self.wiped.append(key)

    def list(self, prefix: str) -> Iterable[str]:
        self.needs_power("list", prefix)
        return [key for key in self.records if key.startswith(prefix)]

    def sync(self) -> None:
        self.needs_power("sync", "")

    def needs_power(self, what: str, key: str) -> None:
        if self.is_off:
            raise PowerCut
        if self.fails(what, key):
            raise OSError(errno.ENOSPC, f"{what} {key}")

    def lock(self) -> None:
        self.needs_power("lock", "")
        self.locks += 1

    def unlock(self) -> None:
        self.locks -= 1


class PowerCut(Exception):
    """In the middle of a write."""


def client(ca: TestCa) -> devid.Client:
    with devid.Config(ca.cmp_url, enrolment_anchors=ca.root) as config:
        config.set_secret(ca.reference, ca.secret)
        return devid.Client(config)


def enrol_into(store: devid.Store, ca: TestCa) -> devid.Issued:
    return client(ca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device").run()


def test_identity_lives_in_the_programs_own_storage(devid_testca: TestCa) -> None:
    flash = Flash()
    with devid.Store.over(flash) as store:
        issued = enrol_into(store, devid_testca)
    with devid.Store.over(flash) as again:
        assert again.current("device").certificate == issued.certificate and again.verify() == []
    assert flash.locks == 0 and any(key.startswith("pending/device/") for key in flash.wiped)


def test_power_cut_at_any_write_costs_no_identity(devid_testca: TestCa) -> None:
    flash = Flash()
    first = enrol_into(devid.Store.over(flash), devid_testca)
    before, points = dict(flash.records), 0
    while True:
        flash.records, flash.writes_left = dict(before), points
        try:
            with devid.Store.over(flash) as store:
                second = enrol_into(store, devid_testca)
            break
        except PowerCut:
            points += 1
        flash.writes_left, flash.is_off = None, False
        with devid.Store.over(flash) as store:
            store.verify(mend=True)
            identity = store.current("device")
            assert identity.certificate == first.certificate or identity.generation == 2
            store.abandon("device")
            assert store.verify() == []
    assert points >= 8, "the second enrolment writes key, operation, certificate, chain and pointer"
    assert devid.Store.over(flash).current("device").certificate == second.certificate


def test_what_storage_raises_comes_out_and_calling_the_store_from_it_is_refused() -> None:
    flash = Flash()
    with devid.Store.over(flash) as store:
        flash.writes_left = 0
        with pytest.raises(PowerCut):
            store.put_blob("a", b"1")
        flash.writes_left, flash.is_off, flash.store = None, False, store
        with pytest.raises(devid.UsageError) as again:
            store.blob("a")
        assert again.value.code is devid.Code.REENTRANT
        flash.store = None
    with pytest.raises(TypeError):
        devid.Store.over(object())  # type: ignore[arg-type]


def test_keys_are_encrypted_under_a_secret_that_is_asked_for(devid_testca: TestCa, tmp_path: Path) -> None:
    asked: List[int] = []

    def secret() -> bytes:
        asked.append(1)
        return b"fused into the chip"

    with devid.Store(tmp_path / "store", secret, iterations=1000) as store:
        issued = enrol_into(store, devid_testca)
        assert store.current("device").certificate == issued.certificate and asked
    keys = [file.read_bytes() for file in (tmp_path / "store").rglob("key.pem")]
    assert keys and all(b"BEGIN ENCRYPTED PRIVATE KEY" in key for key in keys)
    with devid.Store(tmp_path / "store", b"guessed") as thief:
        with pytest.raises(devid.CryptoError) as wrong:
            thief.current("device")
        assert wrong.value.code is devid.Code.WRONG_SECRET

    def locked() -> bytes:
        raise PowerCut

    with devid.Store(tmp_path / "store", locked) as store, pytest.raises(PowerCut):
        store.current("device")


def test_memory_is_a_home_as_well_and_old_generations_go_after_the_count(devid_testca: TestCa, tmp_path: Path) -> None:
    with devid.Store.in_memory() as store:
        enrol_into(store, devid_testca)
        assert store.identities() == ["device"]
    with devid.Store(tmp_path / "store", retention=3) as store:
        for _ in range(5):
            enrol_into(store, devid_testca)
    generations = sorted(path.name for path in (tmp_path / "store" / "identity" / "device").glob("gen-*"))
    assert generations == ["gen-000003", "gen-000004", "gen-000005"]
    for count in (0, 1, 1001):
        with pytest.raises(devid.UsageError):
            devid.Store(tmp_path / "store", retention=count)


FAILURES: Dict[str, Callable[[str, str], bool]] = {
    "full": lambda what, key: what == "write",
    "read-only": lambda what, key: what in ("write", "remove", "sync"),
    "locked": lambda what, key: what == "lock",
    "gone": lambda what, key: True,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("by_fetcher", (False, True))
def test_a_medium_that_fails_takes_no_verdicts_place(
    devid_testca: TestCa, caplog: pytest.LogCaptureFixture, failure: str, by_fetcher: bool
) -> None:
    ca, flash = devid_testca, Flash()

    def nobody(*request: object) -> bytes:
        raise ConnectionError("nobody answers")

    def judge(name: str, store: devid.Store, hard: bool = True) -> devid.Report:
        settings: Dict[str, Any] = {"crls": ca.read("issuing.crl"), "revocation": devid.Revocation.HARD} if hard else {}
        settings.update(intermediates=ca.read("issuing.pem"), scope=devid.Scope.LEAF)
        checks = devid.Validator(devid.Trust(ca.root), purposes=None, any_name=True, **settings)
        peer, now = devid.Certificate.parse(ca.read(f"{name}.pem")), int(time.time())
        if by_fetcher:
            return devid.Fetcher(store, fetch=nobody, schemes="http").examine(checks, peer, now)
        checks.set_store(store)
        return checks.examine(peer, now)

    def code(report: devid.Report) -> Optional[int]:
        return next((finding.code for finding in report.findings if finding.is_fatal), None)

    with devid.Store.over(flash) as store:
        store.put_blob("programs-own", b"own")
        flash.fails = FAILURES[failure]
        with caplog.at_level(logging.WARNING, "devid"):
            good, revoked = judge("peer-good", store), judge("peer-revoked", store)
        # Not to know who was revoked before is no permission.
        unknown = (devid.Code.REVOCATION_UNKNOWN, devid.Code.CRL_ROLLBACK) if failure == "gone" else (None,)
        assert code(good) in unknown, good.findings
        assert code(revoked) == devid.Code.REVOKED, revoked.findings
        assert any("returned -19999" in finding.text for finding in good.findings + revoked.findings)
        assert any(record.exc_info and isinstance(record.exc_info[1], OSError) for record in caplog.records)
        # A call that needs the medium ends with what that has raised.
        with pytest.raises(OSError) as full:
            store.put_blob("programs-own", b"other")
        assert full.value.errno == errno.ENOSPC
        flash.fails = lambda what, key: False
        for _ in range(64):
            # Written as soon as there is room, by whoever asks next.
            if code(judge("peer-revoked", store, hard=False)) == devid.Code.REVOKED and "blob/revoked" in flash.records:
                break
    with devid.Store.over(flash) as again:
        assert code(judge("peer-revoked", again, hard=False)) == devid.Code.REVOKED, "after a restart, by the memory alone"
        assert code(judge("peer-good", again, hard=False)) is None


def test_a_refusal_of_a_peer_is_told_with_what_the_medium_raised_as_its_cause(devid_testca: TestCa) -> None:
    ca, flash = devid_testca, Flash()
    with devid.Store.over(flash) as store:
        checks = devid.Validator(
            devid.Trust(ca.root), purposes=None, any_name=True, intermediates=ca.read("issuing.pem"), crls=ca.read("issuing.crl"),
            revocation=devid.Revocation.SOFT,
        )
        checks.set_store(store)
        flash.fails = FAILURES["full"]
        with pytest.raises(devid.ValidationError) as refused:
            checks.validate(devid.Certificate.parse(ca.read("peer-revoked.pem")), int(time.time()))
        assert refused.value.code is devid.Code.REVOKED and isinstance(refused.value.__cause__, OSError)
        # Who wants no more of it is heard at once.
        def interrupted(what: str, key: str) -> bool:
            raise KeyboardInterrupt

        flash.fails = interrupted
        with pytest.raises(KeyboardInterrupt):
            checks.examine(devid.Certificate.parse(ca.read("peer-revoked.pem")), int(time.time()))


def test_what_a_program_leaves_open_is_closed_at_its_end(tmp_path: Path) -> None:
    """So that what could not be written to device memory before is written then. Others stay as they are: a thread may be inside."""
    program = """if True:
        import atexit, sys
        left = []
        atexit.register(lambda: print([handle.closed for handle in left]))
        import devid
        store = devid.Store(sys.argv[1])
        validator = devid.Validator(devid.Trust(), purposes=None, any_name=True)
        left += [store, validator, devid.Fetcher(store), devid.Key.generate()]
        store.close()
        left += [devid.Store(sys.argv[1])]
    """
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "memory")], stdout=subprocess.PIPE, check=True)
    assert ended.stdout.split() == b"[True, True, True, False, True]".split()
