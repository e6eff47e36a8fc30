"""Operations besides enrolment: revocation, and questions to the server (RFC 9483 sections 4.2 and 4.3)."""

from __future__ import annotations

from ctypes import POINTER, byref, c_int64
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Dict, Generic, List, Optional, Tuple, TypeVar, Union, cast

from . import _abi
from ._abi import Code
from ._call import borrowed, call, text, text_of
from ._handle import using
from ._library import library
from .certificate import Certificate, CertificateList
from .errors import Error, PkiStatus, UsageError, pki_status_of
from ._blocking import Cancel, changing
from .operation import Exchange, Steps, Wait, Watch
from .template import Template

if TYPE_CHECKING:
    from .store import Store

T = TypeVar("T")


class Reason(IntEnum):
    """Why a certificate is revoked (RFC 5280 section 5.3.1)."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    """Can be taken back with REMOVE_FROM_CRL, where the CA does that."""
    REMOVE_FROM_CRL = 8
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10


@dataclass(frozen=True)
class Revoked:
    """The CA has revoked."""

    pki_status: Union[PkiStatus, int]
    warnings: Tuple[str, ...] = ()
    """What the CA said to it: a PKIStatus that is not accepted, in words, and its own texts."""
    crls: Tuple[bytes, ...] = ()
    """CRLs that came along, DER; not checked: :meth:`Store.put_crl` does that."""


class Revoking(Steps):
    """A revocation under way: :meth:`run` it, or step it. :meth:`install_into` first, and the CA is asked once, however long it takes."""

    def install_into(self, store: Store, name: str) -> Revoking:
        """Binds it to device memory, before it is run or stepped, and answers itself.

        It is kept there until the CA has answered. Where the same was asked for before, of this certificate and for this reason, and the
        CA lets wait, that is gone on with. What became of it is written down there: see :class:`Standing`.
        """
        names = text(name, "name"), text("", "purpose"), None
        with self._use() as operation, using(store, "Store", "store") as memory:
            changing(memory, lambda: call("devid_op_install_into", operation, memory, *names))
        self._memory = store
        return self

    def run(
        self,
        *,
        exchange: Optional[Exchange] = None,
        wait: Optional[Wait] = None,
        cancel: Optional[Cancel] = None,
        watch: Optional[Watch] = None,
    ) -> Revoked:
        """Runs it to its end; arguments as in :meth:`Operation.run`. Blocks."""
        with self._use() as operation:
            self._complete(operation, exchange, None, wait, cancel, watch)
        revoked = self.revoked
        assert revoked is not None, "done means revoked"
        return revoked

    @property
    def revoked(self) -> Optional[Revoked]:
        """What became of it, once it is done."""
        with self._use() as operation:
            status = library().devid_op_pki_status(operation)
            return None if status < 0 else Revoked(pki_status_of(status), self.warnings, tuple(_crls(operation)))


@dataclass(frozen=True)
class RevocationOutcome:
    """What became of one of several certificates that were to be revoked."""

    pki_status: Union[PkiStatus, int, None]
    """What the CA said to the revocation; None if it is not revoked."""
    error: Optional[Error] = None
    """Why it is not revoked, with the CA's words."""

    @property
    def is_revoked(self) -> bool:
        """Whether the CA has revoked it."""
        return self.error is None


class RevokingSeveral(Steps):
    """The revocation of several certificates by one message: :meth:`run` it, or step it.

    It is done once the CA has answered for each of them, whether it has revoked all, some or none.
    """

    def run(
        self,
        *,
        exchange: Optional[Exchange] = None,
        wait: Optional[Wait] = None,
        cancel: Optional[Cancel] = None,
        watch: Optional[Watch] = None,
    ) -> List[RevocationOutcome]:
        """Runs it to its end; arguments as in :meth:`Operation.run`. Blocks.

        What became of each certificate, in the order in which they were asked for: one that is refused stands beside those that
        are revoked, and raises nothing.
        """
        with self._use() as operation:
            self._complete(operation, exchange, None, wait, cancel, watch)
        return self.outcomes

    @property
    def outcomes(self) -> List[RevocationOutcome]:
        """What became of each certificate; empty before it is done."""
        with self._use() as operation:
            count = library().devid_op_revocation_count(operation)
            return [_revocation(operation, index) for index in range(count)]

    @property
    def crls(self) -> List[bytes]:
        """CRLs that came along, DER; not checked: :meth:`Store.put_crl` does that."""
        with self._use() as operation:
            return _crls(operation)


