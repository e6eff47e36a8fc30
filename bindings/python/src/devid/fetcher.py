"""Validation that fetches: status data and missing issuers by the URLs in certificates, kept in device memory."""

from __future__ import annotations

import contextlib
from ctypes import string_at
from enum import IntEnum
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Optional

from . import _abi
from ._blocking import Cancel, beside, switch_for
from ._abi import Code
from ._call import DESTROY, TOKENS, BytesLike, Moment, append, call, guarded, optional_text, seconds, text, text_of, texts
from ._handle import Handle, used, using
from .certificate import Certificate, CertificateList, Certificates, listed
from .config import Config
from .errors import Error, InputError, UsageError
from .store import Store
from .validation import Peer, Report, Sent, Validator, _Outcome, _run, _verdict

Fetch = Callable[[str, Optional[bytes], int], BytesLike]
"""Gets a document: ``fetch(url, request, max_len)``; ``request`` is an OCSP request to POST, None means GET. An ``OSError``
means that it is not there; anything else that is raised ends the validation."""


class Nonce(IntEnum):
    """The nonce in OCSP requests."""

    REQUIRED = 1
    """Sent; a response without it is refused."""
    TOLERATED = 2
    """Sent; a response without any is taken by its own times."""
    UNUSED = 3
    """Not sent: for responders of pre-signed responses."""


def _is_readable(certificates: Certificates) -> bool:
    """Whether there is a certificate in it."""
    try:
        with listed(certificates):
            return True
    except InputError:
        return False


