"""A peer's certificate is judged, and only a good verdict opens the way to its key."""

from __future__ import annotations

import functools
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, List

import pytest

import devid
from devid.testing import TestCa

def now() -> int:
    """Seconds since 1970, taken when what it judges was made already."""
    return int(time.time())


def peer_certificate(ca: TestCa, name: str) -> devid.Certificate:
    return devid.Certificate.parse(ca.read(f"{name}.pem"))


def validator(ca: TestCa, dns: str = "good.peer.example", **settings: Any) -> devid.Validator:
    settings.setdefault("purposes", ["serverAuth"])
    return devid.Validator(devid.Trust(ca.root), dns=[dns], intermediates=ca.read("issuing.pem"), **settings)


def hard(ca: TestCa, dns: str = "good.peer.example") -> devid.Validator:
    checks = validator(ca, dns, revocation=devid.Revocation.HARD, crls=ca.read("root.crl"))
    checks.add_crls(ca.read("issuing.crl"))
    return checks


def test_valid_peer_can_be_encrypted_for_and_only_it_can_read(devid_testca: TestCa, tmp_path: Path) -> None:
    for name, dns in (("peer-good", "good.peer.example"), ("peer-rsa", "rsa.peer.example")):
        peer = validator(devid_testca, dns).validate(peer_certificate(devid_testca, name), now())
        (tmp_path / "message.der").write_bytes(peer.encrypt(b"meter reading", now(), cbc=True))
        command = ["openssl", "cms", "-decrypt", "-inform", "DER", "-in", "message.der"]
        command += ["-recip", str(devid_testca.folder / f"{name}.pem"), "-inkey", str(devid_testca.folder / f"{name}.key")]
        read = subprocess.run(command, cwd=tmp_path, capture_output=True)
        assert read.stdout == b"meter reading", read.stderr


def test_a_key_elsewhere_opens_what_is_encrypted_to_it_if_it_can(devid_testca: TestCa) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    for name, dns, way in (("peer-good", "good.peer.example", "agree"), ("peer-rsa", "rsa.peer.example", "RSA-OAEP-SHA256")):
        inside: Any = load_pem_private_key(devid_testca.read(f"{name}.key"), None)
        asked: List[str] = []

        def decrypt(scheme: str, ciphertext: bytes) -> bytes:
            asked.append(scheme)
            return bytes(inside.decrypt(ciphertext, padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)))

        def agree(point: bytes) -> bytes:
            asked.append("agree")
            return bytes(inside.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(inside.curve, point)))

        def sign(_algorithm: str, _message: bytes) -> bytes:
            raise AssertionError("nothing is signed")

        peer = validator(devid_testca, dns).validate(peer_certificate(devid_testca, name), now())
        sealed = peer.encrypt(b"meter reading", now(), cbc=True)
        with devid.Key.external(peer.public_key(now()), sign, decrypt=decrypt, agree=agree) as key:
            assert key.decrypt(sealed) == b"meter reading" and asked == [way]
        with devid.Key.external(peer.public_key(now()), sign) as key, pytest.raises(devid.Error):
            key.decrypt(sealed)
        with devid.Key.external(peer.public_key(now()), sign, decrypt=lambda *_: b"x", agree=lambda _: b"x") as key:
            with pytest.raises(devid.Error):
                key.decrypt(sealed)
        with pytest.raises(TypeError):
            devid.Key.external(peer.public_key(now()), sign, decrypt=b"no function")  # type: ignore[arg-type]


def test_public_key_is_that_of_the_certificate(devid_testca: TestCa) -> None:
    peer = validator(devid_testca).validate(peer_certificate(devid_testca, "peer-good"), now())
    assert peer.public_key(now()) == devid.Key.load(devid_testca.read("peer-good.key")).public_key
    assert peer.certificate == peer_certificate(devid_testca, "peer-good")
    assert peer.expires > datetime.now(timezone.utc)


def test_key_goes_stale_with_the_verdict(devid_testca: TestCa) -> None:
    checks = validator(devid_testca)
    begin = now()
    checks.set_use_until(begin + 60)
    peer = checks.validate(peer_certificate(devid_testca, "peer-good"), begin)
    assert peer.expires == datetime.fromtimestamp(begin + 60, timezone.utc)
    with pytest.raises(devid.ValidationError) as stale:
        peer.public_key(begin + 61)
    assert stale.value.code is devid.Code.STALE
    with pytest.raises(devid.ValidationError):
        peer.encrypt(b"x", datetime.now(timezone.utc) + timedelta(days=1))


def test_revoked_peer_is_refused_by_crl_with_a_report(devid_testca: TestCa) -> None:
    with pytest.raises(devid.ValidationError) as refused:
        hard(devid_testca, "revoked.peer.example").validate(peer_certificate(devid_testca, "peer-revoked"), now())
    assert refused.value.code is devid.Code.REVOKED
    report = refused.value.report
    assert report is not None and not report.is_valid and report.path == ()
    assert report.findings[0].code is devid.Code.REVOKED and report.findings[0].is_fatal
    assert report.findings[0].certificate_index == 0


