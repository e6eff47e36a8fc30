"""Renewal: what is due, when to ask again, and a step that does it. Remembered in device memory, over reboots."""

from __future__ import annotations

import contextlib
import logging
import os
from ctypes import byref, c_int32, c_int64, c_uint32
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Any, Callable, Iterator, Optional, Tuple, Union

from . import _abi
from ._abi import DEVID_NO_CLOCK
from ._blocking import Cancel, blocking_call, change, changing, switch_for
from ._call import (
    DESTROY,
    TOKENS,
    BytesLike,
    Moment,
    call,
    data,
    error_handle,
    guarded,
    moment_of,
    moment_or,
    optional_text,
    optional_text_of,
    seconds,
    text,
    text_of,
)
from ._handle import Handle, using
from ._library import library
from .client import Client
from .operation import (
    CHECKPOINT,
    JUDGE,
    TRANSPORT,
    WAIT,
    Asked,
    Decide,
    Exchange,
    Operation,
    Pauses,
    ReceiveDatagram,
    SendDatagram,
    Wait,
    Watch,
    datagrams,
)
from .config import Config, Subject
from .errors import Error
from .key import Key
from .problem import Problem, ProblemList
from .store import Store

NewKey = Callable[[Optional[str]], Key]
"""Makes a new key, of the kind of the one in use; None for the first."""

Uptime = Callable[[], Optional[Tuple[int, int]]]
"""Tells how long the device has been on: a number of this start, another one for each, and the seconds since; None: not known now."""


class Step(IntEnum):
    """What is due."""

    NOTHING = 0
    """Nothing, for now."""
    ENROLL = 1
    """The first certificate: ir."""
    UPDATE = 2
    """A key update: kur, protected with the identity in use."""
    ENROLL_AGAIN = 3
    """The identity in use has expired, is revoked or damaged: ir with another credential."""
    RESUME = 4
    """Continue an operation that was interrupted or that waits for the CA."""
    ASK_FOR_ROOT = 5
    """Ask for the successor of a trust anchor in device memory."""
    LEARN_TIME = 6
    """Learn the time from the CA, since what is due depends on it."""


class Done(IntEnum):
    """What a step did."""

    NOTHING = 0
    """Nothing was due."""
    INSTALLED = 1
    """A new certificate is in use."""
    WAITING = 2
    """The CA asks to wait; the operation is saved."""
    ROOT_ADDED = 3
    """A root's successor is among the anchors."""
    NO_SUCCESSOR = 4
    """The CA knows of no successor of the root yet."""
    ABANDONED = 5
    """An unfinished operation could not be continued and is given up; a fresh one is due."""
    TIME_LEARNT = 6
    """The time was learnt, and by it nothing is due."""


class Why(IntEnum):
    """Why a plan is as it is."""

    NOTHING_DUE = 1
    """Nothing is due before the next moment."""
    DUE = 2
    """The step is due."""
    RETRYING = 3
    """An attempt failed, and its wait runs."""
    CA_ASKS_TO_WAIT = 4
    """The CA asked to wait."""
    GIVEN_UP = 5
    """The CA refused too often: it is asked again, but rarely."""
    RESTING = 6
    """A certificate was installed a moment ago, and another one is due already."""
    REQUEST_OUT = 7
    """A PKCS#10 request is out: its certificate is imported, or it is abandoned."""
    DAY_USED_UP = 8
    """So many requests have led to nothing that those of a day are used up: some 100 at once, and from then on another 100 in
    24 hours."""
    REVOKED = 9
    """The certificate is revoked for a reason after which no other is asked for (cessationOfOperation, privilegeWithdrawn,
    affiliationChanged), or on hold."""


class Standing(IntEnum):
    """How an identity stands."""

    ABSENT = 1
    """There is none."""
    VALID = 2
    """It is valid, as far as time and the CA's words go."""
    NOT_YET_VALID = 3
    """Its notBefore lies ahead: rather the clock is wrong."""
    EXPIRED = 4
    """Its notAfter has passed."""
    REVOKED = 5
    """The CA refused it as revoked."""
    DAMAGED = 6
    """It cannot be read: see :meth:`Store.verify` and :meth:`Store.last_good`."""
    UNKNOWN = 7
    """Whether it has expired cannot be told without the time."""


class Alarm(IntEnum):
    """Alarm level; higher is worse."""

    QUIET = 0
    """Not at all."""
    LATE = 1
    """The renewal is late."""
    URGENT = 2
    """The end is near."""
    UNUSABLE = 3
    """There is no usable identity."""


