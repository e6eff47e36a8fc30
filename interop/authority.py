"""Our test CA for the clients of others: one process for each behaviour that a case asks for."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from cases import FAILURE_BIT, POLLS, Case, Version
from clients import Job
from material import SUBJECT, Material, Pair
from outcome import Outcome

WORDS = "key is on the list"
FILES = {"RSA": "idevid-rsa", "P-256": "idevid", "Ed25519": "idevid-ed25519"}


class Authorities:
    """Started when a case asks for them, stopped at the end of the `with` block."""

    def __init__(self, program: Path, library: Path, package: Path, material: Material) -> None:
        # The harness itself enrols with the library under test, to have certificates that can be updated.
        os.environ["DEVID_LIBRARY"] = str(library)
        sys.path.insert(0, str(package))
        self._program, self._material = program, material
        self._lock = threading.Lock()
        self._running: dict[tuple[object, ...], Authority] = {}

    def of(self, case: Case, client_version: Version | None = None) -> Authority:
        """The CA that behaves as a case wants. The version is given where the client is OpenSSL."""
        knobs = _knobs(case)
        if case.is_polled and client_version and client_version < (3, 3, 0):
            # RFC 9483 section 4.4: the final answer repeats the nonce of the request that was delayed, or of the last
            # poll. Clients before delayed delivery was complete know the second way only.
            knobs["last_recip_nonce"] = True
        with self._lock:
            key = tuple(sorted(knobs.items()))
            if key not in self._running:
                self._running[key] = Authority(self._program, self._material, knobs)
            return self._running[key]

    def another(self) -> Any:
        """A test CA for the caller alone, stopped at the end of its `with` block."""
        from devid.testing import TestCa

        return TestCa(self._program)

    def __enter__(self) -> Authorities:
        return self

    def __exit__(self, *_: object) -> None:
        for authority in self._running.values():
            authority.stop()


def _knobs(case: Case) -> dict[str, Any]:
    if case.ending == "grantedWithMods":
        return {"status": 1, "modify_subject": True}
    if case.ending == "rejection":
        return {"status": 2, "fail_info": 1 << FAILURE_BIT, "text": WORDS}
    if case.ending == "error":
        return {"error": True, "fail_info": 1 << FAILURE_BIT, "text": WORDS}
    if case.ending == "delayed pkiConf":
        return {"confirm_waiting": POLLS - 1}
    # The first poll is answered with pollRep, the last one with the certificate.
    return {"waiting": POLLS - 1} if case.is_polled else {}


class Authority:
    """One running test CA, with a certificate of each kind that can be updated."""

    def __init__(self, program: Path, material: Material, knobs: dict[str, Any]) -> None:
        import devid
        from devid.testing import TestCa

        self._devid, self._material = devid, material
        self._ca = TestCa(program)
        try:
            self._current = {kind: self._enrol(kind) for kind in FILES}
            self._ca.reset()
            self._ca.set(**knobs)
        except BaseException:
            self._ca.stop()
            raise

    def _enrol(self, kind: str) -> Pair:
        devid, ca = self._devid, self._ca
        with devid.Config(ca.cmp_url, enrolment_anchors=ca.root) as config:
            config.set_secret(ca.reference, ca.secret)
            key = devid.Key.load(self._material.current[kind].key.read_bytes())
            issued = devid.Client(config).enroll(key, SUBJECT).run()
        certificate = ca.folder / f"current-{kind}.pem"
        certificate.write_text(issued.certificate.pem)
        return Pair(self._material.current[kind].key, certificate)

    @property
    def folder(self) -> Path:
        """What the test CA wrote: roots, chains, credentials."""
        return self._ca.folder

    def job(self, case: Case) -> Job:
        """What a client is to do."""
        kind, folder = case.key_kind, self._ca.folder
        is_wrong = case.ending == "wrong credential"
        credential, chain = self._current[kind], folder / "issuing.pem"
        if is_wrong:
            credential, chain = self._material.strangers[kind], self._material.stranger.certificate
        elif case.command != "kur":
            credential = Pair(folder / f"{FILES[kind]}.key", folder / f"{FILES[kind]}.pem")
            chain = folder / "idevid-chain.pem"
        return Job(
            case,
            self._ca.cmp_url,
            folder / "root.pem",
            self._material.new_keys[kind],
            SUBJECT,
            reference=self._ca.reference.decode(),
            secret="wrong" if is_wrong else self._ca.secret.decode(),
            key=credential.key,
            certificate=credential.certificate,
            chain=chain,
            intermediates=folder / "issuing.pem",
        )

    def server_text(self, _: Case) -> str:
        """Which words its refusals carry."""
        return WORDS

    def complaint(self, case: Case, job: Job, outcome: Outcome) -> str:
        """Why an issued certificate is not for what was asked; empty if it is."""
        if outcome.certificate is None:
            return ""
        certificate = self._devid.Certificate.parse(outcome.certificate)
        if self._devid.Key.load(job.new_key.read_bytes()).public_key not in outcome.certificate:
            return "the certificate is for another key"
        if (certificate.subject != SUBJECT) != (case.ending == "grantedWithMods"):
            return f"the certificate's subject is {certificate.subject}"
        return ""

    def stop(self) -> None:
        """Ends the process."""
        self._ca.stop()
