"""Enrolment without a network: OpenSSL is the CA, and files are carried to and fro."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

import pytest

import devid
from devid.testing import TestCa

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


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("P-256", None),
        ("P-384", "ECDSA-SHA384"),
        ("P-521", "ECDSA-SHA512"),
        ("Ed25519", None),
        ("RSA-2048", "RSA-PKCS1-SHA512"),
        ("RSA-2048", "RSA-PSS-SHA256"),
    ],
)
def test_requests_are_verified_by_openssl_and_by_cryptography(tmp_path: Path, kind: str, algorithm: Optional[str]) -> None:
    x509 = pytest.importorskip("cryptography.x509")
    key = devid.Key.generate(kind)
    request = devid.Request(key, subject(), algorithm=algorithm)
    (tmp_path / "router.csr").write_bytes(request.export())
    assert "verify OK" in openssl(tmp_path, "req -verify -noout -text -in router.csr")
    read = x509.load_der_x509_csr(request.export(der=True))
    assert read.is_signature_valid
    assert read.subject.rfc4514_string() == "CN=router-7"
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["router-7.example"]
    assert read.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    with pytest.raises(devid.CryptoError):
        devid.Request(devid.Key.generate("P-256"), subject(), algorithm="RSA-PSS-SHA256")
    with pytest.raises(devid.UsageError):
        devid.Request(key, subject(), algorithm="ROT13")


def test_certificate_on_a_crl_is_not_imported(ca: Path) -> None:
    key, store, another = devid.Key.generate(), devid.Store(ca / "memory"), devid.Store(ca / "another")
    request = devid.Request(key, subject())
    for memory in (store, another):
        memory.put_request("router", key, request)
    answer = issue(ca, request)
    (ca / "index.txt").write_text("")
    (ca / "crlnumber").write_text("01\n")
    (ca / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=1\n"
        "unique_subject=no\n"
    )
    sign = "-config ca.cnf -cert ca.pem -keyfile ca.key"

    def validator(crls: "bytes | None") -> devid.Validator:
        hard = devid.Revocation.HARD
        trust = devid.Trust((ca / "ca.pem").read_bytes())
        return devid.Validator(trust, purposes=None, any_name=True, crls=crls, revocation=hard, prefer=devid.Prefer.CRL)

    with pytest.raises(devid.ValidationError) as unknown:
        store.import_certificate(answer, validator(None))
    assert unknown.value.code is devid.Code.REVOCATION_UNKNOWN
    openssl(ca, f"ca {sign} -gencrl -out clean.crl")
    openssl(ca, f"ca {sign} -revoke router.pem")
    openssl(ca, f"ca {sign} -gencrl -out revoked.crl")
    with pytest.raises(devid.ValidationError) as revoked:
        store.import_certificate(answer, validator((ca / "revoked.crl").read_bytes()))
    assert revoked.value.code is devid.Code.REVOKED
    with pytest.raises(devid.UsageError):
        store.import_certificate(answer, validator(None), password="x")
    clean = validator((ca / "clean.crl").read_bytes())
    with pytest.raises(devid.ValidationError) as known:
        store.import_certificate(answer, clean)
    assert known.value.code is devid.Code.REVOKED, "this memory has seen the newer list"
    assert another.import_certificate(answer, clean).name == "router"


def test_messages_wait_on_a_stick(devid_testca: TestCa, tmp_path: Path) -> None:
    config = devid.Config(enrolment_anchors=devid_testca.root)
    config.set_secret(devid_testca.reference, devid_testca.secret)
    operation = devid.Client(config).enroll(devid.Key.generate(), "CN=router-7")
    operation.set_files(tmp_path, "router")
    for _ in range(2):
        with pytest.raises(devid.TransportError) as busy:
            operation.run()
        assert busy.value.code is devid.Code.BUSY
    assert [path.name for path in tmp_path.iterdir()] == ["router-1-request.pki"]
    assert (tmp_path / "router-1-request.pki").read_bytes() == operation.output
    carry = Path(__file__).resolve().parents[3] / "scripts" / "carry.py"
    subprocess.run([sys.executable, str(carry), str(tmp_path), devid_testca.cmp_url], check=True, capture_output=True)
    with pytest.raises(devid.TransportError):
        operation.run()
    assert operation.output_name == "certConf"
    subprocess.run([sys.executable, str(carry), str(tmp_path), devid_testca.cmp_url], check=True, capture_output=True)
    assert operation.run().certificate.subject == "CN=router-7"
