"""What goes wrong, as exceptions: one class for each class of status codes, the facts as attributes."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Dict, Optional, Tuple, Type, Union

from ._abi import Class, Code

if TYPE_CHECKING:
    from .device import Kept
    from .validation import Report


class PkiStatus(IntEnum):
    """PKIStatus (RFC 9810 section 5.2.3)."""

    ACCEPTED = 0
    GRANTED_WITH_MODS = 1
    REJECTION = 2
    WAITING = 3
    REVOCATION_WARNING = 4
    REVOCATION_NOTIFICATION = 5
    KEY_UPDATE_WARNING = 6


class FailInfo(IntFlag):
    """PKIFailureInfo (RFC 9810 section 5.2.3): flag 1 << n is bit n of the BIT STRING."""

    BAD_ALG = 1 << 0
    BAD_MESSAGE_CHECK = 1 << 1
    BAD_REQUEST = 1 << 2
    BAD_TIME = 1 << 3
    BAD_CERT_ID = 1 << 4
    BAD_DATA_FORMAT = 1 << 5
    WRONG_AUTHORITY = 1 << 6
    INCORRECT_DATA = 1 << 7
    MISSING_TIME_STAMP = 1 << 8
    BAD_POP = 1 << 9
    CERT_REVOKED = 1 << 10
    CERT_CONFIRMED = 1 << 11
    WRONG_INTEGRITY = 1 << 12
    BAD_RECIPIENT_NONCE = 1 << 13
    TIME_NOT_AVAILABLE = 1 << 14
    UNACCEPTED_POLICY = 1 << 15
    UNACCEPTED_EXTENSION = 1 << 16
    ADD_INFO_NOT_AVAILABLE = 1 << 17
    BAD_SENDER_NONCE = 1 << 18
    BAD_CERT_TEMPLATE = 1 << 19
    SIGNER_NOT_TRUSTED = 1 << 20
    TRANSACTION_ID_IN_USE = 1 << 21
    UNSUPPORTED_VERSION = 1 << 22
    NOT_AUTHORIZED = 1 << 23
    SYSTEM_UNAVAIL = 1 << 24
    SYSTEM_FAILURE = 1 << 25
    DUPLICATE_CERT_REQ = 1 << 26


class Error(Exception):
    """A call failed.

    Catch a subclass to decide by kind: codes may be added in any release, classes are not.
    """

    def __init__(
        self,
        message: str,
        code: int = Code.APPLICATION,
        *,
        name: Optional[str] = None,
        pki_status: Optional[int] = None,
        fail_info: int = 0,
        server_texts: Tuple[str, ...] = (),
        server_authenticated: bool = False,
        http_status: Optional[int] = None,
        retry_after_seconds: Optional[int] = None,
        certificate_index: Optional[int] = None,
        phase: Optional[str] = None,
        http_path: Optional[str] = None,
        requirement: Optional[str] = None,
        expected: Optional[str] = None,
        found: Optional[str] = None,
        hint: Optional[str] = None,
        details: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        """For people: what was expected, what came, where. Never a secret."""
        self.code: Union[Code, int] = code_of(code)
        """Which failure; a plain number if this package does not know it."""
        self.name = name or _name(code)
        """The code's name, such as ``EXPIRED``."""
        self.pki_status: Union[PkiStatus, int, None] = None if pki_status is None else pki_status_of(pki_status)
        """PKIStatus of the server's answer."""
        self.fail_info = FailInfo(fail_info)
        """PKIFailureInfo of the server's answer; empty if there was none."""
        self.server_texts = server_texts
        """The server's own words. Written by someone else: show them as data."""
        self.server_authenticated = server_authenticated
        """Whether the server's words came in a message whose protection was checked."""
        self.http_status = http_status
        """HTTP status."""
        self.retry_after_seconds = retry_after_seconds
        """How long the server asks to wait before the next attempt."""
        self.certificate_index = certificate_index
        """Which certificate of the chain it is about; 0 is the end entity."""
        self.phase = phase
        """Where in an operation: ``ir``, ``pollReq``, ``certConf``..."""
        self.http_path = http_path
        """Path of the URL that the message went to."""
        self.requirement = requirement
        """The rule that was broken, such as ``RFC 9483 section 3.5 (P5)``."""
        self.expected = expected
        """What that rule asks for."""
        self.found = found
        """What came, in words. Nobody vouches for them: show them as data."""
        self.hint = hint
        """What is known of servers that answer like this, and which setting may help; the words may change."""
        self.details = details or str(self)
        """Everything that is known of the failure, one fact per line."""
        self.kept: Optional[Kept] = None
        """Of :meth:`Device.keep`: what it did all the same, and when to call again; ``None`` if it began nothing."""

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


class UsageError(Error, ValueError):
    """The program called wrongly."""


class InternalError(Error, RuntimeError):
    """The library or its environment failed."""


class InputError(Error, ValueError):
    """Bytes are not what they must be."""


class CryptoError(Error):
    """Keys, algorithms, secrets."""


class ProtocolError(Error):
    """The CMP server's answer: refused, forged, or against the rules."""


class TransportError(Error, OSError):
    """The way to the server: trying again later may help."""


class StoreError(Error, OSError):
    """Device memory."""


class ValidationError(Error):
    """A certificate is not to be trusted."""

    report: Optional[Report] = None
    """Everything that the validation found, where one was made."""


class ApplicationError(Error):
    """A callback of the program failed with a number of its own."""


CLASSES: Dict[int, Type[Error]] = {
    Class.USAGE: UsageError,
    Class.INTERNAL: InternalError,
    Class.INPUT: InputError,
    Class.CRYPTO: CryptoError,
    Class.PROTOCOL: ProtocolError,
    Class.TRANSPORT: TransportError,
    Class.STORE: StoreError,
    Class.VALIDATION: ValidationError,
    Class.APPLICATION: ApplicationError,
}


def pki_status_of(number: int) -> Union[PkiStatus, int]:
    """The status by number; the number itself if it is not in the table."""
    try:
        return PkiStatus(number)
    except ValueError:
        return number


def code_of(number: int) -> Union[Code, int]:
    """The code by number; the number itself if this package does not know it."""
    try:
        return Code(number)
    except ValueError:
        return number


def _name(number: int) -> str:
    known = code_of(number)
    return known.name if isinstance(known, Code) else "APPLICATION" if number <= Code.APPLICATION else "UNKNOWN"
