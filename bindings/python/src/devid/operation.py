"""Operations: an enrolment or another exchange, run as a whole or stepped by its owner."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from ctypes import byref, c_int32, string_at
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Optional, Tuple, Union

from . import _abi
from ._abi import Code
from ._blocking import Cancel, blocking_call, changing, switch_for
from ._call import (
    DESTROY,
    TOKENS,
    BytesLike,
    Moment,
    Outage,
    append,
    borrowed,
    bytes_of,
    call,
    data,
    guarded,
    keep,
    moment_of,
    optional_text,
    optional_text_of,
    relayed,
    seconds,
    text,
    text_of,
)
from ._handle import Handle, using
from ._library import library
from .certificate import Certificate, CertificateList
from .difference import Difference, DifferenceList, differences_of
from .errors import Error, InternalError, PkiStatus, TransportError, UsageError, pki_status_of
from .key import Key

if TYPE_CHECKING:
    from .store import Store


class Action(IntEnum):
    """What :meth:`Operation.step` asks for."""

    SEND = 1
    """Send :attr:`Operation.output` to the server and :meth:`Operation.feed` its answer."""
    WAIT = 2
    """Step again after :attr:`Operation.wait_seconds`; the operation can be saved meanwhile."""
    SIGN = 3
    """Sign :attr:`Operation.to_sign` and hand the result to :meth:`Operation.signature`."""
    ACCEPT = 4
    """Look at :attr:`Operation.issued`, install it, then :meth:`Operation.accept` or :meth:`Operation.reject`."""
    DONE = 5
    """The certificate is issued and confirmed, or revoked, or the question is answered."""
    KEEP = 6
    """Write device memory by :meth:`Steps.keep`, then step again: only after :meth:`Steps.keep_apart`."""


class SignRole(IntEnum):
    """Which key is to sign."""

    NEW_KEY = 1
    """The new key: proof of possession."""
    PROTECTION = 2
    """The key of the credential: protection of the message."""


@dataclass(frozen=True)
class SignRequest:
    """What an external key is asked to sign."""

    role: SignRole
    algorithm: str
    message: bytes
    """The whole message, not its digest."""


@dataclass(frozen=True)
class Issued:
    """A certificate that the CA has issued. Its key, and its path to an enrolment anchor, are checked."""

    certificate: Certificate
    issuers: Tuple[Certificate, ...]
    """The certificates above it, next issuer first, the anchor last."""
    differences: Tuple[Difference, ...] = ()
    """Where it is not what was asked for; empty: it is."""
    pki_status: Union[PkiStatus, int, None] = None
    """PKIStatus that came with it."""
    ca_pubs: Tuple[Certificate, ...] = ()
    """Certificates that the CA offers as anchors, if its answer was protected by the shared secret."""
    warnings: Tuple[str, ...] = ()
    """What the CA said to it: a PKIStatus that is not accepted, in words, and its own texts."""
    private_key: Optional[Key] = None
    """The key that the CA's side made, after :meth:`Client.enroll_central`; None inside a decision of :meth:`Operation.run`."""
    is_implicitly_confirmed: bool = False
    """The CA does without a confirmation."""
    confirm_before: Optional[datetime] = None
    """Until when it must be confirmed, if the CA said so."""

    @property
    def pem(self) -> str:
        """Certificate and issuers as PEM text, the anchor left out if it is self-signed."""
        above = [c for c in self.issuers if c.subject != c.issuer]
        return "".join(c.pem for c in (self.certificate, *above))


@dataclass(frozen=True)
class Reply:
    """What an own transport may answer instead of the bytes alone: it is then judged as what the built-in client gets.

    429 and 503 without a message are :class:`TransportError` ``BUSY``, after which ``max_retries`` and plans wait as long as
    ``retry_after_seconds`` says.
    """

    body: BytesLike = b""
    http_status: Optional[int] = None
    content_type: Optional[str] = None
    retry_after_seconds: Optional[int] = None