def test_revoked_peer_is_refused_by_ocsp(devid_testca: TestCa) -> None:
    issuing = devid.Certificate.parse(devid_testca.read("issuing.pem"))
    for name, is_good in (("good", True), ("revoked", False)):
        certificate = peer_certificate(devid_testca, f"peer-{name}")
        checks = validator(devid_testca, f"{name}.peer.example", revocation=devid.Revocation.HARD, scope=devid.Scope.LEAF)
        request = devid.OcspRequest(certificate, issuing)
        checks.add_ocsp(devid.fetch(devid_testca.ocsp_url, request), request)
        report = checks.examine(certificate, now())
        assert report.is_valid is is_good, report.findings
        if is_good:
            assert report.status_until is not None and report.not_after is not None


def test_answer_to_another_ocsp_request_is_not_taken(devid_testca: TestCa) -> None:
    certificate, issuing = peer_certificate(devid_testca, "peer-good"), peer_certificate(devid_testca, "issuing")
    asked, other = devid.OcspRequest(certificate, issuing), devid.OcspRequest(certificate, issuing)
    checks = validator(devid_testca)
    with pytest.raises(devid.Error) as refused:
        checks.add_ocsp(devid.fetch(devid_testca.ocsp_url, asked), other)
    assert refused.value.code is devid.Code.NONCE


def test_unknown_status_refuses_where_it_is_wanted_and_is_told_where_it_is_not(devid_testca: TestCa) -> None:
    certificate = peer_certificate(devid_testca, "peer-good")
    with pytest.raises(devid.ValidationError) as refused:
        validator(devid_testca, revocation=devid.Revocation.HARD).validate(certificate, now())
    assert refused.value.code is devid.Code.REVOCATION_UNKNOWN
    soft = validator(devid_testca, revocation=devid.Revocation.SOFT).examine(certificate, now())
    assert soft.is_valid and devid.Code.REVOCATION_UNKNOWN in [f.code for f in soft.findings]
    assert not any(f.is_fatal for f in soft.findings)
    with pytest.raises(TypeError, match="is_valid"):
        bool(soft)


def test_each_reason_has_its_code(devid_testca: TestCa) -> None:
    certificate = peer_certificate(devid_testca, "peer-good")
    years = 20 * 365 * 86_400
    stranger = devid.Trust(devid_testca.read("supplier-root.pem"))
    cases: List[Any] = [
        (validator(devid_testca), now() + years, devid.Code.EXPIRED),
        (validator(devid_testca), now() - years, devid.Code.NOT_YET_VALID),
        (validator(devid_testca, "other.example"), now(), devid.Code.NAME),
        (validator(devid_testca, purposes=["codeSigning"]), now(), devid.Code.KEY_USAGE),
        (devid.Validator(stranger, purposes=None, any_name=True), now(), devid.Code.NO_PATH),
        (devid.Validator(devid.Trust(), purposes=None, any_name=True), now(), devid.Code.NO_PATH),
    ]
    for checks, at, code in cases:
        with pytest.raises(devid.ValidationError) as refused:
            checks.validate(certificate, at)
        assert refused.value.code is code, refused.value


def test_what_is_no_certificate_is_refused_by_a_report(devid_testca: TestCa) -> None:
    good = devid_testca.read("peer-good.pem") + devid_testca.read("issuing.pem")
    junk = b"-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n"
    checks = validator(devid_testca)
    for sent in (junk, b"", b"hello", b"\x30\x03\x02\x01\x05", junk + good):
        report = checks.examine(sent, now())
        assert [finding.code for finding in report.findings] == [devid.Code.MALFORMED]
        for validate in (checks.validate, functools.partial(devid.Fetcher().validate, checks)):
            with pytest.raises(devid.ValidationError) as refused:
                validate(sent, now())
            assert refused.value.code is devid.Code.MALFORMED and refused.value.report is not None
    # Behind a good certificate it is left out.
    assert checks.validate(good + junk, now()).certificate.subject == checks.validate(good, now()).certificate.subject


def test_one_setting_says_how_far_clocks_may_be_apart(devid_testca: TestCa) -> None:
    certificate = peer_certificate(devid_testca, "peer-good")
    chain = [certificate, devid.Certificate.parse(devid_testca.read("issuing.pem"))]
    begin = max(int(each.not_before.timestamp()) for each in [*chain, devid.Certificate.parse(devid_testca.read("root.pem"))])
    trust = devid.Trust(devid_testca.read("root.pem"))

    def outcome(at: int, **how: Any) -> Any:
        checks = devid.Validator(trust, purposes=None, any_name=True, **how)
        report = checks.examine(chain, at)
        return None if report.is_valid else report.findings[0].code

    assert outcome(begin - 300) is None and outcome(begin - 301) is devid.Code.NOT_YET_VALID
    assert outcome(begin - 1, clock_skew_seconds=0) is devid.Code.NOT_YET_VALID
    assert outcome(begin - 3000, clock_skew_seconds=3600) is None
    with pytest.raises(devid.UsageError):
        outcome(begin, clock_skew_seconds=10**6)


