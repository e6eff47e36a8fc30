"""Device memory keeps identities whole, whatever happens around them."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Tuple

import pytest

import devid


def pair(folder: Path, name: str) -> Tuple[devid.Key, devid.Certificate]:
    """A key and a self-signed certificate for it."""
    key = devid.Key.generate()
    (folder / "key.pem").write_bytes(key.export())
    command = ["openssl", "req", "-x509", "-key", "key.pem", "-subj", f"/CN={name}", "-days", "2", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return key, devid.Certificate.parse((folder / "cert.pem").read_bytes())


@pytest.fixture
def store(tmp_path: Path) -> devid.Store:
    return devid.Store(tmp_path / "memory")


def test_installed_identity_is_there_after_opening_again(store: devid.Store, tmp_path: Path) -> None:
    key, certificate = pair(tmp_path, "device")
    store.install("router", key, certificate, purpose="ldevid")
    store.close()
    identity = devid.Store(tmp_path / "memory").current("router")
    assert identity.certificate == certificate and identity.key.public_key == key.public_key
    assert identity.generation == 1 and identity.purpose == "ldevid" and identity.key_reference == ""
    assert identity.chain == (certificate,)
    assert abs(identity.created - datetime.now(timezone.utc)) < timedelta(minutes=1)


def test_a_chain_read_from_one_memory_is_installed_in_another(store: devid.Store, tmp_path: Path) -> None:
    key, certificate = pair(tmp_path, "device")
    store.install("router", key, certificate)
    chain = store.current("router").chain
    store.install("again", key, certificate, chain)
    assert store.current("again").chain == (certificate,)
    written = devid.write_pkcs12(key, certificate, chain, password="pw")
    assert len(written) == len(devid.write_pkcs12(key, certificate, password="pw"))
    # Another one's certificate is no issuer of this one, in its place or behind it.
    other = pair(tmp_path, "other")[1]
    for wrong in [(other,), (certificate, other)]:
        with pytest.raises(devid.ValidationError, match="did not issue"):
            store.install("router", key, certificate, wrong)


def test_second_installation_keeps_the_first_for_rollback(store: devid.Store, tmp_path: Path) -> None:
    first, second = pair(tmp_path, "device"), pair(tmp_path, "device")
    store.install("router", *first)
    store.install("router", *second, now=int(time.time()))
    assert store.current("router").certificate == second[1] and store.previous("router").certificate == first[1]
    store.rollback("router")
    assert store.current("router").certificate == first[1]
    store.rollback("router")
    assert store.current("router").certificate == second[1]
    assert store.identities() == ["router"]


def test_key_of_another_certificate_is_not_installed(store: devid.Store, tmp_path: Path) -> None:
    key, _ = pair(tmp_path, "device")
    _, other = pair(tmp_path, "device")
    with pytest.raises(devid.Error) as refused:
        store.install("router", key, other)
    assert refused.value.code is devid.Code.KEY_MISMATCH
    assert store.identities() == []


def test_staged_identity_comes_into_use_when_it_is_promoted(store: devid.Store, tmp_path: Path) -> None:
    first, second = pair(tmp_path, "device"), pair(tmp_path, "device")
    store.install("router", *first)
    store.stage("router", *second)
    assert store.current("router").certificate == first[1] and store.pending("router").certificate == second[1]
    store.promote("router")
    assert store.current("router").certificate == second[1]
    with pytest.raises(devid.StoreError):
        store.discard("router")


def test_what_is_not_there_is_not_found(store: devid.Store) -> None:
    for look in (store.current, store.previous, store.pending, store.remove, store.operation, store.pending_key):
        with pytest.raises(devid.StoreError) as missing:
            look("nobody")
        assert missing.value.code is devid.Code.NOT_FOUND and isinstance(missing.value, OSError)


@pytest.mark.parametrize("name", ["", "../etc", ".hidden", "-dash", "a/b", "x" * 65])
def test_names_that_could_leave_the_directory_are_refused(store: devid.Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(devid.Error):
        store.install(name, *pair(tmp_path, "device"))
    with pytest.raises(devid.UsageError, match="NUL"):
        store.current("router\0")


def test_private_keys_are_readable_by_their_owner_alone(store: devid.Store, tmp_path: Path) -> None:
    store.install("router", *pair(tmp_path, "device"))
    files = [path for path in (tmp_path / "memory").rglob("*") if path.is_file()]
    assert files and all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in files)


def test_secret_keeps_keys_from_lying_about(tmp_path: Path) -> None:
    key, certificate = pair(tmp_path, "device")
    with devid.Store(tmp_path / "sealed", secret=b"fuses") as sealed:
        sealed.install("router", key, certificate)
        assert sealed.current("router").key.public_key == key.public_key
    private = key.export(der=True)[-100:]
    for path in (tmp_path / "sealed").rglob("*"):
        if path.is_file():
            assert private not in path.read_bytes() and b"BEGIN PRIVATE KEY" not in path.read_bytes()
    with pytest.raises(devid.Error), devid.Store(tmp_path / "sealed", secret=b"other fuses") as wrong:
        wrong.current("router")


def test_a_directory_that_must_exist_is_not_made_and_a_lock_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(devid.StoreError):
        devid.Store(tmp_path / "mistyped", must_exist=True)
    assert not (tmp_path / "mistyped").exists()
    devid.Store(tmp_path / "memory").close()
    devid.Store(tmp_path / "memory", must_exist=True, lock_wait=0).close()
    for wait in (-1, 601):
        with pytest.raises(devid.UsageError):
            devid.Store(tmp_path / "memory", lock_wait=wait)


def test_damage_is_found_and_the_generation_before_still_serves(store: devid.Store, tmp_path: Path) -> None:
    first, second = pair(tmp_path, "device"), pair(tmp_path, "device")
    store.install("router", *first)
    before = {path for path in (tmp_path / "memory").rglob("*") if path.is_file()}
    store.install("router", *second)
    assert store.verify() == [] and store.last_good("router")[1] is False
    damaged = [path for path in (tmp_path / "memory").rglob("*") if path.is_file() and path not in before]
    for path in damaged:
        path.write_bytes(os.urandom(40))
    found = store.verify()
    assert {devid.ProblemKind.GENERATION, devid.ProblemKind.POINTER} & {one.kind for one in found}
    assert all(one == f"{one.place}: {one.text}" and one.place and not one.is_mended for one in found)
    with pytest.raises(devid.Error):
        store.current("router")
    identity, is_damaged = store.last_good("router")
    assert is_damaged and identity.certificate == first[1]


def test_new_key_and_operation_wait_for_their_certificate(store: devid.Store) -> None:
    key = devid.Key.generate()
    store.put_pending_key("next", key)
    assert store.pending_key("next").public_key == key.public_key
    with pytest.raises(devid.StoreError) as exists:
        store.put_pending_key("next", key)
    assert exists.value.code is devid.Code.EXISTS
    store.put_operation("renewal", bytearray(b"state"))
    assert store.operation("renewal") == b"state"
    store.remove_operation("renewal")
    store.remove_pending_key("next")
    with pytest.raises(devid.StoreError):
        store.pending_key("next")


def test_anchors_for_different_uses_are_kept_apart(store: devid.Store, certificate_pem: bytes) -> None:
    store.put_anchors("cmp", certificate_pem)
    assert len(store.anchors("cmp")) == 1 and store.anchors("peer") == []
    with pytest.raises(devid.UsageError):
        store.put_anchors("everything", certificate_pem)


def test_key_that_cannot_leave_its_home_is_kept_by_its_reference(store: devid.Store, tmp_path: Path) -> None:
    key, certificate = pair(tmp_path, "device")
    external = devid.Key.external(key.public_key, lambda algorithm, message: key.sign(message, algorithm))
    store.install("router", external, certificate, reference="pkcs11:object=router")
    identity = store.current("router")
    assert identity.key_reference == "pkcs11:object=router"
    assert identity.key.public_key == key.public_key
    with pytest.raises(devid.Error):
        identity.key.sign(b"x")
