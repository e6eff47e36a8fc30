"""Validation of certificates, and the gate to a peer's public key. Needs no enrolment."""

from __future__ import annotations

import os
from ctypes import POINTER, byref, string_at
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Tuple, Union

from . import _abi
from ._abi import Code
from ._blocking import Cancel, beside, switch_for
from ._call import (
    BytesLike,
    Material,
    Moment,
    borrowed,
    bytes_of,
    call,
    data,
    material,
    moment_of,
    moment_or,
    optional_text_of,
    seconds,
    text,
    text_of,
    texts,
)
from ._handle import Handle, used, using
from ._integers import switch, unless_none
from ._library import library
from .certificate import Certificate, CertificateList, Certificates, encoded, listed
from .errors import UsageError, ValidationError, code_of


if TYPE_CHECKING:
    from .config import Config
    from .key import Key
    from .store import Store

PathLike = Union[str, bytes, "os.PathLike[str]"]
Sent = Certificates
"""What a peer sent: its certificate, or it and others in any order and form."""
_Outcome = Tuple["Report", Optional["Peer"], Optional[ValidationError]]


class Revocation(IntEnum):
    """What happens where it is not known whether a certificate is revoked."""

    OFF = 4
    """No status is wanted. Whoever is revoked by what is at hand, or known to be by device memory, is refused all the same."""
    SOFT = 2
    """The certificate is taken, and the report says so."""
    HARD = 3
    """The certificate is refused."""


class Scope(IntEnum):
    """Which certificates need a status."""

    LEAF = 1
    """Only the one that is asked about."""
    CHAIN = 2
    """All below the anchor."""


class Prefer(IntEnum):
    """Who speaks first where both have an answer."""

    OCSP = 1
    CRL = 2


@dataclass(frozen=True)
class Finding:
    """Something a validation found."""

    code: Union[Code, int]
    text: str
    certificate_index: Optional[int]
    """0 is the certificate that was asked about; None: about none in particular."""
    is_fatal: bool
    """Whether it alone refuses the certificate."""
    requirement: Optional[str] = None
    """The rule that was broken or not looked at, such as ``RFC 5280 section 6.1.3 (V1)``; the letters name rows of ``docs/requirements.md``.
    None: a limit of the library's own ended the search."""
    expected: Optional[str] = None
    """What that rule asks for."""


@dataclass(frozen=True)
class Report:
    """What a validation found."""

    is_valid: bool
    findings: Tuple[Finding, ...]
    """The most telling first. A valid certificate can have some: checks that could not be made."""
    path: Tuple[Certificate, ...]
    """The path that passed: the certificate that was asked about first, the anchor last; empty if none did."""
    not_after: Optional[datetime]
    """Last second at which all certificates of the path are within their validity."""
    status_until: Optional[datetime]
    """Last second at which the status data that the verdict rests on is current; None if it rests on none."""
    policies: Optional[Tuple[str, ...]]
    """The certificate policies that the path is valid for; None: any."""

    def __bool__(self) -> bool:
        raise TypeError("a report is neither true nor false: ask is_valid")


class Trust(Handle):
    """Certificates that are believed without proof. Sets for different uses are best kept apart."""

    _type = "devid_trust"

    def __init__(self, anchors: Optional[Certificates] = None) -> None:
        """Trusts nothing but the given anchors."""
        self._own(self._pointer_from("devid_trust_new"))
        if anchors is not None:
            self.add(anchors)

    def add(self, anchors: Certificates) -> None:
        """Adds trust anchors. Constraints that an anchor carries are enforced (RFC 5937)."""
        with self._use() as trust:
            if isinstance(anchors, Certificate):
                with anchors._use() as certificate:
                    call("devid_trust_add", trust, certificate)
            else:
                content = encoded(anchors, "anchors", trusted=True)
                call("devid_trust_add_bytes", trust, content, len(content))

    def add_store(self, store: Store, use: str) -> None:
        """Adds the anchors that device memory keeps for one use: ``cmp``, ``enrolment``, ``tls`` or ``peer``."""
        with self._use() as trust, using(store, "Store", "store") as memory:
            call("devid_trust_add_store", trust, memory, text(use, "use"))

    def certificates(self) -> List[Certificate]:
        """The anchors."""
        with self._use() as trust, CertificateList._made_by("devid_trust_certificates", trust) as found:
            return found.certificates()

    def _about(self) -> str:
        return f"in {len(self)} anchors"

    def __len__(self) -> int:
        with self._use() as trust:
            return int(library().devid_trust_count(trust))

    def __bool__(self) -> bool:
        return True