class WaitSeconds(int):
    """Seconds to wait, with the server's words on why."""

    reason: str = ""
    """One per line; empty if it gave none, or if it is waited for a server that was not reached."""

    @classmethod
    def of(cls, seconds: int, reason: str) -> WaitSeconds:
        """Makes one."""
        made = cls(seconds)
        made.reason = reason
        return made


@dataclass(frozen=True)
class Progress:
    """How a running operation stands: before each message, each wait and each decision."""

    action: Action
    """What comes next: SEND, WAIT or ACCEPT."""
    request_name: str
    """What the operation asks for: ``ir``, ``kur``..."""
    output_name: Optional[str] = None
    """What the message to send is."""
    output: Optional[bytes] = field(default=None, repr=False)
    """The message itself."""
    wait_seconds: int = 0
    """How long it is waited."""
    wait_reason: str = ""
    """The server's words on why, one per line."""
    pki_status: Union[PkiStatus, int, None] = None
    """PKIStatus that came with the certificate."""
    saved: bytes = field(default=b"", repr=False)
    """The operation as bytes, as :meth:`Steps.save` gives it; empty for one that cannot be saved."""


Exchange = Callable[[bytes], Union[BytesLike, Reply]]
"""Carries a message to the server and answers the body of its answer, or a :class:`Reply`.

An ``OSError`` (or ``http.client.HTTPException``) that it raises is an outage: it counts as what the built-in client could have met. ``ConnectionRefusedError`` and
failed look-ups of names mean that the server has seen nothing (``CONNECT``), ``TimeoutError`` is ``TIMEOUT``, others are
``TRANSPORT``; a :class:`TransportError` says its code and ``retry_after_seconds`` itself. Anything else ends the call."""
Decide = Callable[[Issued], bool]
"""Decides on an issued certificate; the place to install it."""
Wait = Callable[[WaitSeconds], None]
"""Waits so many seconds, ``seconds.reason`` says why. Who returns earlier has the rest slept by the library."""
Watch = Callable[[Progress], None]
"""Is told how a running operation stands."""
SendDatagram = Callable[[bytes], None]
"""Sends one datagram to the server."""
ReceiveDatagram = Callable[[float], Optional[bytes]]
"""Waits so many seconds for one datagram from the server; None if none came."""


class Pauses:
    """What is known of an operation at its latest pause."""

    _progress: Optional[Progress] = None
    """How it stands while it runs, when C can be asked nothing."""
    _offered: Optional[Issued] = None
    """What a decision is asked about."""


class HttpCall(Handle):
    """One message on its way to an HTTP or HTTPS server and its answer on the way back, on a connection of the program: bytes in,
    bytes out. Nothing here blocks or reads a clock.

    Connect to :attr:`host` and :attr:`port`; send what :meth:`take_output` gives; hand in what comes by :meth:`received` until it
    answers True, or say :meth:`closed_by_server`; then :meth:`Steps.feed_http_call`. There may be output after every call: TLS talks both
    ways. After an error, what :meth:`take_output` still gives tells a TLS server why. TLS is in here: the socket is a plain one.
    """

    _type = "devid_http_call"

    @property
    def host(self) -> str:
        """Whom to connect to: a name or an address, the server's or its proxy's."""
        with self._use() as pointer:
            return text_of(library().devid_http_call_host(pointer))

    @property
    def port(self) -> int:
        """The TCP port to connect to."""
        with self._use() as pointer:
            return int(library().devid_http_call_port(pointer))

    def take_output(self) -> bytes:
        """What is to be sent now, all of it; empty if there is nothing. It counts as sent."""
        with self._use() as pointer:
            output = borrowed("devid_http_call_output", pointer) or b""
            call("devid_http_call_sent", pointer, len(output))
            return output

    def received(self, content: BytesLike) -> bool:
        """Hands in what came from the server, in pieces of any length. True once nothing more is to come."""
        content = data(content, "what came from the server")
        done = c_int32()
        with self._use() as pointer:
            call("devid_http_call_received", pointer, content, len(content), byref(done))
        return bool(done.value)

    def closed_by_server(self) -> None:
        """Says that the server ended the connection: the end of an answer whose length was not said before."""
        with self._use() as pointer:
            call("devid_http_call_closed", pointer)


