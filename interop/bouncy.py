"""A CA made of Bouncy Castle's CMP classes (`interop/java/Bouncy.java`): PBMAC1, and certificates over keys that cannot sign."""

from __future__ import annotations

from cases import BOUNCY_CA, Case
from clients import Job
from jvm import BOUNCY_CASTLE, Jvm
from material import REFERENCE, SECRET, SUBJECT, Material


class Ca:
    """The CA, with an endpoint for each kind of protection."""

    label = BOUNCY_CA

    def __init__(self, jvm: Jvm, material: Material) -> None:
        self._jvm, self._material = jvm, material

    def endpoint(self, protection: str) -> str:
        """The URL of a CA that protects like this."""
        material, is_by_secret = self._material, protection == "PBMAC1"
        signer = material.servers["P-256"]
        path = self._jvm.ask(
            "serve",
            ca_key=material.root.key,
            ca=material.root.certificate,
            signer_key=signer.key,
            signer=signer.certificate,
            reference=REFERENCE if is_by_secret else None,
            secret=SECRET if is_by_secret else None,
        )[0]
        return f"http://127.0.0.1:{self._jvm.port}{path}"

    def job(self, case: Case) -> Job:
        """What a client is to do with it."""
        material, kind = self._material, case.key_kind
        is_wrong = case.ending == "wrong credential"
        credential = material.strangers[kind] if is_wrong else material.suppliers[kind]
        return Job(
            case,
            self.endpoint(case.protection),
            material.root.certificate,
            material.new_keys[kind],
            SUBJECT,
            reference=REFERENCE,
            secret="battery-staple" if is_wrong else SECRET,
            key=credential.key,
            certificate=credential.certificate,
        )


def start() -> Jvm:
    """One program for all conversations."""
    return Jvm("Bouncy", BOUNCY_CASTLE)