class OcspRequest(Handle):
    """A request for the status of one certificate (RFC 6960)."""

    _type = "devid_ocsp_request"
    _is_shared = True

    def __init__(self, certificate: Certificate, issuer: Certificate, *, digest: str = "SHA1", nonce: bool = True) -> None:
        """With a nonce the response must carry it. The digest of the identifier protects nothing: SHA1 is what every
        responder knows (RFC 5019)."""
        with using(certificate, "Certificate", "certificate") as cert, using(issuer, "Certificate", "issuer") as above:
            name = text(digest, "digest")
            self._own(self._pointer_from("devid_ocsp_request_new", cert, above, name, nonce))

    @property
    def der(self) -> bytes:
        """The body of a POST with content type application/ocsp-request."""
        with self._use() as request:
            return borrowed("devid_ocsp_request_der", request) or b""


def fetch(
    url: str,
    request: Union[OcspRequest, BytesLike, None] = None,
    *,
    max_len: int = 0,
    network: Optional[Config] = None,
    cancel: Optional[Cancel] = None,
) -> bytes:
    """Gets a document by URL: a CRL, a certificate, or the answer to an OCSP request. Blocks.

    What comes back is to be judged, not believed; at most ``max_len`` bytes, 0 means 4 MiB. URLs in certificates are chosen
    by strangers: fetch them for paths whose signatures hold.

    ``network``: by the proxy, the TLS settings and the timeouts of these settings; without, 15 s to connect and 120 s in all. It
    ends with :class:`TransportError` (``CANCELLED``) when ``cancel`` is triggered, and when the handler of a signal raises.
    """
    body = request.der if isinstance(request, OcspRequest) else None if request is None else data(request, "request")
    with used(network, "Config", "network") as settings, switch_for(cancel) as switch, switch._use() as pointer:
        question = settings, pointer, text(url, "url"), body, len(body or b""), max_len
        return beside(lambda: bytes_of("devid_fetch_over", *question), switch.trigger)


