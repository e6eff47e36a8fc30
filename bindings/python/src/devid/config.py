"""Settings of a client: to whom requests go, how they are protected, who is trusted. And what is asked for."""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING, Iterable, List, Mapping, Optional, Tuple, Union

from . import _abi
from ._abi import Code
from ._call import (
    DESTROY,
    TOKENS,
    BytesLike,
    Material,
    Moment,
    SecretLike,
    bytes_of,
    call,
    data,
    keep,
    material,
    moment_or,
    optional_text,
    relayed,
    seconds,
    secret_data,
    text,
    text_of,
    texts,
)
from ._integers import UINT32, switch, unless_none
from ._handle import Handle, used, using
from .certificate import Certificates, encoded, listed
from .errors import UsageError
from .key import Key
from .template import Template
from .validation import Prefer, Revocation, Scope

if TYPE_CHECKING:
    from .fetcher import Fetcher
    from .store import Store

Extension = Tuple[str, bool, bytes]
"""An extension: identifier in dotted form, whether critical, DER of its value."""

HardwareModule = Tuple[str, bytes]
"""The name of a hardware module (RFC 4108): the maker's identifier for the type in dotted form, serial number."""


class Limit(str, Enum):
    """What a server may make a client do, by name: :meth:`Config.set_limit`."""

    MAX_MESSAGE_BYTES = "max_message_bytes"
    """Largest message accepted, in bytes (4 MiB)."""
    MAX_CERTIFICATES = "max_certificates"
    """Most certificates in one list of a message (64)."""
    MAX_POLLS = "max_polls"
    """Most poll requests in one operation (10000)."""
    MAX_CHECK_AFTER_SECONDS = "max_check_after_seconds"
    """Longest single wait that a server may ask for, in seconds (7 days)."""
    MAX_TOTAL_SECONDS = "max_total_seconds"
    """Longest time from the first step to the end of an operation, in seconds (30 days)."""
    MAX_MAC_ITERATIONS = "max_mac_iterations"
    """Most iterations that a server's MAC may ask for (1000000)."""
    MAX_MAC_SALT_BYTES = "max_mac_salt_bytes"
    """Longest salt of a MAC, in bytes (256)."""


class Profile(str, Enum):
    """What a known CA needs, by name: :meth:`Config.set_profile`."""

    EJBCA = "ejbca"
    INSTA = "insta"
    NOKIA_NCM = "nokia-ncm"
    THREE_GPP = "3gpp"
    VAULT = "vault"
    XIPKI = "xipki"
    CRYPTLIB = "cryptlib"
    TRUSTPOINT = "trustpoint"
    OPENSSL_MOCK = "openssl-mock"
    STRICT_RFC9483 = "strict-rfc9483"