class Steps(Handle, Pauses):
    """What all operations have in common: they are stepped, saved, or driven to their end.

    Nothing here blocks but :meth:`exchange` and the ``run`` of the kinds below, and no clock is read but by ``run``. A
    failure ends an operation, unless it is one of the way to the server or of a callback.
    """

    _type = "devid_op"
    _memory: Optional[Store] = None
    """Device memory that it is bound to."""

    def _own(self, pointer: Any) -> None:
        super()._own(pointer)
        self._request_name = text_of(library().devid_op_request_name(pointer))

    def _complete(
        self,
        operation: Any,
        exchange: Optional[Exchange],
        decide: Optional[Decide],
        wait: Optional[Wait],
        cancel: Optional[Cancel],
        watch: Optional[Watch] = None,
    ) -> None:
        """Runs it to its end. Blocks, and ends when a signal's handler raises."""
        with switch_for(cancel) as switch, self._callbacks(operation, exchange, decide, wait, watch):
            with switch._use() as pointer:
                call("devid_op_set_cancel", operation, pointer)
            try:
                with contextlib.nullcontext() if self._memory is None else self._memory._use() as memory:
                    blocking_call(switch, "devid_op_run", operation, memory=memory)
            except TransportError as error:
                # What the program's own transport raised comes out as it was.
                if exchange is not None and isinstance(error.__cause__, OSError):
                    raise error.__cause__
                raise

    @contextlib.contextmanager
    def _callbacks(
        self,
        operation: Any,
        exchange: Optional[Exchange],
        decide: Optional[Decide],
        wait: Optional[Wait],
        watch: Optional[Watch] = None,
    ) -> Iterator[None]:
        """The functions of a run, for its time."""
        programs = {"exchange": exchange, "decide": decide, "wait": wait, "watch": watch}
        for name, program in programs.items():
            if program is not None and not callable(program):
                raise TypeError(f"{name}: expected something to call, not {type(program).__name__}")
        run = Asked(self, exchange, decide, wait, watch)
        try:
            call("devid_op_set_checkpoint", operation, CHECKPOINT, TOKENS.put(run), DESTROY)
            if exchange is not None:
                call("devid_op_set_transport", operation, TRANSPORT, TOKENS.put(exchange), DESTROY)
            if decide is not None:
                call("devid_op_set_judge", operation, JUDGE, TOKENS.put(run), DESTROY)
            if wait is not None:
                call("devid_op_set_wait", operation, WAIT, TOKENS.put(run), DESTROY)
            yield
        finally:
            self._progress = self._offered = None
            # A handle that failed internally can only be freed; that is not to hide why.
            with contextlib.suppress(Error):
                self._forget(operation)

    @staticmethod
    def _forget(operation: Any) -> None:
        """Lets go of the callbacks of a run."""
        call("devid_op_set_cancel", operation, None)
        for function, kind in (
            ("devid_op_set_checkpoint", _abi.devid_checkpoint_fn),
            ("devid_op_set_transport", _abi.devid_transport_fn),
            ("devid_op_set_judge", _abi.devid_judge_fn),
            ("devid_op_set_wait", _abi.devid_wait_fn),
        ):
            call(function, operation, kind(), None, _abi.devid_destroy_fn())

    def set_files(self, folder: Union[str, "os.PathLike[str]", None], name: str = "device") -> None:
        """Lets the messages travel as files, such as on a stick, instead of over a network (RFC 9483 section 6.4.1).

        Requests go to ``NAME-1-request.pki`` and so on, answers are expected in ``NAME-1-answer.pki`` and so on. As long as
        an answer is not there, :class:`TransportError` ``BUSY`` is raised and the operation stands where it was: it can be
        saved, and goes on weeks and reboots later. None: the network again.
        """
        place = None if folder is None else text(os.fspath(folder), "folder")
        with self._use() as operation:
            call("devid_op_set_files", operation, place, text(name, "name"))

    def set_datagrams(self, send: SendDatagram, receive: ReceiveDatagram) -> None:
        """Carries the datagrams to a ``coap`` server, over a modem or inside DTLS, instead of the built-in UDP socket.

        Blocks, repetitions and their times stay the library's business. What the two raise comes out of ``run``.
        """
        carried = datagrams(send, receive)
        with self._use() as operation:
            call("devid_op_set_datagrams", operation, *carried)

    def step(self, now: Moment) -> Action:
        """Moves on as far as it goes without its owner, and says what is to be done next.

        What it raises ends the operation where :attr:`has_failed` says so. It does not of a key that failed, such as one behind a callback: the next
        step is the next try, with nothing sent again and nothing said to the CA.

        It never waits for a network. An operation that is bound to device memory waits for that; event loops let it be written
        apart: :meth:`keep_apart`.
        """
        action = c_int32()
        with self._use() as operation:
            call("devid_op_step", operation, seconds(now, "now"), byref(action))
        try:
            return Action(action.value)
        except ValueError:
            words = f"the library asks for action {action.value}, which this package does not know"
            raise InternalError(words, Code.UNSUPPORTED) from None

    def keep_apart(self, on: bool = True) -> None:
        """For event loops: device memory is not written by :meth:`step`, which answers :attr:`Action.KEEP` instead, but by
        :meth:`keep`. Only for operations that are bound to device memory, and not for ``run``."""
        with self._use() as operation:
            call("devid_op_set_keep_apart", operation, on)

    def keep(self) -> None:
        """Writes device memory, after :attr:`Action.KEEP`. Blocks, so call it in a worker thread; then step again."""
        with self._use() as operation:
            call("devid_op_keep", operation)

    def exchange(self, *, cancel: Optional[Cancel] = None) -> None:
        """Sends the message under way with the built-in HTTP client and feeds the answer. Blocks."""
        with self._use() as operation, switch_for(cancel) as switch:
            with switch._use() as pointer:
                call("devid_op_set_cancel", operation, pointer)
            try:
                blocking_call(switch, "devid_op_exchange", operation)
            finally:
                call("devid_op_set_cancel", operation, None)

    @property
    def output(self) -> Optional[bytes]:
        """The message to send: one PKIMessage, DER, content type application/pkixcmp."""
        progress = self._progress
        if progress is not None:
            return progress.output
        with self._use() as operation:
            return borrowed("devid_op_output", operation)

    @property
    def output_name(self) -> Optional[str]:
        """What the message to send is: ``ir``, ``cr``, ``kur``, ``p10cr``, ``rr``, ``genm``, ``pollReq``, ``certConf``."""
        progress = self._progress
        if progress is not None:
            return progress.output_name
        with self._use() as operation:
            return optional_text_of(library().devid_op_output_name(operation))

    def feed(self, answer: BytesLike) -> None:
        """Hands in the server's answer; the next step looks at it."""
        content = data(answer, "answer")
        with self._use() as operation:
            call("devid_op_feed", operation, content, len(content))

    def feed_reply(self, reply: Reply) -> None:
        """As :meth:`feed`, for an answer with its HTTP status: it is judged as the built-in client's.

        :class:`TransportError` (``BUSY`` and others) leaves the message under way, to be sent again.
        """
        with self._use() as operation, _ReplyHandle._made_by("devid_reply_new") as made, made._use() as pointer:
            _fill(pointer, reply)
            call("devid_op_feed_reply", operation, pointer)

    def http_call(self) -> HttpCall:
        """The message under way as an HTTP request to the server of the settings, for event loops; see :class:`HttpCall`.

        By their TLS settings; through their proxy for ``http`` alone. :class:`UsageError` if no message is under way.
        """
        with self._use() as operation:
            return HttpCall._made_by("devid_op_http_call", operation)

    def feed_http_call(self, http_call: HttpCall) -> None:
        """Hands in what came by a call that :meth:`http_call` made; the next step looks at it.

        :class:`TransportError` (``BUSY``, ``HTTP_STATUS`` and others) leaves the message under way, to be sent again by a new call.
        """
        with self._use() as operation, using(http_call, "HttpCall", "http_call") as carried:
            call("devid_op_feed_http_call", operation, carried)

    @property
    def wait_seconds(self) -> int:
        """How long to wait."""
        progress = self._progress
        if progress is not None:
            return progress.wait_seconds
        with self._use() as operation:
            return int(library().devid_op_wait_seconds(operation))

    @property
    def wait_reason(self) -> str:
        """The reasons that the server gave for the delay, one per line."""
        progress = self._progress
        if progress is not None:
            return progress.wait_reason
        with self._use() as operation:
            return text_of(library().devid_op_wait_reason(operation))

    @property
    def to_sign(self) -> Optional[SignRequest]:
        """What is to be signed elsewhere."""
        with self._use() as operation:
            role = library().devid_op_sign_role(operation)
            if not role:
                return None
            algorithm = text_of(library().devid_op_sign_algorithm(operation))
            return SignRequest(SignRole(role), algorithm, bytes_of("devid_op_to_sign", operation))

    def signature(self, signature: BytesLike, now: Moment) -> None:
        """Hands in a signature; ECDSA as DER Ecdsa-Sig-Value. It is checked before it is used."""
        content = data(signature, "signature")
        with self._use() as operation:
            call("devid_op_put_signature", operation, content, len(content), seconds(now, "now"))

    def save(self) -> bytes:
        """The operation as bytes, whenever the last step asked to send, wait or accept.

        No private key and no shared secret is in them; a registration token or an authenticator stands there as in the
        request that went out. Keep them where the keys are.
        """
        progress = self._progress
        if progress is not None and progress.saved:
            return progress.saved
        with self._use() as operation:
            return bytes_of("devid_op_save", operation)

    @property
    def progress(self) -> Progress:
        """How it stands now, between its steps or while it runs; :class:`UsageError` before its first step."""
        progress = self._progress
        if progress is not None:
            return progress
        with self._use() as operation, _View._made_by("devid_op_view", operation) as made, made._use() as view:
            return progress_of(view)

    @property
    def transaction_id(self) -> Optional[bytes]:
        """By what the CA's people find it in their logs; None before the first message."""
        with self._use() as operation:
            return borrowed("devid_op_transaction_id", operation)

    @property
    def has_failed(self) -> bool:
        """Whether it failed for good: it is of no use any more."""
        with self._use() as operation:
            return bool(library().devid_op_has_failed(operation) == 1)

    @property
    def request_name(self) -> str:
        """What it asks for: ``ir``, ``cr``, ``kur``, ``p10cr``, ``rr``, ``genm``."""
        return self._request_name

    @property
    def warnings(self) -> Tuple[str, ...]:
        """What the CA said to a success: a PKIStatus that is not accepted, in words, and its own texts."""
        with self._use() as operation:
            return _warnings(operation)

    def _about(self) -> str:
        return self.request_name


