"""Siemens' CmpRaComponent (com.siemens.pki:CmpRaComponent of Maven Central): as RA in front of our test CA, and as client."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cases import RA_ADDING, RA_FORWARDING, RA_REPLACING, SIEMENS_CLIENT, Case
from clients import Job
from jvm import SIEMENS, Jvm, Refused
from material import Material
from outcome import Outcome
from peers import Peer

WAYS: dict[str, dict[str, object]] = {
    RA_FORWARDING: {},
    RA_ADDING: {"nested": 1},
    RA_REPLACING: {"requests": "reprotect", "answers": "reprotect"},
}
"""How the RA passes requests on: RFC 9483 sections 5.2.1, 5.2.2 and 5.2.3."""


class Ra:
    """The RA, with an endpoint for each behaviour."""

    def __init__(self, jvm: Jvm) -> None:
        self._jvm = jvm

    def between(self, case: Case, job: Job, folder: Path) -> Job:
        """The same job, to be done through the RA. `folder` is the test CA's."""
        way = dict(WAYS[case.server])
        if case.is_polled:
            # It puts the device off by itself, and signs or computes the MAC of what it says.
            way["delayed"] = 1
        path = self._jvm.ask(
            "serve",
            upstream=job.url,
            device_trust=f"{folder / 'supplier-root.pem'},{folder / 'root.pem'}",
            ca_trust=folder / "root.pem",
            intermediates=folder / "issuing.pem",
            ra_key=folder / "ra.key",
            ra_chain=f"{folder / 'ra.pem'},{folder / 'issuing.pem'}",
            reference=job.reference if case.is_by_secret else None,
            # The RA knows the right secret, also when the device does not.
            secret=(folder / "secret.txt").read_text() if case.is_by_secret else None,
            mac="pbmac1" if case.protection == "PBMAC1" else "pbm",
            **way,
        )[0]
        return replace(job, url=f"http://127.0.0.1:{self._jvm.port}{path}")


class Client:
    """The client."""

    label = SIEMENS_CLIENT

    def __init__(self, jvm: Jvm, openssl: Peer, material: Material) -> None:
        self._jvm = jvm
        # Java takes the public key of a pair from a file of its own.
        for key in material.new_keys.values():
            openssl.check("pkey", "-in", key, "-pubout", "-out", key.with_suffix(".public"), folder=material.folder)

    def run(self, job: Job) -> Outcome:
        """One enrolment."""
        case = job.case
        try:
            certificate = self._jvm.ask(
                "enrol",
                command=case.command,
                url=job.url,
                subject=job.subject,
                implicit=int(case.is_implicit),
                anchors=job.anchors,
                intermediates=job.intermediates,
                new_key=job.new_key,
                new_public=job.new_key.with_suffix(".public"),
                certificate=job.certificate,
                device_key=None if case.is_by_secret else job.key,
                device_chain=None if case.is_by_secret else ",".join(str(f) for f in (job.certificate, job.chain) if f),
                reference=job.reference if case.is_by_secret else None,
                secret=job.secret if case.is_by_secret else None,
                mac="pbmac1" if case.protection == "PBMAC1" else "pbm",
            )[0]
        except Refused as refused:
            failure, *said = refused.words
            if len(said) != 3 or "no certificate" not in failure:
                return Outcome(error="PROTECTION_INVALID" if "protection" in failure else "FAILED", log=failure)
            # The client has verified the answer, but tells only that it is no certificate.
            status, bits, text = said
            return Outcome(
                error="REJECTED", pki_status=int(status), fail_info=int(bits), texts=[text], is_authenticated=True, log=text
            )
        return Outcome(certificate=bytes.fromhex(certificate))


def start() -> Jvm:
    """One program for all conversations."""
    return Jvm("Siemens", SIEMENS)