class Validator(Handle):
    """What is checked, and the data to check it with.

    What the certificate is for and whose it is must be said: ``purposes`` such as ``serverAuth`` or None for any, and names
    (``dns``, ``ip``, ``email``, ``uri``) or ``any_name=True``. Several threads may validate at once; who changes a validator
    meanwhile is answered :class:`UsageError` (``REENTRANT``).
    """

    _type = "devid_validator"
    _is_closed_at_exit = True
    _is_shared = True

    def __init__(
        self,
        trust: Trust,
        *,
        purposes: Optional[Iterable[str]],
        dns: Iterable[str] = (),
        ip: Iterable[str] = (),
        email: Iterable[str] = (),
        uri: Iterable[str] = (),
        any_name: bool = False,
        key_usages: Iterable[str] = (),
        intermediates: Optional[Certificates] = None,
        crls: Optional[Material] = None,
        revocation: Revocation = Revocation.OFF,
        scope: Scope = Scope.CHAIN,
        prefer: Prefer = Prefer.OCSP,
        strict: bool = False,
        clock_skew_seconds: Optional[int] = None,
    ) -> None:
        """``clock_skew_seconds``: how far two clocks may be apart, at the begin of certificates and of status data; 300 unless
        set."""
        with using(trust, "Trust", "trust") as anchors:
            self._own(self._pointer_from("devid_validator_new", anchors))
        names = [
            (kind, name)
            for kind, given in (
                (_abi.DEVID_NAME_DNS, dns),
                (_abi.DEVID_NAME_IP, ip),
                (_abi.DEVID_NAME_EMAIL, email),
                (_abi.DEVID_NAME_URI, uri),
            )
            for name in texts(given)
        ]
        if bool(names) == switch(any_name, "any_name"):
            words = "say either whose name the certificate must carry, or any_name=True"
            raise UsageError(words, Code.INVALID_ARGUMENT)
        if any_name:
            self._set("devid_validator_set_any_name")
        for kind, name in names:
            self._set("devid_validator_add_name", kind, text(name, "name"))
        if purposes is None:
            self._set("devid_validator_set_any_purpose")
        else:
            wanted = texts(purposes)
            if not wanted:
                raise UsageError("say at least one purpose, or None for any", Code.INVALID_ARGUMENT)
            for purpose in wanted:
                self._set("devid_validator_add_purpose", text(purpose, "purposes"))
        for usage in texts(key_usages):
            self._set("devid_validator_add_key_usage", text(usage, "key_usages"))
        if intermediates is not None:
            self.add_intermediates(intermediates)
        if crls is not None:
            self.add_crls(crls)
        self._set("devid_validator_set_revocation", revocation, scope, prefer)
        profile = _abi.DEVID_PROFILE_STRICT if switch(strict, "strict") else _abi.DEVID_PROFILE_DEFAULT
        self._set("devid_validator_set_profile", profile)
        if clock_skew_seconds is not None:
            self._set("devid_validator_set_clock_skew", clock_skew_seconds)

    def add_intermediates(self, certificates: Certificates) -> None:
        """Certificates that may stand between others and an anchor: PEM, DER or PKCS#7. They are not trusted."""
        self._add("devid_validator_add_intermediates", certificates, "certificates")

    def add_crls(self, crls: Material) -> None:
        """CRLs, complete and delta, PEM or DER. They are believed only as far as they prove themselves."""
        self._add("devid_validator_add_crls", crls, "crls")

    def add_ocsp(self, response: Material, request: Optional[OcspRequest] = None) -> None:
        """An OCSP response, stapled by the peer or the answer to a request. Believed as far as it proves itself."""
        content = material(response, "response")
        with used(request, "OcspRequest", "request") as asked:
            self._set("devid_validator_add_ocsp", content, len(content), asked)

    def add_crl_file(self, path: PathLike, index: Optional[PathLike] = None) -> None:
        """A big CRL in a DER file, read into memory; its index in another file need not be made each time.

        An index that is missing or does not fit is made anew and written.
        """
        where = None if index is None else os.fsencode(index)
        self._set("devid_validator_add_crl_file", os.fsencode(path), where)

    def add_crl_chunks(self, chunks: Iterable[BytesLike], certificates: Certificates) -> None:
        """A big CRL as it comes, in pieces that are not kept: what it says about these certificates, and nothing else."""
        with listed(certificates) as asked:
            stream = _CrlStream._made_by("devid_crl_stream_new", asked)
        with stream, stream._use() as pointer:
            for chunk in chunks:
                content = data(chunk, "chunks")
                call("devid_crl_stream_feed", pointer, content, len(content))
            self._set("devid_validator_add_crl_stream", pointer)

    def add_trusted_responder(self, responder: Certificate) -> None:
        """An OCSP responder that is believed about every certificate, whoever issued its own (RFC 6960 section 4.2.2.2)."""
        with using(responder, "Certificate", "responder") as certificate:
            self._set("devid_validator_add_trusted_responder", certificate)

    def set_store(self, store: Store) -> None:
        """Device memory: an older CRL than one seen before is refused also after a restart (``CRL_ROLLBACK``), status data
        that fetchers keep there is used, and peers are refused at once when newer such data revokes them."""
        with using(store, "Store", "store") as memory:
            self._set("devid_validator_set_store", memory)

    def clear_status(self) -> None:
        """Forgets all CRLs and OCSP responses, to make room for newer ones. Device memory keeps what it has."""
        self._set("devid_validator_clear_status")

    def set_status_age(
        self, *, max_age_seconds: Optional[int] = None, grace_seconds: int = 0, skew_seconds: int = 0
    ) -> None:
        """How old status data may be, how long after its nextUpdate it counts, how far in the future it may begin."""
        oldest = unless_none(max_age_seconds, "max_age_seconds", -1)
        self._set("devid_validator_set_status_age", oldest, grace_seconds, skew_seconds)

    def allow_weak(self, on: bool) -> None:
        """Accept SHA-1 signatures and RSA keys below 2048 bits. For old CAs only."""
        self._set("devid_validator_set_allow_weak", on)

    def allow_dotted_dns(self, on: bool) -> None:
        """Accept DNS name constraints with a dot in front, as some private CAs write them."""
        self._set("devid_validator_set_allow_dotted_dns", on)

    def add_policy(self, policy: str) -> None:
        """Adds a certificate policy to those that are acceptable; without any, all are."""
        self._set("devid_validator_add_policy", text(policy, "policy"))

    def set_policy_rules(
        self, *, require_explicit: bool = False, inhibit_mapping: bool = False, inhibit_any: bool = False
    ) -> None:
        """The switches of policy processing (RFC 5280 section 6.1.1)."""
        self._set("devid_validator_set_policy_rules", require_explicit, inhibit_mapping, inhibit_any)

    def set_max_intermediates(self, count: Optional[int]) -> None:
        """Most CA certificates between the certificate and the anchor; None: only the limits on work count."""
        self._set("devid_validator_set_max_intermediates", unless_none(count, "count", -1))

    def set_use_until(self, until: Optional[Moment]) -> None:
        """Until when keys of validated peers may be used at most, whatever certificates and status data say."""
        self._set("devid_validator_set_use_until", moment_or(until, "until", -1))

    def validate(self, certificate: Sent, at: Optional[Moment]) -> Peer:
        """The way to the certificate's public key, if it passes every check at a time (RFC 5280 section 6.1).

        Instead of a certificate, all that a peer sent will do: PEM, DER or PKCS#7, or certificates, in any order.

        Raises :class:`ValidationError` with the most telling reason, and the whole ``report``, also for bytes that are no
        certificate (``MALFORMED``). Nothing is fetched, no clock
        is read. ``at`` None is for a device that does not know the time: periods of validity are then not checked.
        """
        return _verdict(*self._validate(certificate, at, with_peer=True))

    def examine(self, certificate: Sent, at: Optional[Moment]) -> Report:
        """As :meth:`validate`, for those who want to know more than yes or no: the report, whatever it says."""
        report, _, _ = self._validate(certificate, at, with_peer=False)
        return report

    def _validate(self, certificate: Sent, at: Optional[Moment], *, with_peer: bool) -> _Outcome:
        with self._use() as validator:
            if not isinstance(certificate, Certificate):
                if at is None:
                    raise UsageError("without a time, give the peer's certificate alone", Code.INVALID_ARGUMENT)
                if isinstance(certificate, (bytes, bytearray, memoryview, str, os.PathLike)):
                    content = material(certificate, "certificate")
                    question = validator, content, len(content), seconds(at, "at")
                    return _run("devid_validate_bytes", *question, with_peer=with_peer)
                with listed(certificate) as sent:
                    return _run("devid_validate_sent", validator, sent, seconds(at, "at"), with_peer=with_peer)
            with using(certificate, "Certificate", "certificate") as cert:
                if at is None:
                    return _run("devid_validate_without_time", validator, cert, with_peer=with_peer)
                return _run("devid_validate", validator, cert, seconds(at, "at"), with_peer=with_peer)

    def _set(self, function: str, *values: Any) -> None:
        with self._use() as validator:
            call(function, validator, *values)

    def set_budget(self, **most: int) -> None:
        """How much work one validation may take: ``signatures`` (100), ``name_comparisons`` (250000), ``steps`` (50000),
        ``depth`` (16), ``certificates`` (1000). Reaching one is ``BUDGET``, no verdict."""
        with self._use() as validator:
            for name, value in most.items():
                call("devid_validator_set_budget", validator, text(name, "name"), value)

    def _add(self, function: str, value: Certificates, what: str) -> None:
        content = encoded(value, what)
        self._set(function, content, len(content))


