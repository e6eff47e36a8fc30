"""Operations: an enrolment or another exchange, run as a whole or stepped by its owner."""

from __future__ import annotations

import contextlib
import os
import time
from ctypes import byref, c_int32, string_at
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple, Union

from . import _abi
from ._abi import Code
from ._call import (
    DESTROY,
    TOKENS,
    BytesLike,
    Moment,
    append,
    borrowed,
    bytes_of,
    call,
    data,
    guarded,
    optional_text,
    optional_text_of,
    seconds,
    text,
    text_of,
)
from ._handle import Handle, used
from ._library import library
from .certificate import Certificate, CertificateList
from .errors import Error, InternalError, PkiStatus, UsageError, pki_status_of
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
    chain: Tuple[Certificate, ...]
    """The certificates above it, next issuer first, the anchor last."""
    differences: Tuple[str, ...] = ()
    """Where it is not what was asked for; empty: it is."""
    pki_status: Union[PkiStatus, int, None] = None
    """PKIStatus that came with it; None inside a decision of :meth:`Operation.run`."""
    ca_pubs: Tuple[Certificate, ...] = ()
    """Certificates that the CA offers as anchors, if its answer was protected by the shared secret."""
    warnings: Tuple[str, ...] = ()
    """What the CA said to it: a PKIStatus that is not accepted, in words, and its own texts."""
    private_key: Optional[Key] = None
    """The key that the CA's side made, after :meth:`Client.enroll_central`; None inside a decision of :meth:`Operation.run`."""

    @property
    def pem(self) -> str:
        """Certificate and chain as PEM text, the anchor left out if it is self-signed."""
        above = [c for c in self.chain if c.subject != c.issuer]
        return "".join(c.pem for c in (self.certificate, *above))


Exchange = Callable[[bytes], bytes]
"""Carries a message to the server and answers the body of its answer."""
Decide = Callable[[Issued], bool]
"""Decides on an issued certificate; the place to install it."""
Wait = Callable[[int], None]
"""Waits so many seconds."""
SendDatagram = Callable[[bytes], None]
"""Sends one datagram to the server."""
ReceiveDatagram = Callable[[float], Optional[bytes]]
"""Waits so many seconds for one datagram from the server; None if none came."""


class Cancel(Handle):
    """A switch that ends blocking calls from another thread; thrown once."""

    _type = "devid_cancel"
    _is_shared = True

    def __init__(self) -> None:
        self._own(self._pointer_from("devid_cancel_new"))

    def throw(self) -> None:
        """Ends every run that was given this switch, and all that will be. Returns at once."""
        with self._use() as cancel:
            library().devid_cancel_throw(cancel)

    @property
    def is_thrown(self) -> bool:
        """Whether it was thrown."""
        with self._use() as cancel:
            return bool(library().devid_cancel_is_thrown(cancel))