class Operation(Steps):
    """One enrolment or renewal, from the request to the confirmed certificate.

    :meth:`run` does all of it. Or step it. :meth:`install_into` first, and no crash loses or mixes an identity.
    """

    def install_into(
        self, store: Store, name: str, *, purpose: str = "ldevid", reference: Optional[str] = None
    ) -> Operation:
        """Binds it to device memory, before it is run or stepped, and answers itself.

        The new key is kept before the request leaves, the operation before each message and wait, the certificate before it
        is confirmed. When the operation is done, all come into use in one atomic step. If it fails for good, what was kept is
        given up; if it was interrupted, :meth:`Client.resume` continues. ``reference`` tells where a key is that cannot be
        exported.
        """
        names = text(name, "name"), text(purpose, "purpose"), optional_text(reference, "reference")
        with self._use() as operation, using(store, "Store", "store") as memory:
            changing(memory, lambda: call("devid_op_install_into", operation, memory, *names))
        self._memory = store
        return self

    def run(
        self,
        *,
        exchange: Optional[Exchange] = None,
        decide: Optional[Decide] = None,
        wait: Optional[Wait] = None,
        cancel: Optional[Cancel] = None,
        watch: Optional[Watch] = None,
    ) -> Issued:
        """Runs the operation to its end and answers the certificate, issued and confirmed. Blocks.

        ``exchange`` replaces the built-in HTTP client. Without ``decide`` a certificate is taken if it is what was asked
        for, and refused otherwise. Without ``wait`` it sleeps. ``watch`` is told how it stands before each message, wait and
        decision. What they raise ends the run and comes out of here, and so do what the handler of a signal raises, such as
        ``KeyboardInterrupt``, and :class:`TransportError` (``CANCELLED``) when ``cancel`` is triggered by another thread. The
        operation can then be run again, stepped or saved; nothing that came is lost.

        It waits as long as the limits of :class:`Config` allow: ``max_wait_seconds`` at a time, ``max_total_seconds`` in all.
        """
        with self._use() as operation:
            self._complete(operation, exchange, decide, wait, cancel, watch)
            return self._issued(operation)

    @property
    def issued(self) -> Optional[Issued]:
        """The issued certificate, from :attr:`Action.ACCEPT` on."""
        if self._progress is not None:
            return self._offered
        with self._use() as operation:
            return None if library().devid_op_pki_status(operation) < 0 else self._issued(operation)

    @staticmethod
    def _issued(operation: Any) -> Issued:
        lib = library()
        confirm_before = lib.devid_op_confirm_before(operation)
        with CertificateList._made_by("devid_op_issuers", operation) as issuers:
            with CertificateList._made_by("devid_op_ca_pubs", operation) as ca_pubs:
                return Issued(
                    Certificate._made_by("devid_op_certificate", operation),
                    tuple(issuers.certificates()),
                    DifferenceList.of("devid_differences_of_op", operation),
                    pki_status_of(lib.devid_op_pki_status(operation)),
                    tuple(ca_pubs.certificates()),
                    _warnings(operation),
                    _generated_key(operation),
                    lib.devid_op_is_implicitly_confirmed(operation) == 1,
                    None if confirm_before < 0 else moment_of(confirm_before),
                )

    def accept(self) -> None:
        """Takes the issued certificate; the next step confirms it."""
        with self._use() as operation:
            call("devid_op_accept", operation)

    def decide_by_policy(self) -> None:
        """Takes the issued certificate or refuses it, as :meth:`Config.set_acceptance` says."""
        with self._use() as operation:
            call("devid_op_decide_by_policy", operation)

    def hold_until_valid(self) -> None:
        """Has a certificate that begins later confirmed at once, and the operation wait until its time comes."""
        with self._use() as operation:
            call("devid_op_set_hold_until_valid", operation)

    def reject(self, reason: str) -> None:
        """Refuses the issued certificate. The next steps tell the CA; then the operation fails with ``REFUSED``."""
        with self._use() as operation:
            call("devid_op_reject", operation, text(reason, "reason"))