class Subject:
    """What a certificate is asked for: names, uses, lifetime. Some name must be there; nothing else need be.

    The name has the form of RFC 4514, such as ``CN=router-7,O=Example``. Key usages and purposes are named as in
    RFC 5280, such as ``digitalSignature`` and ``serverAuth``; purposes also by number. Dates that are not given are left
    to the CA.

    A CA's ``template`` is followed: values that it gives are taken over, places that it leaves empty are filled from here,
    and what it does not have is not asked for; :meth:`changes` tells the difference.

    ``nameless`` asks for no name at all: the CA knows the device by its credential and chooses (3GPP TS 33.310). ``reg_token``
    and ``authenticator`` are texts agreed with the CA (RFC 4211 sections 6.1 and 6.2).
    """

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        dns: Iterable[str] = (),
        ip: Iterable[str] = (),
        uri: Iterable[str] = (),
        email: Iterable[str] = (),
        hardware_modules: Iterable[HardwareModule] = (),
        key_usages: Iterable[str] = (),
        purposes: Iterable[str] = (),
        extensions: Iterable[Extension] = (),
        issuer: Optional[str] = None,
        not_before: Optional[Moment] = None,
        not_after: Optional[Moment] = None,
        template: Optional[Template] = None,
        nameless: bool = False,
        reg_token: Optional[str] = None,
        authenticator: Optional[str] = None,
    ) -> None:
        with used(template, "Template", "template"):
            self.name, self.issuer, self.template = name, issuer, template
        self.nameless = switch(nameless, "nameless")
        self.reg_token, self.authenticator = reg_token, authenticator
        self.dns, self.ip, self.uri, self.email = (texts(names) for names in (dns, ip, uri, email))
        self.key_usages, self.purposes = texts(key_usages), texts(purposes)
        self.hardware_modules = list(hardware_modules)
        self.extensions = list(extensions)
        self.not_before, self.not_after = not_before, not_after

    def __repr__(self) -> str:
        return f"<Subject {self.name or ', '.join(self.dns + self.ip + self.uri + self.email)!r}>"

    def changes(self) -> List[str]:
        """What the template leaves out or replaces, and what it wants and is not given here; a line each."""
        with SubjectHandle._made_by("devid_subject_new") as made:
            return self._fill(made)

    @staticmethod
    def _of(subject: Union[Subject, str, None], what: str) -> SubjectHandle:
        """What C takes of an argument."""
        asked = Subject(subject) if isinstance(subject, str) else subject
        if not isinstance(asked, Subject):
            raise TypeError(f"{what} must be Subject or str, not {type(subject).__name__}")
        return asked._handle()

    def _handle(self) -> SubjectHandle:
        made = SubjectHandle._made_by("devid_subject_new")
        try:
            self._fill(made)
        except BaseException:
            made.close()
            raise
        return made

    def _fill(self, made: SubjectHandle) -> List[str]:
        with made._use() as pointer:
            if self.name is not None:
                call("devid_subject_set_name", pointer, text(self.name, "name"))
            if self.nameless:
                call("devid_subject_set_nameless", pointer)
            if self.reg_token is not None:
                call("devid_subject_add_reg_token", pointer, text(self.reg_token, "reg_token"))
            if self.authenticator is not None:
                call("devid_subject_add_authenticator", pointer, text(self.authenticator, "authenticator"))
            for function, what, values in (
                ("devid_subject_add_dns", "dns", self.dns),
                ("devid_subject_add_ip", "ip", self.ip),
                ("devid_subject_add_uri", "uri", self.uri),
                ("devid_subject_add_email", "email", self.email),
                ("devid_subject_add_key_usage", "key_usages", self.key_usages),
                ("devid_subject_add_purpose", "purposes", self.purposes),
            ):
                for value in values:
                    call(function, pointer, text(value, what))
            for hardware_type, serial_number in self.hardware_modules:
                content = data(serial_number, "a hardware module's serial number")
                name = text(hardware_type, "a hardware module's type")
                call("devid_subject_add_hardware_module", pointer, name, content, len(content))
            for identifier, critical, der in self.extensions:
                content = data(der, "an extension's value")
                name = text(identifier, "an extension's identifier")
                call("devid_subject_add_extension", pointer, name, critical, content, len(content))
            if self.issuer is not None:
                call("devid_subject_set_issuer", pointer, text(self.issuer, "issuer"))
            if self.not_before is not None or self.not_after is not None:
                call("devid_subject_set_validity", pointer, _date(self.not_before), _date(self.not_after))
            if self.template is None:
                return []
            with using(self.template, "Template", "template") as template:
                return bytes_of("devid_subject_apply_template", pointer, template).decode().splitlines()


class SubjectHandle(Handle):
    """A subject on its way through the C face."""

    _type = "devid_subject"


def _date(moment: Optional[Moment]) -> int:
    """0 leaves the date to the CA."""
    return moment_or(moment, "a certificate's first or last second", 0)


