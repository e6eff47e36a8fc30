"""Calls of device memory from within its own callbacks: each works or is refused, and none waits for itself."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

import pytest

import devid
from devid.testing import TestCa

CALLBACKS = ("secret", "read", "write", "remove", "list", "sync", "lock", "unlock", "change")


class Hooked(devid.Storage):
    """Records in a dictionary; each callback calls what it is told to, once."""

    def __init__(self) -> None:
        self.records: Dict[str, bytes] = {}
        self.hook: Optional[Callable[[], object]] = None
        self.at = ""
        self.answers: List[str] = []

    def called(self, callback: str) -> None:
        hook = self.hook
        if hook is None or callback != self.at:
            return
        self.hook = None
        try:
            hook()
            self.answers.append("works")
        except devid.Error as error:
            self.answers.append(error.code.name if isinstance(error.code, devid.Code) else str(error.code))

    def secret(self) -> bytes:
        self.called("secret")
        return b"fused into the chip"

    def read(self, key: str) -> Optional[bytes]:
        self.called("read")
        return self.records.get(key)

    def write(self, key: str, content: bytes) -> None:
        self.called("write")
        self.records[key] = content

    def remove(self, key: str, wipe: bool) -> None:
        self.called("remove")
        self.records.pop(key, None)

    def list(self, prefix: str) -> Iterable[str]:
        self.called("list")
        return [key for key in self.records if key.startswith(prefix)]

    def sync(self) -> None:
        self.called("sync")

    def lock(self) -> None:
        self.called("lock")

    def unlock(self) -> None:
        self.called("unlock")


NO_CALLS = {"over", "in_memory", "close", "add_root"}
"""Makers, the end, and a call over the network that goes by others of these."""


def calls_of(store: devid.Store, samples: Dict[str, Any]) -> Dict[str, Callable[[], object]]:
    """Every public method, with something for each argument that it needs."""
    calls: Dict[str, Callable[[], object]] = {}
    for name, function in inspect.getmembers(devid.Store, callable):
        if name.startswith("_") or name in NO_CALLS:
            continue
        needed = [
            parameter
            for parameter in list(inspect.signature(function).parameters.values())[1:]
            if parameter.default is parameter.empty
        ]
        given = {parameter.name: samples[parameter.name] for parameter in needed}
        calls[name] = functools.partial(getattr(store, name), **given)
    return calls


@pytest.mark.parametrize("callback", CALLBACKS)
def test_every_call_from_within_every_callback_answers(callback: str, devid_testca: TestCa, tmp_path: Path) -> None:
    with devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root) as config:
        config.set_secret(devid_testca.reference, devid_testca.secret)
        key, client = devid.Key.generate(), devid.Client(config)
    first = client.enroll(key, "CN=device").run()
    trust = devid.Trust()
    trust.add(devid_testca.root)
    samples: Dict[str, Any] = {
        "name": "device",
        "label": "next",
        "layout": "pem",
        "key": key,
        "certificate": first.certificate,
        "certificates": [first.certificate],
        "request": devid.Request(key, devid.Subject("CN=device")),
        "anchors": trust,
        "saved": b"1",
        "content": b"1",
        "use": "cmp",
        "folder": str(tmp_path),
        "told": lambda *_: None,
        "pin": lambda *_: "1234",
        "value": 7,
        "crl": b"0",
    }
    names: Set[str] = set(calls_of(devid.Store.in_memory(), samples))
    assert len(names) > 30
    refused = 0
    for name in sorted(names):
        storage = Hooked()
        with devid.Store.over(storage, secret=storage.secret, iterations=1000) as store:
            store.on_change(lambda *_: storage.called("change"))
            for _ in range(2):
                store.install("device", key, first.certificate)
            storage.at, storage.hook = callback, calls_of(store, samples)[name]
            # A third generation: the first is removed.
            try:
                store.install("device", key, first.certificate)
            except devid.Error:
                pass
            assert storage.hook is None and len(storage.answers) == 1, f"{name} in {callback} was never called"
            refused += storage.answers == ["REENTRANT"]
            store.state("device")
    # What comes after a change is no part of it.
    assert (refused == 0) if callback == "change" else (refused >= len(names) - 3), f"{refused} of {len(names)}"


def test_a_change_from_within_a_read_waits_for_nobody() -> None:
    """A read is made in the caller's thread, and the library knows by that who asks."""
    storage = Hooked()
    with devid.Store.over(storage) as store:
        store.put_blob("words", b"1")
        reads: Dict[str, Callable[[], object]] = {
            "blob": lambda: store.blob("words"),
            "blobs": store.blobs,
            "number": lambda: store.number("words"),
            "state": lambda: store.state("device"),
            "operations": store.operations,
            "last_known_time": lambda: devid.last_known_time(store),
        }
        for name, read in reads.items():
            storage.answers.clear()
            for storage.at in ("read", "list"):
                storage.hook = lambda: store.put_blob("others", b"2")
                read()
            assert set(storage.answers) <= {"works", "REENTRANT"} and storage.answers, name
