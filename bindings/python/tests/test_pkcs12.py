"""PKCS#12 files exchanged with another implementation, both ways."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

import devid

PASSWORD = "Pa$$-wörd \U0001f511"


@pytest.fixture(scope="module")
def own() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key and a self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "router-7")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + datetime.timedelta(days=2))
    return key, builder.sign(key, hashes.SHA256())


def ours(own: tuple[ec.EllipticCurvePrivateKey, x509.Certificate]) -> tuple[devid.Key, devid.Certificate]:
    none = serialization.NoEncryption()
    pem = own[0].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
    return devid.Key.load(pem), devid.Certificate.parse(own[1].public_bytes(serialization.Encoding.DER))


def test_what_we_write_is_read_by_cryptography(own: tuple[ec.EllipticCurvePrivateKey, x509.Certificate]) -> None:
    key, certificate = ours(own)
    file = devid.write_pkcs12(key, certificate, [certificate], password=PASSWORD, name="router")
    found = pkcs12.load_pkcs12(file, PASSWORD.encode())
    assert found.cert is not None and found.cert.certificate == own[1] and found.cert.friendly_name == b"router"
    assert isinstance(found.key, ec.EllipticCurvePrivateKey)
    assert found.key.private_numbers() == own[0].private_numbers()
    with pytest.raises(ValueError):
        pkcs12.load_pkcs12(file, b"wrong")
    with pytest.raises(devid.UsageError):
        devid.write_pkcs12(key, certificate, password="")
    with pytest.raises(devid.CryptoError) as refused:
        devid.write_pkcs12(devid.Key.generate(), certificate, password=PASSWORD)
    assert refused.value.code is devid.Code.KEY_MISMATCH


def test_scrypt_is_exchanged_with_openssl_both_ways(
    own: tuple[ec.EllipticCurvePrivateKey, x509.Certificate], tmp_path: Path
) -> None:
    key, certificate = ours(own)
    id_scrypt = bytes.fromhex("06092b06010401da47040b")
    file = tmp_path / "ours.p12"
    file.write_bytes(devid.write_pkcs12(key, certificate, password="letmein", scrypt=16384))
    assert file.read_bytes().count(id_scrypt) == 2, "key and certificates"

    def openssl(line: str) -> bytes:
        return subprocess.run(["openssl", *line.split()], cwd=tmp_path, check=True, capture_output=True).stdout

    found = openssl("pkcs12 -in ours.p12 -passin pass:letmein -nodes")
    with devid.Key.load(found[found.index(b"-----BEGIN PRIVATE") :]) as opened:
        assert opened.public_key == key.public_key
    assert b"BEGIN CERTIFICATE" in found
    with pytest.raises(subprocess.CalledProcessError):
        openssl("pkcs12 -in ours.p12 -passin pass:wrong -nodes")
    read = devid.read_pkcs12(file.read_bytes(), "letmein")
    assert read.key is not None and read.key.public_key == key.public_key
    # The other way OpenSSL seals keys by it, and no PKCS#12 file.
    (tmp_path / "plain.pem").write_bytes(key.export())
    openssl("pkcs8 -topk8 -in plain.pem -out theirs.pem -scrypt -scrypt_N 4096 -passout pass:letmein")
    sealed = (tmp_path / "theirs.pem").read_bytes()
    with devid.Key.load(sealed, b"letmein") as opened:
        assert opened.public_key == key.public_key
    for cost in (1000, 512, 131072):
        with pytest.raises(devid.UsageError):
            devid.write_pkcs12(key, certificate, password="letmein", scrypt=cost)


@pytest.mark.parametrize("scheme", ["PBESv2SHA256AndAES256CBC", "PBESv1SHA1And3KeyTripleDESCBC"])
def test_what_cryptography_writes_is_read(own: tuple[ec.EllipticCurvePrivateKey, x509.Certificate], scheme: str) -> None:
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(1000)
        .key_cert_algorithm(getattr(pkcs12.PBES, scheme))
        .hmac_hash(hashes.SHA256() if "256" in scheme else hashes.SHA1())
        .build(PASSWORD.encode())
    )
    file = pkcs12.serialize_key_and_certificates(b"router", own[0], own[1], None, encryption)
    found = devid.read_pkcs12(file, PASSWORD)
    assert found.key is not None and found.certificate is not None and found.others == ()
    assert found.key.public_key == ours(own)[0].public_key
    with pytest.raises(devid.CryptoError) as wrong:
        devid.read_pkcs12(file, "wrong")
    assert wrong.value.code is devid.Code.WRONG_SECRET
    changed = bytearray(file)
    changed[-20] ^= 1
    with pytest.raises(devid.InputError) as damaged:
        devid.read_pkcs12(bytes(changed), PASSWORD)
    assert damaged.value.code is devid.Code.CORRUPT


def test_a_file_is_installed_with_its_key(
    own: tuple[ec.EllipticCurvePrivateKey, x509.Certificate], tmp_path: Path
) -> None:
    key, certificate = ours(own)
    file = devid.write_pkcs12(key, certificate, password=PASSWORD, mac="PBMAC1", iterations=1000)
    trust = devid.Trust(certificate.pem.encode())
    with devid.Store(tmp_path / "memory") as store:
        with pytest.raises(devid.UsageError):
            store.import_certificate(file, trust, password=PASSWORD)
        identity = store.import_certificate(file, trust, name="router", password=PASSWORD)
        assert store.current("router").key.public_key == key.public_key
    assert identity.name == "router"