class Config(Handle):
    """Settings from which clients are made; a client does not change with them.

    Four sets of anchors are kept apart: who may sign the CA's answers (``cmp_anchors``, not needed where a shared secret
    protects), where issued certificates must lead (``enrolment_anchors``), whom HTTPS servers must lead to
    (``tls_anchors``), and those of a :class:`Trust` for peers. None is filled from anywhere but here; ``anchors`` go into the first
    three.
    """

    _type = "devid_config"
    _server: Optional[str] = None

    def __init__(
        self,
        server: Optional[str] = None,
        *,
        proxy: Optional[str] = None,
        anchors: Optional[Certificates] = None,
        tls_anchors: Optional[Certificates] = None,
        tls_intermediates: Optional[Certificates] = None,
        cmp_anchors: Optional[Certificates] = None,
        enrolment_anchors: Optional[Certificates] = None,
        intermediates: Optional[Certificates] = None,
        implicit_confirm: bool = False,
        max_retries: int = 0,
        recipient: Optional[str] = None,
        cert_profile: Optional[str] = None,
        accept_ca_pubs: bool = False,
        limits: Optional[Mapping[str, int]] = None,
        profile: Optional[str] = None,
        adopt_root: bool = False,
        tolerances: Optional[Mapping[str, bool]] = None,
    ) -> None:
        self._own(self._pointer_from("devid_config_new"))
        if server is not None:
            self.set_server(server)
        if proxy is not None:
            self.set_proxy(proxy)
        if anchors is not None:
            self.add_anchors(anchors)
        if tls_anchors is not None:
            self.add_tls_anchors(tls_anchors)
        if tls_intermediates is not None:
            self.add_tls_intermediates(tls_intermediates)
        if cmp_anchors is not None:
            self.add_cmp_anchors(cmp_anchors)
        if enrolment_anchors is not None:
            self.add_enrolment_anchors(enrolment_anchors)
        if intermediates is not None:
            self.add_intermediates(intermediates)
        self.set_implicit_confirm(implicit_confirm)
        self.set_max_retries(max_retries)
        self.set_recipient(recipient)
        self.set_cert_profile(cert_profile)
        self.set_accept_ca_pubs(accept_ca_pubs)
        for name, limit in (limits or {}).items():
            self.set_limit(name, limit)
        if profile is not None:
            self.set_profile(profile)
        self.set_adopt_root(adopt_root)
        for name, on in (tolerances or {}).items():
            self.set_tolerance(name, on)

    def set_server(self, url: str) -> None:
        """The CMP server; the path is used as it stands. ``https`` needs TLS anchors, ``coap`` goes by UDP."""
        self._set("devid_config_set_server", text(url, "url"))
        # Without a login: it is refused when a client is made, and shown nowhere.
        scheme, separator, rest = url.partition("://")
        host, slash, path = rest.split("?")[0].partition("/")
        self._server = scheme + separator + host.rpartition("@")[2] + slash + path

    def set_proxy(self, url: Optional[str]) -> None:
        """The HTTP proxy, ``http://host:port``; to an ``https`` server it makes a tunnel. The environment is never asked."""
        self._set("devid_config_set_proxy", optional_text(url, "url"))

    def set_proxy_login(self, user: Optional[str], password: Optional[str] = None) -> None:
        """User name and password for the proxy; they are sent to the proxy alone, and shown nowhere."""
        self._set("devid_config_set_proxy_login", optional_text(user, "user"), optional_text(password, "password"))

    def set_http_1_0(self, on: bool) -> None:
        """Speak HTTP/1.0, for servers that know nothing else."""
        self._set("devid_config_set_http_1_0", on)

    def set_coap(self, *, block_bytes: int = 0, ack_millis: int = 0, max_retransmit: int = -1) -> None:
        """For ``coap`` servers: the largest block, the time until the first repetition, how often; 0 and -1 leave it."""
        self._set("devid_config_set_coap", block_bytes, ack_millis, max_retransmit)

    def add_tls_anchors(self, certificates: Certificates) -> None:
        """Anchors of HTTPS servers, PEM or DER. Used for TLS only, and TLS uses no others."""
        self._add_trusted("devid_config_add_tls_anchors", certificates)

    def add_tls_intermediates(self, certificates: Certificates) -> None:
        """Certificates that may stand between an HTTPS server's and an anchor, for servers that do not send them."""
        self._add("devid_config_add_tls_intermediates", certificates)

    def set_tls_credential(self, key: Key, certificates: Certificates) -> None:
        """The certificate to show to HTTPS servers that ask for one; its issuers behind it as far as they are to be sent."""
        with using(key, "Key", "key") as key_pointer, listed(certificates) as chain:
            self._set("devid_config_set_tls_credential", key_pointer, chain)

    def protect_by_mutual_tls(self) -> None:
        """Leave messages without protection of their own: client and server know each other by certificates in TLS.

        For CAs that want it so (HashiCorp Vault). Answers without protection count only if they came over such a
        connection, never by :meth:`Operation.feed` or an exchange of the program.
        """
        self._set("devid_config_set_mutual_tls")

    def set_tls_server_name(self, name: Optional[str]) -> None:
        """The HTTPS server's name, where it is not the URL's host: asked for (SNI) and demanded of its certificate."""
        self._set("devid_config_set_tls_server_name", optional_text(name, "name"))

    def add_tls_pin(self, *, public_key: Optional[BytesLike] = None, certificate: Optional[BytesLike] = None) -> None:
        """A SHA-256 fingerprint; if there are any, one must occur on the HTTPS server's path, besides everything else."""
        if (public_key is None) == (certificate is None):
            raise UsageError("a pin is either of a public key or of a certificate", Code.INVALID_ARGUMENT)
        for kind, pin in ((_abi.DEVID_PIN_PUBLIC_KEY, public_key), (_abi.DEVID_PIN_CERTIFICATE, certificate)):
            if pin is not None:
                content = data(pin, "a fingerprint")
                self._set("devid_config_add_tls_pin", kind, content, len(content))

    def set_tls_min_version(self, version: str) -> None:
        """The oldest version of TLS that is spoken, ``1.2`` or ``1.3``."""
        versions = {"1.2": _abi.DEVID_TLS_1_2, "1.3": _abi.DEVID_TLS_1_3}
        if version not in versions:
            raise UsageError(f"{version!r} is not a version of TLS that is supported", Code.INVALID_ARGUMENT)
        self._set("devid_config_set_tls_min_version", versions[version])

    def set_tls_clock(self, at: Optional[Moment]) -> None:
        """The time at which an HTTPS server must be valid, instead of the system's; None: the device has no clock."""
        clock = _abi.DEVID_CLOCK_NONE if at is None else _abi.DEVID_CLOCK_GIVEN
        self._set("devid_config_set_tls_clock", clock, 0 if at is None else seconds(at, "at"))

    def set_tls_revocation(self, *, demanded: bool, crls: Optional[Material] = None) -> None:
        """Asks about the status of HTTPS servers, in these lists and in what the server staples; nothing is fetched.

        If it is ``demanded``, a server whose status is unknown is refused; else only one that is known to be revoked.
        """
        if crls is not None:
            self._add_file("devid_config_add_tls_crls", crls, "crls")
        mode = _abi.DEVID_REVOCATION_HARD if switch(demanded, "demanded") else _abi.DEVID_REVOCATION_SOFT
        self._set("devid_config_set_tls_revocation", mode)

    def set_timeouts(self, *, connect_seconds: int = 0, read_seconds: int = 0, total_seconds: int = 0) -> None:
        """How long one exchange may take; 0 leaves a limit as it is."""
        self._set("devid_config_set_timeouts", connect_seconds, read_seconds, total_seconds)

    def set_possession(self, possession: str) -> None:
        """How possession is proved of new keys to which something can be encrypted (RFC 9810 section 5.2.8).

        ``encrCert``: the certificate comes encrypted to the new key; ``challengeResp``: a number does, and goes back;
        ``signature``, which is usual, where the key can sign.
        """
        self._set("devid_config_set_possession", text(possession, "possession"))

    def set_max_retries(self, max_retries: int) -> None:
        """How often a message is sent again where the server cannot have seen it."""
        self._set("devid_config_set_max_retries", max_retries)

    def set_secret(self, reference: SecretLike, secret: SecretLike) -> None:
        """Protect requests with a secret shared with the CA; the reference value tells the CA which."""
        who, what = secret_data(reference, "reference"), secret_data(secret, "secret")
        self._set("devid_config_set_secret", who, len(who), what, len(what))

    def set_mac(self, *, pbmac1: bool = False, derivation: str = "SHA256", mac: str = "SHA256", iterations: int = 0) -> None:
        """How the MAC under the shared secret is made; call it after :meth:`set_secret`. 0 iterations mean the default."""
        kind = _abi.DEVID_MAC_PBMAC1 if switch(pbmac1, "pbmac1") else _abi.DEVID_MAC_PASSWORD_BASED
        rounds = UINT32.check(iterations, "iterations") or (100_000 if pbmac1 else 10_000)
        self._set("devid_config_set_mac", kind, text(derivation, "derivation"), text(mac, "mac"), rounds)

    def set_credential(self, key: Key, certificates: Certificates) -> None:
        """Protect requests with the key of a certificate: the supplier's (IDevID), or one issued before.

        The certificate comes first, then its issuers as far as they are to be sent.
        """
        with using(key, "Key", "key") as key_pointer, listed(certificates) as chain:
            self._set("devid_config_set_credential", key_pointer, chain)

    def set_protection_algorithm(self, algorithm: str) -> None:
        """The signature algorithm of the protection, such as ``RSA-PSS-SHA256``; call it after :meth:`set_credential`."""
        self._set("devid_config_set_protection_algorithm", text(algorithm, "algorithm"))

    def add_anchors(self, certificates: Certificates) -> None:
        """Anchors of every set, PEM or DER: of signers, issued certificates and HTTPS servers. For a PKI with one root for all; whoever
        signs answers must still be entitled to: :meth:`set_signer`."""
        self._add_trusted("devid_config_add_anchors", certificates)

    def add_cmp_anchors(self, certificates: Certificates) -> None:
        """Anchors under which signers of answers must stand, PEM or DER."""
        self._add_trusted("devid_config_add_cmp_anchors", certificates)

    def add_enrolment_anchors(self, certificates: Certificates) -> None:
        """Anchors to which issued certificates must lead, PEM or DER."""
        self._add_trusted("devid_config_add_enrolment_anchors", certificates)

    def add_root_fingerprint(self, fingerprint: str) -> None:
        """A root that is known by its SHA-256 alone: an anchor as soon as it comes with an answer, and no other need be set.

        The chain's last certificate is that root, to be kept as the anchor.
        """
        self._set("devid_config_add_root_fingerprint", text(fingerprint, "fingerprint"))

    def add_intermediates(self, certificates: Certificates) -> None:
        """Certificates that may stand between others and an anchor, PEM or DER. They are not trusted."""
        self._add("devid_config_add_intermediates", certificates)

    def set_recipient(self, name: Optional[str]) -> None:
        """Names the CA or RA that requests are addressed to."""
        self._set("devid_config_set_recipient", optional_text(name, "name"))

    def set_signer(
        self, *, cmc_purpose: bool = False, subject: Optional[str] = None, any_under_anchors: bool = False
    ) -> None:
        """Which signers with a path to the CMP anchors may sign answers.

        Without a call: a CMP anchor itself, a certificate with the purpose cmcCA or cmcRA, or a CA certificate of the path
        that issues the device's certificates. What is said adds up, over calls and with `pin_signers`: the purpose cmcCA
        or cmcRA, this subject. `any_under_anchors` believes everyone under the CMP anchors, every device among them: only
        for anchors that exist for CMP alone.
        """
        by_purpose, by_anyone = switch(cmc_purpose, "cmc_purpose"), switch(any_under_anchors, "any_under_anchors")
        if not by_purpose and subject is None and not by_anyone:
            raise UsageError(
                "set_signer() says nothing: name cmc_purpose, subject or any_under_anchors", Code.INVALID_ARGUMENT
            )
        if by_anyone:
            self._set("devid_config_set_signer", _abi.DEVID_SIGNER_ANY, None)
        if by_purpose:
            self._set("devid_config_set_signer", _abi.DEVID_SIGNER_CMC, None)
        if subject is not None:
            self._set("devid_config_set_signer", _abi.DEVID_SIGNER_SUBJECT, optional_text(subject, "subject"))

    def pin_signers(self, certificates: Certificates) -> None:
        """Only these certificates, PEM or DER, may sign answers: an RA's, known beforehand. Further calls add some.

        They still need a valid path to the CMP anchors; one that has none is added to the anchors as well.
        """
        self._add_trusted("devid_config_add_signer_pins", certificates)

    def set_implicit_confirm(self, on: bool) -> None:
        """Ask the CA to do without a confirmation of the issued certificate. It need not agree."""
        self._set("devid_config_set_implicit_confirm", on)

    def set_cert_profile(self, profile: Optional[str]) -> None:
        """The certificate profile that the CA is asked for."""
        self._set("devid_config_set_cert_profile", optional_text(profile, "profile"))

    def set_accept_ca_pubs(self, on: bool) -> None:
        """Take the anchors that the CA sends as anchors of the issued certificate; only ever under a shared secret."""
        self._set("devid_config_set_accept_ca_pubs", on)

    def set_clock_skew(self, seconds: int) -> None:
        """How far two clocks may be apart that are both right, wherever they meet (300). Nothing that has expired lives
        longer by it."""
        self._set("devid_config_set_clock_skew", seconds)

    def set_acceptance(self, policy: str) -> None:
        """Who decides on a certificate that is not what was asked for, where no function does: ``exact``,
        ``same-or-added`` (the default), ``any-order`` or ``anything-but-the-key``."""
        self._set("devid_config_set_acceptance", text(policy, "policy"))

    def set_renew_with_uses(self, on: bool) -> None:
        """Whether a key update asks for the usages, purposes and policies of the old certificate too."""
        self._set("devid_config_set_renew_with_uses", on)

    def set_time_window(self, seconds: Optional[int]) -> None:
        """How far the time in an answer may lie from the present; None: not looked at, for devices without a clock."""
        self._set("devid_config_set_time_window", unless_none(seconds, "seconds", -1))

    def set_message_time(self, on: bool) -> None:
        """Whether requests say when they were made; off for devices without a clock: a wrong time is worse than none."""
        self._set("devid_config_set_message_time", on)

    def add_general_info(self, identifier: str, value: BytesLike = b"") -> None:
        """Adds a field to generalInfo of requests, such as a vendor's: identifier in dotted form, value in DER or empty."""
        content = data(value, "value")
        self._set("devid_config_add_general_info", text(identifier, "identifier"), content, len(content))

    def set_signer_revocation(
        self, mode: Revocation, *, scope: Scope = Scope.CHAIN, prefer: Prefer = Prefer.OCSP
    ) -> None:
        """Whether certificates that sign answers are checked for revocation, with the data given here and what
        :meth:`use_signer_fetcher` has fetched."""
        self._set("devid_config_set_signer_revocation", mode, scope, prefer)

    def use_signer_fetcher(self, fetcher: Fetcher) -> None:
        """Gets status data about certificates that sign answers by the URLs in them, as this fetcher does for peers.

        Its sources, limits, hosts and memory are taken over, not a fetch function of its own; the way is that of these
        settings. :meth:`set_signer_revocation` says whether the status is asked for, and what follows where there is none.
        Who is known as revoked in the fetcher's memory is refused in every case, also by steps.
        """
        with using(fetcher, "Fetcher", "fetcher") as pointer:
            self._set("devid_config_set_signer_fetcher", pointer)

    def require_signer_policy(self, identifier: str) -> None:
        """Demands a certificate policy, in dotted form, of who signs answers; of several, one is enough."""
        self._set("devid_config_require_signer_policy", text(identifier, "identifier"))

    def set_signer_status_age(
        self, *, max_age_seconds: Optional[int] = None, grace_seconds: int = 0, skew_seconds: int = 0
    ) -> None:
        """How old status data about signers may be; None: until its nextUpdate. Grace: how long after that."""
        age = unless_none(max_age_seconds, "max_age_seconds", -1)
        self._set("devid_config_set_signer_status_age", age, grace_seconds, skew_seconds)

    def add_signer_crls(self, crls: Material) -> None:
        """CRLs about signers of answers and the CAs above them, PEM or DER."""
        self._add_file("devid_config_add_signer_crls", crls, "crls")

    def add_signer_ocsp(self, response: Material) -> None:
        """An OCSP response about a signer of answers, DER."""
        self._add_file("devid_config_add_signer_ocsp", response, "response")

    def use_signer_store(self, store: Store) -> None:
        """Asks device memory about signers of answers and TLS servers: who was revoked, its CRLs, the highest CRL numbers.

        What is bound to a device memory asks that by itself: ``install_into``, ``resume``, :class:`Renewal`.
        """
        with using(store, "Store", "store") as memory:
            self._set("devid_config_set_signer_store", memory)

    def set_limit(self, name: str, value: int) -> None:
        """A limit on what a server may make the client do, such as ``max_polls`` or ``max_message_bytes``."""
        self._set("devid_config_set_limit", text(name, "name"), value)

    def set_profile(self, name: str) -> None:
        """What a known CA needs: ``ejbca``, ``insta``, ``nokia-ncm``, ``3gpp``, ``vault``, ``openssl-mock``, ``strict-rfc9483``.

        Replaces the tolerances set so far; what is set later holds on top.
        """
        self._set("devid_config_set_profile", text(name, "name"))

    def set_adopt_root(self, on: bool) -> None:
        """Believe a root that comes with ip where no configured anchor does (3GPP TS 33.310 section 9.5.4.3).

        The device then believes whoever answers first: only for networks where nobody else can, or over TLS.
        """
        self._set("devid_config_set_adopt_root", on)

    def set_tolerance(self, name: str, on: bool) -> None:
        """Puts up with one deviation of a server, such as ``unprotected_errors``; none makes a forged answer a success."""
        self._set("devid_config_set_tolerance", text(name, "name"), on)

    def set_logger(self, logger: Optional[logging.Logger]) -> None:
        """Tells a logger what happens in operations; no secrets are logged."""
        if logger is None:
            self._set("devid_config_set_log", _abi.devid_log_fn(), None, _abi.devid_destroy_fn())
        else:
            self._set("devid_config_set_log", _LOG, TOKENS.put(logger), DESTROY)

    def _set(self, function: str, *values: object) -> None:
        with self._use() as pointer:
            call(function, pointer, *values)

    def _add(self, function: str, certificates: Certificates) -> None:
        content = encoded(certificates, "certificates")
        self._set(function, content, len(content))

    def _add_trusted(self, function: str, certificates: Certificates) -> None:
        content = encoded(certificates, "certificates", trusted=True)
        self._set(function, content, len(content))

    def _add_file(self, function: str, file: Material, what: str) -> None:
        content = material(file, what)
        self._set(function, content, len(content))

    def _about(self) -> str:
        return f"for {self._server or 'no server'}"


def _on_log(user: Optional[int], level: int, message: bytes) -> None:
    try:
        logger: logging.Logger = TOKENS.at(user)
        words = {_abi.DEVID_LOG_ERROR: logging.ERROR, _abi.DEVID_LOG_WARNING: logging.WARNING}
        relayed(logger.log, words.get(level, logging.INFO), "%s", text_of(message))
    except Exception:  # noqa: S110 (a log that fails must not end an enrolment)
        pass
    except BaseException as exception:
        keep(exception)


_LOG = _abi.devid_log_fn(_on_log)