def _revocation(operation: Any, index: int) -> RevocationOutcome:
    status = c_int64()
    try:
        call("devid_op_revocation", operation, index, byref(status))
    except Error as error:
        return RevocationOutcome(None, error)
    return RevocationOutcome(pki_status_of(status.value))


@dataclass(frozen=True)
class RootUpdate:
    """The successor of a trusted root, which vouches for it: all links between the two were checked.

    :meth:`Store.add_root` takes the :class:`Question` that brought it.
    """

    new_root: Certificate
    new_with_old: Certificate
    """The new key signed with the old one: helps those who trust the old root alone."""
    old_with_new: Optional[Certificate]


class Question(Steps, Generic[T]):
    """A question under way: :meth:`run` it, or step it. What it answers depends on what was asked."""

    def run(
        self,
        *,
        exchange: Optional[Exchange] = None,
        wait: Optional[Wait] = None,
        cancel: Optional[Cancel] = None,
        watch: Optional[Watch] = None,
    ) -> T:
        """Runs it to its end and answers the answer; arguments as in :meth:`Operation.run`. Blocks."""
        with self._use() as operation:
            self._complete(operation, exchange, None, wait, cancel, watch)
        return self.answer

    @property
    def answer(self) -> T:
        """The answer, once it is here; :class:`UsageError` before."""
        with self._use() as operation:
            kind = library().devid_op_question(operation)
            return cast(T, _READERS[kind](operation))


def _crls(operation: Any) -> List[bytes]:
    count = library().devid_op_crl_count(operation)
    return [borrowed("devid_op_crl", operation, index) or b"" for index in range(count)]


def _read_ca_certs(operation: Any) -> List[Certificate]:
    with CertificateList._made_by("devid_op_ca_certs", operation) as found:
        return found.certificates()


def _read_root_update(operation: Any) -> Optional[RootUpdate]:
    pointers = [POINTER(_abi.devid_cert)() for _ in range(3)]
    call("devid_op_root_update", operation, *(byref(pointer) for pointer in pointers))
    root, new_with_old, old_with_new = (Certificate._adopt(pointer) if pointer else None for pointer in pointers)
    if root is None or new_with_old is None:
        return None
    return RootUpdate(root, new_with_old, old_with_new)


def _read_template(operation: Any) -> Optional[Template]:
    pointer = POINTER(_abi.devid_template)()
    call("devid_op_template", operation, byref(pointer))
    return Template._adopt(pointer) if pointer else None


def _read_crls(operation: Any) -> List[bytes]:
    _answered(operation)
    return _crls(operation)


def _read_other(operation: Any) -> List[Tuple[str, bytes]]:
    _answered(operation)
    lib = library()
    count = lib.devid_op_info_count(operation)
    return [
        (text_of(lib.devid_op_info_type(operation, i)), borrowed("devid_op_info_value", operation, i) or b"")
        for i in range(count)
    ]


def _answered(operation: Any) -> None:
    if library().devid_op_is_done(operation) != 1:
        raise UsageError("the question is not answered yet", Code.STATE)


_READERS: Dict[int, Any] = {
    _abi.DEVID_QUESTION_CA_CERTS: _read_ca_certs,
    _abi.DEVID_QUESTION_ROOT_UPDATE: _read_root_update,
    _abi.DEVID_QUESTION_TEMPLATE: _read_template,
    _abi.DEVID_QUESTION_CRL: _read_crls,
    _abi.DEVID_QUESTION_OTHER: _read_other,
    _abi.DEVID_QUESTION_REV_PASSPHRASE: _answered,
}
