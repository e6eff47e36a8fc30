"""Blocking calls that signals end at once.

Python runs the handlers of signals in its main thread, and only between two of its own steps: a call that blocks in C would
put Ctrl-C off until it returns. So such a call of the main thread is made by a thread beside it, while the main thread waits in
a way that signals interrupt, and serves the callbacks of the call: they run in the caller's thread, as everywhere. What a
handler raises ends the call by a switch first; then it goes on its way. Calls of other threads, where no handler runs, are made
where they are.

A handler may raise between any two steps, also of what stands here. So nothing rests on a step that has to follow another one:
who waits looks again after a while, and whoever is still served is seen by the caller's stack. A call that its caller has left
is ended by its next callback, or by the caller's next call.

A callback that makes a call has it made by the thread that called the callback, and waits in the same way: what a handler raises
ends that call, by its own switch.

A process that is forked meanwhile has one thread, the one that forked. What other threads did is none of its business: it forgets
their calls, and in its own hands a call of its parent's has ended with an error.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Callable, Iterator, List, Optional, Tuple, TypeVar

from ._abi import Code
from ._call import RELAY, call, is_within
from ._handle import Handle, handles_in_use
from ._library import library
from .errors import UsageError

T = TypeVar("T")

_SLICE_SECONDS = 0.25
"""How long a lock is waited for at a time. A signal that the system gives to the main thread interrupts the wait; one that it
gives to another thread of the program, and any on Windows, is served when the time is over."""

_END_SECONDS, _LOOK_SECONDS = 5.0, 0.01
"""How long a call whose caller is gone may take to its end before the next one begins all the same, and how often is looked."""


class Cancel(Handle):
    """A switch that ends blocking calls from another thread; triggered once."""

    _type = "devid_cancel"
    _is_shared = True

    def __init__(self) -> None:
        self._own(self._pointer_from("devid_cancel_new"))
        self._heirs: List[Cancel] = []
        self._guard = threading.Lock()

    def _after_fork(self) -> None:
        super()._after_fork()
        self._guard = threading.Lock()

    def trigger(self) -> None:
        """Ends every call that was given this switch, and all that will be. Returns at once."""
        with self._use() as cancel:
            library().devid_cancel_trigger(cancel)
        with self._guard:
            heirs = list(self._heirs)
        for heir in heirs:
            heir.trigger()

    @property
    def is_triggered(self) -> bool:
        """Whether it was triggered."""
        with self._use() as cancel:
            return bool(library().devid_cancel_is_triggered(cancel))

    @contextlib.contextmanager
    def _inherited(self) -> Iterator[Cancel]:
        """A switch for one call, which this one throws as well: a signal ends the call and leaves this one as it is."""
        heir = Cancel()
        with self._guard:
            self._heirs.append(heir)
        try:
            if self.is_triggered:
                heir.trigger()
            yield heir
        finally:
            with self._guard:
                self._heirs.remove(heir)

    def _about(self) -> str:
        return "triggered" if self.is_triggered else "not triggered"


@contextlib.contextmanager
def switch_for(cancel: Optional[Cancel]) -> Iterator[Cancel]:
    """The switch of one blocking call, once those before it that have lost their caller are ended. Freed with the last who knows it: a call that has lost its caller is still to be ended."""
    _end_left()
    if cancel is None:
        yield Cancel()
    elif isinstance(cancel, Cancel):
        with cancel._inherited() as own:
            yield own
    else:
        raise TypeError(f"cancel must be a Cancel, not {type(cancel).__name__}")


class _Bell:
    """Wakes one thread. Rung already and not heard yet, once is enough."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def wait(self, seconds: float = -1) -> None:
        self._lock.acquire(timeout=seconds)


