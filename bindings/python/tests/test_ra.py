"""A device behind a registration authority, and with CAs of known makes."""

from __future__ import annotations

import time
import urllib.request
from typing import Any, Callable, Dict, List
import pytest

import devid
from devid.testing import TestCa


def config_for(ca: TestCa) -> devid.Config:
    config = devid.Config(ca.ra_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
    config.set_credential(*ca.idevid())
    return config


@pytest.mark.parametrize("way", ["forward", "nested", "batch", "replace", "ra-verified"])
def test_a_device_enrols_through_an_ra(way: str) -> None:
    with TestCa(arguments=[f"--ra={way}"]) as ca:
        config = config_for(ca)
        config.set_signer(cmc_purpose=True)
        issued = devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()
        assert issued.certificate.subject == "CN=router-7"
        outer = ["nested"] if way in ("nested", "batch") else []
        assert ca.received() == [*outer, "ir", *outer, "certConf"]


def test_an_ra_that_is_not_the_one_pinned_is_not_believed() -> None:
    with TestCa(arguments=["--ra=replace"]) as ca:
        config = config_for(ca)
        config.pin_signers(ca.read("peer-good.pem"))
        with pytest.raises(devid.ProtocolError) as caught:
            devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()
        assert caught.value.code is devid.Code.PROTECTION_INVALID
        assert "pinned" in caught.value.message


PROFILES = ["ejbca", "insta", "nokia-ncm", "3gpp", "vault", "openssl-mock", "strict-rfc9483"]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_enrols_with_a_ca_by_the_book(devid_testca: TestCa, profile: str) -> None:
    config = devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root, profile=profile)
    config.set_secret(devid_testca.reference, devid_testca.secret)
    devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()


def test_a_profile_makes_the_macs_that_its_ca_takes(devid_testca: TestCa) -> None:
    devid_testca.set(old_macs=True)
    config = devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root)
    config.set_secret(devid_testca.reference, devid_testca.secret)
    with pytest.raises(devid.ProtocolError):
        devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()
    config.set_profile("insta")
    devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()
    with pytest.raises(devid.UsageError, match="no profile 'acme'"):
        config.set_profile("acme")


def test_an_operators_root_is_adopted_only_where_that_is_wanted(devid_testca: TestCa) -> None:
    devid_testca.set(root_in_extra_certs=True)
    config = devid.Config(devid_testca.cmp_url, adopt_root=True)
    config.set_credential(*devid_testca.idevid())
    issued = devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()
    assert issued.issuers[-1] == devid.Certificate.parse(devid_testca.root)
    config.set_adopt_root(False)
    with pytest.raises(devid.UsageError):
        devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7")


def test_a_failure_says_why_and_what_may_help(devid_testca: TestCa) -> None:
    devid_testca.set(error=True, unprotected_error=True, text="no such end entity")
    config = devid.Config(devid_testca.cmp_url, cmp_anchors=devid_testca.root, enrolment_anchors=devid_testca.root)
    config.set_credential(*devid_testca.idevid())
    with pytest.raises(devid.ProtocolError) as caught:
        devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()
    error = caught.value
    assert error.requirement == "RFC 9483 section 3.5 (P5)" and error.expected == "an answer with protection"
    assert error.found is not None and error.found.startswith("error, pvno 2, no protection")
    assert error.hint is not None and "profile ejbca" in error.hint
    assert (error.phase, error.http_path) == ("ir", "/cmp")
    for line in ("phase: ir", "server, not authenticated: no such end entity", "HTTP path: /cmp", "hint: "):
        assert line in error.details


def test_a_failure_on_the_way_says_which_path_is_missing(devid_testca: TestCa) -> None:
    config = devid.Config(devid_testca.url + "/pkix", enrolment_anchors=devid_testca.root)
    config.set_secret(devid_testca.reference, devid_testca.secret)
    with pytest.raises(devid.TransportError) as caught:
        devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()
    assert (caught.value.http_status, caught.value.http_path) == (404, "/pkix")
    assert caught.value.hint is not None and "'/pkix/'" in caught.value.hint


