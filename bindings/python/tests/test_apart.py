"""Event loops: device memory is written by a worker, never by a step."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from pathlib import Path

import pytest

import devid
from devid.testing import TestCa


def client(ca: TestCa) -> devid.Client:
    settings = devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
    settings.set_credential(*ca.idevid())
    return devid.Client(settings)


def post(url: str, message: bytes) -> bytes:
    request = urllib.request.Request(url, message, {"Content-Type": "application/pkixcmp"})
    with urllib.request.urlopen(request) as answer:
        body: bytes = answer.read()
    return body


async def enrol(ca: TestCa, store: devid.Store) -> list[devid.Action]:
    operation = client(ca).enroll(devid.Key.generate(), "CN=device").install_into(store, "device")
    operation.keep_apart()
    actions = []
    while True:
        action = operation.step(int(time.time()))
        actions.append(action)
        if action is devid.Action.KEEP:
            await asyncio.to_thread(operation.keep)
        elif action is devid.Action.SEND:
            assert operation.output is not None
            operation.feed(await asyncio.to_thread(post, ca.cmp_url, operation.output))
        elif action is devid.Action.WAIT:
            await asyncio.sleep(operation.wait_seconds)
        elif action is devid.Action.ACCEPT:
            operation.accept()
        else:
            assert action is devid.Action.DONE
            return actions


def test_an_event_loop_enrols_into_device_memory(devid_testca: TestCa, tmp_path: Path) -> None:
    store = devid.Store(tmp_path / "memory")
    actions = asyncio.run(enrol(devid_testca, store))
    assert store.current("device").generation == 1 and devid_testca.received() == ["ir", "certConf"]
    # Before each message, the decision and the end: device memory is always ahead.
    kept = [action for action in actions if action is not devid.Action.KEEP]
    assert kept == [devid.Action.SEND, devid.Action.ACCEPT, devid.Action.SEND, devid.Action.DONE]
    for before, action in zip(actions, actions[1:]):
        assert devid.Action.KEEP in (before, action)


def test_a_step_waits_for_what_is_to_be_kept(devid_testca: TestCa, tmp_path: Path) -> None:
    store, now = devid.Store(tmp_path / "memory"), int(time.time())
    operation = client(devid_testca).enroll(devid.Key.generate(), "CN=device")
    with pytest.raises(devid.UsageError):
        operation.keep_apart()
    operation.install_into(store, "device")
    operation.keep_apart()
    with pytest.raises(devid.UsageError):
        operation.keep()
    for _ in range(3):
        assert operation.step(now) is devid.Action.KEEP
        assert devid.unfinished(store, "device") is None
    operation.keep()
    saved = devid.unfinished(store, "device")
    assert saved is not None and saved.message == "ir"
    assert operation.step(now) is devid.Action.SEND
    with pytest.raises(devid.UsageError):
        operation.keep()
