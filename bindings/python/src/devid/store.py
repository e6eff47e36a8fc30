"""Device memory: identities in generations, and what must survive a reboot on the way to them."""

from __future__ import annotations

import math
import os
import time
from contextlib import ExitStack
from ctypes import POINTER, byref, c_int32, c_int64, c_uint32, string_at
from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag
from typing import Any, List, Optional, Sequence, Tuple, Union

from . import _abi
from ._abi import Code
from ._blocking import change, changing
from ._call import (
    DESTROY,
    TOKENS,
    BytesLike,
    Material,
    Moment,
    bytes_of,
    call,
    data,
    material,
    moment_of,
    optional_text,
    seconds,
    text,
    text_of,
)
from ._handle import Handle, using
from ._library import library
from .certificate import Certificate, CertificateList, Certificates, encoded, listed
from .difference import Difference, DifferenceList
from .errors import UsageError
from .export import ON_CHANGE, Exported, OnChange, export
from .key import PIN, Key, Pin
from .problem import Problem, ProblemList
from .request import Request
from .storage import CALLBACKS, Secret, Storage, store_options
from .support import Question, RootUpdate
from .validation import Trust, Validator


@dataclass(frozen=True)
class Identity:
    """One generation of an identity: key, certificate and chain."""

    name: str
    key: Key
    """The private key; deferred if device memory does not hold it."""
    key_reference: str
    """The words by which a key that device memory does not hold is found; empty if it holds it."""
    certificate: Certificate
    chain: Tuple[Certificate, ...]
    """The certificate and those above it, as :meth:`Config.set_credential` takes them."""
    generation: int
    """Counts up with each installation, from 1."""
    purpose: str
    """What it is for, such as ``ldevid``."""
    created: datetime
    """When it was installed, by the clock of who did it."""
    differences: Tuple[Difference, ...] = ()
    """What is not as it was asked for in a certificate that :meth:`Store.import_certificate` has just taken."""
    warnings: Tuple[str, ...] = ()
    """What its owner should know although its certificates hold, in words: some peers will not find an issuer that is named wrongly."""


class State(IntFlag):
    """What device memory holds under a name."""

    CURRENT = 1
    """A generation is in use."""
    PREVIOUS = 2
    """There is a previous generation to roll back to."""
    UNCONFIRMED = 4
    """A certificate is issued and not confirmed yet: it is staged, and not in use. :meth:`Client.resume` resolves that."""
    OPERATION = 8
    """An operation is saved that :meth:`Client.resume` continues."""
    PENDING_KEY = 16
    """A new key waits for its certificate."""
    REQUEST = 32
    """A PKCS#10 request is out: :meth:`Store.import_certificate` takes its certificate."""