class Peer(Handle):
    """A peer whose certificate was validated: there is no other way to a peer's public key. May be used by several threads.

    Its key can be used until :attr:`expires`; afterwards, and after a :meth:`recheck` that refused it, calls answer why.
    """

    _type = "devid_peer"
    _is_shared = True

    def _about(self) -> str:
        return f"{self.certificate.subject!r}, until {self.expires:%Y-%m-%d %H:%M} UTC"

    @property
    def certificate(self) -> Certificate:
        """The peer's certificate."""
        with self._use() as peer:
            return Certificate._made_by("devid_peer_certificate", peer)

    @property
    def expires(self) -> datetime:
        """Last second at which the key can be used: the earliest end of certificates and status data."""
        with self._use() as peer:
            return moment_of(library().devid_peer_expires(peer))

    def public_key(self, now: Moment) -> bytes:
        """The peer's public key: SubjectPublicKeyInfo, DER."""
        with self._use() as peer:
            return bytes_of("devid_peer_public_key", peer, seconds(now, "now"))

    def encrypt(self, plain: BytesLike, now: Moment, *, cbc: bool = False) -> bytes:
        """Encrypts for the peer: CMS (RFC 5652), DER, with AES-256-GCM; CBC for peers that know nothing better."""
        content = data(plain, "plain")
        with self._use() as peer:
            kind = _abi.DEVID_ENCRYPTION_CBC if switch(cbc, "cbc") else _abi.DEVID_ENCRYPTION_GCM
            return bytes_of("devid_peer_encrypt", peer, seconds(now, "now"), kind, content, len(content))

    def verify(self, signature: BytesLike, message: BytesLike, algorithm: str, now: Moment) -> None:
        """Checks a signature that the peer made, such as by ``ECDSA-SHA256``. Raises :class:`CryptoError` if it is wrong."""
        signed, made = data(message, "message"), data(signature, "signature")
        with self._use() as peer:
            moment, name = seconds(now, "now"), text(algorithm, "algorithm")
            call("devid_peer_verify", peer, moment, name, signed, len(signed), made, len(made))

    def agree(self, now: Moment) -> Tuple[bytes, bytes]:
        """Agrees on a secret with the peer (ECDH) by a fresh key pair: our public point for the peer, and the secret."""
        lib = library()
        point, secret = POINTER(_abi.devid_bytes)(), POINTER(_abi.devid_bytes)()
        with self._use() as peer:
            try:
                call("devid_peer_agree", peer, seconds(now, "now"), byref(point), byref(secret))
                return _copy(point), _copy(secret)
            finally:
                lib.devid_bytes_free(point)
                lib.devid_bytes_free(secret)

    def agree_with(self, key: Key, now: Moment) -> bytes:
        """Agrees on a secret with the peer (ECDH) by a key of one's own, of the peer's curve."""
        with self._use() as peer, using(key, "Key", "key") as own:
            return bytes_of("devid_peer_agree_with", peer, own, seconds(now, "now"))

    def recheck(self, validator: Validator, now: Moment) -> Report:
        """Validates again with the status data that a validator holds now. A positive verdict sets a new expiry.

        Raises :class:`ValidationError` if the peer is refused, now or earlier: for good. If nothing is known of its status,
        it stays as it was until it expires.
        """
        report = POINTER(_abi.devid_report)()
        with self._use() as peer, using(validator, "Validator", "validator") as checks:
            call("devid_peer_recheck", peer, checks, seconds(now, "now"), byref(report))
        return _report(report)


