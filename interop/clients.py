"""CMP clients as processes: ours in C and in Python behind one command line, and OpenSSL's."""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cases import Case
from outcome import Outcome
from peers import Peer, environment


@dataclass(frozen=True)
class Job:
    """What a client is to do, in files and words that every client understands."""

    case: Case
    url: str
    anchors: Path
    new_key: Path
    subject: str
    reference: str = ""
    secret: str = ""
    key: Path | None = None
    certificate: Path | None = None
    chain: Path | None = None
    intermediates: Path | None = None
    """Helps clients that do not build paths from what comes with an answer."""


class Client(Protocol):
    """What does a job and tells what came of it."""

    label: str

    def run(self, job: Job) -> Outcome:
        """One enrolment."""


class OurClient:
    """A program of ours: takes `name=value` arguments, prints `name=value` lines, exits with 0 or 1."""

    def __init__(self, label: str, command: Sequence[str], variables: dict[str, str]) -> None:
        self.label, self._command, self._variables = label, list(command), variables

    def run(self, job: Job) -> Outcome:
        """One enrolment."""
        case = job.case
        arguments = [f"command={case.command}", f"server={job.url}", f"anchors={job.anchors}"]
        arguments += [f"new_key={job.new_key}", f"subject={job.subject}", f"implicit={int(case.is_implicit)}"]
        # Only here is a certificate taken that is not quite what was asked for.
        arguments += [f"accept_differences={int(case.ending == 'grantedWithMods')}"]
        if case.is_by_secret:
            arguments += [f"reference={job.reference}", f"secret={job.secret}"]
            arguments += ["pbmac1=1"] if case.protection == "PBMAC1" else []
        else:
            arguments += [f"key={job.key}", f"certificate={job.certificate}"]
            arguments += [f"chain={job.chain}"] if job.chain else []
        process = subprocess.run(
            [*self._command, *arguments],
            env={**environment(), **self._variables},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )
        log = process.stdout + process.stderr
        if process.returncode not in (0, 1):
            return Outcome(error=f"CRASHED({process.returncode})", texts=[process.stderr.strip()[-400:]], log=log)
        outcome = Outcome(sent=[], log=log)
        for line in process.stdout.splitlines():
            name, _, value = line.partition("=")
            _take(outcome, name, value)
        if (process.returncode == 0) != (outcome.error is None):
            return Outcome(error=f"exit code {process.returncode} does not fit the report", log=log)
        return outcome


def _take(outcome: Outcome, name: str, value: str) -> None:
    if name == "sent":
        assert outcome.sent is not None
        outcome.sent.append(value)
    elif name == "certificate":
        outcome.certificate = bytes.fromhex(value)
    elif name == "error":
        outcome.error = value
    elif name == "message":
        outcome.texts.insert(0, value)
    elif name == "pki_status":
        outcome.pki_status = int(value)
    elif name == "fail_info":
        outcome.fail_info = int(value)
    elif name == "text":
        outcome.texts.append(value)
    elif name == "authenticated":
        outcome.is_authenticated = value == "1"


PKI_STATUS = ["accepted", "granted with modifications", "rejection", "waiting"]
FAIL_INFO = ["badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId", "badDataFormat", "wrongAuthority",
             "incorrectData", "missingTimeStamp", "badPOP"]  # fmt: skip


class OpensslClient:
    """`openssl cmp`."""

    def __init__(self, peer: Peer) -> None:
        self.label, self._peer = peer.label, peer

    def run(self, job: Job) -> Outcome:
        """One enrolment."""
        case = job.case
        with tempfile.TemporaryDirectory(prefix="devid-interop-") as name:
            folder = Path(name)
            address, _, path = job.url.removeprefix("http://").partition("/")
            arguments: list[object] = ["cmp", "-config", "", "-batch", "-verbosity", 6, "-cmd", case.command]
            arguments += ["-server", address, "-path", f"/{path}", "-newkey", job.new_key]
            arguments += ["-trusted", job.anchors, "-out_trusted", job.anchors, "-certout", folder / "new.pem"]
            if case.command != "kur":
                arguments += ["-subject", _slashes(job.subject)]
            if case.is_by_secret:
                arguments += ["-ref", job.reference, "-secret", f"pass:{job.secret}"]
                arguments += ["-recipient", "/CN=Issuing CA"]
            else:
                arguments += ["-key", job.key, "-cert", job.certificate]
                arguments += ["-extracerts", job.chain] if job.chain else []
            if job.intermediates:
                arguments += ["-untrusted", job.intermediates]
            if case.command == "kur" and job.certificate:
                arguments += ["-oldcert", job.certificate]
            if case.is_implicit:
                arguments += ["-implicit_confirm"]
            process = self._peer.run(*arguments, folder=folder)
            log = process.stdout + process.stderr
            outcome = Outcome(sent=_sent(log), log=log)
            written = folder / "new.pem"
            if process.returncode == 0 and written.exists():
                outcome.certificate = _der(written.read_text())
                status = re.findall(r"PKIStatus: ([\w ]+)", log)
                if status and status[-1].strip() in PKI_STATUS:
                    outcome.pki_status = PKI_STATUS.index(status[-1].strip())
            else:
                _explain(outcome, log)
            return outcome


def _explain(outcome: Outcome, log: str) -> None:
    """The failure in our words: OpenSSL has only text for it."""
    lines = [line for line in log.splitlines() if "error" in line.lower() or "warn" in line.lower()]
    outcome.texts = [line.partition("CMP error: ")[2] or line for line in lines]
    status = re.search(r"PKIStatus: ([\w ]+)", log)
    if status and status[1].strip() == "rejection":
        outcome.error, outcome.pki_status = "REJECTED", 2
        # It refuses unprotected errors unless told otherwise.
        outcome.is_authenticated = True
        bits = re.search(r"PKIFailureInfo: ([\w, ]+)", log)
        names = bits[1].replace(",", " ").split() if bits else []
        outcome.fail_info = sum(1 << FAIL_INFO.index(n) for n in names if n in FAIL_INFO)
    elif "validating protection" in log or "wrong pbm value" in log.lower():
        outcome.error = "PROTECTION_INVALID"
    else:
        outcome.error = "FAILED"


def _sent(log: str) -> list[str]:
    names = {"IR": "ir", "CR": "cr", "KUR": "kur", "POLLREQ": "pollReq", "CERTCONF": "certConf"}
    return [names.get(body, body) for body in re.findall(r"sending (\w+)", log)]


def _slashes(subject: str) -> str:
    """`CN=a,O=b` in OpenSSL's form."""
    return "/" + subject.replace(",", "/")


def _der(pem: str) -> bytes:
    body = re.search(r"-----BEGIN CERTIFICATE-----(.+?)-----END", pem, re.S)
    if body is None:
        raise ValueError("no certificate in the client's output")
    return base64.b64decode(body[1])


def certificate_der(file: Path) -> bytes:
    """The first certificate of a PEM file."""
    return _der(file.read_text())