@dataclass(frozen=True)
class CertificateOutcome:
    """What became of one of several certificates that were asked for."""

    certificate: Optional[Certificate]
    """The certificate, issued and confirmed; None if there is none."""
    issuers: Tuple[Certificate, ...] = ()
    """The certificates above it, next issuer first, the anchor last."""
    error: Optional[Error] = None
    """Why there is none, with the CA's words."""


class EnrollingSeveral(Operation):
    """Several certificates by one message, from the requests to the confirmed certificates: :meth:`run_all` it, or step it.

    Each certificate comes by an :attr:`Action.ACCEPT` of its own, for the request :attr:`request_index`, and is accepted or rejected by
    itself. It is done when something has become of each; it can neither be saved nor be bound to device memory.
    """

    def run_all(
        self,
        *,
        exchange: Optional[Exchange] = None,
        decide: Optional[Decide] = None,
        wait: Optional[Wait] = None,
        cancel: Optional[Cancel] = None,
        watch: Optional[Watch] = None,
    ) -> List[CertificateOutcome]:
        """Runs it to its end; arguments as in :meth:`Operation.run`, ``decide`` is asked about each certificate. Blocks.

        What became of each, in the order of the requests: one that is refused stands beside those that are issued, and raises
        nothing.
        """
        with self._use() as operation:
            self._complete(operation, exchange, decide, wait, cancel, watch)
        return self.outcomes

    @property
    def outcomes(self) -> List[CertificateOutcome]:
        """What became of each so far, in the order of the requests."""
        with self._use() as operation:
            count = library().devid_op_certificate_count(operation)
            return [_outcome(operation, index) for index in range(count)]

    @property
    def request_index(self) -> int:
        """Which of the requests the certificate answers that is to be accepted, from 0."""
        with self._use() as operation:
            return int(library().devid_op_request_index(operation))


