"""How Python's values go to C and come back: calls, errors, text, bytes, callbacks."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import threading
import weakref
from ctypes import POINTER, byref, string_at
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, TypeVar, Union

from . import _abi
from ._library import library
from ._abi import Code
from .errors import CLASSES, InternalError, UsageError

T = TypeVar("T")

BytesLike = Union[bytes, bytearray, memoryview]

CALLBACK_FAILED = -19_999
"""What our callbacks answer after an exception; the exception itself is raised by :func:`call`."""

_LOGGER = logging.getLogger("devid")
"""Hears of what a home of device memory has raised where the library did without it."""


class Outage(Exception):
    """Raised by a callback that tells the library, by a code, what the program met on the way to a server."""

    def __init__(self, status: int, cause: BaseException) -> None:
        super().__init__(status)
        self.status, self.cause = status, cause


class _Frames(threading.local):
    """Calls into the library on this thread, innermost last; each keeps what a callback inside it raised."""

    def __init__(self) -> None:
        self.raised: List[Optional[BaseException]] = []
        self.outages: List[Optional[Outage]] = []
        self.media: List[Optional[Exception]] = []


class _Relay(threading.local):
    """How callbacks get to the thread of the caller, where the call is made by a thread beside it."""

    def __init__(self) -> None:
        self.ask: Optional[Callable[[Callable[..., Any], Tuple[Any, ...]], Any]] = None
        """In the thread beside: has the caller's thread run a callback."""
        self.back: Optional[Callable[[Callable[[], Any], Callable[[], None]], Any]] = None
        """In the caller's thread while it runs a callback: has the thread beside make a call, which the second function ends."""


RELAY = _Relay()
_frames = _Frames()


def call(function: str, *arguments: Any) -> None:
    """Calls a fallible function. A failure is raised: the exception of our own callback, or the library's error.

    What a home of device memory raises is the failure of a medium, which the library may do without: it is raised where the call ends
    with it. A verdict is one all the same, with the failure as a finding, and logged; what fails for another reason has it as cause.

    What a callback calls is called in the thread that called it, whichever runs the callback: the library knows by its thread that a
    call comes from within another, refuses what would wait for itself, and lets in who holds a lock.
    """
    back = RELAY.back
    if back is None:
        _call(function, *arguments)
    else:
        back(lambda: _call(function, *arguments), _wait_for_the_end)


def is_within() -> bool:
    """Whether this thread is in a callback of a call that it makes itself."""
    return bool(_frames.raised)


def _wait_for_the_end() -> None:
    """Of a call that does not block."""


def _call(function: str, *arguments: Any) -> None:
    error = POINTER(_abi.devid_error)()
    failure: Optional[BaseException] = None
    _frames.raised.append(None)
    _frames.outages.append(None)
    _frames.media.append(None)
    try:
        status: int = getattr(library(), function)(*arguments, byref(error))
    finally:
        raised, outage, medium = _frames.raised.pop(), _frames.outages.pop(), _frames.media.pop()
    try:
        if raised is not None:
            raise raised
        if medium is not None and status != CALLBACK_FAILED:
            _LOGGER.warning("the storage of device memory failed, and the call went on without it", exc_info=medium)
        if status != Code.OK:
            failure = _error(status, error)
            if error:
                _C_ERRORS[failure] = error
                weakref.finalize(failure, library().devid_error_free, error).atexit = False
            if outage is not None and outage.status == status:
                raise failure from outage.cause
            if medium is not None:
                if status == CALLBACK_FAILED:
                    raise medium
                raise failure from medium
            raise failure
    finally:
        # An exception that was raised of it keeps it: see `error_handle`.
        if error and failure is None:
            library().devid_error_free(error)
        del raised, medium, failure


_C_ERRORS: "weakref.WeakKeyDictionary[BaseException, Any]" = weakref.WeakKeyDictionary()


def error_handle(error: BaseException) -> Any:
    """What C knows an exception by, as long as that lives; None for one that did not come from C."""
    return _C_ERRORS.get(error)


def keep(exception: BaseException) -> int:
    """Called by a callback that must not let an exception pass into C: :func:`call` raises it. Answers the status to give."""
    if _frames.raised:
        if _frames.raised[-1] is None:
            _frames.raised[-1] = exception
    # KeyboardInterrupt, SystemExit: the user wants no more of it, and nothing has failed.
    return CALLBACK_FAILED if isinstance(exception, Exception) else int(Code.CANCELLED)


