"""Revocation, questions to the CA, PKCS#10 requests, and what is done with the answers."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Tuple

import pytest

import devid
from devid.testing import TestCa


def config(ca: TestCa) -> devid.Config:
    return devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)


def newcomer(ca: TestCa) -> devid.Client:
    with config(ca) as settings:
        settings.set_credential(*ca.idevid())
        return devid.Client(settings)


def enrolled(ca: TestCa) -> Tuple[devid.Issued, devid.Client]:
    """A certificate, and the client that signs with it."""
    key = devid.Key.generate()
    issued = newcomer(ca).enroll(key, "CN=device").run()
    with config(ca) as settings:
        settings.set_credential(key, [issued.certificate, *issued.issuers])
        return issued, devid.Client(settings)


def trust(ca: TestCa) -> devid.Trust:
    return devid.Trust(ca.root)


def test_device_revokes_its_certificate_and_the_crl_that_says_so_is_kept(devid_testca: TestCa, tmp_path: Path) -> None:
    issued, client = enrolled(devid_testca)
    store, anchors = devid.Store(tmp_path / "store"), trust(devid_testca)
    store.put_crl(devid_testca.crl(), issued.certificate, anchors, intermediates=issued.issuers)

    revoked = client.revoke(issued.certificate, devid.Reason.CESSATION_OF_OPERATION).run()

    assert revoked.pki_status is devid.PkiStatus.ACCEPTED and revoked.warnings == () and revoked.crls == ()
    with pytest.raises(devid.ValidationError) as on_it:
        store.put_crl(devid_testca.crl(), issued.certificate, anchors, intermediates=issued.issuers)
    assert on_it.value.code is devid.Code.REVOKED and "cessationOfOperation" in str(on_it.value)
    issuers = "".join(c.pem for c in issued.issuers).encode()
    validator = devid.Validator(
        anchors, purposes=None, any_name=True, intermediates=issuers, revocation=devid.Revocation.HARD
    )
    validator.add_crls(store.crls())
    # The list is of a CA that an anchor has certified: its numbers are forgotten with it, and not by another's certificate.
    assert store.forget_crl_numbers(issued.certificate) == 0 and store.crls() != b""
    assert store.forget_crl_numbers(issued.issuers[0]) == 1 and store.crls() == b""
    assert store.forget_crl_numbers() == 0
    report = validator.examine(issued.certificate, int(time.time()))
    assert not report.is_valid and report.findings[0].code is devid.Code.REVOKED
    assert devid_testca.received()[-1] == "rr" and devid_testca.complaints() == []


def test_several_certificates_are_revoked_by_one_message_and_each_has_an_outcome(devid_testca: TestCa) -> None:
    issued, client = enrolled(devid_testca)
    other, _ = enrolled(devid_testca)
    wanted = [
        (issued.certificate, devid.Reason.SUPERSEDED),
        (other.certificate, devid.Reason.CESSATION_OF_OPERATION),
    ]
    # The signer's own is revoked, the other's is not this one's to give up.
    operation = client.revoke_several(wanted)
    assert operation.outcomes == []
    own, others = operation.run()
    assert own.is_revoked and own.pki_status is devid.PkiStatus.ACCEPTED and own.error is None
    assert not others.is_revoked and others.pki_status is None
    assert isinstance(others.error, devid.ProtocolError) and devid.FailInfo.NOT_AUTHORIZED in others.error.fail_info
    assert operation.crls == [] and devid_testca.received()[-1] == "rr" and devid_testca.complaints() == []
    with pytest.raises(devid.UsageError, match="no certificate"):
        client.revoke_several([])
    with pytest.raises(devid.UsageError, match="twice"):
        client.revoke_several([wanted[0], wanted[0]])


def test_several_revocations_survive_a_restart(devid_testca: TestCa) -> None:
    issued, client = enrolled(devid_testca)
    other, _ = enrolled(devid_testca)
    devid_testca.set(other_waiting=1, check_after=1)
    with client.revoke_several([(one.certificate, devid.Reason.SUPERSEDED) for one in (other, issued)]) as operation:
        while operation.step(int(time.time())) is not devid.Action.WAIT:
            operation.exchange()
        saved = operation.save()
    outcomes = client.restore_revocations(saved).run(wait=time.sleep)
    assert [outcome.is_revoked for outcome in outcomes] == [False, True]


def test_certificate_is_named_by_issuer_and_serial_and_the_wait_survives_a_restart(devid_testca: TestCa) -> None:
    issued, client = enrolled(devid_testca)
    devid_testca.set(other_waiting=1, check_after=1)
    with client.revoke_serial(issued.certificate.issuer, issued.certificate.serial) as operation:
        assert operation.request_name == "rr" and operation.revoked is None
        while operation.step(int(time.time())) is not devid.Action.WAIT:
            operation.exchange()
        saved = operation.save()
    with pytest.raises(devid.UsageError, match="rr"):
        client.restore_question(saved)
    assert client.restore_revocation(saved).run(wait=time.sleep).pki_status is devid.PkiStatus.ACCEPTED
    assert devid_testca.received()[-3:] == ["rr", "pollReq", "pollReq"]


def test_revocation_that_the_ca_refuses_or_nobody_may_ask_for_is_an_error(devid_testca: TestCa) -> None:
    issued, client = enrolled(devid_testca)
    with pytest.raises(devid.ProtocolError) as refused:
        newcomer(devid_testca).revoke(issued.certificate).run()
    assert refused.value.code is devid.Code.REJECTED and devid.FailInfo.NOT_AUTHORIZED in refused.value.fail_info
    with pytest.raises(devid.UsageError):
        client.revoke(issued.certificate, 7)  # type: ignore[arg-type]
    for serial in ("", "0x12", "device"):
        with pytest.raises(devid.UsageError):
            client.revoke_serial("CN=CA", serial)
    with config(devid_testca) as settings:
        settings.set_secret(devid_testca.reference, devid_testca.secret)
        with pytest.raises(devid.UsageError):
            devid.Client(settings).revoke(issued.certificate)


def test_certificate_whose_key_is_lost_is_revoked_by_the_passphrase_that_was_left(devid_testca: TestCa) -> None:
    issued, client = enrolled(devid_testca)
    names = issued.certificate.issuer, issued.certificate.serial
    to, passphrase = devid.Certificate.parse(devid_testca.read("passphrase.pem")), b"seven old kettles over the harbour"

    def bearer(secret: bytes) -> devid.Client:
        with config(devid_testca) as settings:
            settings.set_secret(b"lost key 1", secret)
            return devid.Client(settings)

    # A certificate of the CA whose key only signs.
    signer = devid.Certificate.parse(devid_testca.read("cmp-signer.pem"))
    with pytest.raises(devid.ValidationError) as signs_only:
        client.leave_revocation_passphrase(signer, "lost key 1", passphrase, int(time.time()))
    assert signs_only.value.code is devid.Code.KEY_USAGE
    with client.leave_revocation_passphrase(to, "lost key 1", passphrase, int(time.time())) as leaving:
        with pytest.raises(devid.UsageError):
            leaving.answer
        leaving.step(int(time.time()))
        assert passphrase not in leaving.save() and passphrase not in (leaving.output or b"")
        leaving.run()
        assert leaving.answer is None

    with pytest.raises(devid.ProtocolError):
        bearer(b"six old kettles").revoke_with_passphrase(*names).run()
    with pytest.raises(devid.ProtocolError) as another:
        other, _ = enrolled(devid_testca)
        bearer(passphrase).revoke_with_passphrase(other.certificate.issuer, other.certificate.serial).run()
    assert devid.FailInfo.NOT_AUTHORIZED in another.value.fail_info
    with pytest.raises(devid.UsageError):
        client.revoke_with_passphrase(*names)
    with pytest.raises(devid.UsageError):
        bearer(passphrase).revoke_serial(*names)
    revoked = bearer(passphrase).revoke_with_passphrase(*names, devid.Reason.KEY_COMPROMISE).run()
    assert revoked.pki_status is devid.PkiStatus.ACCEPTED
    with pytest.raises(devid.ProtocolError, match="revoked"):
        client.ask_ca_certs().run()


@pytest.mark.parametrize("holder", ["peer-good", "peer-rsa"])
def test_passphrase_that_is_left_is_opened_by_openssl(devid_testca: TestCa, tmp_path: Path, holder: str) -> None:
    _, client = enrolled(devid_testca)
    recipient = devid.Certificate.parse(devid_testca.read(holder + ".pem"))
    with client.leave_revocation_passphrase(recipient, "lost key 2", b"seven kettles", int(time.time())) as leaving:
        leaving.step(int(time.time()))
        message = leaving.output or b""
    # infoType, and behind it EncryptedKey: [0] IMPLICIT EnvelopedData, of 256 to 65535 bytes.
    at = message.index(bytes.fromhex("06082b0601050507040c")) + 10
    assert message[at : at + 2] == b"\xa0\x82"
    enveloped = b"\x30" + message[at + 1 : at + 4 + int.from_bytes(message[at + 2 : at + 4], "big")]
    for name in (holder + ".pem", holder + ".key"):
        (tmp_path / name).write_bytes(devid_testca.read(name))

    def tlv(tag: bytes, content: bytes) -> bytes:
        return tag + b"\x82" + len(content).to_bytes(2, "big") + content

    enveloped_data = bytes.fromhex("06092a864886f70d010703")
    (tmp_path / "sealed").write_bytes(tlv(b"\x30", enveloped_data + tlv(b"\xa0", enveloped)))
    command = f"openssl cms -decrypt -binary -inform DER -in sealed -recip {holder}.pem -inkey {holder}.key"
    opened = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True)
    assert opened.stdout == b"seven kettles"


def test_pkcs10_request_is_brought_to_the_ca_for_someone_else(devid_testca: TestCa) -> None:
    with devid.Key.generate() as key, devid.Request(key, devid.Subject("CN=neighbour")) as request:
        csr = request.export()
    issued = newcomer(devid_testca).enroll_pkcs10(csr).run()
    assert issued.certificate.subject == "CN=neighbour"
    assert devid_testca.received() == ["p10cr", "certConf"]
    with pytest.raises(devid.InputError):
        newcomer(devid_testca).enroll_pkcs10(b"no request")


def test_every_question_has_its_answer(devid_testca: TestCa) -> None:
    client = newcomer(devid_testca)
    issuing = devid.Certificate.parse(devid_testca.read("issuing.pem"))
    assert issuing in client.ask_ca_certs().run()
    with client.ask_template() as question:
        with pytest.raises(devid.UsageError):
            question.answer
    crls = client.ask_current_crl().run()
    assert len(crls) == 1
    assert len(client.ask_crl_of(issuer=issuing.subject).run()) == 1
    assert client.ask_crl(devid.Certificate.parse(devid_testca.read("peer-good.pem")), crls[0]).run() == []
    with pytest.raises(devid.UsageError):
        client.ask_crl_of()
    answer = client.ask_other("1.3.6.1.4.1.32473.1", b"\x05\x00").run()
    assert answer == [("1.3.6.1.4.1.32473.1", b"")]
    with pytest.raises(devid.Error):
        client.ask_other("1.3.6.1.4.1.32473.1", b"no DER")


def test_new_root_joins_the_anchors_that_hold_the_old_one(devid_testca: TestCa, tmp_path: Path) -> None:
    client, store = newcomer(devid_testca), devid.Store(tmp_path / "store")
    root = devid.Certificate.parse(devid_testca.root)
    question = client.ask_root_update(root)
    with pytest.raises(devid.UsageError):
        store.add_root("enrolment", question)
    update = question.run()
    assert update is not None and update.new_root != root and update.old_with_new is not None
    with pytest.raises(devid.StoreError) as untrusted:
        store.add_root("enrolment", question)
    assert untrusted.value.code is devid.Code.NOT_FOUND
    store.put_anchors("enrolment", [root])
    assert store.add_root("enrolment", question) and not store.add_root("enrolment", question)
    assert store.anchors("enrolment") == [root, update.new_root] and store.anchors("cmp") == []


def test_template_of_the_ca_is_followed(devid_testca: TestCa) -> None:
    client = newcomer(devid_testca)
    template = client.ask_template().run()
    assert template is not None and template.subject == "" and template.key_kinds == ["P-256", "RSA-2048"]
    assert template.key_words == "P-256, RSA-2048" and "P-256, RSA-2048" in repr(template)
    kept = devid.Template.parse(template.der)
    wishes = devid.Subject("CN=device", dns=["device.example"], template=kept)
    assert wishes.changes() == ["extension 2.5.29.17 was left out"]
    with pytest.raises(devid.CryptoError) as wrong:
        kept.check_key(devid.Key.generate("Ed25519"))
    assert wrong.value.code is devid.Code.ALGORITHM
    key = kept.generate_key()
    assert key.kind == "P-256"
    issued = client.enroll(key, wishes).run()
    assert issued.certificate.subject == "CN=device" and issued.certificate.names == [] and issued.differences == ()


def test_success_with_a_warning_says_so(devid_testca: TestCa) -> None:
    devid_testca.set(status=6, text="renewed twice today")
    _, client = enrolled(devid_testca)
    issued = client.renew(devid.Key.generate()).run()
    assert issued.pki_status is devid.PkiStatus.KEY_UPDATE_WARNING and issued.differences == ()
    assert issued.warnings[0].startswith("keyUpdateWarning") and issued.warnings[1] == "renewed twice today"


def test_forged_or_foreign_crl_is_not_kept(devid_testca: TestCa, tmp_path: Path) -> None:
    issued, _ = enrolled(devid_testca)
    store, anchors = devid.Store(tmp_path / "store"), trust(devid_testca)
    good = devid_testca.crl()
    forged = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(devid.ValidationError) as refused:
        store.put_crl(forged, issued.certificate, anchors, intermediates=issued.issuers)
    assert refused.value.code is devid.Code.REVOCATION_UNKNOWN
    with pytest.raises(devid.ValidationError):
        store.put_crl(devid_testca.read("root.crl"), issued.certificate, anchors, intermediates=issued.issuers)
    with pytest.raises(devid.InputError):
        store.put_crl(b"", issued.certificate, anchors)
    assert store.crls() == b""


def test_own_records_and_numbers_are_kept_beside_those_of_the_library(tmp_path: Path) -> None:
    store = devid.Store(tmp_path / "store")
    store.put_blob("settings", b"\0colour=blue")
    assert store.blob("settings") == b"\0colour=blue" and store.blobs() == ["settings"]
    store.remove_blob("settings")
    with pytest.raises(devid.StoreError):
        store.blob("settings")
    assert store.number("firmware") == 0
    assert store.raise_number("firmware", 2**62) and not store.raise_number("firmware", 7)
    assert store.number("firmware") == 2**62
    own = ["status-1", "crl-1", "cre-1", "revoked", "revoked-mark", "bearers", "clock-seen", "clock-boot", "renewal-device"]
    own += ["device-id", "forgotten-keys", "refused-pins", "export-device", "changed-device"]
    with pytest.raises(devid.UsageError):
        store.raise_number("firmware", -1)
    for name in own:
        with pytest.raises(devid.UsageError):
            store.put_blob(name, b"")
        with pytest.raises(devid.UsageError):
            store.raise_number(name, 1)


def test_several_certificates_come_by_one_message_and_each_has_an_outcome(devid_testca: TestCa) -> None:
    keys = [devid.Key.generate() for _ in range(3)]
    devid_testca.set(waiting=1, check_after=1, waiting_ids="1")
    operation = newcomer(devid_testca).enroll_several([(key, f"CN=unit {at}") for at, key in enumerate(keys)])
    offered = []

    def decide(issued: devid.Issued) -> bool:
        offered.append(issued.certificate.subject)
        return issued.certificate.subject != "CN=unit 2"

    first, second, third = operation.run_all(decide=decide, wait=lambda seconds: time.sleep(0))
    assert offered == ["CN=unit 0", "CN=unit 2", "CN=unit 1"], "the one that waits comes last"
    for at, outcome in enumerate((first, second)):
        assert outcome.error is None and outcome.certificate is not None and outcome.issuers
        assert outcome.certificate.subject == f"CN=unit {at}" and keys[at].public_key in outcome.certificate.der
    assert third.certificate is None and third.error is not None and third.error.code is devid.Code.REFUSED
    assert devid_testca.complaints() == []
    assert devid_testca.received()[-5:] == ["ir", "certConf", "pollReq", "pollReq", "certConf"]


def test_several_certificates_are_decided_on_step_by_step(devid_testca: TestCa) -> None:
    wanted = [(devid.Key.generate(), devid.Subject(f"CN=unit {at}")) for at in range(2)]
    with newcomer(devid_testca).enroll_several(wanted) as operation:
        asked = []
        while True:
            action = operation.step(int(time.time()))
            if action is devid.Action.DONE:
                break
            if action is devid.Action.ACCEPT:
                asked.append(operation.request_index)
                operation.accept()
            else:
                operation.exchange()
        assert asked == [0, 1]
        assert [outcome.certificate is not None for outcome in operation.outcomes] == [True, True]
    client = newcomer(devid_testca)
    with pytest.raises(devid.UsageError, match="no certificate"):
        client.enroll_several([])
    key = devid.Key.generate()
    with pytest.raises(devid.UsageError, match="over one key"):
        client.enroll_several([(key, "CN=a"), (key, "CN=b")])
