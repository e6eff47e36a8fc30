"""A registration authority: messages of devices are checked and passed on (RFC 9483 section 5.2)."""

from __future__ import annotations

from enum import IntEnum
from typing import List, Optional, Tuple

from . import _abi
from ._call import (
    BytesLike,
    Moment,
    SecretLike,
    borrowed,
    bytes_of,
    call,
    data,
    optional_text,
    optional_text_of,
    secret_data,
    seconds,
    text_of,
)
from ._integers import switch
from ._handle import Handle, using
from ._library import library
from .certificate import Certificate
from .client import Client
from .errors import FailInfo
from .validation import Trust


class Proof(IntEnum):
    """What becomes of the device's proof of possession where its protection is replaced."""

    KEEP = _abi.DEVID_PROOF_KEEP
    """It goes up as it is (RFC 9483 section 5.2.3.1)."""
    RA_VERIFIED = _abi.DEVID_PROOF_RA_VERIFIED
    """raVerified in its place: the RA has checked it and vouches for it (RFC 9483 section 5.2.3.2)."""


class DeviceRequest(Handle):
    """A device's message whose protection and proof of possession have been checked by :meth:`RegistrationAuthority.check`.

    Whether this device may have what it asks for is still to be decided: above all whether :attr:`subject` is who protected
    the message (RFC 9483 section 5.1.1).
    """

    _type = "devid_ra_request"
    _is_shared = True

    @property
    def body(self) -> str:
        """Which message it is: ``ir``, ``certConf``..."""
        with self._use() as request:
            return text_of(library().devid_ra_request_body(request))

    @property
    def subject(self) -> Optional[str]:
        """The subject of the certificate asked for; None where none is asked for."""
        with self._use() as request:
            return optional_text_of(library().devid_ra_request_subject(request))

    @property
    def about(self) -> Tuple[Tuple[str, str], ...]:
        """Issuer and serial number of each certificate that it is about, beside the one that it asks for.

        Those that rr wants revoked, or the one that is to be replaced (oldCertID); of a later message what the request is about that
        began the transaction. The serial number as :attr:`Certificate.serial` gives it.
        """
        lib = library()
        with self._use() as request:
            return tuple(
                (
                    text_of(lib.devid_ra_request_about_issuer(request, index)),
                    text_of(lib.devid_ra_request_about_serial(request, index)),
                )
                for index in range(lib.devid_ra_request_about_count(request))
            )

    @property
    def reference(self) -> Optional[bytes]:
        """The reference value of the secret that protected the message; None if a certificate did."""
        with self._use() as request:
            return borrowed("devid_ra_request_reference", request)

    @property
    def certificate(self) -> Certificate:
        """The certificate that protected the message. Raises :class:`StoreError` if a shared secret did."""
        with self._use() as request:
            return Certificate._made_by("devid_ra_request_certificate", request)

    @property
    def keeps_protection(self) -> bool:
        """Whether the device's protection must reach the CA: then it is nested, not replaced (RFC 9483 section 5.2.3)."""
        with self._use() as request:
            return bool(library().devid_ra_request_keeps_protection(request))


class Batch(Handle):
    """Requests on their way to the CA in one nested message; made by :meth:`RegistrationAuthority.batch`."""

    _type = "devid_ra_batch"

    def __init__(self) -> None:
        self._own(self._pointer_from("devid_ra_batch_new"))

    def add(self, request: DeviceRequest) -> None:
        """Adds a request, before the message is made."""
        with self._use() as batch, using(request, "DeviceRequest", "request") as one:
            call("devid_ra_batch_add", batch, one)


