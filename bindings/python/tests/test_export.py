"""Identities for other software: what it finds, and that the program is told."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path
from typing import List

import pytest

import devid


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a CA and a server's key and certificate, made by OpenSSL."""

    def openssl(line: str) -> None:
        subprocess.run(["openssl", *line.split()], cwd=tmp_path, check=True, capture_output=True)

    new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    openssl(f"req -x509 {new} -subj /CN=Root -days 2 -keyout ca.key -out ca.pem")
    openssl(f"req -new {new} -subj /CN=localhost -keyout key.pem -out device.csr")
    openssl("x509 -req -in device.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out cert.pem")
    return tmp_path


def install(store: devid.Store, place: Path) -> None:
    key = devid.Key.load((place / "key.pem").read_bytes())
    certificate = devid.Certificate.parse((place / "cert.pem").read_bytes())
    store.install("device", key, certificate, devid.load_certificates((place / "ca.pem").read_bytes()))


def test_tls_takes_what_is_exported(place: Path) -> None:
    with devid.Store(place / "memory") as store:
        install(store, place)
        exported = store.export("device", "nginx", place / "nginx", anchors=(place / "ca.pem").read_bytes())
        current = place / "nginx" / "current"
        assert exported.generation == 1
        assert [file.name for file in exported.files] == ["privkey.pem", "fullchain.pem", "chain.pem", "ca.pem"]
        assert [oct(file.stat().st_mode & 0o777) for file in exported.files] == ["0o600"] + 3 * ["0o644"]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(current / "fullchain.pem", current / "privkey.pem")
        context.load_verify_locations(current / "ca.pem")

        store.export("device", "openssl", place / "openssl", password="secret", iterations=1000)
        files = place / "openssl" / "current"
        context.load_cert_chain(files / "cert.pem", files / "key.pem", password="secret")
        with pytest.raises(ssl.SSLError):
            context.load_cert_chain(files / "cert.pem", files / "key.pem", password="wrong")
        file = store.export("device", "pkcs12", place, password="secret").files[0]
        assert devid.read_pkcs12(file.read_bytes(), "secret").key is not None


def test_what_cannot_be_exported_is_refused(place: Path) -> None:
    with devid.Store(place / "memory") as store:
        with pytest.raises(devid.StoreError) as refused:
            store.export("device", "nginx", place / "nginx")
        assert refused.value.code is devid.Code.NOT_FOUND
        install(store, place)
        with pytest.raises(devid.UsageError):
            store.export("device", "apache", place / "apache")
        with pytest.raises(devid.CryptoError) as refused_secret:
            store.export("device", "pkcs12", place)
        assert refused_secret.value.code is devid.Code.WRONG_SECRET
        (place / "open").mkdir()
        os.chmod(place / "open", 0o777)
        with pytest.raises(devid.StoreError) as refused:
            store.export("device", "nginx", place / "open")
        assert refused.value.code is devid.Code.PERMISSION


def test_program_is_told_what_came_into_use(place: Path) -> None:
    told: List[devid.Change] = []
    with devid.Store(place / "memory") as store:

        def on_change(change: devid.Change) -> None:
            told.append(change)
            if change.kind is not devid.ChangeKind.EXPORTED:
                store.export(change.name, "pem", place / "bundle")

        store.on_change(on_change)
        install(store, place)
        install(store, place)
        store.rollback("device")
        kinds = devid.ChangeKind
        assert [(change.kind, change.generation) for change in told] == [
            (kinds.INSTALLED, 1),
            (kinds.EXPORTED, 1),
            (kinds.INSTALLED, 2),
            (kinds.EXPORTED, 2),
            (kinds.ROLLED_BACK, 1),
            (kinds.EXPORTED, 1),
        ]
        assert told[1].folder == place / "bundle" and told[0].folder is None

        def failing(change: devid.Change) -> None:
            raise RuntimeError("no server to reload")

        store.on_change(failing)
        with pytest.raises(RuntimeError, match="no server"):
            store.rollback("device")
        assert store.current("device").generation == 2, "what happened has happened"
