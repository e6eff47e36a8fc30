"""A device behind a registration authority."""

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
