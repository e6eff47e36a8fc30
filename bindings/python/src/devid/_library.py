"""Finds and loads libdevid, once, and gives every function its prototype."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
import threading
from pathlib import Path
from typing import Any, List, Optional, Tuple

from . import _abi
from ._integers import Kind

ENVIRONMENT = "DEVID_LIBRARY"

_lock = threading.Lock()
_loaded: Optional[ctypes.CDLL] = None


def library() -> ctypes.CDLL:
    """The library; loaded at the first call.

    Looked for in this order: the file named by the environment variable DEVID_LIBRARY, the file inside this package, the
    system's libraries. What was asked for by name must be right: a DEVID_LIBRARY that cannot be used is an error.
    """
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _load()
    return _loaded


def packaged_name() -> str:
    """How the library's file inside this package is called on this system."""
    return {"win32": "devid.dll", "darwin": "libdevid.dylib"}.get(sys.platform, "libdevid.so")


def _load() -> ctypes.CDLL:
    tried: List[str] = []
    named = os.environ.get(ENVIRONMENT)
    if named:
        found = _open(named, tried)
    else:
        packaged = Path(__file__).resolve().parent / packaged_name()
        found = _open(str(packaged), tried) if packaged.exists() else None
        if found is None and not packaged.exists():
            tried.append(f"{packaged}: no such file")
        if found is None:
            system = ctypes.util.find_library("devid")
            if system is None:
                tried.append('the system\'s libraries: none is called "devid"')
            else:
                found = _open(system, tried)
    if found is None:
        what = "".join(f"\n  - {line}" for line in tried)
        raise ImportError(f"libdevid was not found; set {ENVIRONMENT} to its path. Tried:{what}")
    return found


def _open(name: str, tried: List[str]) -> Optional[ctypes.CDLL]:
    """The library behind a name, if it is one and of our generation."""
    try:
        candidate = ctypes.CDLL(name)
        abi = candidate.devid_abi_version
    except (OSError, AttributeError) as error:
        tried.append(f"{name}: {error}")
        return None
    abi.restype, abi.argtypes = ctypes.c_uint32, ()
    if abi() != _abi.DEVID_ABI_VERSION:
        tried.append(f"{name}: its binary interface is generation {abi()}, this package needs {_abi.DEVID_ABI_VERSION}")
        return None
    missing = [function for function in _abi.FUNCTIONS if not hasattr(candidate, function)]
    if missing:
        tried.append(f"{name}: older than this package, it lacks {', '.join(missing)}")
        return None
    for function, (result, parameters) in _abi.FUNCTIONS.items():
        pointer = getattr(candidate, function)
        pointer.restype, pointer.argtypes = result, parameters
        if function in _abi.INTEGERS:
            setattr(candidate, function, _Checked(pointer, _abi.INTEGERS[function]))
    return candidate


class _Checked:
    """A function whose integers are looked at on the way: the only way from this package to the library."""

    def __init__(self, pointer: Any, integers: Tuple[Tuple[int, str, Kind], ...]) -> None:
        self._pointer, self._integers = pointer, integers
        self.argtypes, self.restype = pointer.argtypes, pointer.restype

    def __call__(self, *arguments: Any) -> Any:
        values = list(arguments)
        for position, name, kind in self._integers:
            if position < len(values):
                values[position] = kind.check(values[position], name)
        return self._pointer(*values)