def _outcome(operation: Any, index: int) -> CertificateOutcome:
    try:
        certificate = Certificate._made_by("devid_op_certificate_at", operation, index)
    except Error as error:
        return CertificateOutcome(None, (), error)
    with CertificateList._made_by("devid_op_issuers_at", operation, index) as issuers:
        return CertificateOutcome(certificate, tuple(issuers.certificates()))


def _warnings(operation: Any) -> Tuple[str, ...]:
    lib = library()
    return tuple(text_of(lib.devid_op_warning(operation, i)) for i in range(lib.devid_op_warning_count(operation)))


class _View(Handle):
    """How an operation stands, on its way through the C face."""

    _type = "devid_view"
    _is_shared = True


class _ReplyHandle(Handle):
    """An answer on its way through the C face."""

    _type = "devid_reply"


class Asked:
    """What the callbacks of one run need."""

    def __init__(
        self,
        steps: Pauses,
        exchange: Optional[Exchange],
        decide: Optional[Decide],
        wait: Optional[Wait],
        watch: Optional[Watch],
    ) -> None:
        self.steps, self.exchange, self.decide, self.wait, self.watch = steps, exchange, decide, wait, watch


@guarded
def _on_transport(user: Optional[int], request: Any, request_len: int, reply: Any) -> int:
    exchange: Exchange = TOKENS.at(user)
    try:
        answer = exchange(string_at(request, request_len))
    except TransportError as error:
        _explain(reply, error.message, error.http_status, error.retry_after_seconds)
        raise Outage(int(error.code), error) from error
    except (OSError, http.client.HTTPException) as error:
        _explain(reply, f"{type(error).__name__}: {error}")
        raise Outage(_outage_code(error), error) from error
    status = answer.http_status if isinstance(answer, Reply) else None
    if status is not None and not 200 <= status <= 599:
        odd = ConnectionError(f"the server answers with HTTP status {status}, which is none of an answer")
        _explain(reply, str(odd))
        raise Outage(Code.TRANSPORT, odd)
    _fill(reply, answer if isinstance(answer, Reply) else Reply(answer))
    return 0


