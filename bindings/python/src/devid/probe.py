"""What a CMP server is like, found out by harmless questions."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import List, Optional

from ._call import Moment, bytes_of, optional_text, optional_text_of, seconds, text, text_of
from ._handle import Handle, using
from ._library import library
from .certificate import Certificate, CertificateList
from .config import Config

__all__ = ["Probe", "ProbeFinding", "probe", "well_known_url"]


@dataclass(frozen=True)
class ProbeFinding:
    """One thing that was found out."""

    fails: bool
    """Whether something would fail with the settings as they are."""
    text: str
    """What, in words."""
    remedy: str = ""
    """What to do about it, in words; empty: nothing. A finding that does not fail and has one is a warning."""


@dataclass(frozen=True)
class Probe:
    """What was found out."""

    works: bool
    """Nothing was found that fails."""
    report: str
    """All of it for people, a line each."""
    profile: Optional[str]
    """The profile that fits, as :meth:`Config.set_profile` takes it; None if none is recognised."""
    switches: List[str]
    """Tolerances that would be needed, as :meth:`Config.set_tolerance` takes them."""
    pins: List[Certificate]
    """To pin by :meth:`Config.pin_signers`, once somebody has looked at them: whoever answered may have brought them."""
    roots: List[Certificate]
    """Could be CMP anchors, where none of the settings' is at the end of the signer's path. Look at them before, too."""
    is_closed: bool
    """The server closes the connection in place of an answer: it may know no questions, or expect something else at this port."""
    findings: List[ProbeFinding]
    """Everything, in the order in which it was found out."""

    def __str__(self) -> str:
        return self.report


class _Result(Handle):
    """What C found out, on its way to a :class:`Probe`."""

    _type = "devid_probe_result"
    _is_shared = True


def probe(config: Config, *, now: Optional[Moment] = None) -> Probe:
    """Asks the server of the settings two harmless questions and tells what it is like.

    One is for the CA's certificates, with the settings' credential; the other the same under a reference value that nobody has. No
    certificate is asked for. What the server does is never an exception.
    """
    at = int(time.time()) if now is None else seconds(now, "now")
    lib = library()
    with using(config, "Config", "config") as settings:
        made = _Result._made_by("devid_probe_server", settings, at)
    with made, made._use() as result:
        with CertificateList._made_by("devid_probe_result_pins", result) as pins:
            with CertificateList._made_by("devid_probe_result_roots", result) as roots:
                return Probe(
                    works=lib.devid_probe_result_works(result) == 1,
                    report=text_of(lib.devid_probe_result_report(result)),
                    profile=optional_text_of(lib.devid_probe_result_profile(result)),
                    switches=[
                        text_of(lib.devid_probe_result_switch(result, index))
                        for index in range(lib.devid_probe_result_switch_count(result))
                    ],
                    pins=pins.certificates(),
                    roots=roots.certificates(),
                    is_closed=lib.devid_probe_result_is_closed(result) == 1,
                    findings=[
                        ProbeFinding(
                            lib.devid_probe_result_finding_fails(result, index) == 1,
                            text_of(lib.devid_probe_result_finding_text(result, index)),
                            text_of(lib.devid_probe_result_finding_remedy(result, index)),
                        )
                        for index in range(lib.devid_probe_result_finding_count(result))
                    ],
                )


def well_known_url(server: str, *, profile: Optional[str] = None, operation: Optional[str] = None) -> str:
    """The URL of a CMP server by RFC 9483 section 6.1, with a profile and the label of an operation such as ``initialization``."""
    labels = (optional_text(profile, "profile"), optional_text(operation, "operation"))
    return bytes_of("devid_well_known_url", text(server, "server"), *labels).decode()