def _error(status: int, error: Any) -> BaseException:
    lib = library()
    kind = CLASSES.get(lib.devid_status_class(status), InternalError)
    if not error:
        return kind(text_of(lib.devid_status_text(status)), status, name=_short_name(status))
    pki_status = lib.devid_error_pki_status(error)
    http_status = lib.devid_error_http_status(error)
    retry_after = lib.devid_error_retry_after_seconds(error)
    index = lib.devid_error_certificate_index(error)
    count = lib.devid_error_server_text_count(error)
    return kind(
        text_of(lib.devid_error_message(error)),
        status,
        name=_short_name(status),
        pki_status=None if pki_status < 0 else pki_status,
        fail_info=lib.devid_error_fail_info(error),
        server_texts=tuple(text_of(lib.devid_error_server_text(error, i)) for i in range(count)),
        server_authenticated=lib.devid_error_server_authenticated(error) == 1,
        http_status=http_status or None,
        retry_after_seconds=None if retry_after < 0 else retry_after,
        certificate_index=None if index < 0 else index,
        phase=optional_text_of(lib.devid_error_phase(error)),
        http_path=optional_text_of(lib.devid_error_http_path(error)),
        requirement=optional_text_of(lib.devid_error_requirement(error)),
        expected=optional_text_of(lib.devid_error_expected(error)),
        found=optional_text_of(lib.devid_error_found(error)),
        hint=optional_text_of(lib.devid_error_hint(error)),
        details=text_of(lib.devid_error_report(error)),
    )


def _short_name(status: int) -> str:
    name = text_of(library().devid_status_name(status))
    return name[len("DEVID_E_") :] if name.startswith("DEVID_E_") else name


def text(value: str, what: str) -> bytes:
    """A str for C. Text with a NUL inside would arrive cut off: refused."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be str, not {type(value).__name__}")
    encoded = value.encode("utf-8")
    if b"\0" in encoded:
        raise UsageError(f"{what} must not contain a NUL character", Code.INVALID_ARGUMENT)
    return encoded


def texts(values: Iterable[str]) -> List[str]:
    """A list of texts; one text alone, which Python would take apart into letters, is refused."""
    if isinstance(values, str):
        raise TypeError(f"expected several texts, such as [{values!r}], not one")
    return list(values)


def optional_text(value: Optional[str], what: str) -> Optional[bytes]:
    """As :func:`text`; None becomes NULL."""
    return None if value is None else text(value, what)


Material = Union[BytesLike, str, "os.PathLike[str]"]
"""What is kept in files: bytes, PEM text, or the path of a file (a ``pathlib.Path``; a str is never a path)."""

SecretLike = Union[BytesLike, str]
"""A secret: bytes, or text that stands for its UTF-8."""

MAX_FILE_BYTES = 128 * 1024 * 1024
"""What is longer is none of the files that are read here."""


def material(value: Material, what: str) -> bytes:
    """The bytes of what is kept in files."""
    if isinstance(value, str):
        if "-----BEGIN " not in value:
            raise UsageError(f"{what}: a str must be PEM text; for a file give a pathlib.Path", Code.INVALID_ARGUMENT)
        return value.encode("utf-8")
    if isinstance(value, os.PathLike):
        with open(value, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise UsageError(f"{what}: {os.fspath(value)} is larger than {MAX_FILE_BYTES} bytes", Code.INVALID_ARGUMENT)
        return content
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    words = "bytes, PEM text or a pathlib.Path"
    raise TypeError(f"{what} must be {words}, not {type(value).__name__}")


def secret_data(value: SecretLike, what: str) -> bytes:
    """The bytes of a secret."""
    return value.encode("utf-8") if isinstance(value, str) else data(value, what)


def data(value: BytesLike, what: str) -> bytes:
    """A bytes-like object for C, which ctypes takes as bytes only."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"{what} must be bytes-like, not {type(value).__name__}")


def text_of(value: Optional[bytes]) -> str:
    """Text of the library."""
    return (value or b"").decode("utf-8", "replace")


