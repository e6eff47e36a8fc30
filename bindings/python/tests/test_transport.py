"""The way to the server: HTTPS, with the test CA behind it, and proxies."""

from __future__ import annotations

import hashlib
import socket
import time
import urllib.parse
from typing import Iterator, Optional

import pytest

import devid
from devid.testing import TestCa


@pytest.fixture
def https_ca() -> Iterator[TestCa]:
    """A CA that lets in only who shows a certificate of the supplier or the operator."""
    with TestCa(arguments=["--tls-client-auth"]) as ca:
        yield ca


def config_for(ca: TestCa, tls_anchors: Optional[bytes] = None) -> devid.Config:
    """A device that shows its IDevID in TLS and protects its messages by the secret."""
    config = devid.Config(f"{ca.https_url}/cmp", enrolment_anchors=ca.root, tls_anchors=tls_anchors)
    config.set_secret(ca.reference, ca.secret)
    return config


def run(config: devid.Config) -> devid.Issued:
    return devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7").run()


def show_idevid(config: devid.Config, ca: TestCa) -> None:
    config.set_tls_credential(devid.Key.load(ca.read("idevid.key")), ca.read("idevid.pem") + ca.read("idevid-chain.pem"))


def test_device_shows_its_idevid_and_enrols_over_https(https_ca: TestCa) -> None:
    config = config_for(https_ca, tls_anchors=https_ca.root)
    show_idevid(config, https_ca)
    config.set_tls_min_version("1.3")
    issuing = devid.Certificate.parse(https_ca.read("issuing.pem"))
    config.add_tls_pin(certificate=hashlib.sha256(issuing.der).digest())
    assert run(config).certificate.subject == "CN=router-7"


def test_key_in_a_token_shows_the_idevid(https_ca: TestCa) -> None:
    inner = devid.Key.load(https_ca.read("idevid.key"))
    token = devid.Key.external(inner.public_key, lambda algorithm, message: inner.sign(message, algorithm))
    config = config_for(https_ca, tls_anchors=https_ca.root)
    config.set_tls_credential(token, https_ca.read("idevid.pem") + https_ca.read("idevid-chain.pem"))
    assert run(config).certificate.subject == "CN=router-7"


def test_device_known_by_tls_alone_enrols_without_protection(https_ca: TestCa) -> None:
    https_ca.set(take_unprotected=True, no_protection=True, at="any")
    config = config_for(https_ca, tls_anchors=https_ca.root)
    show_idevid(config, https_ca)
    with pytest.raises(devid.ProtocolError) as refused:
        run(config)
    assert refused.value.code is devid.Code.UNPROTECTED, "not unless it is asked for"
    config.protect_by_mutual_tls()
    assert run(config).certificate.subject == "CN=router-7"
    config.set_server(https_ca.cmp_url)
    with pytest.raises(devid.UsageError):
        run(config)


def test_server_that_misses_our_certificate_says_so(https_ca: TestCa) -> None:
    with pytest.raises(devid.TransportError, match="demands a client certificate, and none is set") as refused:
        run(config_for(https_ca, tls_anchors=https_ca.root))
    assert refused.value.code is devid.Code.TLS


def test_server_is_believed_under_its_own_anchors_only(https_ca: TestCa) -> None:
    with pytest.raises(devid.UsageError, match="TLS anchors"):
        run(config_for(https_ca))
    with pytest.raises(devid.TransportError, match="NO_PATH") as refused:
        run(config_for(https_ca, tls_anchors=https_ca.read("supplier-root.pem")))
    assert refused.value.code is devid.Code.TLS


def test_every_refusal_of_a_server_is_named(https_ca: TestCa) -> None:
    def refused_after(method: str, *values: object, **named: object) -> str:
        config = config_for(https_ca, tls_anchors=https_ca.root)
        show_idevid(config, https_ca)
        getattr(config, method)(*values, **named)
        with pytest.raises(devid.TransportError) as refused:
            run(config)
        assert refused.value.code is devid.Code.TLS
        return str(refused.value)

    assert "NAME" in refused_after("set_tls_server_name", "ca.example")
    assert "pinned" in refused_after("add_tls_pin", public_key=bytes(32))
    assert "EXPIRED" in refused_after("set_tls_clock", 4_000_000_000)
    assert "REVOCATION_UNKNOWN" in refused_after("set_tls_revocation", demanded=True)


