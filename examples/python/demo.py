"""A device's life with a PKI, from the factory to a renewed certificate, against the test CA on this machine.

Each step says what is sent, what came, and how long it took. The first step that fails ends the story with exit code 1.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import devid
from devid.testing import TestCa

NAME = "router"


class StepFailed(Exception):
    """Something is not as it must be."""


def require(truth: bool, words: str) -> None:
    if not truth:
        raise StepFailed(words)


def say(words: str) -> None:
    print(f"     {words}", flush=True)


@contextmanager
def step(number: int, words: str) -> Iterator[None]:
    print(f"\n  {number}. {words}", flush=True)
    begun = time.monotonic()
    yield
    print(f"     done in {(time.monotonic() - begun) * 1000:.0f} ms", flush=True)


def now() -> int:
    return int(time.time())


def run(operation: devid.Operation, ca: TestCa) -> devid.Issued:
    """Steps an operation, telling what goes over the line."""
    while True:
        action = operation.step(now())
        if action is devid.Action.SEND:
            size, begun = len(operation.output or b""), time.monotonic()
            name = operation.output_name
            operation.exchange()
            say(f"-> {name:<9} {size:>5} bytes, answered in {(time.monotonic() - begun) * 1000:.1f} ms")
        elif action is devid.Action.WAIT:
            say(f"<- waiting: the CA asks to come back in {operation.wait_seconds} s {operation.wait_reason}")
            time.sleep(operation.wait_seconds)
        elif action is devid.Action.ACCEPT:
            issued = operation.issued
            require(issued is not None, "a certificate was to be looked at, and none is there")
            assert issued is not None
            require(not issued.differences, f"the certificate is not what was asked for: {issued.differences}")
            say(f"<- certificate: {issued.certificate.subject}, issued by {issued.certificate.issuer}")
            operation.accept()
        elif action is devid.Action.DONE:
            issued = operation.issued
            assert issued is not None
            say(f"<- confirmed; path to the anchor: {' -> '.join(c.subject for c in issued.issuers)}")
            complaints = ca.complaints()
            require(not complaints, f"the CA complains: {complaints}")
            return issued


def story(ca: TestCa, memory: Path) -> None:
    store = devid.Store(memory, secret=b"burnt into this device's fuses")

    with step(1, "factory: device memory holds the supplier's certificate and key (IDevID)"):
        key, chain = ca.idevid()
        idevid, *above = devid.load_certificates(chain)
        store.install("idevid", key, idevid, above, purpose="idevid")
        supplied = store.current("idevid")
        say(f"{supplied.certificate.subject}, issued by {supplied.certificate.issuer}, key {supplied.key.kind}")

    with step(2, "enrolment (ir), signed with the IDevID; the CA lets the device wait"):
        ca.set(waiting=1, check_after=1, poll_reason="an operator has to approve")
        config = devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
        config.set_credential(supplied.key, supplied.chain)
        new_key = devid.Key.generate("P-256")
        subject = devid.Subject("CN=router-7,O=Example", dns=["router-7.example"])
        issued = run(devid.Client(config).enroll(new_key, subject), ca)
        require(ca.received() == ["ir", "pollReq", "pollReq", "certConf"], f"the CA received {ca.received()}")
        ca.reset()

    with step(3, "the certificate is checked and installed with its key and chain"):
        validator = devid.Validator(devid.Trust(ca.root), purposes=None, dns=["router-7.example"])
        for certificate in issued.issuers[:-1]:
            validator.add_intermediates(certificate.der)
        me = validator.validate(issued.certificate, now())
        require(me.public_key(now()) == new_key.public_key, "the certificate is for another key")
        store.install(NAME, new_key, issued.certificate, issued.issuers)
        installed = store.current(NAME)
        require(installed.certificate == issued.certificate, "device memory holds another certificate")
        say(f"generation {installed.generation} in {memory.name}/, valid until {me.certificate.not_after}")

    with step(4, "a peer's certificate is validated, with OCSP and CRL; only then its key comes out"):
        good, revoked = (devid.Certificate.parse(ca.read(f"peer-{kind}.pem")) for kind in ("good", "revoked"))
        issuing = devid.Certificate.parse(ca.read("issuing.pem"))

        def checks(name: str, prefer: devid.Prefer) -> devid.Validator:
            made = devid.Validator(
                devid.Trust(ca.root),
                purposes=["serverAuth"],
                dns=[name],
                intermediates=issuing.der,
                crls=ca.read("root.crl"),
                revocation=devid.Revocation.HARD,
                prefer=prefer,
            )
            made.add_crls(devid.fetch(ca.crl_url))
            return made

        by_ocsp = checks("good.peer.example", devid.Prefer.OCSP)
        question = devid.OcspRequest(good, issuing)
        by_ocsp.add_ocsp(devid.fetch(ca.ocsp_url, question), question)
        peer = by_ocsp.validate(good, now())
        message = peer.encrypt(b"meter reading: 42 kWh", now())
        say(f"{peer.certificate.subject} is valid, its key can be used until {peer.expires}")
        say(f"encrypted for it: {len(message)} bytes of CMS")
        by_urls = devid.Validator(
            devid.Trust(ca.root), purposes=["serverAuth"], dns=["good.peer.example"], revocation=devid.Revocation.HARD, scope=devid.Scope.LEAF
        )
        again = devid.Fetcher(issuers=True).validate(by_urls, good, now())
        say(f"the same by the URLs in its certificate, issuer and status fetched: until {again.expires}")
        for source, prefer in (("OCSP", devid.Prefer.OCSP), ("CRL", devid.Prefer.CRL)):
            against = checks("revoked.peer.example", prefer)
            if prefer is devid.Prefer.OCSP:
                question = devid.OcspRequest(revoked, issuing)
                against.add_ocsp(devid.fetch(ca.ocsp_url, question), question)
            try:
                against.validate(revoked, now())
            except devid.ValidationError as error:
                require(error.code is devid.Code.REVOKED, f"refused for another reason: {error}")
                say(f"{revoked.subject} is refused, by {source}: {error.message}")
            else:
                raise StepFailed("a revoked peer was accepted")

    with step(5, "key update (kur) with a new key pair; the old generation is kept"):
        current = store.current(NAME)
        config.set_credential(current.key, current.chain)
        next_key = devid.Key.generate("P-256")
        updated = run(devid.Client(config).renew(next_key), ca)
        store.install(NAME, next_key, updated.certificate, updated.issuers)
        require(store.current(NAME).certificate == updated.certificate, "the new generation is not in use")
        require(store.previous(NAME).certificate == issued.certificate, "the old generation is not kept")
        store.rollback(NAME)
        require(store.current(NAME).certificate == issued.certificate, "rollback does not bring the old one back")
        store.rollback(NAME)
        say(f"generation {store.current(NAME).generation} in use, {store.previous(NAME).generation} kept for rollback")
        ca.reset()

    with step(6, "the same enrolment by reference value and secret (MAC)"):
        ca.set(waiting=1, check_after=1)
        by_secret = devid.Config(ca.cmp_url, enrolment_anchors=ca.root)
        by_secret.set_secret(ca.reference, ca.secret)
        run(devid.Client(by_secret).enroll(devid.Key.generate("P-256"), subject), ca)
        ca.reset()
        by_secret.set_secret(ca.reference, b"guessed")
        try:
            devid.Client(by_secret).enroll(devid.Key.generate("P-256"), subject).run()
        except devid.ProtocolError as error:
            say(f"with a wrong secret: {error.name}")
        else:
            raise StepFailed("a wrong secret was taken")

    with step(7, "through a registration authority: device -> RA -> CA"):
        ca.reset()
        behind_ra = devid.Config(ca.ra_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
        behind_ra.set_signer(cmc_purpose=True)
        behind_ra.set_credential(*ca.idevid())
        run(devid.Client(behind_ra).enroll(devid.Key.generate("P-256"), subject), ca)
        require(ca.received() == ["ir", "certConf"], f"the CA received {ca.received()}")
        say("the RA's answers are signed by a certificate with the purpose cmcRA")


def main() -> int:
    print(f"devid {devid.version()} from Python {sys.version.split()[0]}: a device gets, keeps and checks its identity")
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="devid-demo-") as folder, TestCa(arguments=["--ra=ra-verified"]) as ca:
            story(ca, Path(folder) / "device-memory")
    except (StepFailed, devid.Error) as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    print(f"\nThe whole story took {time.monotonic() - begun:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
