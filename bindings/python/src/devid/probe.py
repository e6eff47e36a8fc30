"""What a CMP server is like, found out by harmless questions."""

from __future__ import annotations

import time
from ctypes import POINTER, byref, c_int32, string_at
from dataclasses import dataclass, field
from typing import List, Optional

from . import _abi
from ._call import Moment, bytes_of, call, optional_text, seconds, text
from ._library import library
from .config import Config

__all__ = ["Probe", "probe", "well_known_url"]


@dataclass(frozen=True)
class Probe:
    """What was found out.

    ``works`` says whether nothing was found that fails; ``profile`` is the profile that fits, ``switches`` are tolerances that
    would be needed. ``pins`` and ``roots`` describe certificates to pin or to set as anchors, once somebody has looked at them:
    whoever answered may have brought them.
    """

    works: bool
    report: str
    profile: Optional[str] = None
    switches: List[str] = field(default_factory=list)
    pins: List[str] = field(default_factory=list)
    roots: List[str] = field(default_factory=list)
    is_closed: bool = False
    """The server closes the connection in place of an answer: it may know no questions, or expect something else at this port."""

    def __str__(self) -> str:
        return self.report


def probe(config: Config, *, now: Optional[Moment] = None) -> Probe:
    """Asks the server of the settings two harmless questions and tells what it is like.

    One is for the CA's certificates, with the settings' credential; the other the same under a reference value that nobody has. No
    certificate is asked for. What the server does is never an exception.
    """
    at = int(time.time()) if now is None else seconds(now, "now")
    out_report, works, lib = POINTER(_abi.devid_bytes)(), c_int32(), library()
    try:
        with config._use() as pointer:
            call("devid_probe", pointer, at, byref(out_report), byref(works))
        report = string_at(lib.devid_bytes_data(out_report), lib.devid_bytes_len(out_report)).decode()
    finally:
        lib.devid_bytes_free(out_report)
    lines = report.splitlines()

    def behind(start: str) -> List[str]:
        return [line[len(start) :] for line in lines if line.startswith(start)]

    profiles = behind("profile: ")
    return Probe(
        works=bool(works.value),
        report=report,
        profile=profiles[0] if profiles else None,
        switches=behind("switch: "),
        pins=behind("pin, once looked at: "),
        roots=behind("CMP anchor, once looked at: "),
        is_closed=bool(behind("closed: ")),
    )


def well_known_url(server: str, *, profile: Optional[str] = None, operation: Optional[str] = None) -> str:
    """The URL of a CMP server by RFC 9483 section 6.1, with a profile and the label of an operation such as ``initialization``."""
    labels = (optional_text(profile, "profile"), optional_text(operation, "operation"))
    return bytes_of("devid_well_known_url", text(server, "server"), *labels).decode()
