"""Homes of device memory besides a directory: the program's own storage."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from ctypes import string_at
from typing import Any, Callable, Iterable, Iterator, Optional, Union

from . import _abi
from ._call import DESTROY, TOKENS, BytesLike, append, call, data, guarded, of_medium, text_of
from ._handle import Handle

Secret = Union[BytesLike, Callable[[], BytesLike]]
"""What encrypts private keys at rest: the secret, or a function that is asked for it whenever a key is read or written."""


class Storage(ABC):
    """The program's own storage, for :meth:`Store.over`: a flash translation layer, NVRAM, a secure element, a database.

    Nothing here needs to be atomic: a write that is interrupted may leave any bytes, or none, in that record and only there.
    Keys are one to four plain names separated by ``/``, perhaps with a ``~`` behind. Calls take turns, and must not use the
    store. What they raise comes out of the call that fails for it. A verdict on a certificate is one all the same: that what was found
    could not be written is a finding beside it, logged by ``devid``, and written later; what cannot be read is not known.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @abstractmethod
    def read(self, key: str) -> Optional[BytesLike]:
        """The record; None if there is none."""

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Puts or replaces a record."""

    @abstractmethod
    def remove(self, key: str, wipe: bool) -> None:
        """Removes a record; it is no error if there is none. ``wipe``: it held a private key."""

    @abstractmethod
    def list(self, prefix: str) -> Iterable[str]:
        """The keys that begin with ``prefix``, in any order."""

    @abstractmethod
    def sync(self) -> None:
        """Makes everything before durable, in front of everything that follows."""

    def lock(self) -> None:
        """Keeps other users of the storage out; calls nest."""

    def unlock(self) -> None:
        """Ends one :meth:`lock`."""


class StoreOptions(Handle):
    """How device memory behaves, on its way through the C face."""

    _type = "devid_store_options"


@contextlib.contextmanager
def store_options(
    secret: Optional[Secret], retention: int, iterations: Optional[int], scrypt: int = 0, atomic_writes: bool = False
) -> Iterator[Any]:
    """The pointer to options."""
    with StoreOptions._made_by("devid_store_options_new") as options, options._use() as pointer:
        if callable(secret):
            call("devid_store_options_set_secret_callback", pointer, _SECRET, TOKENS.put(secret), DESTROY)
        elif secret is not None:
            key = data(secret, "secret")
            call("devid_store_options_set_secret", pointer, key, len(key))
        call("devid_store_options_set_retention", pointer, retention)
        if iterations is not None:
            call("devid_store_options_set_iterations", pointer, iterations)
        call("devid_store_options_set_scrypt", pointer, scrypt)
        call("devid_store_options_set_atomic_writes", pointer, atomic_writes)
        yield pointer


@guarded
def _on_secret(user: Optional[int], secret: Any) -> int:
    ask: Callable[[], BytesLike] = TOKENS.at(user)
    append(secret, ask(), "the secret")
    return 0


@of_medium
def _on_read(user: Optional[int], key: bytes, content: Any, out_found: Any) -> int:
    storage: Storage = TOKENS.at(user)
    found = storage.read(text_of(key))
    if found is None:
        out_found[0] = _abi.DEVID_RECORD_ABSENT
        return 0
    append(content, found, "the record")
    out_found[0] = _abi.DEVID_RECORD_FOUND
    return 0


@of_medium
def _on_write(user: Optional[int], key: bytes, content: Any, content_len: int) -> int:
    storage: Storage = TOKENS.at(user)
    storage.write(text_of(key), string_at(content, content_len))
    return 0


@of_medium
def _on_remove(user: Optional[int], key: bytes, wipe: int) -> int:
    storage: Storage = TOKENS.at(user)
    storage.remove(text_of(key), wipe == 1)
    return 0


@of_medium
def _on_list(user: Optional[int], prefix: bytes, keys: Any) -> int:
    storage: Storage = TOKENS.at(user)
    found = storage.list(text_of(prefix))
    append(keys, "".join(f"{key}\n" for key in found).encode(), "the keys")
    return 0


@of_medium
def _on_sync(user: Optional[int]) -> int:
    storage: Storage = TOKENS.at(user)
    storage.sync()
    return 0


@of_medium
def _on_lock(user: Optional[int], on: int) -> int:
    storage: Storage = TOKENS.at(user)
    if on:
        storage.lock()
    else:
        storage.unlock()
    return 0


_SECRET = _abi.devid_secret_fn(_on_secret)
CALLBACKS = (
    _abi.devid_storage_read_fn(_on_read),
    _abi.devid_storage_write_fn(_on_write),
    _abi.devid_storage_remove_fn(_on_remove),
    _abi.devid_storage_list_fn(_on_list),
    _abi.devid_storage_sync_fn(_on_sync),
    _abi.devid_storage_lock_fn(_on_lock),
)
"""The functions that devid_store_open_storage() takes; `user` is the number of a :class:`Storage`."""