def optional_text_of(value: Optional[bytes]) -> Optional[str]:
    """Text of the library; NULL becomes None."""
    return None if value is None else text_of(value)


def bytes_of(function: str, *arguments: Any) -> bytes:
    """Calls a function whose last output is a byte buffer; copies it and frees the buffer."""
    out = POINTER(_abi.devid_bytes)()
    lib = library()
    try:
        call(function, *arguments, byref(out))
        return string_at(lib.devid_bytes_data(out), lib.devid_bytes_len(out))
    finally:
        lib.devid_bytes_free(out)


def borrowed(function: str, *arguments: Any) -> Optional[bytes]:
    """Calls a getter of the form `const uint8_t *f(..., size_t *out_len)`; copies what it shows."""
    length = ctypes.c_size_t()
    pointer = getattr(library(), function)(*arguments, byref(length))
    return string_at(pointer, length.value) if pointer else None


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Moment = Union[datetime, int]


def seconds(moment: Moment, what: str = "time") -> int:
    """A moment as seconds since 1970-01-01T00:00:00Z. A datetime must know its zone."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise UsageError(f"{what}: a datetime needs a time zone, such as timezone.utc", Code.INVALID_ARGUMENT)
        return (moment - _EPOCH) // timedelta(seconds=1)
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise TypeError(f"{what} must be datetime or int, not {type(moment).__name__}")
    return moment


def moment_or(moment: Optional[Moment], what: str, for_none: int) -> int:
    """As :func:`seconds`; None becomes the number by which C knows it, which nobody may give as a moment."""
    if moment is None:
        return for_none
    second = seconds(moment, what)
    if second == for_none:
        raise UsageError(f"{what}: {second} seconds since 1970 stands for None: give None", Code.INVALID_ARGUMENT)
    return second


def moment_of(value: int) -> datetime:
    """Seconds since 1970-01-01T00:00:00Z as a datetime in UTC."""
    return _EPOCH + timedelta(seconds=value)


class Tokens:
    """Python objects that C holds as `void *user`: numbers stand for them, and a forgotten one stays valid.

    A number that C gives back after its object is gone finds nothing, where an address would crash.
    """

    def __init__(self) -> None:
        self._objects: Dict[int, Any] = {}
        self._next = itertools.count(1)

    def put(self, thing: Any) -> int:
        """Keeps an object and answers its number."""
        token = next(self._next)
        self._objects[token] = thing
        return token

    def at(self, token: Optional[int]) -> Any:
        """The object behind a number; KeyError if it is gone."""
        return self._objects[token or 0]

    def drop(self, token: Optional[int]) -> None:
        """Forgets an object."""
        self._objects.pop(token or 0, None)


TOKENS = Tokens()


def _drop(token: Optional[int]) -> None:
    TOKENS.drop(token)


DESTROY = _abi.devid_destroy_fn(_drop)
"""`destroy` for everything that is kept in TOKENS."""


def append(buffer: Any, content: BytesLike, what: str) -> None:
    """Fills a byte buffer that C gave to a callback."""
    content = data(content, what)
    call("devid_bytes_append", buffer, content, len(content))


def relayed(function: Callable[..., T], *arguments: Any) -> T:
    """Runs a callback in the thread of whoever made the call."""
    ask = RELAY.ask
    if ask is None:
        return function(*arguments)
    result: T = ask(function, arguments)
    return result


def guarded(function: Callable[..., int]) -> Callable[..., int]:
    """A callback that lets no exception into C."""

    def run(*arguments: Any) -> int:
        try:
            return relayed(function, *arguments)
        except Outage as outage:
            if _frames.outages:
                _frames.outages[-1] = outage
            return outage.status
        except BaseException as exception:  # noqa: B902 (also KeyboardInterrupt: C cannot pass it on)
            return keep(exception)

    return run



def of_medium(function: Callable[..., int]) -> Callable[..., int]:
    """A callback of a home of device memory, whose failures are the medium's: see :func:`call`."""

    def run(*arguments: Any) -> int:
        try:
            return relayed(function, *arguments)
        except Exception as exception:
            if _frames.media and _frames.media[-1] is None:
                _frames.media[-1] = exception
            return CALLBACK_FAILED
        except BaseException as exception:  # noqa: B902 (also KeyboardInterrupt: C cannot pass it on)
            return keep(exception)

    return run