class Fetcher(Handle):
    """Fetches what a validation lacks and keeps what was verified until its nextUpdate. One for many validations.

    URLs in certificates are chosen by strangers: nobody is asked about a path whose signatures do not hold, and everything
    has a limit (:meth:`set_limit`).
    """

    _type = "devid_fetcher"
    _is_closed_at_exit = True

    def __init__(
        self,
        store: Optional[Store] = None,
        *,
        ocsp: bool = True,
        crls: bool = True,
        issuers: bool = False,
        nonce: Nonce = Nonce.REQUIRED,
        ocsp_by_get: bool = False,
        ocsp_digest: str = "SHA1",
        hosts: Optional[Iterable[str]] = None,
        certificate_store: Optional[str] = None,
        directory: Optional[str] = None,
        fetch: Optional[Fetch] = None,
        schemes: str = "ldap",
        network: Optional[Config] = None,
        limits: Optional[Mapping[str, int]] = None,
    ) -> None:
        """``store`` keeps documents and the highest CRL numbers over restarts. ``hosts``: only these are asked.
        ``issuers``: missing issuers are fetched by caIssuers. ``certificate_store``: the URL of an HTTP certificate store
        (RFC 4387) that is asked for them first. ``directory``: host and perhaps port of the directory that ``ldap:`` URLs without
        a host mean (AD CS). ``fetch`` serves URLs of ``schemes``, such as ``"http,https,file"``. ``network``:
        servers are asked through the proxy of these settings, and by ``https`` with their TLS anchors; without, no ``https`` URL
        is asked. ``limits``: see :meth:`set_limit`."""
        with used(store, "Store", "store") as memory:
            self._own(self._pointer_from("devid_fetcher_new", memory))
        self._set("devid_fetcher_set_sources", ocsp, crls, issuers)
        self._set("devid_fetcher_set_ocsp", nonce, ocsp_by_get, text(ocsp_digest, "ocsp_digest"))
        allowed = texts(() if hosts is None else hosts)
        if hosts is not None and not allowed:
            raise UsageError("hosts is empty, which would allow none; None allows all", Code.INVALID_ARGUMENT)
        for host in allowed:
            self._set("devid_fetcher_add_allowed_host", text(host, "hosts"))
        self._set("devid_fetcher_set_certificate_store", optional_text(certificate_store, "certificate_store"))
        self._set("devid_fetcher_set_directory", optional_text(directory, "directory"))
        if fetch is not None:
            self._set("devid_fetcher_set_fetch", text(schemes, "schemes"), _FETCH, TOKENS.put(fetch), DESTROY)
        if network is not None:
            self.set_network(network)
        for name, limit in (limits or {}).items():
            self.set_limit(name, limit)

    def set_network(self, network: Optional[Config]) -> None:
        """Goes to servers as a client of these settings does: by their proxy and TLS settings. None: straight, without https."""
        with used(network, "Config", "network") as settings:
            self._set("devid_fetcher_set_network", settings)

    def set_limit(self, name: str, value: int) -> None:
        """One limit, such as ``total_timeout_seconds`` (30) or ``max_crl_bytes``; all are listed at
        devid_fetcher_set_limit()."""
        self._set("devid_fetcher_set_limit", text(name, "name"), value)

    def validate(
        self, validator: Validator, certificate: Sent, at: Moment, *, cancel: Optional[Cancel] = None
    ) -> Peer:
        """As :meth:`Validator.validate`, with what is missing fetched. Blocks, for ``total_timeout_seconds`` at most.

        The peer is refused at once when newer status data that is kept revokes it. When ``cancel`` is triggered, what was not
        fetched counts as not there; when the handler of a signal raises, that is raised.
        """
        return _verdict(*self._validate(validator, certificate, at, cancel, with_peer=True))

    def examine(
        self, validator: Validator, certificate: Sent, at: Moment, *, cancel: Optional[Cancel] = None
    ) -> Report:
        """As :meth:`validate`: the report, whatever it says."""
        report, _, _ = self._validate(validator, certificate, at, cancel, with_peer=False)
        return report

    def look_up(
        self,
        store_url: str,
        *,
        uri: Optional[str] = None,
        name: Optional[str] = None,
        cancel: Optional[Cancel] = None,
    ) -> List[Certificate]:
        """Certificates in an HTTP certificate store (RFC 4387) by a host name, address or mailbox, or by common name. They
        are as unproven as what a peer sends."""
        if (uri is None) == (name is None):
            raise TypeError("say either uri or name")
        attribute, value = ("uri", uri) if uri is not None else ("name", name)
        question = text(store_url, "store_url"), text(attribute, "attribute"), text(value or "", attribute)
        with self._use() as fetcher, self._ended_by(fetcher, cancel) as switch:
            found = beside(
                lambda: CertificateList._made_by("devid_fetcher_look_up", fetcher, *question), switch.trigger
            )
            with found:
                return found.certificates()

    def _validate(
        self, validator: Validator, certificate: Sent, at: Moment, cancel: Optional[Cancel], *, with_peer: bool
    ) -> _Outcome:
        moment = seconds(at, "at")
        with self._use() as fetcher, using(validator, "Validator", "validator") as checks, self._ended_by(fetcher, cancel) as switch:
            if isinstance(certificate, Certificate):
                with using(certificate, "Certificate", "certificate") as cert:
                    arguments = "devid_fetcher_validate", fetcher, checks, cert, moment
                    return beside(lambda: _run(*arguments, with_peer=with_peer), switch.trigger)
            if not _is_readable(certificate):
                # There is nothing to fetch for it: the report says why.
                return validator._validate(certificate, at, with_peer=with_peer)
            with listed(certificate) as sent:
                arguments = "devid_fetcher_validate_sent", fetcher, checks, sent, moment
                return beside(lambda: _run(*arguments, with_peer=with_peer), switch.trigger)

    @contextlib.contextmanager
    def _ended_by(self, fetcher: Any, cancel: Optional[Cancel]) -> Iterator[Cancel]:
        with switch_for(cancel) as switch:
            with switch._use() as pointer:
                call("devid_fetcher_set_cancel", fetcher, pointer)
            try:
                yield switch
            finally:
                with contextlib.suppress(Error):
                    call("devid_fetcher_set_cancel", fetcher, None)

    def _set(self, function: str, *values: Any) -> None:
        with self._use() as fetcher:
            call(function, fetcher, *values)


_NOT_THERE = -10_000


@guarded
def _on_fetch(user: Optional[int], url: bytes, request: Any, request_len: int, max_len: int, document: Any) -> int:
    asked = string_at(request, request_len) if request else None
    program: Fetch = TOKENS.at(user)
    try:
        found = program(text_of(url), asked, max_len)
    except OSError:
        return _NOT_THERE
    append(document, found, "what fetch answers")
    return 0


_FETCH = _abi.devid_fetch_fn(_on_fetch)