def post(url: str, message: bytes) -> bytes:
    request = urllib.request.Request(url, message, {"Content-Type": "application/pkixcmp"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        content: bytes = answer.read()
        return content


def authority_of(ca: TestCa) -> devid.RegistrationAuthority:
    config = devid.Config(cmp_anchors=ca.root, enrolment_anchors=ca.root, intermediates=ca.read("supplier.pem"))
    config.set_credential(devid.Key.load(ca.read("ra.key")), ca.read("ra.pem") + ca.read("issuing.pem"))
    made = devid.RegistrationAuthority(devid.Client(config), devid.Trust(ca.read("supplier-root.pem")))
    made.add_secret(ca.reference, ca.secret)
    return made


def test_a_secret_that_everybody_knows_is_none(devid_testca: TestCa) -> None:
    authority = authority_of(devid_testca)
    for reference, secret in ((b"router-7", b""), (b"", b"secret"), ("", "")):
        with pytest.raises(devid.UsageError):
            authority.add_secret(reference, secret)


@pytest.mark.parametrize("way", ["nest", "batch", "keep", "ra-verified"])
@pytest.mark.parametrize("by", ["certificate", "secret"])
def test_this_package_is_a_registration_authority(devid_testca: TestCa, way: str, by: str) -> None:
    ca, authority = devid_testca, authority_of(devid_testca)
    begun: Dict[str, devid.DeviceRequest] = {}

    def relay(message: bytes) -> bytes:
        now = int(time.time())
        request = authority.check(message, now, earlier=begun.get("request"))
        begun.setdefault("request", request)
        if way == "nest":
            return post(ca.cmp_url, authority.nest(request, now))
        if way == "batch":
            batch = devid.Batch()
            batch.add(request)
            (reply,) = authority.unbundle(batch, post(ca.cmp_url, authority.batch(batch, now)), now)
            return reply
        proof = devid.Proof.KEEP if way == "keep" else devid.Proof.RA_VERIFIED
        return authority.answer(request, post(ca.cmp_url, authority.replace(request, now, proof=proof)), now)

    config = devid.Config(cmp_anchors=ca.root, enrolment_anchors=ca.root)
    if by == "secret":
        config.set_secret(ca.reference, ca.secret)
    else:
        config.set_credential(*ca.idevid())
    operation = devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7")
    issued = operation.run(exchange=relay)
    assert issued.certificate.subject == "CN=router-7"
    first = begun["request"]
    assert (first.body, first.subject, first.keeps_protection) == ("ir", "CN=router-7", False)
    if by == "secret":
        assert first.reference == ca.reference
        with pytest.raises(devid.StoreError):
            _ = first.certificate
    else:
        assert first.reference is None and first.certificate.subject == "CN=devid test device 1"
    assert ca.complaints() == []


def test_a_request_that_is_not_believed_is_refused_with_words(devid_testca: TestCa) -> None:
    ca, authority = devid_testca, authority_of(devid_testca)

    def relay(message: bytes) -> bytes:
        now = int(time.time())
        with pytest.raises(devid.ProtocolError):
            authority.check(message[:-1] + bytes([message[-1] ^ 1]), now)
        request = authority.check(message, now)
        with pytest.raises(devid.ProtocolError):
            authority.answer(request, message, now)
        return authority.refuse(
            message, now, checked=request, fail_info=devid.FailInfo.NOT_AUTHORIZED, words="not on the list"
        )

    config = devid.Config(enrolment_anchors=ca.root)
    config.set_secret(ca.reference, ca.secret)
    with pytest.raises(devid.ProtocolError) as caught:
        devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run(exchange=relay)
    assert caught.value.server_texts == ("not on the list",) and caught.value.server_authenticated
    assert caught.value.fail_info == devid.FailInfo.NOT_AUTHORIZED
    assert ca.received() == []


def test_an_ra_asks_on_behalf_of_others(devid_testca: TestCa) -> None:
    ca = devid_testca
    config = devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
    config.set_credential(devid.Key.load(ca.read("ra.key")), ca.read("ra.pem") + ca.read("issuing.pem"))
    request = devid.Request(devid.Key.generate("P-256"), devid.Subject("CN=printer 3"))
    issued = devid.Client(config).enroll_on_behalf(request.export()).run()
    assert issued.certificate.subject == "CN=printer 3"


@pytest.mark.parametrize("empty", [b"", "", bytes(1), bytes(16), bytearray(64)])
def test_an_empty_secret_is_none(devid_testca: TestCa, empty: Any) -> None:
    authority = authority_of(devid_testca)
    config = devid.Config()
    calls: List[Callable[[], object]] = [
        lambda: authority.add_secret("router-7", empty),
        lambda: config.set_secret("router-7", empty),
    ]
    for call in calls:
        with pytest.raises(devid.Error, match="empty") as raised:
            call()
        assert raised.value.code == devid.Code.INVALID_ARGUMENT
    with pytest.raises(devid.Error, match="reference value"):
        authority.add_secret("", "secret")
    authority.add_secret("router-7", "secret")
    config.set_secret("router-7", "secret")


def test_an_ra_sees_whose_certificate_a_request_is_about(devid_testca: TestCa) -> None:
    ca, authority = devid_testca, authority_of(devid_testca)
    now = int(time.time())
    config = config_for(ca)

    def rr(issuer: str, serial: str) -> bytes:
        operation = devid.Client(config).revoke_serial(issuer, serial)
        operation.step(now)
        return bytes(operation.output or b"")

    with pytest.raises(devid.Error, match="another|about"):
        authority.check(rr("CN=CA", "4711"), now)
    authority.set_requests_about_others(True)
    request = authority.check(rr("CN=CA", "4711"), now)
    assert (request.body, request.about) == ("rr", (("CN=CA", "4711"),))
    signer = request.certificate
    authority.set_requests_about_others(False)
    assert authority.check(rr(signer.issuer, signer.serial), now).about == ((signer.issuer, signer.serial),)
    operation = devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7")
    operation.step(now)
    assert authority.check(bytes(operation.output or b""), now).about == ()
