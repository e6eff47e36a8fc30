"""Certificates are read as they came, and say nothing about trust."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone

import pytest

import devid
from devid.testing import TestCa


def test_certificate_shows_what_it_says(certificate_pem: bytes) -> None:
    with devid.Certificate.parse(certificate_pem) as certificate:
        assert certificate.der == ssl.PEM_cert_to_DER_cert(certificate_pem.decode())
        assert "CN=router-7" in certificate.subject and certificate.subject == certificate.issuer
        assert certificate.not_before <= datetime.now(timezone.utc) < certificate.not_after
        assert certificate.not_after - certificate.not_before <= timedelta(days=2, seconds=1)
        assert int(certificate.serial, 16) > 0
        assert "router-7" in repr(certificate)


def test_pem_of_a_certificate_reads_back_as_itself(certificate_pem: bytes) -> None:
    certificate = devid.Certificate.parse(certificate_pem)
    again = devid.Certificate.parse(certificate.pem.encode())
    assert again == certificate and hash(again) == hash(certificate) and again != certificate.der


def test_no_public_key_comes_out_of_an_unchecked_certificate(certificate_pem: bytes) -> None:
    with devid.Certificate.parse(certificate_pem) as certificate:
        assert not [name for name in dir(certificate) if "key" in name.lower() or "spki" in name.lower()]


def test_all_certificates_of_a_file_are_read_in_order_and_each_once(devid_testca: TestCa) -> None:
    files = [devid_testca.read(name) for name in ("root.pem", "issuing.pem", "supplier-root.pem")]
    found = devid.load_certificates(b"words before\n" + files[0] + files[1] + files[0] + files[2])
    assert [c.pem.encode() for c in found] == [devid.Certificate.parse(pem).pem.encode() for pem in files]


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_cut_certificate_is_refused_with_the_place(certificate_pem: bytes, cut: int) -> None:
    der = ssl.PEM_cert_to_DER_cert(certificate_pem.decode())
    with pytest.raises(devid.InputError) as refused:
        devid.Certificate.parse(der[:cut])
    assert isinstance(refused.value, ValueError) and refused.value.message


def test_bytes_behind_a_certificate_are_refused(certificate_pem: bytes) -> None:
    der = ssl.PEM_cert_to_DER_cert(certificate_pem.decode())
    with pytest.raises(devid.InputError) as refused:
        devid.Certificate.parse(der + b"\1")
    assert refused.value.code == devid.Code.TRAILING_DATA
    # A line end or padding is what editors and media put behind it.
    assert devid.Certificate.parse(der + b"\r\n\0").der == der


def test_a_certificate_is_not_taken_for_one_that_cannot_be_read_beside_it(certificate_pem: bytes) -> None:
    cut = certificate_pem.replace(b"-----END CERTIFICATE-----\n", b"")
    for text in (cut + certificate_pem, certificate_pem + cut):
        with pytest.raises(devid.InputError, match="no END line"):
            devid.Certificate.parse(text)
    # In a list the first counts: whose it is is told by its place.
    assert len(devid.load_certificates(certificate_pem + cut)) == 1
    with pytest.raises(devid.InputError, match="block 1"):
        devid.load_certificates(cut + certificate_pem)
    quoted = b"".join(b"> " + line + b"\n" for line in certificate_pem.splitlines())
    with pytest.raises(devid.InputError, match="as mails quote"):
        devid.load_certificates(quoted)


def test_empty_input_is_refused() -> None:
    for empty in (b"", bytearray(), memoryview(b"")):
        with pytest.raises(devid.Error):
            devid.Certificate.parse(empty)


def test_closed_certificate_is_equal_to_nothing(certificate_pem: bytes) -> None:
    certificate = devid.Certificate.parse(certificate_pem)
    certificate.close()
    with pytest.raises(devid.UsageError):
        certificate.der
    assert repr(certificate) == "<Certificate, closed>"
