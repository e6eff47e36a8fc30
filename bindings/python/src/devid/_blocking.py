"""Blocking calls that signals end at once.

Python runs the handlers of signals in its main thread, and only between two of its own steps: a call that blocks in C would
put Ctrl-C off until it returns. So such a call of the main thread is made by a thread beside it, while the main thread waits in
a way that signals interrupt, and serves the callbacks of the call: they run in the caller's thread, as everywhere. What a
handler raises ends the call by a switch first; then it goes on its way. Calls of other threads, where no handler runs, are made
where they are.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
from typing import Any, Callable, Iterator, List, Optional, Tuple, TypeVar

from ._call import RELAY, call
from ._handle import Handle
from ._library import library

T = TypeVar("T")

_SLICE_SECONDS = 0.25
"""How long a lock is waited for at a time. A signal that the system gives to the main thread interrupts the wait; one that it
gives to another thread of the program, and any on Windows, is served when the time is over."""


class Cancel(Handle):
    """A switch that ends blocking calls from another thread; triggered once."""

    _type = "devid_cancel"
    _is_shared = True

    def __init__(self) -> None:
        self._own(self._pointer_from("devid_cancel_new"))
        self._heirs: List[Cancel] = []
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
        with Cancel() as heir:
            with self._guard:
                self._heirs.append(heir)
            try:
                if self.is_triggered:
                    heir.trigger()
                yield heir
            finally:
                with self._guard:
                    self._heirs.remove(heir)

    def __repr__(self) -> str:
        return f"<Cancel, {'closed' if self.closed else 'triggered' if self.is_triggered else 'not triggered'}>"


@contextlib.contextmanager
def switch_for(cancel: Optional[Cancel]) -> Iterator[Cancel]:
    """The switch of one blocking call."""
    if cancel is None:
        with Cancel() as own:
            yield own
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


class _Errand:
    """A call that a callback makes, for the thread that called the callback."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self.is_done = False
        self.raised: Optional[BaseException] = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as exception:  # noqa: B902 (it is raised in the callback)
            self.raised = exception
        self.is_done = True


class _Question:
    """A callback that waits for the caller's thread."""

    def __init__(self, function: Callable[..., Any], arguments: Tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments
        self.has_run = self.is_answered = False
        self.result: Any = None
        self.raised: Optional[BaseException] = None
        self.errand: Optional[_Errand] = None
        self.bell = _Bell()

    def answer(self, back: Callable[[Callable[[], None]], None]) -> None:
        """Runs it, once, whatever interrupts. What it calls goes ``back`` to the thread that asks."""
        before, RELAY.back = RELAY.back, back
        try:
            if not self.has_run:
                self.has_run = True
                try:
                    self.result = self.function(*self.arguments)
                except BaseException as exception:  # noqa: B902 (it is raised where the callback was called)
                    self.raised = exception
        finally:
            RELAY.back = before
            self.is_answered = True
            self.bell.ring()

    def wait(self, ring: Callable[[], None]) -> None:
        """In the thread that asks: until it is answered. Runs errands meanwhile, and rings when one is done."""
        while not self.is_answered:
            self.bell.wait()
            errand, self.errand = self.errand, None
            if errand is not None:
                errand.run()
                ring()


class _Beside:
    """One call in a thread of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._bell = _Bell()
        self._question: Optional[_Question] = None
        self.is_abandoned = self.is_done = False
        self.result: Any = None
        self.raised: Optional[BaseException] = None

    def begin(self) -> None:
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        RELAY.ask = self.ask
        try:
            if hasattr(signal, "pthread_sigmask"):
                # Signals are for the thread that waits, and for nobody that the library may start.
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            self.result = self._work()
        except BaseException as exception:  # noqa: B902 (it is raised in the caller's thread)
            self.raised = exception
        self.is_done = True
        self._bell.ring()

    def ask(self, function: Callable[..., Any], arguments: Tuple[Any, ...]) -> Any:
        """In the thread beside: has the caller's thread run a callback."""
        if self.is_abandoned:
            raise InterruptedError("the call was given up")
        # An errand may lead to a callback of its own.
        before, question = self._question, _Question(function, arguments)
        self._question = question
        self._bell.ring()
        question.wait(self._bell.ring)
        self._question = before
        if question.raised is not None:
            raise question.raised
        return question.result

    def serve(self) -> None:
        """In the caller's thread: until the call has returned. Whatever raises in between, it can be called again."""
        while not self.is_done:
            self._serve_one(None)

    def _serve_one(self, within: Optional[_Question]) -> None:
        question = self._question
        if question is None or question is within or question.is_answered:
            self._bell.wait(_SLICE_SECONDS)
        else:
            question.answer(lambda work: self._send(question, work))

    def _send(self, question: _Question, work: Callable[[], None]) -> None:
        """In the caller's thread, within a callback: until the thread beside has done the work."""
        errand = _Errand(work)
        # A signal's handler is no part of the callback.
        back, RELAY.back = RELAY.back, None
        try:
            question.errand = errand
            question.bell.ring()
            while not errand.is_done:
                self._serve_one(question)
        finally:
            RELAY.back = back
        if errand.raised is not None:
            raise errand.raised

    def abandon(self) -> None:
        """Nobody serves it any more."""
        self.is_abandoned = True
        question = self._question
        if question is not None and not question.is_answered:
            question.has_run, question.raised = True, InterruptedError("the call was given up")
            question.answer(lambda work: work())


def beside(work: Callable[[], T], interrupt: Callable[[], None]) -> T:
    """Does work that blocks. In the main thread signals are served meanwhile: what their handlers raise calls ``interrupt``,
    and is raised when the work has ended, or when the next one raises too. Within a callback it is done where the callback was called."""
    if threading.current_thread() is not threading.main_thread() or RELAY.back is not None:
        return work()
    other = _Beside(work)
    other.begin()
    interrupted: Optional[BaseException] = None
    while not other.is_done:
        try:
            other.serve()
        except BaseException as exception:  # noqa: B902 (KeyboardInterrupt is what this is for)
            if interrupted is not None:
                other.abandon()
                raise
            interrupted = exception
            interrupt()
    if interrupted is not None:
        raise interrupted
    if other.raised is not None:
        raise other.raised
    result: T = other.result
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