class Clock(IntEnum):
    """What is known about the time."""

    KNOWN = 1
    """The clock is believed."""
    BEHIND = 2
    """The clock says less than the last known time, which counts in its place."""
    UNKNOWN = 3
    """There is no clock."""
    DOUBTED = 4
    """An authentic answer has contradicted the clock, or it says a time before 2024: it measures waits, and tells no time."""


@dataclass(frozen=True)
class Plan:
    """What is due, and when to ask again."""

    step: Step
    ask_again_seconds: int
    """Ask again after so many seconds if nothing changes; 0 while a step is due."""
    standing: Standing
    alarm: Alarm
    renewal_at: Optional[datetime]
    """When the certificate in use is to be renewed; None if never, or if there is none."""
    attempts: int
    """Failures in a row."""
    has_given_up: bool
    """The CA refused so often that it is not asked again with this certificate: see :meth:`Renewal.reset`."""
    clock: Clock
    at_least: Optional[datetime]
    """How late it is at least, as far as is known."""
    why: Union[Why, int]
    """Why it is so; a number if this package does not know it."""
    next_at: Optional[datetime]
    """When to ask again; None without a clock."""
    root: Optional[Tuple[str, int]] = None
    """With ASK_FOR_ROOT: in which set of anchors the root is, and where in it."""
    is_memory_damaged: bool = False
    """What was remembered about failures was damaged, and counts as nothing."""
    is_copied: bool = False
    """Device memory was begun by another device (``device_id``): an image was copied, and two devices have the same keys.
    :meth:`Renewal.reset` makes it this device's."""
    findings: Tuple[Problem, ...] = ()
    """What is damaged or out of reach in device memory of what this identity needs, and what to do about it; in the plan of a
    :class:`Report` also what the run has put right."""


@dataclass(frozen=True)
class Report:
    """How a step went."""

    done: Optional[Done]
    """What it did; None if it failed."""
    error: Optional[Error]
    """Why it failed. It is remembered; the next plan takes it into account."""
    wait_seconds: int
    """Come back after so many seconds; 0: at once, after an operation was given up, and never twice in a row."""
    plan: Plan
    """The plan after the step."""
    abandoned_for: Optional[str] = None
    """With ABANDONED: why the unfinished operation was given up."""


