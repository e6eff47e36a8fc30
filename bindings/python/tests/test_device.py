"""A device as a whole, by values: what a first certificate needs, and nothing else."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

import devid
from devid.testing import TestCa


def device(ca: TestCa, folder: Path, **other: str) -> devid.Device:
    secret = folder / "secret"
    secret.write_bytes(ca.secret)
    secret.chmod(0o600)
    values = dict(
        server=ca.cmp_url, trust=str(ca.folder / "root.pem"), subject="CN=router-8", reference=ca.reference.decode(),
        secret=f"file:{secret}",
    )
    made = devid.Device(memory=folder / "memory", **{**values, **other})
    made.set("ca.trust.signers", [str(ca.folder / "cmp-signer.pem")])
    made.set("peers.trust", str(ca.folder / "root.pem"))
    return made


def test_six_values_and_keep_are_a_certificate(devid_testca: TestCa, tmp_path: Path) -> None:
    with device(devid_testca, tmp_path) as me:
        kept = me.keep()
        assert kept.done is devid.Done.INSTALLED and kept.again.total_seconds() > 0
        assert me.keep().done is devid.Done.NOTHING
        (standing,) = me.status()["identities"]
        assert standing["standing"] == "valid" and standing["certificate"]["subject"] == "CN=router-8"
        certificate, key = me.files("device", tmp_path / "files")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
        assert me.certificate("device").count("BEGIN CERTIFICATE") == 2
        assert b"PRIVATE KEY" in me.private_key("device")
        assert me.anchors("device").count("BEGIN CERTIFICATE") == 1


def test_what_keep_did_is_told_with_what_went_wrong(devid_testca: TestCa, tmp_path: Path) -> None:
    with device(devid_testca, tmp_path) as me:
        me.set("identity.device.export", '[{ layout = "pem", folder = "/proc/nope" }]')
        with pytest.raises(devid.StoreError) as failed:
            me.keep()
        kept = failed.value.kept
        assert kept is not None and kept.done is devid.Done.INSTALLED and kept.again.total_seconds() > 0
        with pytest.raises(devid.StoreError) as failed:
            me.keep()
        assert failed.value.kept is not None and failed.value.kept.done is devid.Done.NOTHING
        # Nothing is begun with settings that are wrong.
        with pytest.raises(devid.UsageError) as refused:
            me.keep(10**12)
        assert refused.value.kept is None


def test_values_come_as_python_has_them(devid_testca: TestCa, tmp_path: Path) -> None:
    root = devid_testca.folder / "root.pem"
    with device(devid_testca, tmp_path) as me:
        for trust in (root, str(root), [root], (str(root),)):
            me.set("ca.trust.all", trust)
        me.set("ca.login.reference", devid_testca.reference)
        me.set("ca.accept-ca-pubs", False)
        me.set("device.retention", 3)
        assert me.keep().done is devid.Done.INSTALLED
    with devid.Device(memory=tmp_path / "other", trust=[root], reference=b"\xff\x00", secret="env:NOBODY"):
        pass
    wrong = {"trust": root.read_bytes(), "secret": b"horse", "subject": devid.Subject(), "server": 7}
    for name, value in wrong.items():
        with pytest.raises(TypeError, match=f"^{name}: expected"):
            devid.Device(memory=tmp_path / "third", **{name: value})  # type: ignore[arg-type]
    with device(devid_testca, tmp_path) as me:
        for value in (b"octets", {"a": 1}, None, [b"octets"]):
            with pytest.raises(TypeError, match="^ca.trust.all: expected"):
                me.set("ca.trust.all", value)  # type: ignore[arg-type]


def test_a_peer_is_judged_by_name(devid_testca: TestCa, tmp_path: Path) -> None:
    ca = devid_testca
    sent = ca.read("peer-good.pem") + ca.read("issuing.pem")
    with device(ca, tmp_path) as me:
        assert me.check(sent, name="dns:good.peer.example").expires.year > 2000
        path = tmp_path / "sent.pem"
        path.write_bytes(sent)
        pair = [ca.folder / "peer-good.pem", ca.read("issuing.pem")]
        certificates = devid.load_certificates(sent)
        forms: "tuple[Any, ...]" = (sent.decode("ascii"), path, pair, certificates, tuple(certificates), bytearray(sent))
        for form in forms:
            assert me.check(form, name="dns:good.peer.example").certificate == certificates[0]
        with pytest.raises(devid.UsageError, match="pathlib.Path"):
            me.check(str(path), name="any")
        for wrong in (7, [7], None):
            with pytest.raises(TypeError):
                me.check(wrong, name="any")  # type: ignore[arg-type]
        with pytest.raises(devid.ValidationError):
            me.check(sent, name="dns:other.example")
        with pytest.raises(devid.UsageError, match="dns:HOST"):
            me.check(sent, name="good.peer.example")
        with pytest.raises(devid.ValidationError):
            me.check(ca.read("idevid.pem"), name="any")


def test_wrong_values_are_told_with_the_nearest_name(devid_testca: TestCa, tmp_path: Path) -> None:
    with pytest.raises(devid.UsageError) as refused:
        device(devid_testca, tmp_path, secret="hunter2")
    assert "file:" in str(refused.value) and "hunter2" not in str(refused.value)
    with device(devid_testca, tmp_path) as me:
        with pytest.raises(devid.UsageError, match="ca.server"):
            me.set("ca.sever", "x")
        with pytest.raises(devid.UsageError, match="open"):
            me.set("device.memory", "/tmp")
        me.set("ca.server", "http://127.0.0.1:1/cmp")
        with pytest.raises(devid.TransportError, match="device"):
            me.keep()
        assert me.status()["identities"][0]["renewal"]["attempts"] == 1
    with pytest.raises(TypeError):
        devid.Device()
    with pytest.raises(TypeError):
        devid.Device("a", memory="b")