class _Work:
    """What one thread does for another."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        # Whatever becomes of the one that waits, nothing is freed that is worked with.
        self._handles = handles_in_use()
        self.is_done = False
        self.result: Any = None
        self.raised: Optional[BaseException] = None

    def hold(self) -> None:
        for handle in self._handles:
            handle._hold()

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as exception:  # noqa: B902 (it is raised in the thread that waits)
            self.raised = exception
        self.end()

    def end(self) -> None:
        self.is_done = True
        for handle in self._handles:
            handle._let_go()

    def wait(self, serve: Callable[[], None], interrupt: Callable[[], None]) -> None:
        """In the thread that waits: until it is done. What ``serve`` raises calls ``interrupt``, and is raised when the work has ended, or
        when it raises again."""
        interrupted: Optional[BaseException] = None
        while not self.is_done:
            try:
                serve()
            except BaseException as exception:  # noqa: B902 (KeyboardInterrupt is what this is for)
                if interrupted is not None:
                    raise
                interrupted = exception
                interrupt()
        if interrupted is not None:
            raise interrupted

    def outcome(self) -> Any:
        if self.raised is not None:
            raise self.raised
        return self.result


class _Question:
    """A callback that waits for the caller's thread."""

    def __init__(self, function: Callable[..., Any], arguments: Tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments
        self.has_run = self.is_answered = False
        self.result: Any = None
        # Until it is known better: what has begun and is not known to have ended was interrupted.
        self.raised: Optional[BaseException] = InterruptedError("the callback was interrupted")
        self.errand: Optional[_Work] = None
        self.bell = _Bell()

    def answer(self, back: Callable[[Callable[[], Any], Callable[[], None]], Any]) -> None:
        """Runs it, once, whatever interrupts. What it calls goes ``back`` to the thread that asks."""
        before, RELAY.back = RELAY.back, back
        try:
            if not self.has_run:
                self.has_run = True
                try:
                    self.result = self.function(*self.arguments)
                    self.raised = None
                except BaseException as exception:  # noqa: B902 (it is raised where the callback was called)
                    self.raised = exception
        finally:
            RELAY.back = before
            self.is_answered = True
            self.bell.ring()

    def wait(self, ring: Callable[[], None], is_left: Callable[[], bool]) -> None:
        """In the thread that asks: until it is answered, or nobody is there any more who could. Runs errands meanwhile, and rings
        when one is done."""
        while not self.is_answered:
            self.bell.wait(_SLICE_SECONDS)
            errand, self.errand = self.errand, None
            if errand is not None:
                errand.run()
                ring()
            elif not self.is_answered and is_left():
                break
        if self.errand is not None:
            # Its caller did not wait for it.
            self.errand.end()


class _Beside(_Work):
    """One call in a thread of its own, for the main thread's frame that has made it."""

    def __init__(self, work: Callable[[], Any], interrupt: Callable[[], None], caller: FrameType) -> None:
        super().__init__(work)
        self._interrupt = interrupt
        self._caller: Optional[FrameType] = caller
        self._bell = _Bell()
        self._question: Optional[_Question] = None
        self.is_abandoned = self.is_begun = self.is_elsewhere = False

    def begin(self) -> None:
        _RUNNING.append(self)
        self.hold()
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        self.is_begun = True
        if self.is_abandoned:
            self.end()
        else:
            RELAY.ask = self.ask
            if hasattr(signal, "pthread_sigmask"):
                # Signals are for the thread that waits, and for nobody that the library may start.
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            self.run()
        self._caller = None
        with contextlib.suppress(ValueError):
            _RUNNING.remove(self)
        self._bell.ring()

    def stays_behind(self) -> None:
        """In a process that was forked: the thread that makes the call is the parent's."""
        self.raised = UsageError("the process was forked during the call, which goes on in the parent alone", Code.STATE)
        self.is_elsewhere = self.is_done = True
        self._caller = None

    def is_left(self) -> bool:
        """Whether the caller is gone: its frame stands no longer on the main thread's stack."""
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None and frame is not self._caller:
            frame = frame.f_back
        return frame is None

    def ask(self, function: Callable[..., Any], arguments: Tuple[Any, ...]) -> Any:
        """In the thread beside: has the caller's thread run a callback."""
        if self.is_abandoned or self.is_left():
            self.leave()
            raise InterruptedError("the call was given up")
        # An errand may lead to a callback of its own.
        before, question = self._question, _Question(function, arguments)
        self._question = question
        self._bell.ring()
        question.wait(self._bell.ring, lambda: self.is_abandoned or self.is_left())
        self._question = before
        if not question.is_answered:
            self.leave()
        if question.raised is not None:
            raise question.raised
        return question.result

    def serve(self, within: Optional[_Question], interrupt: Callable[[], None]) -> None:
        """In the caller's thread: runs a callback if there is one, or waits a while for one."""
        question = self._question
        if question is None or question is within or question.is_answered:
            self._bell.wait(_SLICE_SECONDS)
        else:
            question.answer(lambda work, end: self._send(question, work, end))
            if question.raised is not None and not isinstance(question.raised, Exception):
                # KeyboardInterrupt, SystemExit: whatever the library makes of the callback's failure, nobody wants the call any more.
                interrupt()

    def _send(self, question: _Question, work: Callable[[], Any], interrupt: Callable[[], None]) -> Any:
        """In the caller's thread, within a callback: has the thread beside do the work."""
        if self.is_elsewhere:
            return work()
        errand = _Work(work)
        back = RELAY.back
        try:
            # A signal's handler is no part of the callback.
            RELAY.back = None
            errand.hold()
            question.errand = errand
            question.bell.ring()
            errand.wait(lambda: self._serve_errand(errand, question, interrupt), interrupt)
        finally:
            RELAY.back = back
            if not errand.is_done:
                interrupt()
        return errand.outcome()

    def _serve_errand(self, errand: _Work, question: _Question, interrupt: Callable[[], None]) -> None:
        if self.is_elsewhere:
            errand.raised, errand.is_done = self.raised, True
        else:
            self.serve(question, interrupt)

    def leave(self) -> None:
        """Nobody serves it any more: it is to end. Can be called from any thread, and again."""
        self.is_abandoned = True
        self._interrupt()
        question = self._question
        if question is not None:
            question.bell.ring()


_RUNNING: List[_Beside] = []
"""Calls that have not returned."""


def _end_left() -> None:
    """In the main thread: ends calls whose caller is gone, so that what they hold is free again."""
    if threading.current_thread() is not threading.main_thread():
        return
    left = [other for other in list(_RUNNING) if other.is_left()]
    for other in left:
        other.leave()
        if not other.is_begun:
            # It does nothing once it begins.
            with contextlib.suppress(ValueError):
                _RUNNING.remove(other)
    deadline = time.monotonic() + _END_SECONDS
    while any(other.is_begun and not other.is_done for other in left) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def _forget_parent() -> None:
    """In a process that was forked."""
    RELAY.ask = RELAY.back = None
    for other in _RUNNING:
        other.stays_behind()
    _RUNNING.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def beside(work: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Does work that blocks. In the main thread signals are served meanwhile: what their handlers raise calls ``interrupt``,
    and is raised when the work has ended, or when the next one raises too. Within a callback the thread that called it does the work."""
    result: T
    if threading.current_thread() is not threading.main_thread() or is_within():
        return work()
    if RELAY.back is not None:
        result = RELAY.back(work, interrupt)
        return result
    _end_left()
    other = _Beside(work, interrupt, sys._getframe())
    try:
        other.begin()
        other.wait(lambda: other.serve(None, interrupt), interrupt)
    finally:
        if not other.is_done:
            other.leave()
    result = other.outcome()
    return result


def blocking_call(switch: Cancel, function: str, *arguments: Any, memory: Any = None) -> None:
    """As :func:`call`, for a function that blocks until it ends or the switch is triggered. ``memory`` is the pointer of a store whose
    lock it may wait for, where there is one."""

    def interrupt() -> None:
        switch.trigger()
        if memory is not None:
            library().devid_store_end_waits(memory)

    beside(lambda: call(function, *arguments), interrupt)


def changing(memory: Any, work: Callable[[], T]) -> T:
    """Does work that changes device memory, and may wait for another process that does: signals end the wait. ``memory`` is the
    pointer of the store."""
    return beside(work, lambda: library().devid_store_end_waits(memory))


def change(function: str, store: Any, *arguments: Any) -> None:
    """As :func:`call`, for what changes device memory."""
    changing(store, lambda: call(function, store, *arguments))
