"""A device behind a registration authority, and with CAs of known makes."""

from __future__ import annotations

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
    assert issued.chain[-1] == devid.Certificate.parse(devid_testca.root)
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
