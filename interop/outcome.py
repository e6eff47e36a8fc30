"""What came of a conversation, and whether that is what the case calls for."""

from __future__ import annotations

from dataclasses import dataclass, field

from cases import FAILURE_BIT, POLLS, Case

ANSWERED = "error processing message"
"""OpenSSL's mock servers put these words into every error."""


@dataclass
class Outcome:
    """What a client reported, in the words of the project's error object."""

    certificate: bytes | None = None
    error: str | None = None
    pki_status: int | None = None
    fail_info: int = 0
    texts: list[str] = field(default_factory=list)
    is_authenticated: bool = False
    sent: list[str] | None = None
    """Bodies of the messages sent; None where the client does not say."""
    log: str = ""


def complaint(case: Case, outcome: Outcome, expected: bytes | None, server_text: str, delays_pki_conf: bool) -> str:
    """Why an outcome is not what the case calls for; empty if it is."""
    return _ending(case, outcome, expected, server_text) or _messages(case, outcome, delays_pki_conf)


def _ending(case: Case, outcome: Outcome, expected: bytes | None, server_text: str) -> str:
    if case.ends_well:
        if outcome.error or outcome.certificate is None:
            return f"no certificate: {outcome.error or 'no reason given'} {'; '.join(outcome.texts)}".strip()
        if expected is not None and outcome.certificate != expected:
            return "the certificate is not the one that the server issued"
        wanted = 1 if case.ending == "grantedWithMods" else 0
        if outcome.pki_status is not None and outcome.pki_status != wanted:
            return f"PKIStatus {outcome.pki_status} instead of {wanted}"
        return ""
    if outcome.certificate is not None or not outcome.error:
        return f"the client reports success where the server answers: {case.ending}"
    if case.ending == "wrong credential":
        return "" if outcome.error in ("REJECTED", "PROTECTION_INVALID", "UNPROTECTED") else f"failed as {outcome.error}"
    if outcome.error != "REJECTED":
        return f"failed as {outcome.error} instead of REJECTED: {'; '.join(outcome.texts)}"
    if outcome.pki_status != 2:
        return f"PKIStatus {outcome.pki_status} instead of 2"
    if not outcome.is_authenticated:
        return "the server's words are taken for unauthenticated"
    if case.ending == "rejection" and outcome.fail_info != 1 << FAILURE_BIT:
        return f"failInfo {outcome.fail_info:#x} instead of {1 << FAILURE_BIT:#x}"
    if not any(server_text in text for text in outcome.texts):
        return f"the server's text {server_text!r} is not in {outcome.texts}"
    return ""


def _messages(case: Case, outcome: Outcome, delays_pki_conf: bool) -> str:
    if outcome.sent is None:
        return ""
    polls = ["pollReq"] * (POLLS if case.is_polled else 0)
    wanted = [case.command]
    if case.ends_well:
        wanted += polls
        if not case.is_implicit:
            # A server that delays whatever it sends lets the client poll for pkiConf, too.
            wanted += ["certConf", *(polls if delays_pki_conf else [])]
        if case.ending == "delayed pkiConf":
            wanted += ["pollReq"] * POLLS
    if outcome.sent != wanted:
        return f"sent {', '.join(outcome.sent) or 'nothing'}; expected {', '.join(wanted)}"
    return ""