def _fill(reply: Any, answer: Reply) -> None:
    body = data(answer.body, "the exchange's answer")
    call("devid_reply_append", reply, body, len(body))
    if answer.http_status is not None:
        content_type = optional_text(answer.content_type, "content_type")
        call("devid_reply_set_http", reply, answer.http_status, content_type)
    if answer.retry_after_seconds is not None:
        _set_retry_after(reply, answer.retry_after_seconds)


def _set_retry_after(reply: Any, seconds: int) -> None:
    # A server's header, handed on: what no wait can be is the longest one, or none.
    call("devid_reply_set_retry_after", reply, max(0, min(seconds, 2**31 - 1)))


def _explain(reply: Any, words: str, http_status: Optional[int] = None, retry_after: Optional[int] = None) -> None:
    call("devid_reply_set_words", reply, words.replace("\0", " ").encode("utf-8", "replace"))
    if http_status is not None and 200 <= http_status <= 599:
        call("devid_reply_set_http", reply, http_status, None)
    if retry_after is not None:
        _set_retry_after(reply, retry_after)


def _outage_code(error: Exception) -> Code:
    if isinstance(error, (ConnectionRefusedError, socket.gaierror)):
        return Code.CONNECT
    return Code.TIMEOUT if isinstance(error, (TimeoutError, socket.timeout)) else Code.TRANSPORT