class Renewal(Handle):
    """Looks after one identity in device memory. A new object after a restart goes on where the last one was."""

    _type = "devid_renewal"

    def __init__(
        self,
        config: Config,
        name: str,
        *,
        purpose: str = "ldevid",
        device_id: Optional[BytesLike] = None,
        subject: Union[Subject, str, None] = None,
        factory: Optional[str] = None,
        share_permille: int = 667,
        spread_permille: int = 333,
        first_retry_seconds: int = 900,
        longest_retry_seconds: int = 86_400,
        max_refusals: int = 8,
        longest_nap_seconds: int = 30,
        same_key: bool = False,
        new_key: Union[str, NewKey, None] = None,
        new_key_kind: str = "P-256",
        late_permille: int = 800,
        urgent_permille: int = 930,
        root_share_permille: int = 700,
        root_interval_seconds: int = 604_800,
        uptime: Union[str, Uptime, None] = None,
        exchange: Optional[Exchange] = None,
        decide: Optional[Decide] = None,
        wait: Optional[Wait] = None,
        watch: Optional[Watch] = None,
    ) -> None:
        """``config`` has server, anchors, and the credential for the first certificate; with ``factory`` that is an identity
        in device memory instead.

        ``device_id`` spreads the devices of a fleet over time (default: the names in the certificate), and has a copy of device
        memory in another device noticed (:attr:`Plan.is_copied`). ``subject`` is needed
        for the first certificate; after that the certificate in use says what is asked for. A certificate is renewed when
        ``share_permille`` thousandths of its lifetime are over, up to ``spread_permille`` earlier while the device finds its
        place among all. Failures are waited out, doubling from the first to the longest wait.

        A new key is made where the one in use is and of its kind: in device memory, or in the same token
        (:meth:`Store.use_pkcs11`). ``new_key`` names another place, such as ``pkcs11:token=device;object=router``, also for the
        first key; each gets its own id, and those that are needed no more are destroyed. Or it is called for each new key with
        the kind of the one in use, and answers a :class:`Key`.

        The alarm is LATE and URGENT from so many thousandths of the lifetime on. Successors of trust anchors are asked for from
        ``root_share_permille`` of theirs on, every ``root_interval_seconds``.

        Waits are measured by the system's uptime (on Linux) beside the time of the system's clock; within one start of the device they are
        exact then, whatever that clock says. Another time is measured by itself, and without one whoever calls has waited as
        long as was told. ``uptime`` tells how long the device has been on (:data:`Uptime`), for a clock of the program's own or
        none; ``"system"``: the system's, also without a clock.

        ``exchange`` carries the messages instead of the
        built-in HTTP client; ``decide`` looks at each certificate before it comes into use, ``wait`` waits within
        ``longest_nap_seconds``, ``watch`` is told how operations stand: as in :meth:`Operation.run`.
        """
        with using(config, "Config", "config") as settings:
            self._own(self._pointer_from("devid_renewal_new", settings, text(name, "name"), text(purpose, "purpose")))
        self._name = name
        with self._use() as renewal:
            if device_id is not None:
                content = data(device_id, "device_id")
                call("devid_renewal_set_device_id", renewal, content, len(content))
            if subject is not None:
                with Subject._of(subject, "subject") as made, made._use() as names:
                    call("devid_renewal_set_subject", renewal, names)
            call("devid_renewal_set_factory", renewal, optional_text(factory, "factory"))
            call("devid_renewal_set_schedule", renewal, share_permille, spread_permille)
            call("devid_renewal_set_retry", renewal, first_retry_seconds, longest_retry_seconds, max_refusals)
            call("devid_renewal_set_longest_nap", renewal, longest_nap_seconds)
            call("devid_renewal_set_same_key", renewal, same_key)
            call("devid_renewal_set_alarms", renewal, late_permille, urgent_permille)
            call("devid_renewal_set_root_questions", renewal, root_share_permille, root_interval_seconds)
            programs = {"exchange": exchange, "decide": decide, "wait": wait, "watch": watch}
            for what, program in programs.items():
                if program is not None and not callable(program):
                    raise TypeError(f"{what}: expected something to call, not {type(program).__name__}")
            if callable(uptime):
                call("devid_renewal_set_uptime", renewal, _UPTIME, TOKENS.put(uptime), DESTROY)
            elif uptime == "system":
                call("devid_renewal_set_uptime", renewal, _abi.devid_uptime_fn(), None, DESTROY)
            elif uptime is not None:
                raise TypeError(f'uptime: expected "system" or something to call, not {type(uptime).__name__}')
            if callable(new_key):
                call("devid_renewal_set_key_maker", renewal, _MAKE, TOKENS.put(new_key), DESTROY)
            elif new_key is not None:
                place = text(new_key, "new_key"), text(new_key_kind, "new_key_kind")
                call("devid_renewal_set_new_key", renewal, *place)
            if exchange is not None:
                call("devid_renewal_set_transport", renewal, TRANSPORT, TOKENS.put(exchange), DESTROY)
            asked = Asked(Pauses(), exchange, decide, wait, watch)
            if decide is not None:
                call("devid_renewal_set_judge", renewal, JUDGE, TOKENS.put(asked), DESTROY)
            if wait is not None:
                call("devid_renewal_set_wait", renewal, WAIT, TOKENS.put(asked), DESTROY)
            if decide is not None or wait is not None or watch is not None:
                call("devid_renewal_set_checkpoint", renewal, CHECKPOINT, TOKENS.put(asked), DESTROY)

    def set_files(self, folder: Union[str, "os.PathLike[str]", None], name: str = "device") -> None:
        """Lets the messages travel as files instead of over a network: see :meth:`Steps.set_files`. None: the network again."""
        place = None if folder is None else text(os.fspath(folder), "folder")
        with self._use() as renewal:
            call("devid_renewal_set_files", renewal, place, text(name, "name"))

    def set_datagrams(self, send: SendDatagram, receive: ReceiveDatagram) -> None:
        """Carries the datagrams to a ``coap`` server, instead of the built-in UDP socket: see :meth:`Steps.set_datagrams`."""
        carried = datagrams(send, receive)
        with self._use() as renewal:
            call("devid_renewal_set_datagrams", renewal, *carried)

    def due(self, store: Store, now: Optional[Moment]) -> Plan:
        """Says what is due. Changes nothing. ``now`` is None if there is no clock."""
        step, wait = c_int32(), c_uint32()
        with self._use() as renewal, using(store, "Store", "store") as memory:
            look = "devid_renewal_due", renewal, memory, _clock(now), byref(step), byref(wait)
            changing(memory, lambda: call(*look))
            return self._plan(renewal, Step(step.value), wait.value)

    def run(self, store: Store, now: Optional[Moment], *, cancel: Optional[Cancel] = None) -> Report:
        """Does what is due, at most one step, and remembers how it went. Blocks.

        ``now`` is None if there is no clock: then the time is learnt first, where that matters. What goes wrong with the step
        is in the report, not raised: it is waited out like everything else, and an ``OSError`` of the program's own transport
        is the ``__cause__`` of the error there. Device memory that cannot even be read for the next plan is raised.

        It ends when the handler of a signal raises, or with the error ``CANCELLED`` when ``cancel`` is triggered: what is under way
        stays in device memory, and a later run goes on from there.
        """
        done, wait = c_int32(), c_uint32()
        error: Optional[Error] = None
        with self._use() as renewal, using(store, "Store", "store") as memory, switch_for(cancel) as switch:
            with switch._use() as pointer:
                call("devid_renewal_set_cancel", renewal, pointer)
            try:
                run = "devid_renewal_run", renewal, memory, _clock(now), byref(done), byref(wait)
                blocking_call(switch, *run, memory=memory)
            except Error as failure:
                error = failure
            finally:
                with contextlib.suppress(Error):
                    call("devid_renewal_set_cancel", renewal, None)
            at = library().devid_renewal_time(renewal)
            abandoned_for = optional_text_of(library().devid_renewal_abandoned_for(renewal))
            findings = ProblemList.of("devid_problems_of_renewal", renewal)
        plan = self.due(store, now if at < 0 or now is not None else at)
        plan = replace(plan, findings=findings or plan.findings)
        return Report(None if error else Done(done.value), error, wait.value, plan, abandoned_for)

    def begun(self, store: Store, now: Optional[Moment]) -> None:
        """For programs that step operations themselves: what :meth:`due` said is attempted now, before it is.

        If the device dies on the way, that was a failure.
        """
        with self._use() as renewal, using(store, "Store", "store") as memory:
            changing(memory, lambda: call("devid_renewal_begun", renewal, memory, _clock(now)))

    def ended(self, store: Store, now: Optional[Moment], error: Optional[Error] = None) -> int:
        """How the attempt ended; answers the seconds to wait before the next one. None: it succeeded."""
        wait = c_uint32()
        with self._use() as renewal, using(store, "Store", "store") as memory, _failure(error) as why:
            end = "devid_renewal_ended", renewal, memory, why, _clock(now), byref(wait)
            changing(memory, lambda: call(*end))
        return int(wait.value)

    def waiting(self, store: Store, now: Optional[Moment], wait_seconds: int) -> int:
        """The CA asked to wait, which is not a failure; answers the seconds to wait before the operation is continued."""
        wait = c_uint32()
        with self._use() as renewal, using(store, "Store", "store") as memory:
            told = "devid_renewal_waiting", renewal, memory, wait_seconds, _clock(now), byref(wait)
            changing(memory, lambda: call(*told))
        return int(wait.value)

    def reset(self, store: Store) -> None:
        """Forgets failures and refusals: for people who have put right what was wrong."""
        with self._use() as renewal, using(store, "Store", "store") as memory:
            changing(memory, lambda: call("devid_renewal_reset", renewal, memory))

    def _about(self) -> str:
        return f"of {self._name!r}"

    @staticmethod
    def _plan(renewal: Any, step: Step, wait: int) -> Plan:
        lib = library()
        use = optional_text_of(lib.devid_renewal_root_use(renewal))
        next_at = lib.devid_renewal_next(renewal)
        at, known = lib.devid_renewal_at(renewal), lib.devid_renewal_time(renewal)
        return Plan(
            step,
            wait,
            Standing(lib.devid_renewal_standing(renewal)),
            Alarm(lib.devid_renewal_alarm(renewal)),
            None if at < 0 else moment_of(at),
            int(lib.devid_renewal_attempts(renewal)),
            lib.devid_renewal_has_given_up(renewal) == 1,
            Clock(lib.devid_renewal_clock(renewal)),
            None if known < 0 else moment_of(known),
            _why(lib.devid_renewal_reason(renewal)),
            None if next_at < 0 else moment_of(next_at),
            None if use is None else (use, int(lib.devid_renewal_root_index(renewal))),
            lib.devid_renewal_is_memory_damaged(renewal) == 1,
            lib.devid_renewal_is_copied(renewal) == 1,
            ProblemList.of("devid_problems_of_renewal", renewal),
        )


