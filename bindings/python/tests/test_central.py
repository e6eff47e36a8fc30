"""Keys that the CA makes, and keys that cannot sign."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

import devid
from devid.testing import TestCa


def client(ca: TestCa, by_secret: bool = False, possession: str = "signature") -> devid.Client:
    with devid.Config(ca.cmp_url, enrolment_anchors=ca.root, cmp_anchors=ca.root) as config:
        if by_secret:
            config.set_secret(ca.reference, ca.secret)
        else:
            config.set_credential(*ca.idevid())
        config.set_possession(possession)
        return devid.Client(config)


def is_pair(key: devid.Key, certificate: devid.Certificate) -> bool:
    """Whether key and certificate belong together, in the eyes of another library."""
    public = load_pem_private_key(key.export(), None).public_key()
    certified = x509.load_pem_x509_certificate(certificate.pem.encode()).public_key()
    encoding = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public.public_bytes(*encoding) == certified.public_bytes(*encoding)


@pytest.mark.parametrize("by_secret", [False, True])
@pytest.mark.parametrize("kind", [None, "P-384", "RSA-2048"])
def test_key_made_by_the_ca_comes_with_its_certificate(devid_testca: TestCa, by_secret: bool, kind: Optional[str]) -> None:
    issued = client(devid_testca, by_secret).enroll_central("CN=device", key_kind=kind).run()
    assert issued.private_key is not None and is_pair(issued.private_key, issued.certificate)
    assert kind is None or issued.private_key.kind == kind
    assert issued.differences == () and devid_testca.complaints() == []


def test_key_made_by_the_ca_goes_into_device_memory_and_survives_a_power_cut(devid_testca: TestCa, tmp_path: Path) -> None:
    store = devid.Store(tmp_path / "store")
    devid_testca.set(confirm_waiting=1, check_after=1)

    class PowerCut(Exception):
        pass

    def cut(_: int) -> None:
        raise PowerCut

    operation = client(devid_testca).enroll_central("CN=device", key_kind="P-256")
    operation.install_into(store, "device", purpose="ldevid")
    with pytest.raises(PowerCut):
        operation.run(wait=cut)
    operation.close()
    again = client(devid_testca).resume(store, "device")
    assert again is not None
    again.run()
    identity = store.current("device")
    assert is_pair(identity.key, identity.chain[0])
    renewing = devid.Config(devid_testca.cmp_url, enrolment_anchors=devid_testca.root, cmp_anchors=devid_testca.root)
    renewing.set_credential(identity.key, identity.chain)
    second = devid.Client(renewing).enroll_central(request="kur").run()
    assert second.private_key is not None and second.certificate.subject == "CN=device"


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"key_signer": "stranger"}, "SIGNATURE_INVALID"),
        ({"key_signer": "no-purpose"}, "SIGNATURE_INVALID"),
        ({"other_generated_key": True}, "KEY_MISMATCH"),
        ({"broken_envelope": True}, "DECRYPT"),
        ({"no_generated_key": True}, "PROTOCOL"),
    ],
)
def test_key_that_is_not_as_it_must_be_is_refused(devid_testca: TestCa, knobs: Dict[str, Any], code: str) -> None:
    devid_testca.set(**knobs)
    with pytest.raises(devid.Error) as refused:
        client(devid_testca).enroll_central("CN=device").run()
    assert refused.value.code == devid.Code[code]
    assert devid_testca.received() == ["ir", "certConf"]


def elsewhere(ca: TestCa, failures: List[Optional[BaseException]]) -> devid.Config:
    """A client whose key lives elsewhere, and raises these, one at each call, before it works."""
    own, certificates = ca.idevid()
    inside: Any = load_pem_private_key(own.export(), None)

    def asked() -> None:
        failure = failures.pop(0) if failures else None
        if failure is not None:
            raise failure

    def sign(algorithm: str, message: bytes) -> bytes:
        asked()
        return own.sign(message, algorithm)

    def agree(point: bytes) -> bytes:
        asked()
        return bytes(inside.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(inside.curve, point)))

    config = devid.Config(ca.cmp_url, enrolment_anchors=ca.root, cmp_anchors=ca.root)
    config.set_credential(devid.Key.external(own.public_key, sign, agree=agree), certificates)
    return config


@pytest.mark.parametrize("failure", [OSError("usb"), KeyboardInterrupt(), devid.CryptoError("away", devid.Code.SIGNER)])
@pytest.mark.parametrize("call", [0, 1, 2])
@pytest.mark.parametrize("is_bound", [False, True])
def test_a_key_elsewhere_that_fails_once_costs_a_run_and_nothing_else(
    devid_testca: TestCa, tmp_path: Path, failure: BaseException, call: int, is_bound: bool
) -> None:
    # It signs ir, opens the key that the CA has made, and signs certConf.
    client = devid.Client(elsewhere(devid_testca, [None] * call + [failure]))
    operation = client.enroll_central("CN=device")
    store = devid.Store(tmp_path / "store")
    if is_bound:
        operation.install_into(store, "device")
    with pytest.raises(type(failure)):
        operation.run()
    assert not operation.has_failed
    if is_bound and call > 0:
        operation.close()
        again = client.resume(store, "device")
        assert again is not None
        operation = again
    operation.run()
    assert devid_testca.received() == ["ir", "certConf"] and devid_testca.complaints() == []
    if is_bound:
        assert store.current("device").certificate.subject == "CN=device"


@pytest.mark.parametrize("failure", [None, devid.CryptoError("another key's", devid.Code.DECRYPT)])
def test_a_key_elsewhere_that_does_not_open_it_refuses_the_certificate(
    devid_testca: TestCa, failure: Optional[BaseException]
) -> None:
    devid_testca.set(broken_envelope=failure is None)
    operation = devid.Client(elsewhere(devid_testca, [None, failure])).enroll_central("CN=device")
    with pytest.raises(devid.CryptoError) as refused:
        operation.run()
    assert refused.value.code == devid.Code.DECRYPT and operation.has_failed
    assert devid_testca.received() == ["ir", "certConf"]


def test_steps_hand_out_the_key_before_it_is_confirmed(devid_testca: TestCa) -> None:
    operation = client(devid_testca, by_secret=True).enroll_central("CN=device")
    bodies: List[str] = []
    now = int(time.time())
    while (action := operation.step(now)) is not devid.Action.DONE:
        if action is devid.Action.SEND:
            bodies.append(operation.output_name or "")
            operation.exchange()
        else:
            assert action is devid.Action.ACCEPT
            issued = operation.issued
            assert issued is not None and issued.private_key is not None
            restored = client(devid_testca, by_secret=True).restore(issued.private_key, operation.save()).issued
            assert restored is not None and restored.certificate.der == issued.certificate.der
            assert restored.private_key is not None
            operation.accept()
    assert bodies == ["ir", "certConf"]


@pytest.mark.parametrize("kind", ["X25519", "ML-KEM-768"])
@pytest.mark.parametrize("possession", ["signature", "encrCert", "challengeResp"])
def test_keys_that_cannot_sign_are_certified_all_the_same(devid_testca: TestCa, kind: str, possession: str) -> None:
    key = devid.Key.generate(kind)
    assert key.kind == kind
    issued = client(devid_testca, possession=possession).enroll(key, "CN=device").run()
    assert issued.private_key is None and issued.certificate.subject == "CN=device"
    expected = ["ir", "popdecr", "certConf"] if possession == "challengeResp" else ["ir", "certConf"]
    assert devid_testca.received() == expected and devid_testca.complaints() == []


def test_wrong_words_are_refused() -> None:
    with devid.Config() as config:
        with pytest.raises(devid.UsageError):
            config.set_possession("raVerified")