class Steps(Handle):
    """What all operations have in common: they are stepped, saved, or driven to their end.

    Nothing here blocks but :meth:`exchange` and the ``run`` of the kinds below, and no clock is read but by ``run``. A
    failure ends an operation, unless it is one of the way to the server or of a callback.
    """

    _type = "devid_op"

    def _complete(
        self,
        operation: Any,
        exchange: Optional[Exchange],
        decide: Optional[Decide],
        wait: Optional[Wait],
        cancel: Optional[Cancel],
    ) -> None:
        """Runs it to its end. Blocks."""
        # A sleep of Python's ends at Ctrl-C, one of the library's when the switch is thrown.
        wait = wait or (time.sleep if cancel is None else None)
        with used(cancel) as switch:
            call("devid_op_set_cancel", operation, switch)
        try:
            self._let("devid_op_set_exchange", operation, _EXCHANGE, exchange)
            self._let("devid_op_set_decide", operation, _DECIDE, decide)
            self._let("devid_op_set_wait", operation, _WAIT, wait)
            call("devid_op_run", operation)
        except BaseException:
            # A handle that failed internally can only be freed; that is not to hide why.
            with contextlib.suppress(Error):
                self._forget(operation)
            raise
        self._forget(operation)

    @staticmethod
    def _forget(operation: Any) -> None:
        """Lets go of the callbacks of a run."""
        call("devid_op_set_cancel", operation, None)
        for function, kind in (
            ("devid_op_set_exchange", _abi.devid_exchange_fn),
            ("devid_op_set_decide", _abi.devid_decide_fn),
            ("devid_op_set_wait", _abi.devid_wait_fn),
        ):
            call(function, operation, kind(), None, _abi.devid_destroy_fn())

    @staticmethod
    def _let(function: str, operation: Any, callback: Any, program: Optional[Callable[..., Any]]) -> None:
        if program is not None:
            if not callable(program):
                raise TypeError(f"expected something to call, not {type(program).__name__}")
            call(function, operation, callback, TOKENS.put(program), DESTROY)

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
        for program in (send, receive):
            if not callable(program):
                raise TypeError(f"expected something to call, not {type(program).__name__}")
        with self._use() as operation:
            call("devid_op_set_datagrams", operation, _SEND, _RECEIVE, TOKENS.put((send, receive)), DESTROY)

    def step(self, now: Moment) -> Action:
        """Moves on as far as it goes without its owner, and says what is to be done next. Never blocks."""
        action = c_int32()
        with self._use() as operation:
            call("devid_op_step", operation, seconds(now, "now"), byref(action))
        try:
            return Action(action.value)
        except ValueError:
            words = f"the library asks for action {action.value}, which this package does not know"
            raise InternalError(words, Code.UNSUPPORTED) from None

    def exchange(self) -> None:
        """Sends the message under way with the built-in HTTP client and feeds the answer. Blocks."""
        with self._use() as operation:
            call("devid_op_exchange", operation)

    @property
    def output(self) -> Optional[bytes]:
        """The message to send: one PKIMessage, DER, content type application/pkixcmp."""
        with self._use() as operation:
            return borrowed("devid_op_output", operation)

    @property
    def output_name(self) -> Optional[str]:
        """What the message to send is: ``ir``, ``cr``, ``kur``, ``p10cr``, ``rr``, ``genm``, ``pollReq``, ``certConf``."""
        with self._use() as operation:
            return optional_text_of(library().devid_op_output_name(operation))

    def feed(self, answer: BytesLike) -> None:
        """Hands in the server's answer; the next step looks at it."""
        content = data(answer, "answer")
        with self._use() as operation:
            call("devid_op_feed", operation, content, len(content))

    @property
    def wait_seconds(self) -> int:
        """How long to wait."""
        with self._use() as operation:
            return int(library().devid_op_wait_seconds(operation))

    @property
    def wait_reason(self) -> str:
        """The server's words on why it is waited, one a line."""
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
            call("devid_op_signature", operation, content, len(content), seconds(now, "now"))

    def save(self) -> bytes:
        """The operation as bytes, whenever the last step asked to send, wait or accept.

        No private key and no secret is in them; keep them where the keys are.
        """
        with self._use() as operation:
            return bytes_of("devid_op_save", operation)

    @property
    def request_name(self) -> str:
        """What it asks for: ``ir``, ``cr``, ``kur``, ``p10cr``, ``rr``, ``genm``."""
        with self._use() as operation:
            return text_of(library().devid_op_request_name(operation))

    @property
    def warnings(self) -> Tuple[str, ...]:
        """What the CA said to a success: a PKIStatus that is not accepted, in words, and its own texts."""
        with self._use() as operation:
            return _warnings(operation)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"<{name}, closed>" if self.closed else f"<{name} {self.request_name}>"


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
        with self._use() as operation, store._use() as memory:
            call("devid_op_install_into", operation, memory, *names)
        return self

    def run(
        self,
        *,
        exchange: Optional[Exchange] = None,
        decide: Optional[Decide] = None,
        wait: Optional[Wait] = None,
        cancel: Optional[Cancel] = None,
    ) -> Issued:
        """Runs the operation to its end and answers the certificate, issued and confirmed. Blocks.

        ``exchange`` replaces the built-in HTTP client. Without ``decide`` a certificate is taken if it is what was asked
        for, and refused otherwise. Without ``wait`` the thread sleeps. What they raise ends the run and comes out of
        here, and so does :class:`TransportError` (``CANCELLED``) when ``cancel`` is thrown by another thread; the operation
        can be run again, stepped or saved.
        """
        with self._use() as operation:
            self._complete(operation, exchange, decide, wait, cancel)
            return self._issued(operation)

    @property
    def issued(self) -> Optional[Issued]:
        """The issued certificate, from :attr:`Action.ACCEPT` on."""
        with self._use() as operation:
            return None if library().devid_op_pki_status(operation) < 0 else self._issued(operation)

    @staticmethod
    def _issued(operation: Any) -> Issued:
        lib = library()
        count = lib.devid_op_difference_count(operation)
        with CertificateList._made_by("devid_op_chain", operation) as chain:
            with CertificateList._made_by("devid_op_ca_pubs", operation) as ca_pubs:
                return Issued(
                    Certificate._made_by("devid_op_certificate", operation),
                    tuple(chain.certificates()),
                    tuple(text_of(lib.devid_op_difference(operation, i)) for i in range(count)),
                    pki_status_of(lib.devid_op_pki_status(operation)),
                    tuple(ca_pubs.certificates()),
                    _warnings(operation),
                    _generated_key(operation),
                )

    def accept(self) -> None:
        """Takes the issued certificate; the next step confirms it."""
        with self._use() as operation:
            call("devid_op_accept", operation)

    def reject(self, reason: str) -> None:
        """Refuses the issued certificate. The next steps tell the CA; then the operation fails with ``REFUSED``."""
        with self._use() as operation:
            call("devid_op_reject", operation, text(reason, "reason"))


def _warnings(operation: Any) -> Tuple[str, ...]:
    lib = library()
    return tuple(text_of(lib.devid_op_warning(operation, i)) for i in range(lib.devid_op_warning_count(operation)))


@guarded
def _on_exchange(user: Optional[int], request: Any, request_len: int, reply: Any) -> int:
    exchange: Exchange = TOKENS.at(user)
    append(reply, exchange(string_at(request, request_len)), "the exchange's answer")
    return 0


@guarded
def _on_decide(user: Optional[int], cert: Any, chain: Any, differences: bytes, out_accept: Any) -> int:
    decide: Decide = TOKENS.at(user)
    lib = library()
    certificate = Certificate.parse(borrowed("devid_cert_der", cert) or b"")
    above: List[Certificate] = []
    for index in range(lib.devid_cert_list_count(chain)):
        above.append(Certificate._made_by("devid_cert_list_at", chain, index))
    lines = text_of(differences).splitlines()
    verdict = decide(Issued(certificate, tuple(above), tuple(lines)))
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
    wait: Wait = TOKENS.at(user)
    wait(wait_seconds)
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


_EXCHANGE = _abi.devid_exchange_fn(_on_exchange)
_SEND = _abi.devid_send_datagram_fn(_on_send)
_RECEIVE = _abi.devid_receive_datagram_fn(_on_receive)
_DECIDE = _abi.devid_decide_fn(_on_decide)
_WAIT = _abi.devid_wait_fn(_on_wait)
