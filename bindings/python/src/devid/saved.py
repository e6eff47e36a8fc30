"""What an operation in device memory is, told before it is continued."""

from __future__ import annotations

from ctypes import POINTER, byref
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Optional

from . import _abi
from ._call import BytesLike, borrowed, call, data, moment_of, optional_text_of, text, text_of
from ._handle import Handle, using
from ._library import library

if TYPE_CHECKING:
    from .store import Store


class SavedBy(IntEnum):
    """With what a request was protected."""

    CERTIFICATE = 1
    """With the key of a certificate."""
    SECRET = 2
    """By a shared secret."""
    TLS = 3
    """Client and server know each other by TLS."""


class SavedState(IntEnum):
    """What a saved operation does next."""

    SENDING = 1
    """A message is about to be sent, or its answer was not seen."""
    WAITING = 2
    """The CA asked to be asked again later."""
    DECIDING = 3
    """A certificate is here, and nobody has decided on it."""


@dataclass(frozen=True)
class Saved:
    """What a saved operation is: no key and no credential is needed to tell."""

    request: str
    """``ir``, ``cr``, ``kur``, ``p10cr``, ``rr``, ``genm``."""
    state: SavedState
    protected_by: SavedBy
    credential: bytes = field(repr=False)
    """SHA-256 of the certificate, the reference value of the secret, or the sender's name (DER): who has to continue it."""
    credential_text: str
    """The same in words, for people."""
    since: datetime
    """When it began, by the clock of then."""
    message: Optional[str]
    """The message that is about to be sent, when SENDING."""
    wait_until: Optional[datetime]
    """Until when the CA asked to wait, when WAITING; by the clock of then."""
    polls: int
    """How often the CA has been polled."""
    new_key: Optional[bytes] = field(repr=False)
    """SubjectPublicKeyInfo (DER) of its new key; None if it has none, or none yet."""
    reason: str = ""
    """Why the CA asked to wait, in its words, as :attr:`Steps.wait_reason` has it."""
    dropped: int = 0
    """How many answers in a row proved nothing and were dropped; the reason says so then."""
    server: Optional[str] = None
    """The URL to which the request was sent; None where that is not known."""


class _SavedHandle(Handle):
    """A saved operation on its way through the C face."""

    _type = "devid_saved"
    _is_shared = True


def read_saved(saved: BytesLike) -> Saved:
    """What the bytes of :meth:`Steps.save`, or of :meth:`Store.operation`, are."""
    content = data(saved, "saved")
    return _read(_SavedHandle._made_by("devid_saved_read", content, len(content)))


def unfinished(store: Store, name: str) -> Optional[Saved]:
    """What is unfinished under a name in device memory, before :meth:`Client.resume` continues it; None if nothing is."""
    pointer = POINTER(_abi.devid_saved)()
    with using(store, "Store", "store") as memory:
        call("devid_store_unfinished", memory, text(name, "name"), byref(pointer))
    return _read(_SavedHandle._adopt(pointer)) if pointer else None


def unfinished_revocation(store: Store, name: str) -> Optional[Saved]:
    """The revocation that is unfinished under a name in device memory; None if none is. :meth:`Revoking.install_into` with the same
    goes on with it."""
    pointer = POINTER(_abi.devid_saved)()
    with using(store, "Store", "store") as memory:
        call("devid_store_unfinished_revocation", memory, text(name, "name"), byref(pointer))
    return _read(_SavedHandle._adopt(pointer)) if pointer else None


def _read(handle: Any) -> Saved:
    lib = library()
    with handle, handle._use() as saved:
        until = lib.devid_saved_wait_until(saved)
        return Saved(
            text_of(lib.devid_saved_request(saved)),
            SavedState(lib.devid_saved_state(saved)),
            SavedBy(lib.devid_saved_credential_kind(saved)),
            borrowed("devid_saved_credential", saved) or b"",
            text_of(lib.devid_saved_credential_text(saved)),
            moment_of(lib.devid_saved_since(saved)),
            optional_text_of(lib.devid_saved_message(saved)),
            None if until < 0 else moment_of(until),
            int(lib.devid_saved_polls(saved)),
            borrowed("devid_saved_new_key", saved),
            text_of(lib.devid_saved_reason(saved)),
            int(lib.devid_saved_dropped(saved)),
            optional_text_of(lib.devid_saved_server(saved)),
        )