class RegistrationAuthority(Handle):
    """A registration authority. The client's credential is the RA's certificate and key, its CMP anchors are the CA's.

    How messages travel is the program's affair: every method makes a message of a message.
    """

    _type = "devid_ra"

    def __init__(self, client: Client, devices: Optional[Trust] = None) -> None:
        """Believes devices whose certificates lead to the anchors, and those whose secrets are added."""
        anchors = Trust() if devices is None else devices
        with using(client, "Client", "client") as settings, using(anchors, "Trust", "devices") as trust:
            self._own(self._pointer_from("devid_ra_new", settings, trust))

    def add_secret(self, reference: SecretLike, secret: SecretLike) -> None:
        """A secret shared with devices; replaces an earlier one of the same reference value."""
        who, what = secret_data(reference, "reference"), secret_data(secret, "secret")
        with self._use() as ra:
            call("devid_ra_add_secret", ra, who, len(who), what, len(what))

    def set_requests_about_others(self, taken: bool) -> None:
        """Whether requests about certificates of others are taken from any device: then :attr:`DeviceRequest.about` tells whose.

        Else an rr, or oldCertID, that names another certificate than the one whose key protects the request is refused, but from
        signers with the purpose cmcRA or cmcCA.
        """
        with self._use() as ra:
            call("devid_ra_set_requests_about_others", ra, switch(taken, "taken"))

    def check(self, message: BytesLike, now: Moment, *, earlier: Optional[DeviceRequest] = None) -> DeviceRequest:
        """Checks form, protection and possession. ``earlier`` is the request that began the transaction."""
        content = data(message, "message")
        with self._use() as ra:
            if earlier is None:
                return DeviceRequest._made_by("devid_ra_check", ra, None, content, len(content), seconds(now))
            with using(earlier, "DeviceRequest", "earlier") as begun:
                return DeviceRequest._made_by("devid_ra_check", ra, begun, content, len(content), seconds(now))

    def nest(self, request: DeviceRequest, now: Moment) -> bytes:
        """The request with the RA's approval around it; the CA's answer goes to the device as it is."""
        with self._use() as ra, using(request, "DeviceRequest", "request") as one:
            return bytes_of("devid_ra_nest", ra, one, seconds(now))

    def replace(
        self, request: DeviceRequest, now: Moment, *, proof: Proof = Proof.KEEP, with_original: bool = False
    ) -> bytes:
        """The request under the RA's signature in place of the device's protection; see :meth:`answer`."""
        with self._use() as ra, using(request, "DeviceRequest", "request") as one:
            return bytes_of("devid_ra_replace", ra, one, proof, with_original, seconds(now))

    def answer(self, request: DeviceRequest, answer: BytesLike, now: Moment) -> bytes:
        """The CA's answer to a replaced request, checked, under the protection that the device expects."""
        content = data(answer, "answer")
        with self._use() as ra, using(request, "DeviceRequest", "request") as one:
            return bytes_of("devid_ra_answer", ra, one, content, len(content), seconds(now))

    def refuse(
        self,
        message: BytesLike,
        now: Moment,
        *,
        checked: Optional[DeviceRequest] = None,
        fail_info: FailInfo = FailInfo(0),
        words: Optional[str] = None,
    ) -> bytes:
        """An error message; with ``checked``, which must be this very message, under the protection that the device expects."""
        content, said = data(message, "message"), optional_text(words, "words")
        rest = (fail_info, said, seconds(now))
        with self._use() as ra:
            if checked is None:
                return bytes_of("devid_ra_refuse", ra, content, len(content), None, *rest)
            with using(checked, "DeviceRequest", "checked") as request:
                return bytes_of("devid_ra_refuse", ra, content, len(content), request, *rest)

    def batch(self, batch: Batch, now: Moment) -> bytes:
        """The nested message with all requests of a batch; once made it stays the same."""
        with using(batch, "Batch", "batch") as bundle, self._use() as ra:
            return bytes_of("devid_ra_batch_message", bundle, ra, seconds(now))

    def unbundle(self, batch: Batch, answer: Optional[BytesLike], now: Moment) -> List[bytes]:
        """A reply for each request, in their order; lost ones become errors. None: nothing came from the CA."""
        content = None if answer is None else data(answer, "answer")
        with using(batch, "Batch", "batch") as bundle, self._use() as ra:
            call("devid_ra_batch_feed", bundle, ra, content, len(content or b""), seconds(now))
            count = library().devid_ra_batch_reply_count(bundle)
            return [borrowed("devid_ra_batch_reply", bundle, index) or b"" for index in range(count)]