def test_path_that_passed_leads_to_the_anchor(devid_testca: TestCa) -> None:
    report = hard(devid_testca).examine(peer_certificate(devid_testca, "peer-good"), now())
    assert report.is_valid and len(report.path) == 3
    assert report.path[0] == peer_certificate(devid_testca, "peer-good")
    assert report.path[-1] == devid.Certificate.parse(devid_testca.root)
    assert report.policies is None or isinstance(report.policies, tuple)


def test_device_without_a_clock_validates_and_is_told_what_was_not_checked(devid_testca: TestCa) -> None:
    report = validator(devid_testca).examine(peer_certificate(devid_testca, "peer-good"), None)
    assert report.is_valid and report.findings


def test_validator_must_be_told_whom_it_is_for(devid_testca: TestCa) -> None:
    trust = devid.Trust(devid_testca.root)
    with pytest.raises(devid.UsageError, match="any_name"):
        devid.Validator(trust, purposes=["serverAuth"])
    with pytest.raises(devid.UsageError, match="any_name"):
        devid.Validator(trust, purposes=["serverAuth"], dns=["a.example"], any_name=True)
    with pytest.raises(devid.UsageError, match="purpose"):
        devid.Validator(trust, purposes=[], any_name=True)
    with pytest.raises(TypeError, match="several"):
        devid.Validator(trust, purposes="serverAuth", any_name=True)
    with pytest.raises(devid.Error):
        devid.Validator(trust, purposes=["brewing"], any_name=True)


def test_time_must_have_a_zone(devid_testca: TestCa) -> None:
    certificate = peer_certificate(devid_testca, "peer-good")
    assert validator(devid_testca).examine(certificate, datetime.now(timezone.utc)).is_valid
    with pytest.raises(devid.UsageError, match="zone"):
        validator(devid_testca).examine(certificate, datetime.now())
    with pytest.raises(TypeError):
        validator(devid_testca).examine(certificate, "now")  # type: ignore[arg-type]


def test_signature_of_a_peer_is_checked_with_its_validated_key(devid_testca: TestCa) -> None:
    peer = validator(devid_testca).validate(peer_certificate(devid_testca, "peer-good"), now())
    signature = devid.Key.load(devid_testca.read("peer-good.key")).sign(b"I am here")
    peer.verify(signature, b"I am here", "ECDSA-SHA256", now())
    with pytest.raises(devid.CryptoError) as wrong:
        peer.verify(signature, b"I am there", "ECDSA-SHA256", now())
    assert wrong.value.code is devid.Code.SIGNATURE_INVALID


def test_secrets_agreed_with_a_peer_are_fresh(devid_testca: TestCa) -> None:
    peer = validator(devid_testca).validate(peer_certificate(devid_testca, "peer-good"), now())
    (point, secret), (other_point, other_secret) = peer.agree(now()), peer.agree(now())
    assert len(secret) == 32 and point != other_point and secret != other_secret


def test_peer_that_is_revoked_later_is_refused_for_good(devid_testca: TestCa) -> None:
    # The one process serves all tests: this one revokes a certificate of its own.
    key = devid.Key.generate()
    with devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root) as config:
        config.set_secret(devid_testca.reference, devid_testca.secret)
        subject = devid.Subject("CN=short-lived", dns=["good.peer.example"])
        certificate = devid.Client(config).enroll(key, subject).run().certificate
    checks = validator(devid_testca, purposes=None, revocation=devid.Revocation.HARD, scope=devid.Scope.LEAF)
    checks.add_crls(devid_testca.crl())
    peer = checks.validate(certificate, now())
    peer.recheck(checks, now())
    devid_testca.revoke(certificate.serial, 1)
    checks.clear_status()
    checks.add_crls(devid_testca.crl())
    with pytest.raises(devid.ValidationError) as refused:
        peer.recheck(checks, int(time.time()))
    assert refused.value.code is devid.Code.REVOKED
    with pytest.raises(devid.ValidationError):
        peer.public_key(now())


def test_one_validator_serves_several_threads(devid_testca: TestCa) -> None:
    checks, certificate = hard(devid_testca), peer_certificate(devid_testca, "peer-good")
    verdicts: List[bool] = []
    failures: List[BaseException] = []

    def work() -> None:
        try:
            verdicts.extend(checks.examine(certificate, now()).is_valid for _ in range(10))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and verdicts == [True] * 40


def test_garbage_as_status_data_is_refused(devid_testca: TestCa) -> None:
    checks = validator(devid_testca)
    for add in (checks.add_crls, checks.add_ocsp, checks.add_intermediates):
        with pytest.raises(devid.Error):
            add(b"\x30\x03garbage")


def test_documents_that_are_too_large_or_missing_are_errors_of_the_way(devid_testca: TestCa) -> None:
    assert len(devid.fetch(devid_testca.crl_url)) > 100
    with pytest.raises(devid.TransportError):
        devid.fetch(devid_testca.crl_url, max_len=10)
    with pytest.raises(devid.TransportError) as missing:
        devid.fetch(f"{devid_testca.url}/nothing")
    assert missing.value.http_status == 404
