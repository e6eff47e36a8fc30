"""Enrolment without a network: OpenSSL is the CA, and files are carried to and fro."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

import devid

NEW = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key"


def openssl(folder: Path, line: str) -> str:
    done = subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A folder with a CA."""
    openssl(tmp_path, f"req -x509 {NEW} -subj /CN=Root -days 2 -out ca.pem")
    return tmp_path


def issue(ca: Path, request: devid.Request, extensions: str = "-copy_extensions copy") -> bytes:
    """A .p7b file with the CA's certificate first."""
    (ca / "router.csr").write_bytes(request.export())
    made = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out router.pem"
    openssl(ca, f"x509 -req -in router.csr {made} {extensions}")
    openssl(ca, "crl2pkcs7 -nocrl -certfile ca.pem -certfile router.pem -outform DER -out router.p7b")
    return (ca / "router.p7b").read_bytes()


def subject() -> devid.Subject:
    return devid.Subject(
        "CN=router-7",
        dns=["router-7.example"],
        hardware_modules=[("1.3.6.1.4.1.32473.7", b"SN-1")],
        key_usages=["digitalSignature"],
        purposes=["clientAuth"],
    )


def test_certificate_finds_its_key_after_a_restart(ca: Path) -> None:
    key = devid.Key.generate()
    request = devid.Request(key, subject(), challenge_password="let me in")
    with devid.Store(ca / "memory") as store:
        store.put_request("router", key, request)
    answer = issue(ca, request)
    text = openssl(ca, "req -verify -noout -text -in router.csr")
    for words in ("verify OK", "DNS:router-7.example", "othername", "TLS Web Client Authentication", "let me in"):
        assert words in text

    store = devid.Store(ca / "memory")
    identity = store.import_certificate(answer, devid.Trust((ca / "ca.pem").read_bytes()), purpose="tls")
    assert identity.name == "router" and identity.purpose == "tls"
    assert identity.key.public_key == key.public_key
    assert store.current("router").certificate == identity.certificate
    with pytest.raises(devid.StoreError) as refused:
        store.import_certificate(answer, devid.Trust((ca / "ca.pem").read_bytes()))
    assert refused.value.code is devid.Code.EXISTS


def test_certificate_that_must_not_be_installed_is_refused(ca: Path) -> None:
    key, store = devid.Key.generate(), devid.Store(ca / "memory")
    request = devid.Request(key, subject())
    trust, nobody = devid.Trust((ca / "ca.pem").read_bytes()), devid.Trust()
    answer = issue(ca, request, "")
    for name, anchors, now, code in [
        (None, trust, None, devid.Code.NOT_FOUND),
        ("router", nobody, None, devid.Code.NO_PATH),
        ("router", trust, int(time.time()) + 10**8, devid.Code.EXPIRED),
        ("switch", trust, None, devid.Code.NOT_FOUND),
        ("router", trust, None, devid.Code.WRONG_CERTIFICATE),
    ]:
        if name is not None:
            store.put_request("router", key, request)
        with pytest.raises(devid.Error) as refused:
            store.import_certificate(answer, anchors, name=name, now=now)
        assert refused.value.code is code
    assert store.identities() == []
    assert store.import_certificate(answer, trust, accept_differences=True).name == "router"


def test_deferred_key_signs_the_request_later() -> None:
    hidden = devid.Key.generate()
    request = devid.Request(devid.Key.deferred(hidden.public_key), subject())
    with pytest.raises(devid.UsageError):
        request.export()
    with pytest.raises(devid.CryptoError):
        request.set_signature(devid.Key.generate().sign(request.to_sign, request.algorithm))
    request.set_signature(hidden.sign(request.to_sign, request.algorithm))
    assert request.export(der=True)[0] == 0x30
    with pytest.raises(devid.UsageError):
        request.to_sign
