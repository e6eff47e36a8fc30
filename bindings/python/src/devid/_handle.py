"""What all objects that stand for a C handle have in common."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import weakref
from ctypes import POINTER, byref
from typing import TYPE_CHECKING, Any, ClassVar, ContextManager, Iterator, List, Optional, Type, TypeVar

from . import _abi
from ._call import call
from ._library import library
from ._abi import Code
from .errors import UsageError

H = TypeVar("H", bound="Handle")


_CLOSED_AT_EXIT: "weakref.WeakSet[Handle]" = weakref.WeakSet()


def _close_at_exit() -> None:
    """As if the program had closed them: one that a thread is using is left."""
    for handle in list(_CLOSED_AT_EXIT):
        handle.close()


_ALL: "weakref.WeakValueDictionary[int, Handle]" = weakref.WeakValueDictionary()
"""By their addresses: some are equal to others."""


def _after_fork() -> None:
    """In a process that was forked: whatever another thread has held at that moment, nobody gives it back."""
    for handle in list(_ALL.values()):
        handle._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _InUse(threading.local):
    """Handles that a thread uses, innermost last."""

    def __init__(self) -> None:
        self.handles: List[Handle] = []

    def forget(self, handle: Handle) -> None:
        for at in range(len(self.handles) - 1, -1, -1):
            if self.handles[at] is handle:
                del self.handles[at]
                return


_IN_USE = _InUse()


def handles_in_use() -> List[Handle]:
    """What this thread uses: a call that goes on without it must hold them."""
    return list(_IN_USE.handles)


class Handle:
    """Owns one handle of the library.

    Close it with ``close()`` or ``with``; forgotten ones are freed when they are collected. Closing waits for nobody: a
    handle in use, in another thread or further up the stack, is freed when that use ends. A closed object answers
    :class:`UsageError`.
    """

    _type: ClassVar[str]
    """Name of the C type; its free function is `<type>_free`."""
    _is_shared: ClassVar[bool] = False
    """Whether threads may use it at the same time: the type never changes, or C takes it as const."""
    _is_closed_at_exit: ClassVar[bool] = False
    """Whether the end of the program closes it: what it knows and could not write yet is written then."""
    _made_with: ClassVar[str] = "the functions that are documented to make them"
    """Where a program gets one of a class that it does not make itself."""

    # As long as nothing is owned, which is for good where a subclass does not call our __init__.
    _pointer: Any = None
    _users: int = 0
    _is_closed: bool = True
    _state: Any = threading.Lock()
    _turn: Any = None
    _finalizer: Any = staticmethod(lambda: None)

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:

        def __init__(self, *_: object, **__: object) -> None:
            raise TypeError(f"{type(self).__name__} objects are made by {self._made_with}")

    @classmethod
    def _adopt(cls: Type[H], pointer: Any) -> H:
        """Takes over a pointer that is ours to free."""
        self = cls.__new__(cls)
        self._own(pointer)
        return self

    @classmethod
    def _made_by(cls: Type[H], function: str, *arguments: Any) -> H:
        """Calls a function whose last output is a new handle of this type."""
        return cls._adopt(cls._pointer_from(function, *arguments))

    @classmethod
    def _pointer_from(cls, function: str, *arguments: Any) -> Any:
        pointer = POINTER(getattr(_abi, cls._type))()
        try:
            call(function, *arguments, byref(pointer))
        except BaseException:
            # A callback raised and the call went well all the same: nobody else will free what it made.
            getattr(library(), f"{cls._type}_free")(pointer)
            raise
        return pointer

    def _own(self, pointer: Any) -> None:
        self._pointer = pointer
        self._users = 0
        self._is_closed = False
        self._state = threading.Lock()
        self._turn = None if self._is_shared else threading.RLock()
        _ALL[id(self)] = self
        finalizer = weakref.finalize(self, getattr(library(), f"{self._type}_free"), pointer)
        # At the end of the process a thread may still be inside the library: what is left then is the system's to take.
        finalizer.atexit = False
        self._finalizer = finalizer
        if self._is_closed_at_exit:
            if not _CLOSED_AT_EXIT:
                # Once more behind each first one does no harm. Behind the finalizer: what was registered last is run first, and finalizers
                # do nothing any more once theirs has run.
                atexit.unregister(_close_at_exit)
                atexit.register(_close_at_exit)
            _CLOSED_AT_EXIT.add(self)

    def _after_fork(self) -> None:
        """In a process that was forked. What a call of another thread has used stays counted as used: it cannot be freed safely."""
        self._state = threading.Lock()
        if self._turn is not None and not any(handle is self for handle in _IN_USE.handles):
            self._turn = threading.RLock()

    @contextlib.contextmanager
    def _use(self) -> Iterator[Any]:
        """The pointer for the time of a call: one thread at a time, unless the type may be shared."""
        with self._state:
            if self._is_closed:
                what = "is closed" if self._pointer else "was not made: its __init__ has not called that of its base class"
                raise UsageError(f"{type(self).__name__} {what}", Code.STATE)
            self._users += 1
        _IN_USE.handles.append(self)
        try:
            with self._turn or contextlib.nullcontext():
                yield self._pointer
        finally:
            _IN_USE.forget(self)
            self._let_go()

    def _hold(self) -> None:
        """Keeps it from being freed, closed or not, until somebody lets it go."""
        with self._state:
            self._users += 1

    def _let_go(self) -> None:
        with self._state:
            self._users -= 1
            is_last = self._is_closed and self._users == 0
        if is_last:
            self._finalizer()

    def close(self) -> None:
        """Frees it. May be called any number of times."""
        with self._state:
            self._is_closed = True
            is_last = self._users == 0
        if is_last:
            self._finalizer()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def __enter__(self: H) -> H:
        with self._use():
            return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        # Also of one whose making has failed.
        if getattr(self, "_is_closed", True):
            return f"<{type(self).__name__}, closed>"
        about = self._about()
        return f"<{type(self).__name__} {about}>" if about else f"<{type(self).__name__}>"

    def _about(self) -> str:
        """What tells this one from others of its type, in a few words."""
        return ""

    def __copy__(self) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be copied")

    def __deepcopy__(self, _memo: object) -> Any:
        self.__copy__()

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be pickled: it belongs to this process")


def using(handle: Handle, kind: str, what: str) -> ContextManager[Any]:
    """The pointer of an argument for the time of a call. TypeError for what is none of the public class ``kind``, or of several
    (``Trust or Validator``), with the parameter's name: annotations hold nobody up."""
    package = sys.modules[__package__ or ""]
    if not isinstance(handle, tuple(getattr(package, one) for one in kind.split(" or "))):
        raise TypeError(f"{what} must be {kind}, not {type(handle).__name__}")
    pointer: ContextManager[Any] = handle._use()
    return pointer


def used(handle: Optional[Handle], kind: str, what: str) -> ContextManager[Any]:
    """As :func:`using`, for one that may be None, which gives NULL."""
    return contextlib.nullcontext() if handle is None else using(handle, kind, what)
