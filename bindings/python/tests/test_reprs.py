"""Whatever a program prints of ours says what it is, and no address in memory."""

from __future__ import annotations

import gc
import inspect
from pathlib import Path

import pytest

import devid
import devid.testing
from devid.testing import TestCa


def public_classes() -> "list[type]":
    found = [getattr(devid, name) for name in devid.__all__] + [TestCa]
    return [thing for thing in found if inspect.isclass(thing)]


def test_every_public_class_says_what_it_is() -> None:
    classes = public_classes()
    assert len(classes) > 60
    mute = [cls.__name__ for cls in classes if getattr(cls, "__repr__") is getattr(object, "__repr__")]
    assert not mute, f"shown by their addresses: {', '.join(mute)}"


def test_what_was_never_made_is_shown_as_closed() -> None:
    for cls in public_classes():
        if hasattr(cls, "_type"):
            assert repr(object.__new__(cls)) == f"<{cls.__name__}, closed>"


def test_a_peer_and_a_test_ca_are_told_apart_from_others(devid_testca: TestCa, tmp_path: Path) -> None:
    assert repr(devid_testca) == f"<TestCa at {devid_testca.url}>"
    with devid.Device(memory=tmp_path / "memory") as me:
        assert repr(me) == "<Device>"
        me.set("peers.trust", [str(devid_testca.folder / "root.pem")])
        me.set("peers.status", "off")
        sent = devid_testca.read("peer-good.pem") + devid_testca.read("issuing.pem")
        peer = me.check(sent, name="any")
        assert peer.certificate.subject in repr(peer) and "until 20" in repr(peer)
        peer.close()
        assert repr(peer) == "<Peer, closed>"


def test_a_test_ca_that_does_not_start_says_why_and_leaves_nothing(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(RuntimeError, match="no-such") as caught:
        TestCa(no_such=1)
    assert "exit code" in str(caught.value)
    del caught
    gc.collect()
    assert not [str(one.message) for one in recwarn if issubclass(one.category, ResourceWarning)]
