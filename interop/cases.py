"""The matrix: what is tried with each peer, and what cannot work with whom and why."""

from __future__ import annotations

import os
import re

from collections.abc import Iterator
from dataclasses import dataclass, replace

COMMANDS = ["ir", "cr", "kur"]
PROTECTIONS = ["RSA", "P-256", "Ed25519", "PBM"]
ENDINGS = ["granted", "grantedWithMods", "rejection", "error", "wrong credential"]



def siemens_version() -> str:
    """Of CmpRaComponent: what Maven Central has, or of the jar that `DEVID_CMP_RA_COMPONENT` names."""
    named = re.search(r"CmpRaComponent-([0-9.]+)\.jar$", os.environ.get("DEVID_CMP_RA_COMPONENT", ""))
    return named[1] if named else "4.1.4"


OURS = ["C", "Python"]
OUR_CA = "devid-testca"
BOUNCY_CA = "Bouncy Castle 1.86"
SIEMENS = siemens_version()
SIEMENS_CLIENT = f"CmpClient {SIEMENS}"
RA_FORWARDING = f"CmpRaComponent {SIEMENS}, forwarding,"
RA_ADDING = f"CmpRaComponent {SIEMENS}, nesting,"
RA_REPLACING = f"CmpRaComponent {SIEMENS}, replacing,"
Version = tuple[int, int, int]
POLLS = 2
FAILURE_BIT = 9
"""badPOP: what the servers are told to reject with."""


@dataclass(frozen=True)
class Case:
    """One conversation."""

    server: str
    client: str
    command: str
    protection: str
    is_implicit: bool = False
    is_polled: bool = False
    ending: str = "granted"

    @property
    def key_kind(self) -> str:
        """Kind of the new key: that of the protection, so that proof of possession is tried with each as well."""
        return "P-256" if self.is_by_secret else self.protection

    @property
    def is_by_secret(self) -> bool:
        """Whether a shared secret protects."""
        return self.protection in ("PBM", "PBMAC1")

    @property
    def ends_well(self) -> bool:
        """Whether a certificate comes of it."""
        return self.ending in ("granted", "grantedWithMods", "delayed pkiConf")

    @property
    def words(self) -> str:
        """For people."""
        confirm = "implicit" if self.is_implicit else "certConf"
        polled = "polled" if self.is_polled else "at once"
        return f"{self.command} {self.protection} {confirm} {polled} {self.ending}"


def conversations_through_an_ra(server: str, client: str) -> Iterator[Case]:
    """What our clients try where an RA stands before our test CA: an RA of others may delay, but not misbehave on demand."""
    for command in COMMANDS:
        for protection in [*PROTECTIONS, "PBMAC1"]:
            case = Case(server, client, command, protection)
            if command == "kur" and case.is_by_secret:
                # Our clients do not send that, whoever listens.
                continue
            for is_implicit in (False, True):
                yield replace(case, is_implicit=is_implicit)
            yield replace(case, is_polled=True)
            for ending in ENDINGS[1:]:
                yield replace(case, ending=ending)


def conversations(server: str, client: str) -> Iterator[Case]:
    """Every combination of request, protection, confirmation and polling that ends well; every other ending for each
    request and protection."""
    for command in COMMANDS:
        for protection in PROTECTIONS:
            case = Case(server, client, command, protection)
            for is_implicit in (False, True):
                for is_polled in (False, True):
                    yield replace(case, is_implicit=is_implicit, is_polled=is_polled)
            for ending in ENDINGS[1:]:
                yield replace(case, ending=ending)
            if server == OUR_CA:
                yield replace(case, ending="delayed pkiConf")
    if client in OURS or client == SIEMENS_CLIENT:
        yield Case(server, client, "ir", "PBMAC1")


def conversations_with_bouncy_castle(client: str) -> Iterator[Case]:
    """What the responder on Bouncy Castle's classes can: it neither polls nor changes what it is asked for."""
    for command in ("ir", "cr"):
        for protection in ("P-256", "PBMAC1"):
            case = Case(BOUNCY_CA, client, command, protection)
            yield from (case, replace(case, is_implicit=True), replace(case, ending="wrong credential"))


@dataclass(frozen=True)
class Obstacle:
    """Why a case cannot work, and the word by which its failure is known."""

    reason: str
    sign: str


def obstacle(case: Case, server_version: Version | None, client_version: Version | None) -> Obstacle | None:
    """What stands in the way of a case; None if it must work.

    Versions are given for the side that is OpenSSL. Such a case is run all the same, and must fail with the obstacle's
    sign: a reason that is no longer true is found.
    """
    if case.command == "kur" and case.is_by_secret:
        words = "a key update is signed with the certificate that is updated (RFC 9483 section 4.1.5)"
        if case.client in OURS:
            return Obstacle(f"our client refuses: {words}", "INVALID_ARGUMENT")
        if case.ending != "wrong credential":
            return Obstacle(f"our test CA refuses: {words}", "under a MAC")
    is_siemens = SIEMENS in case.server or case.client == SIEMENS_CLIENT
    is_old = tuple(map(int, SIEMENS.split("."))) < (4, 3, 0)
    if is_siemens and is_old and case.protection == "PBMAC1" and case.ending != "wrong credential":
        words = "CmpRaComponent before 4.3.0 names the length of the PBMAC1 key in bits, where PBKDF2 counts bytes"
        return Obstacle(words, "MAC does not match" if case.client in OURS else "PBMAC1 protection check failed")
    if case.server == RA_ADDING and case.is_polled:
        words = "this RA cannot both nest and put off: it takes its own \"waiting\" for a wrong answer"
        return Obstacle(words, "request was not answered by cert response")
    if case.server == RA_REPLACING and case.command == "kur" and case.ends_well and not case.is_implicit and not case.is_polled:
        words = "this RA passes on kur as it is but replaces the protection of its certConf, which is one transaction"
        return Obstacle(words, "its confirmation failed")
    if case.server == RA_FORWARDING and case.is_polled and not case.is_by_secret and case.client in OURS:
        words = "this RA signs anew what it has put off, and passes pkiConf on as the CA has signed it: two signers in one transaction"
        return Obstacle(f"{words}, which our client takes by a switch (signer_may_change)", "is not the signer of the answers before this one")
    if case.client == SIEMENS_CLIENT and case.ending == "delayed pkiConf":
        words = "this client polls for pkiConf with certReqId 0, where RFC 9483 section 4.4 has -1"
        return Obstacle(words, "polled for certReqId 0")
    if server_version and case.protection == "PBMAC1":
        return Obstacle("OpenSSL does not know PBMAC1 in CMP: it takes it for a signature", "no suitable sender cert")
    if client_version and client_version < (3, 2, 0):
        if case.protection == "Ed25519":
            return Obstacle("this OpenSSL client cannot sign with Ed25519: it always names a digest", "unsupported key type")
        if case.ending == "delayed pkiConf":
            return Obstacle("this OpenSSL client does not poll for pkiConf", "unexpected pkistatus")
    return None
