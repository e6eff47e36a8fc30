"""Identities for other software, and being told what came into use."""

from __future__ import annotations

import os
from ctypes import POINTER, byref, c_uint32, string_at
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Callable, Optional, Tuple, Union

from . import _abi
from ._blocking import changing
from ._call import TOKENS, call, guarded, text, text_of
from ._handle import Handle
from ._library import library
from .certificate import Certificates, listed


class ChangeKind(IntEnum):
    """What happened in device memory."""

    INSTALLED = _abi.DEVID_CHANGE_INSTALLED
    """A new generation came into use: installed or promoted."""
    ROLLED_BACK = _abi.DEVID_CHANGE_ROLLED_BACK
    """The previous generation came back into use."""
    EXPORTED = _abi.DEVID_CHANGE_EXPORTED
    """The identity was written for other software, and its new files are in use."""


@dataclass(frozen=True)
class Change:
    """What came into use."""

    kind: ChangeKind
    name: str
    """The identity's name."""
    generation: int
    """The generation that is in use now, or that was exported."""
    folder: Optional[Path]
    """Where it was exported to."""


OnChange = Callable[[Change], object]


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    generation: int
    files: Tuple[Path, ...]
    """The files, under the names by which a configuration refers to them; the private key's first."""


class ExportHandle(Handle):
    """How an identity is written, on its way through the C face."""

    _type = "devid_export"


def export(
    store: Any,
    name: str,
    layout: str,
    folder: Union[str, "os.PathLike[str]"],
    *,
    anchors: Certificates,
    password: Optional[str],
    iterations: int,
    scrypt: int,
    mac: str,
    key_owner: Optional[Tuple[int, int]],
) -> Exported:
    """The work of :meth:`Store.export` on a pointer to a store."""
    target = (text(layout, "layout"), text(os.fspath(folder), "folder"))
    out_files, out_generation = POINTER(_abi.devid_bytes)(), c_uint32()
    made = ExportHandle._made_by("devid_export_new", *target)
    with made, made._use() as how, listed(anchors, trusted=True) as trusted:
        call("devid_export_set_anchors", how, trusted)
        call("devid_export_set_mac", how, text(mac, "mac"))
        if password is not None:
            secret = text(password, "password")
            call("devid_export_set_password", how, secret, len(secret), iterations)
        call("devid_export_set_scrypt", how, scrypt)
        if key_owner is not None:
            call("devid_export_set_key_owner", how, *key_owner)
        lib = library()
        try:
            what = text(name, "name"), how, byref(out_files), byref(out_generation)
            changing(store, lambda: call("devid_store_export", store, *what))
            lines = string_at(lib.devid_bytes_data(out_files), lib.devid_bytes_len(out_files)).decode()
        finally:
            lib.devid_bytes_free(out_files)
    return Exported(out_generation.value, tuple(Path(line) for line in lines.split("\n") if line))


@guarded
def _tell(user: Optional[int], change: int, name: bytes, generation: int, folder: Optional[bytes]) -> int:
    try:
        kind = ChangeKind(change)
    except ValueError:
        # A later library tells of more than this package knows.
        return 0
    told: OnChange = TOKENS.at(user)
    told(Change(kind, text_of(name), generation, None if folder is None else Path(text_of(folder))))
    return 0


def _on_change(*arguments: Any) -> None:
    _tell(*arguments)


ON_CHANGE = _abi.devid_change_fn(_on_change)
"""The function for all stores; what is told stands in TOKENS."""