class _ErrorHandle(Handle):
    """An error on its way to C."""

    _type = "devid_error"
    _is_shared = True


@contextlib.contextmanager
def _failure(error: Optional[Error]) -> Iterator[Any]:
    if error is not None and not isinstance(error, Error):
        raise TypeError(f"error must be devid.Error or None, not {type(error).__name__}")
    known = None if error is None else error_handle(error)
    if error is None or known is not None:
        yield known
        return
    seconds_ = -1 if error.retry_after_seconds is None else error.retry_after_seconds
    facts = int(error.code), seconds_, text(error.message, "message")
    with _ErrorHandle._made_by("devid_error_new", *facts) as made, made._use() as pointer:
        yield pointer


def _why(number: int) -> Union[Why, int]:
    try:
        return Why(number)
    except ValueError:
        return number


_LOGGER = logging.getLogger("devid")


@guarded
def _on_make(user: Optional[int], kind: bytes, place: Any) -> int:
    make: NewKey = TOKENS.at(user)
    made = make(text_of(kind) or None)
    if not isinstance(made, Key):
        raise TypeError(f"new_key answers a Key, not {type(made).__name__}")
    with made._use() as key:
        call("devid_new_key_set", place, key)
    return 0


_MAKE = _abi.devid_new_key_fn(_on_make)


