"""A client makes operations: enrolment, renewal, revocation, questions to the server."""

from __future__ import annotations

from ctypes import POINTER, byref
from typing import Any, Iterable, List, Optional, Tuple, Type, TypeVar, Union

from . import _abi
from ._abi import Code
from ._blocking import changing
from ._call import (
    BytesLike,
    Material,
    Moment,
    SecretLike,
    bytes_of,
    call,
    data,
    material,
    moment_or,
    optional_text,
    secret_data,
    seconds,
    text,
)
from ._handle import Handle, used, using
from .certificate import Certificate
from .config import Config, Subject
from .errors import UsageError
from .key import Key
from .operation import EnrollingSeveral, Operation, Steps
from .request import Request
from .store import Store
from .support import Question, Reason, Revoking, RevokingSeveral, RootUpdate
from .template import Template

S = TypeVar("S", bound=Steps)


class Client(Handle):
    """Checked settings, shared by the operations made with it. Never changes; may be used by several threads."""

    _type = "devid_client"
    _is_shared = True

    def __init__(self, config: Config) -> None:
        with using(config, "Config", "config") as settings:
            self._own(self._pointer_from("devid_client_new", settings))

    def enroll(self, key: Key, subject: Union[Subject, str]) -> Operation:
        """ir: the first certificate from this PKI, over a new key (RFC 9483 section 4.1.1)."""
        return self._request("devid_op_enroll", key, subject)

    def enroll_further(self, key: Key, subject: Union[Subject, str]) -> Operation:
        """cr: a further certificate from a PKI that knows the device (RFC 9483 section 4.1.2)."""
        return self._request("devid_op_enroll_further", key, subject)

    def enroll_several(
        self, wanted: Iterable[Tuple[Key, Union[Subject, str]]], *, further: bool = False
    ) -> EnrollingSeveral:
        """ir, or cr if ``further``: several certificates by one message, each over a key of its own (RFC 9810 section 5.3.1).

        For RAs, and devices that need more than one: RFC 9483 section 4.1 knows one, and CAs that hold to it refuse. What became
        of each is told by itself.
        """
        several: Optional[EnrollingSeveral] = None
        function = "devid_op_enroll_further" if further else "devid_op_enroll"
        for key, subject in wanted:
            asked = Subject._of(subject, "subject")
            with self._use() as client, using(key, "Key", "key") as new, asked, asked._use() as words:
                if several is None:
                    several = EnrollingSeveral._made_by(function, client, new, words)
                    continue
                with several._use() as operation:
                    call("devid_op_add_request", operation, new, words)
        if several is None:
            raise UsageError("no certificate is asked for", Code.INVALID_ARGUMENT)
        return several

    def renew(self, key: Key) -> Operation:
        """kur: the client's credential anew over a new key; the names stay (RFC 9483 section 4.1.3)."""
        with self._use() as client, using(key, "Key", "key") as new:
            return Operation._made_by("devid_op_renew", client, new)

    def enroll_central(
        self,
        subject: Union[Subject, str, None] = None,
        *,
        request: str = "ir",
        key_kind: Optional[str] = None,
    ) -> Operation:
        """ir, cr or kur over a key that the CA's side makes, of this kind if one is preferred (RFC 9483 section 4.1.6).

        The key comes in :attr:`Issued.private_key`, encrypted on its way to the client's credential: an RSA or EC key, or the
        shared secret. kur takes no subject: the names are those of the credential's certificate.
        """
        words = text(request, "request"), optional_text(key_kind, "key_kind")
        with self._use() as client:
            if subject is None:
                return Operation._made_by("devid_op_enroll_central", client, *words, None)
            with Subject._of(subject, "subject") as made, made._use() as asked:
                return Operation._made_by("devid_op_enroll_central", client, *words, asked)

    def enroll_pkcs10(self, request: Union[Material, Request]) -> Operation:
        """p10cr: a certificate for a PKCS#10 request, DER or PEM, our own or someone else's (RFC 9483 section 4.1.4)."""
        content = _request(request)
        with self._use() as client:
            return Operation._made_by("devid_op_enroll_pkcs10", client, content, len(content))

    def enroll_on_behalf(self, request: Union[Material, Request]) -> Operation:
        """ir with raVerified on behalf of whoever made a PKCS#10 request; the credential is an RA's (RFC 9483 section 5.3.1).

        The request's own signature is checked; that its subject is who brought it is the RA's to know.
        """
        content = _request(request)
        with self._use() as client:
            return Operation._made_by("devid_op_enroll_on_behalf", client, content, len(content))

    def revoke(self, certificate: Certificate, reason: Reason = Reason.UNSPECIFIED) -> Revoking:
        """rr: asks for the revocation of a certificate (RFC 9483 section 4.2).

        An end entity signs with the key of that very certificate, so the client's credential is the certificate itself, or
        one that the CA authorises, such as an RA's.
        """
        with self._use() as client, using(certificate, "Certificate", "certificate") as cert:
            return Revoking._made_by("devid_op_revoke", client, cert, reason)

    def revoke_several(self, wanted: Iterable[Tuple[Certificate, Reason]]) -> RevokingSeveral:
        """rr: asks for the revocation of several certificates by one message, each for its reason (RFC 9810 section 5.3.9).

        For RAs and managers, whose credential the CA authorises: a device asks for its own alone (RFC 9483 section 4.2), and CAs
        that hold to that refuse. What became of each is told by itself.
        """
        several: Optional[RevokingSeveral] = None
        for certificate, reason in wanted:
            with self._use() as client, using(certificate, "Certificate", "certificate") as cert:
                if several is None:
                    several = RevokingSeveral._made_by("devid_op_revoke", client, cert, reason)
                    continue
                with several._use() as operation:
                    call("devid_op_add_revocation", operation, cert, reason)
        if several is None:
            raise UsageError("no certificate is to be revoked", Code.INVALID_ARGUMENT)
        return several

    def revoke_serial(self, issuer: str, serial: str, reason: Reason = Reason.UNSPECIFIED) -> Revoking:
        """As :meth:`revoke`, by the issuer's name and the serial number in hexadecimal digits."""
        names = text(issuer, "issuer"), text(serial, "serial")
        with self._use() as client:
            return Revoking._made_by("devid_op_revoke_serial", client, *names, reason)

    def revoke_with_passphrase(self, issuer: str, serial: str, reason: Reason = Reason.UNSPECIFIED) -> Revoking:
        """As :meth:`revoke_serial`, by whoever lost the certificate's key (RFC 9810 appendix B).

        The client's credential is the passphrase that the CA was given with :meth:`leave_revocation_passphrase`, and its
        reference value: :meth:`Config.set_secret`.
        """
        names = text(issuer, "issuer"), text(serial, "serial")
        with self._use() as client:
            return Revoking._made_by("devid_op_revoke_with_passphrase", client, *names, reason)

    def leave_revocation_passphrase(
        self, recipient: Certificate, reference: str, passphrase: SecretLike, now: Moment
    ) -> Question[None]:
        """Gives the CA a passphrase to revoke the certificate of the client's credential with, when its key is lost.

        It is encrypted to ``recipient``, a certificate of the CA that leads to the CMP anchors, at once: nothing of the
        operation holds it in clear (RFC 9810 section 5.3.19.9). ``reference`` is how the CA finds it again.
        """
        content, name, moment = secret_data(passphrase, "passphrase"), text(reference, "reference"), seconds(now, "now")
        with self._use() as client, using(recipient, "Certificate", "recipient") as to:
            return Question._made_by(
                "devid_op_leave_revocation_passphrase", client, to, name, content, len(content), moment
            )

    def ask_ca_certs(self) -> Question[List[Certificate]]:
        """Asks for certificates of the CAs: helpers for paths, trusted for nothing (RFC 9483 section 4.3.1)."""
        with self._use() as client:
            return Question._made_by("devid_op_ask_ca_certs", client)

    def ask_root_update(self, root: Certificate) -> Question[Optional[RootUpdate]]:
        """Asks for the successor of a trusted root, with whose key it is checked (RFC 9483 section 4.3.2)."""
        with self._use() as client, using(root, "Certificate", "root") as old:
            return Question._made_by("devid_op_ask_root_update", client, old)

    def ask_template(self) -> Question[Optional[Template]]:
        """Asks what requests for certificates are to look like (RFC 9483 section 4.3.3)."""
        with self._use() as client:
            return Question._made_by("devid_op_ask_template", client)

    def ask_crl(self, certificate: Certificate, known: Optional[Material] = None) -> Question[List[bytes]]:
        """Asks for the CRL that a certificate points to, if there is a newer one than ``known`` (RFC 9483 section 4.3.4).

        What comes is not checked yet: :meth:`Store.put_crl` and :class:`Validator` do that.
        """
        content = None if known is None else material(known, "known")
        with self._use() as client, using(certificate, "Certificate", "certificate") as cert:
            return Question._made_by("devid_op_ask_crl", client, cert, content, len(content or b""))

    def ask_crl_of(
        self, *, url: Optional[str] = None, issuer: Optional[str] = None, this_update: Optional[Moment] = None
    ) -> Question[List[bytes]]:
        """As :meth:`ask_crl`, by a distribution point's URL or the name of the CRL's issuer."""
        known = moment_or(this_update, "this_update", -1)
        with self._use() as client:
            where = optional_text(url, "url"), optional_text(issuer, "issuer")
            return Question._made_by("devid_op_ask_crl_of", client, *where, known)

    def ask_current_crl(self) -> Question[List[bytes]]:
        """Asks for the current CRL, whichever the server means (RFC 9810 section 5.3.19.6)."""
        with self._use() as client:
            return Question._made_by("devid_op_ask_current_crl", client)

    def ask_other(self, identifier: str, value: BytesLike = b"") -> Question[List[Tuple[str, bytes]]]:
        """Asks anything else: infoType in dotted form, infoValue in DER. Answers everything that came, in the same form."""
        content = data(value, "value")
        with self._use() as client:
            name = text(identifier, "identifier")
            return Question._made_by("devid_op_ask_other", client, name, content, len(content))

    def restore(self, key: Optional[Key], saved: BytesLike) -> Operation:
        """Continues an enrolment that was saved, perhaps by another process; see :func:`saved_key`.

        ``key`` is its new key; p10cr needs none.
        """
        with used(key, "Key", "key") as new:
            return self._restore(Operation, ("ir", "cr", "kur", "p10cr"), new, saved)

    def resume(
        self, store: Store, name: str, *, purpose: str = "ldevid", key: Optional[Key] = None
    ) -> Optional[Operation]:
        """Continues what was interrupted under a name in device memory; see :meth:`Operation.install_into`.

        ``key`` stands for the new key where device memory has only its reference. None: the interruption came when all was
        done, the identity is in use. Raises :class:`StoreError` (``NOT_FOUND``) if nothing is unfinished.
        """
        pointer = POINTER(_abi.devid_op)()
        with self._use() as client, using(store, "Store", "store") as memory, used(key, "Key", "key") as new:
            names = text(name, "name"), text(purpose, "purpose")
            changing(memory, lambda: call("devid_op_resume", client, memory, *names, new, byref(pointer)))
        if not pointer:
            return None
        operation = Operation._adopt(pointer)
        operation._memory = store
        return operation

    def restore_revocation(self, saved: BytesLike) -> Revoking:
        """Continues a revocation that was saved."""
        return self._restore(Revoking, ("rr",), None, saved)

    def restore_revocations(self, saved: BytesLike) -> RevokingSeveral:
        """Continues a revocation of several certificates that was saved."""
        return self._restore(RevokingSeveral, ("rr",), None, saved)

    def restore_question(self, saved: BytesLike) -> Question[Any]:
        """Continues a question that was saved; its answer is of the kind that was asked for."""
        return self._restore(Question, ("genm",), None, saved)

    def _restore(self, kind: Type[S], names: Tuple[str, ...], new: Any, saved: BytesLike) -> S:
        content = data(saved, "saved")
        with self._use() as client:
            operation = kind._made_by("devid_op_restore", client, new, content, len(content))
        if operation.request_name not in names:
            words = f"the saved operation is {operation.request_name}, expected {' or '.join(names)}"
            operation.close()
            raise UsageError(words, Code.INVALID_ARGUMENT)
        return operation

    def _request(self, function: str, key: Key, subject: Union[Subject, str]) -> Operation:
        with self._use() as client, using(key, "Key", "key") as new:
            with Subject._of(subject, "subject") as made, made._use() as asked:
                return Operation._made_by(function, client, new, asked)


def _request(request: Union[Material, Request]) -> bytes:
    return request.export() if isinstance(request, Request) else material(request, "request")


def saved_key(saved: BytesLike) -> bytes:
    """Which new key a saved operation belongs to: the SubjectPublicKeyInfo of its public half, DER."""
    content = data(saved, "saved")
    return bytes_of("devid_op_saved_key", content, len(content))