class _CrlStream(Handle):
    """A CRL on its way in pieces."""

    _type = "devid_crl_stream"


class ReportHandle(Handle):
    """A report on its way through the C face."""

    _type = "devid_report"
    _is_shared = True


def _run(function: str, *arguments: Any, with_peer: bool) -> _Outcome:
    """One validation: its report, the peer if it passed, and the reason if it did not."""
    report, peer = POINTER(_abi.devid_report)(), POINTER(_abi.devid_peer)()
    failure: Optional[ValidationError] = None
    try:
        call(function, *arguments, byref(report), byref(peer) if with_peer else None)
    except ValidationError as error:
        if not report:
            raise
        failure = error
    finally:
        found = _report(report) if report else None
        way = Peer._adopt(peer) if peer else None
    assert found is not None, "the library answers with a report"
    return found, way, failure


def _verdict(report: Report, peer: Optional[Peer], error: Optional[ValidationError]) -> Peer:
    """The peer, or the reason with its report."""
    if error is not None:
        error.report = report
        raise error
    assert peer is not None, "the library answers success with a peer"
    return peer


def _report(pointer: Any) -> Report:
    """A report as Python data; frees it."""
    lib = library()
    with ReportHandle._adopt(pointer):
        is_valid = lib.devid_report_is_valid(pointer) == 1
        findings: List[Finding] = []
        for i in range(lib.devid_report_finding_count(pointer)):
            index = lib.devid_report_finding_certificate(pointer, i)
            findings.append(
                Finding(
                    code_of(lib.devid_report_finding_code(pointer, i)),
                    text_of(lib.devid_report_finding_text(pointer, i)),
                    None if index < 0 else index,
                    lib.devid_report_finding_is_fatal(pointer, i) == 1,
                    optional_text_of(lib.devid_report_finding_requirement(pointer, i)),
                    optional_text_of(lib.devid_report_finding_expected(pointer, i)),
                )
            )
        path: List[Certificate] = []
        if is_valid:
            with CertificateList._made_by("devid_report_path", pointer) as certificates:
                path = certificates.certificates()
        not_after, until = lib.devid_report_not_after(pointer), lib.devid_report_status_until(pointer)
        count = lib.devid_report_policy_count(pointer)
        policies = None if count < 0 else tuple(text_of(lib.devid_report_policy(pointer, i)) for i in range(count))
        return Report(
            is_valid,
            tuple(findings),
            tuple(path),
            moment_of(not_after) if not_after else None,
            moment_of(until) if until else None,
            policies,
        )


def _copy(buffer: Any) -> bytes:
    lib = library()
    return string_at(lib.devid_bytes_data(buffer), lib.devid_bytes_len(buffer))