_NOT_KNOWN_NOW = 1
"""Any number but 0, by devid_uptime_fn."""


@guarded
def _on_uptime(user: Optional[int], boot: Any, seconds_: Any) -> int:
    uptime: Uptime = TOKENS.at(user)
    try:
        told = uptime()
        if told is None:
            return _NOT_KNOWN_NOW
        number, passed = told
        boot[0], seconds_[0] = (number + 2**63) % 2**64 - 2**63, int(passed)
    except Exception:
        # One witness less for how long a wait has lasted; what was done is told all the same.
        _LOGGER.warning("how long the device has been on is not known: uptime failed", exc_info=True)
        return _NOT_KNOWN_NOW
    return 0


_UPTIME = _abi.devid_uptime_fn(_on_uptime)


def _clock(now: Optional[Moment]) -> int:
    return moment_or(now, "now", DEVID_NO_CLOCK)


def note_time(store: Store, time: Moment) -> datetime:
    """Notes in device memory that it is at least this late, and says how late it is at least. It never goes back."""
    known = c_int64()
    with using(store, "Store", "store") as memory:
        change("devid_store_note_time", memory, seconds(time), byref(known))
    return moment_of(known.value)


def last_known_time(store: Store) -> Optional[datetime]:
    """How late it is at least, as far as device memory knows; None if no time was noted yet."""
    known = c_int64()
    with using(store, "Store", "store") as memory:
        call("devid_store_last_known_time", memory, byref(known))
    return None if known.value == DEVID_NO_CLOCK else moment_of(known.value)


def forget_time(store: Store) -> None:
    """Makes device memory forget the time that it knows: for people who have put a clock right that ran ahead."""
    with using(store, "Store", "store") as memory:
        change("devid_store_forget_time", memory)


def without_clock(client: Client) -> Client:
    """The same client for a device without a clock: it tells no time, and compares none with its own."""
    with using(client, "Client", "client") as settings:
        return Client._made_by("devid_client_without_clock", settings)


def run_without_clock(
    operation: Operation,
    store: Store,
    at_least: Moment = 0,
    *,
    exchange: Optional[Exchange] = None,
    decide: Optional[Decide] = None,
    wait: Optional[Wait] = None,
    cancel: Optional[Cancel] = None,
) -> Optional[datetime]:
    """Runs an operation of a client :func:`without_clock` and learns the time from authentic answers.

    ``at_least`` is a lower bound known otherwise, such as the build date of the firmware. What was learnt is kept in device
    memory and answered; None: no authentic answer had a time. The other arguments are those of :meth:`Operation.run`.
    """
    learnt = c_int64()
    with using(operation, "Operation", "operation") as stepped, using(store, "Store", "store") as memory, switch_for(cancel) as switch:
        with operation._callbacks(stepped, exchange, decide, wait):
            with switch._use() as pointer:
                call("devid_op_set_cancel", stepped, pointer)
            blocking_call(
                switch,
                "devid_op_run_without_clock",
                stepped,
                memory,
                seconds(at_least),
                byref(learnt),
                memory=memory,
            )
    return None if learnt.value == DEVID_NO_CLOCK else moment_of(learnt.value)