class Store(Handle):
    """Device memory: in a directory, in memory, or over the program's own storage.

    May be used by several threads and processes: what changes something takes a lock.

    Names of identities, labels and operations are 1 to 64 of ``A-Z a-z 0-9 . _ -``, not beginning with a dot or a dash.
    """

    _type = "devid_store"
    _is_closed_at_exit = True
    _is_shared = True

    def __init__(
        self,
        path: Union[str, "os.PathLike[str]"],
        secret: Optional[Secret] = None,
        *,
        retention: int = 2,
        iterations: Optional[int] = None,
        scrypt: int = 0,
        must_exist: bool = False,
        lock_wait: float = 2.0,
    ) -> None:
        """Opens a directory, which is created if it is missing, unless it ``must_exist``: else a path that is mistyped, or an empty
        folder where no medium is mounted, is a new, empty device memory. ``lock_wait``: for so many seconds a call waits for another process that has the lock.

        ``secret`` encrypts private keys at rest, stretched by so many ``iterations`` of PBKDF2, or by ``scrypt`` with this cost (a power
        of two, so many KiB of memory); without it keys are plain files that the owner alone can read. ``retention`` tells how many generations of an identity are kept, the one in use included.
        """
        with store_options(secret, retention, iterations, scrypt) as options:
            call("devid_store_options_set_must_exist", options, must_exist)
            call("devid_store_options_set_lock_wait", options, math.ceil(lock_wait * 1000))
            self._own(self._pointer_from("devid_store_open", text(os.fspath(path), "path"), options))

    @classmethod
    def in_memory(cls, *, secret: Optional[Secret] = None, retention: int = 2) -> Store:
        """Device memory that ends with the process: for tests, and for devices that get a new identity at each start."""
        with store_options(secret, retention, None) as options:
            return cls._made_by("devid_store_open_memory", options)

    @classmethod
    def over(
        cls,
        storage: Storage,
        *,
        secret: Optional[Secret] = None,
        retention: int = 2,
        iterations: Optional[int] = None,
        scrypt: int = 0,
        atomic_writes: bool = False,
    ) -> Store:
        """Device memory in the program's own storage.

        ``atomic_writes``: an interrupted write always leaves the old or the new bytes, so that no second copy is needed.
        """
        if not isinstance(storage, Storage):
            raise TypeError(f"storage must be a Storage, not {type(storage).__name__}")
        with store_options(secret, retention, iterations, scrypt, atomic_writes) as options:
            return cls._made_by("devid_store_open_storage", *CALLBACKS, TOKENS.put(storage), DESTROY, options)

    def install(
        self,
        name: str,
        key: Key,
        certificate: Certificate,
        issuers: Sequence[Certificate] = (),
        *,
        purpose: str = "ldevid",
        reference: Optional[str] = None,
        now: Optional[Moment] = None,
    ) -> None:
        """Writes an identity as a new generation, reads it back, and switches to it in one atomic step.

        The generation that was in use becomes the previous one. On any failure the identity in use is the one from before,
        whole. ``issuers`` are the certificates above; its own before them is passed over; ``reference`` tells where a key is that cannot be exported; ``now``
        is the system's clock unless given.
        """
        self._put("devid_store_install", name, key, certificate, issuers, purpose, reference, now)

    def stage(
        self,
        name: str,
        key: Key,
        certificate: Certificate,
        issuers: Sequence[Certificate] = (),
        *,
        purpose: str = "ldevid",
        reference: Optional[str] = None,
        now: Optional[Moment] = None,
    ) -> None:
        """The first half of :meth:`install`, for a certificate that is issued and not confirmed yet: all but the switch."""
        self._put("devid_store_stage", name, key, certificate, issuers, purpose, reference, now)

    def _put(
        self,
        function: str,
        name: str,
        key: Key,
        certificate: Certificate,
        issuers: Sequence[Certificate],
        purpose: str,
        reference: Optional[str],
        now: Optional[Moment],
    ) -> None:
        leaf_of, above_of = using(certificate, "Certificate", "certificate"), listed(issuers)
        with self._use() as store, using(key, "Key", "key") as private, leaf_of as leaf, above_of as above:
            change(
                function,
                store,
                text(name, "name"),
                private,
                optional_text(reference, "reference"),
                leaf,
                above,
                text(purpose, "purpose"),
                int(time.time()) if now is None else seconds(now, "now"),
            )

    def promote(self, name: str) -> None:
        """The staged generation comes into use in one atomic step."""
        self._named("devid_store_promote", name)

    def discard(self, name: str) -> None:
        """Drops the staged generation."""
        self._named("devid_store_discard", name)

    def rollback(self, name: str) -> None:
        """Back to the previous generation in one atomic step; a second call undoes the first."""
        self._named("devid_store_rollback", name)

    def remove(self, name: str) -> None:
        """Removes an identity with all its generations, the request that is under way for it, the keys of both, and what was
        remembered about it. Who is interrupted calls it again. Keys in tokens are not touched."""
        self._named("devid_store_remove", name)

    def factory_reset(self, keep: Optional[str] = None) -> None:
        """Back to how the device left the factory: every identity but ``keep`` (the factory's, IDevID) goes, with unfinished
        operations, pending keys and requests, anchors and blobs. The last known time, the numbers of revocation lists and the record of who
        is revoked stay; keys in tokens are not touched. Who is interrupted calls it again."""
        with self._use() as store:
            change("devid_store_factory_reset", store, None if keep is None else text(keep, "keep"))

    def current(self, name: str) -> Identity:
        """The identity in use, read and checked."""
        return self._identity("devid_store_current", name)

    def previous(self, name: str) -> Identity:
        """The generation before the one in use."""
        return self._identity("devid_store_previous", name)

    def pending(self, name: str) -> Identity:
        """The staged generation."""
        return self._identity("devid_store_pending", name)

    def last_good(self, name: str) -> Tuple[Identity, bool]:
        """The identity in use or, if that is damaged, the best one there is; and whether it is damaged."""
        damaged = c_int32()
        with self._use() as store:
            pointer = POINTER(_abi.devid_identity)()
            call("devid_store_last_good", store, text(name, "name"), byref(pointer), byref(damaged))
        return _read(name, IdentityHandle._adopt(pointer)), damaged.value == 1

    def _identity(self, function: str, name: str) -> Identity:
        with self._use() as store:
            return _read(name, IdentityHandle._made_by(function, store, text(name, "name")))

    def export(
        self,
        name: str,
        layout: str,
        folder: Union[str, "os.PathLike[str]"],
        *,
        anchors: Certificates = (),
        password: Optional[str] = None,
        iterations: int = 0,
        scrypt: int = 0,
        mac: str = "HMAC",
        key_owner: Optional[Tuple[int, int]] = None,
    ) -> Exported:
        """Writes the identity in use for other software, and switches to the new files by one rename.

        Layouts: ``pem`` (one file), ``pkcs12`` (one file, needs a password), ``openssl``, ``nginx`` and ``mosquitto`` (a
        set of files behind the link ``folder/current``), ``strongswan`` (swanctl's folders). ``anchors`` are whom the
        software shall trust; ``key_owner`` is a user's and a group's number. Private keys have mode 0600. A ``password`` is stretched by so
        many ``iterations`` of PBKDF2, or by ``scrypt`` with this cost, which OpenSSL reads up to 16384.
        """
        with self._use() as store:
            return export(
                store,
                name,
                layout,
                folder,
                anchors=anchors,
                password=password,
                iterations=iterations,
                scrypt=scrypt,
                mac=mac,
                key_owner=key_owner,
            )

    def on_change(self, told: OnChange) -> None:
        """Has ``told`` called after each install, promotion and rollback by this object, and after each export.

        It replaces an earlier one, runs in the thread that made the change, and may use the store. What it raises comes out
        of the call that made the change, which has happened all the same.
        """
        if not callable(told):
            raise TypeError(f"told must be callable, not {type(told).__name__}")
        with self._use() as store:
            call("devid_store_set_on_change", store, ON_CHANGE, TOKENS.put(told), DESTROY)

    def use_pkcs11(self, pin: Pin, *, module: Optional[str] = None) -> None:
        """Opens keys that device memory names by ``pkcs11:`` URIs when they are needed; see :meth:`Key.open_pkcs11`.

        The keys of identities, and pending ones, then sign by themselves instead of being deferred.
        """
        if not callable(pin):
            raise TypeError(f"pin must be callable, not {type(pin).__name__}")
        with self._use() as store:
            where = optional_text(module, "module")
            call("devid_store_set_pkcs11", store, where, PIN, TOKENS.put(pin), DESTROY)

    def identities(self) -> List[str]:
        """The names of all identities."""
        with self._use() as store:
            return bytes_of("devid_store_identities", store).decode().splitlines()

    def verify(self, *, mend: bool = False) -> List[Problem]:
        """Looks everything over, and on request puts right what can be without guessing. What was found."""
        with self._use() as store:
            return list(changing(store, lambda: ProblemList.of("devid_problems_of_store", store, mend)))

    def put_pending_key(self, label: str, key: Key, *, reference: Optional[str] = None) -> None:
        """Keeps a new key whose certificate has not come yet, so that it survives a reboot."""
        with self._use() as store, using(key, "Key", "key") as private:
            where = optional_text(reference, "reference")
            change("devid_store_put_pending_key", store, text(label, "label"), private, where)

    def pending_key(self, label: str) -> Key:
        """A key that is waiting for its certificate."""
        with self._use() as store:
            return Key._made_by("devid_store_pending_key", store, text(label, "label"))

    def remove_pending_key(self, label: str) -> None:
        """Removes a key that was waiting: its identity is installed, or given up."""
        self._named("devid_store_remove_pending_key", label)

    def put_request(self, name: str, key: Key, request: Request, *, reference: Optional[str] = None) -> None:
        """Keeps a request and its key until the certificate comes, perhaps weeks and reboots later."""
        with self._use() as store, using(key, "Key", "key") as private, using(request, "Request", "request") as signed:
            where = optional_text(reference, "reference")
            change("devid_store_put_request", store, text(name, "name"), private, where, signed)

    def import_certificate(
        self,
        certificates: Certificates,
        anchors: Union[Trust, Validator],
        *,
        intermediates: Certificates = (),
        name: Optional[str] = None,
        password: Optional[str] = None,
        purpose: str = "ldevid",
        accept_differences: bool = False,
        acceptance: Optional[str] = None,
        now: Optional[Moment] = None,
    ) -> Identity:
        """Takes in a certificate that came by any means: it finds its pending key, is validated and installed.

        ``certificates`` is a file as the CA gave it: certificates and PKCS#7 (.p7b), PEM or DER, in any order. ``anchors``
        say where it must lead; a validator in their place has it checked in all that the validator checks, CRLs among it.
        ``name`` looks at one pending key only. A ``password`` says that the file is PKCS#12, whose own key is installed
        under ``name`` where no pending key is certified in it. A certificate that is not what was asked for is refused
        (``WRONG_CERTIFICATE``) unless differences are accepted, or the ``acceptance`` policy takes it: see
        :meth:`Config.set_acceptance`. ``now`` is the system's clock unless given.
        """
        content = encoded(certificates, "certificates")
        if isinstance(anchors, Validator) and (password is not None or intermediates):
            words = "a validator takes intermediates itself, and no PKCS#12"
            raise UsageError(words, Code.INVALID_ARGUMENT)
        if acceptance is not None and (isinstance(anchors, Validator) or password is not None or accept_differences):
            words = "an acceptance policy is for files without a password, with anchors, and in place of accept_differences"
            raise UsageError(words, Code.INVALID_ARGUMENT)
        secret = None if password is None else text(password, "password")
        out_name = POINTER(_abi.devid_bytes)()
        lib = library()
        first = (optional_text(name, "name"), content, len(content))
        at = int(time.time()) if now is None else seconds(now, "now")
        decision: Any = accept_differences if acceptance is None else text(acceptance, "acceptance")
        last = (text(purpose, "purpose"), decision, at, byref(out_name))
        middle: Tuple[Any, ...]
        with self._use() as store, using(anchors, "Trust or Validator", "anchors") as trust, listed(intermediates) as helpers:
            try:
                if isinstance(anchors, Validator):
                    function, middle = "devid_store_import_checked", (trust,)
                elif secret is None:
                    function = "devid_store_import" if acceptance is None else "devid_store_import_by_policy"
                    middle = (trust, helpers)
                else:
                    function, middle = "devid_store_import_pkcs12", (secret, len(secret), trust, helpers)
                made_by = IdentityHandle._made_by
                identity = changing(store, lambda: made_by(function, store, *first, *middle, *last))
                found = string_at(lib.devid_bytes_data(out_name), lib.devid_bytes_len(out_name)).decode()
            finally:
                lib.devid_bytes_free(out_name)
        return _read(found, identity)

    def put_operation(self, name: str, saved: BytesLike) -> None:
        """Keeps a saved operation under a name; an earlier one of that name is replaced."""
        content = data(saved, "saved")
        with self._use() as store:
            change("devid_store_put_operation", store, text(name, "name"), content, len(content))

    def operation(self, name: str) -> bytes:
        """A saved operation, for :meth:`Client.restore`."""
        with self._use() as store:
            return bytes_of("devid_store_operation", store, text(name, "name"))

    def operations(self) -> List[str]:
        """The names of all saved operations."""
        with self._use() as store:
            return bytes_of("devid_store_operations", store).decode().splitlines()

    def pending_keys(self) -> List[str]:
        """The labels of all keys that wait for their certificate."""
        with self._use() as store:
            return bytes_of("devid_store_pending_keys", store).decode().splitlines()

    def pending_request(self, name: str) -> Optional[bytes]:
        """The PKCS#10 request that is out under a name, DER; None if none is."""
        with self._use() as store:
            return bytes_of("devid_store_pending_request", store, text(name, "name")) or None

    def remove_operation(self, name: str) -> None:
        """Removes a saved operation."""
        self._named("devid_store_remove_operation", name)

    def put_anchors(self, use: str, certificates: Certificates) -> None:
        """Keeps the trust anchors for one use: ``cmp``, ``enrolment``, ``tls`` or ``peer``. Earlier ones are replaced."""
        with self._use() as store, listed(certificates, trusted=True) as anchors:
            change("devid_store_put_anchors", store, text(use, "use"), anchors)

    def anchors(self, use: str) -> List[Certificate]:
        """The trust anchors kept for one use."""
        with self._use() as store:
            with CertificateList._made_by("devid_store_anchors", store, text(use, "use")) as found:
                return found.certificates()

    def state(self, name: str) -> State:
        """What there is under a name."""
        found = c_int32()
        with self._use() as store:
            call("devid_store_state", store, text(name, "name"), byref(found))
        return State(found.value)

    def abandon(self, name: str) -> None:
        """Gives an unfinished enrolment up: saved operation, staged certificate and pending key, and a revocation that waits. The CA
        is not told."""
        self._named("devid_store_abandon", name)

    def add_root(self, use: str, question: Question[Optional[RootUpdate]]) -> bool:
        """Puts the new root that a question brought among the anchors for one use, beside the old one.

        The old root must be an anchor there. False: it was there already.
        """
        is_new = c_int32()
        with self._use() as store, using(question, "Question", "question") as operation:
            change("devid_store_add_root", store, text(use, "use"), operation, byref(is_new))
        return is_new.value == 1

    def forget_crl_numbers(self, ca: Optional[Certificate] = None) -> int:
        """Forgets the highest CRL numbers that were seen, and the lists with them; answers of how many series.

        For a CA that counts anew, or has once given a number by mistake: its lists are ``CRL_ROLLBACK`` ever after. ``ca`` is the
        one that an anchor has certified, with all below it, or an anchor that issues lists itself; None: all. Until the next
        list of the CA comes, an older one is taken; who was revoked stays revoked.
        """
        count = c_uint32()
        with ExitStack() as stack:
            store = stack.enter_context(self._use())
            one = None if ca is None else stack.enter_context(using(ca, "Certificate", "ca"))
            change("devid_store_forget_crl_numbers", store, one, byref(count))
        return count.value

    def put_crl(
        self,
        crl: Material,
        certificate: Certificate,
        anchors: Trust,
        *,
        intermediates: Certificates = (),
        now: Optional[Moment] = None,
    ) -> None:
        """Keeps a CRL (DER or PEM) if it speaks about the certificate, so that later validations find it.

        Scope, signer, signature, times and its number are checked. :class:`ValidationError` ``REVOKED``: it was kept, and
        the certificate is on it; ``REVOCATION_UNKNOWN``: it says nothing that could be believed.
        """
        content = material(crl, "crl")
        about, trusted = using(certificate, "Certificate", "certificate"), using(anchors, "Trust", "anchors")
        with self._use() as store, about as cert, listed(intermediates) as helpers, trusted as trust:
            at = int(time.time()) if now is None else seconds(now, "now")
            change("devid_store_put_crl", store, content, len(content), cert, helpers, trust, at)

    def crls(self) -> bytes:
        """All CRLs in device memory as PEM, for :meth:`Validator.add_crls`, which checks them again."""
        with self._use() as store:
            return bytes_of("devid_store_crls", store)

    def put_blob(self, name: str, content: BytesLike) -> None:
        """Keeps bytes that need no secrecy; an earlier record of that name is replaced."""
        kept = data(content, "content")
        with self._use() as store:
            change("devid_store_put_blob", store, text(name, "name"), kept, len(kept))

    def blob(self, name: str) -> bytes:
        """Bytes that :meth:`put_blob` kept."""
        with self._use() as store:
            return bytes_of("devid_store_blob", store, text(name, "name"))

    def blobs(self) -> List[str]:
        """The names of all records that :meth:`put_blob` kept."""
        with self._use() as store:
            return bytes_of("devid_store_blobs", store).decode().splitlines()

    def remove_blob(self, name: str) -> None:
        """Removes what :meth:`put_blob` kept."""
        self._named("devid_store_remove_blob", name)

    def raise_number(self, name: str, value: int) -> bool:
        """Raises a number that must never go back, such as a firmware's version. False: it is that high already."""
        raised = c_int32()
        with self._use() as store:
            change("devid_store_raise_number", store, text(name, "name"), value, byref(raised))
        return raised.value == 1

    def number(self, name: str) -> int:
        """A number that :meth:`raise_number` kept; 0 if there is none."""
        value = c_int64()
        with self._use() as store:
            call("devid_store_number", store, text(name, "name"), byref(value))
        return value.value

    def _named(self, function: str, name: str) -> None:
        with self._use() as store:
            change(function, store, text(name, "name"))


class IdentityHandle(Handle):
    """An identity on its way through the C face."""

    _type = "devid_identity"
    _is_shared = True


def _read(name: str, handle: IdentityHandle) -> Identity:
    lib = library()
    with handle, handle._use() as pointer:
        with CertificateList._made_by("devid_identity_chain", pointer) as chain:
            return Identity(
                name,
                Key._made_by("devid_identity_key", pointer),
                text_of(lib.devid_identity_key_reference(pointer)),
                Certificate._made_by("devid_identity_certificate", pointer),
                tuple(chain.certificates()),
                int(lib.devid_identity_generation(pointer)),
                text_of(lib.devid_identity_purpose(pointer)),
                moment_of(lib.devid_identity_created(pointer)),
                DifferenceList.of("devid_differences_of_identity", pointer),
                tuple(text_of(lib.devid_identity_warnings(pointer)).splitlines()),
            )