def test_server_is_looked_up_in_lists_that_were_given(https_ca: TestCa) -> None:
    config = config_for(https_ca, tls_anchors=https_ca.root)
    show_idevid(config, https_ca)
    config.set_tls_revocation(demanded=True, crls=https_ca.read("issuing.crl"))
    config.set_tls_revocation(demanded=True, crls=https_ca.read("root.crl"))
    assert run(config).certificate.subject == "CN=router-7"


def test_device_without_a_clock_still_checks_the_rest(https_ca: TestCa) -> None:
    config = config_for(https_ca, tls_anchors=https_ca.root)
    show_idevid(config, https_ca)
    config.set_tls_clock(None)
    assert run(config).certificate.subject == "CN=router-7"


def test_settings_that_mean_nothing_are_refused() -> None:
    config = devid.Config()
    with pytest.raises(devid.UsageError):
        config.add_tls_pin(certificate=bytes(31))
    with pytest.raises(devid.UsageError):
        config.add_tls_pin()
    with pytest.raises(devid.UsageError):
        config.set_tls_min_version("1.1")
    with pytest.raises(devid.UsageError):
        config.set_proxy_login("device")


def test_old_server_is_spoken_to_in_http_1_0() -> None:
    with TestCa() as ca:
        config = devid.Config(ca.cmp_url, enrolment_anchors=ca.root)
        config.set_secret(ca.reference, ca.secret)
        config.set_http_1_0(True)
        assert run(config).certificate.subject == "CN=router-7"


def test_program_carries_the_datagrams_of_coap() -> None:
    with TestCa(arguments=["--coap"]) as ca:
        parts = urllib.parse.urlsplit(ca.coap_url or "")
        config = devid.Config("coap://ca.nowhere.invalid/cmp", enrolment_anchors=ca.root)
        config.set_secret(ca.reference, ca.secret)
        operation = devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as modem:
            modem.connect((parts.hostname, parts.port))

            def receive(wait_seconds: float) -> Optional[bytes]:
                modem.settimeout(wait_seconds)
                try:
                    return modem.recv(4096)
                except socket.timeout:
                    return None

            operation.set_datagrams(lambda datagram: modem.sendall(datagram), receive)
            assert operation.run().certificate.subject == "CN=router-7"

            renewal, store = devid.Renewal(config, "router", subject="CN=router-7"), devid.Store.in_memory()
            renewal.set_datagrams(lambda datagram: modem.sendall(datagram), receive)
            report = renewal.run(store, int(time.time()))
            assert report.done is devid.Done.INSTALLED, report

        def unplugged(_: bytes) -> None:
            raise ConnectionResetError("antenna")

        second = devid.Client(config).enroll(devid.Key.generate("P-256"), "CN=router-7")
        second.set_datagrams(unplugged, receive)
        with pytest.raises(ConnectionResetError, match="antenna"):
            second.run()


def test_device_enrols_over_coap() -> None:
    with TestCa(arguments=["--coap"]) as ca:
        config = devid.Config(f"{ca.coap_url}/cmp", enrolment_anchors=ca.root)
        config.set_secret(ca.reference, ca.secret)
        assert run(config).certificate.subject == "CN=router-7"
        config.set_coap(block_bytes=64, ack_millis=500, max_retransmit=3)
        assert run(config).certificate.subject == "CN=router-7"
        with pytest.raises(devid.UsageError):
            config.set_coap(block_bytes=100)
        config.set_server(f"{ca.coap_url}/nowhere")
        with pytest.raises(devid.TransportError, match=r"4\.04") as refused:
            run(config)
        assert refused.value.code is devid.Code.HTTP_STATUS and refused.value.http_status == 404
