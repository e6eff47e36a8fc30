"""devid: how a device gets, keeps and checks its identity in a PKI.

Enrolment by CMP (RFC 9810, RFC 9483), device memory, and validation, over the C library libdevid. Nothing here reads
the environment (but for the place of the library) or trusts the system's certificates. A call that blocks on a network is made
by a thread of its own where the main thread made it, so that signals end it: functions of the program run in the main thread.
"""

from __future__ import annotations

from . import _library
from ._abi import DEVID_VERSION_MAJOR, DEVID_VERSION_MINOR, DEVID_VERSION_PATCH, Class, Code, Tolerance
from ._blocking import Cancel
from ._call import BytesLike, Material, SecretLike, text, text_of
from .authority import Batch, DeviceRequest, Proof, RegistrationAuthority
from .certificate import Certificate, Certificates, UrlKind, load_certificates
from .client import Client, saved_key
from .config import Config, Limit, Profile, Subject
from .device import Device, Kept
from .difference import Deviation, Difference
from .errors import (
    ApplicationError,
    CryptoError,
    Error,
    FailInfo,
    InputError,
    InternalError,
    PkiStatus,
    ProtocolError,
    StoreError,
    TransportError,
    UsageError,
    ValidationError,
)
from .export import Change, ChangeKind, Exported, OnChange
from .fetcher import Fetch, Fetcher, Nonce
from .inspector import inspect, inspect_fields
from .key import Agree, Decrypt, Key, Pin, PinRequest, Sign
from .operation import (
    Action,
    CertificateOutcome,
    Decide,
    EnrollingSeveral,
    Exchange,
    HttpCall,
    Issued,
    Operation,
    Progress,
    Reply,
    SignRequest,
    SignRole,
    Steps,
    Wait,
    WaitSeconds,
    Watch,
)
from .pkcs12 import Pkcs12, read_pkcs12, write_pkcs12
from .probe import Probe, ProbeFinding, probe, well_known_url
from .problem import Problem, ProblemKind
from .renewal import (
    Alarm,
    Clock,
    Done,
    NewKey,
    Plan,
    Renewal,
    Standing,
    Step,
    Uptime,
    Why,
    forget_time,
    last_known_time,
    note_time,
    run_without_clock,
    without_clock,
)
from .renewal import Report as RenewalReport
from .request import Request
from .saved import Saved, SavedBy, SavedState, read_saved, unfinished, unfinished_revocation
from .storage import Secret, Storage
from .store import Identity, State, Store
from .support import Question, Reason, RevocationOutcome, Revoked, Revoking, RevokingSeveral, RootUpdate
from .template import Template
from .validation import (
    Finding,
    OcspRequest,
    Peer,
    Prefer,
    Report,
    Revocation,
    Scope,
    Trust,
    Validator,
    fetch,
)

__all__ = [
    "Action",
    "Agree",
    "Alarm",
    "ApplicationError",
    "Batch",
    "BytesLike",
    "Cancel",
    "Certificate",
    "CertificateOutcome",
    "Certificates",
    "Change",
    "ChangeKind",
    "Class",
    "Client",
    "Clock",
    "Code",
    "Config",
    "CryptoError",
    "Decide",
    "Decrypt",
    "Device",
    "DeviceRequest",
    "Deviation",
    "Difference",
    "Done",
    "EnrollingSeveral",
    "Error",
    "Exchange",
    "Exported",
    "FailInfo",
    "Fetch",
    "Fetcher",
    "Finding",
    "Identity",
    "InputError",
    "InternalError",
    "Issued",
    "Kept",
    "Key",
    "Limit",
    "Material",
    "NewKey",
    "Nonce",
    "OcspRequest",
    "OnChange",
    "Operation",
    "Peer",
    "Pin",
    "PinRequest",
    "Pkcs12",
    "PkiStatus",
    "Plan",
    "Prefer",
    "Probe",
    "ProbeFinding",
    "Problem",
    "ProblemKind",
    "Profile",
    "Progress",
    "Proof",
    "ProtocolError",
    "Question",
    "Reason",
    "RegistrationAuthority",
    "Renewal",
    "RenewalReport",
    "Reply",
    "Report",
    "Request",
    "Revocation",
    "RevocationOutcome",
    "Revoked",
    "Revoking",
    "RevokingSeveral",
    "RootUpdate",
    "Saved",
    "SavedBy",
    "SavedState",
    "Scope",
    "Secret",
    "SecretLike",
    "Sign",
    "SignRequest",
    "SignRole",
    "Standing",
    "State",
    "Step",
    "Steps",
    "Storage",
    "Store",
    "StoreError",
    "Subject",
    "Template",
    "Tolerance",
    "TransportError",
    "Trust",
    "Uptime",
    "UrlKind",
    "UsageError",
    "ValidationError",
    "Validator",
    "Wait",
    "WaitSeconds",
    "Watch",
    "Why",
    "__version__",
    "fetch",
    "forget_time",
    "inspect",
    "inspect_fields",
    "last_known_time",
    "load_certificates",
    "note_time",
    "read_pkcs12",
    "read_saved",
    "run_without_clock",
    "saved_key",
    "supports",
    "unfinished",
    "unfinished_revocation",
    "version",
    "without_clock",
    "write_pkcs12",
    "probe",
    "well_known_url",
]


__version__ = f"{DEVID_VERSION_MAJOR}.{DEVID_VERSION_MINOR}.{DEVID_VERSION_PATCH}"
"""The version of this package."""


def version() -> str:
    """The version of the library in use."""
    return text_of(_library.library().devid_version_string())


def supports(feature: str) -> bool:
    """Whether the library was built with a feature: ``http``, ``crypto-awslc``, ``crypto-rust``, ``legacy-ciphers``,
    ``oaep-mixed``, ``pkcs11``."""
    return bool(_library.library().devid_supports(text(feature, "feature")))