def _on_checkpoint(user: Optional[int], view: Any) -> int:
    try:
        run: Asked = TOKENS.at(user)
        run.steps._progress = progress = progress_of(view)
        if run.watch is not None:
            relayed(run.watch, progress)
    except BaseException as exception:  # noqa: B902 (C cannot pass it on)
        return keep(exception)
    return 0


def progress_of(view: Any) -> Progress:
    """What C shows of a running operation."""
    lib = library()
    action = lib.devid_view_action(view)
    if action == 0:
        # A getter has no error to give: this is what it answers where the library failed inside.
        raise InternalError("PANIC: what the operation does cannot be seen", Code.PANIC, name="PANIC")
    status = lib.devid_view_pki_status(view)
    return Progress(
        Action(action),
        text_of(lib.devid_view_request_name(view)),
        optional_text_of(lib.devid_view_output_name(view)),
        borrowed("devid_view_output", view),
        int(lib.devid_view_wait_seconds(view)),
        text_of(lib.devid_view_wait_reason(view)),
        None if status < 0 else pki_status_of(status),
        _saved(view),
    )


def _saved(view: Any) -> bytes:
    try:
        return bytes_of("devid_view_save", view)
    except Error as error:
        if error.code is Code.UNSUPPORTED:
            return b""
        raise


@guarded
def _on_judge(user: Optional[int], cert: Any, issuers: Any, differences: Any, out_accept: Any) -> int:
    run: Asked = TOKENS.at(user)
    lib = library()
    certificate = Certificate.parse(borrowed("devid_cert_der", cert) or b"")
    above: List[Certificate] = []
    for index in range(lib.devid_cert_list_count(issuers)):
        above.append(Certificate._made_by("devid_cert_list_at", issuers, index))
    progress = run.steps._progress
    offered = Issued(certificate, tuple(above), differences_of(differences), progress.pki_status if progress else None)
    run.steps._offered = offered
    assert run.decide is not None, "only set where there is one"
    verdict = run.decide(offered)
    if not isinstance(verdict, bool):
        raise TypeError(f"a decision is True or False, not {type(verdict).__name__}")
    out_accept[0] = int(verdict)
    return 0


def _generated_key(operation: Any) -> Optional[Key]:
    try:
        return Key._made_by("devid_op_private_key", operation)
    except UsageError:
        return None


@guarded
def _on_wait(user: Optional[int], wait_seconds: int) -> int:
    run: Asked = TOKENS.at(user)
    progress = run.steps._progress
    reason = ""
    if progress is not None:
        reason = progress.wait_reason if progress.action is Action.WAIT else ""
        run.steps._progress = replace(progress, wait_seconds=wait_seconds)
    assert run.wait is not None, "only set where there is one"
    run.wait(WaitSeconds.of(wait_seconds, reason))
    return 0


@guarded
def _on_send(user: Optional[int], datagram: Any, datagram_len: int) -> int:
    send: SendDatagram = TOKENS.at(user)[0]
    send(string_at(datagram, datagram_len))
    return 0


@guarded
def _on_receive(user: Optional[int], wait_millis: int, datagram: Any) -> int:
    receive: ReceiveDatagram = TOKENS.at(user)[1]
    came = receive(wait_millis / 1000)
    if came is not None:
        append(datagram, came, "a datagram")
    return 0


TRANSPORT = _abi.devid_transport_fn(_on_transport)
"""The function for all own transports; which one stands in TOKENS."""
CHECKPOINT = _abi.devid_checkpoint_fn(_on_checkpoint)
_SEND = _abi.devid_send_datagram_fn(_on_send)
_RECEIVE = _abi.devid_receive_datagram_fn(_on_receive)
JUDGE = _abi.devid_judge_fn(_on_judge)
WAIT = _abi.devid_wait_fn(_on_wait)


def datagrams(send: SendDatagram, receive: ReceiveDatagram) -> Tuple[Any, Any, int, Any]:
    """The two functions of a program, as C takes them."""
    for program in (send, receive):
        if not callable(program):
            raise TypeError(f"expected something to call, not {type(program).__name__}")
    return _SEND, _RECEIVE, TOKENS.put((send, receive)), DESTROY
