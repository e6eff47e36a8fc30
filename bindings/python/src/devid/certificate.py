"""Certificates as they came. Nothing in them is checked or to be believed before :meth:`devid.Validator.validate`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable as IterableABC
from datetime import datetime
from enum import IntEnum
from typing import Any, Iterable, Iterator, List, Union

from ._call import Material, borrowed, bytes_of, call, material, moment_of, text_of
from ._handle import Handle
from ._library import library


class UrlKind(IntEnum):
    """What a URL in a certificate leads to."""

    CRL = 1
    """The CRL that the certificate would be on."""
    OCSP = 2
    """Who answers about its status."""
    CA_ISSUERS = 3
    """Its issuer's certificate."""


class Certificate(Handle):
    """An X.509 certificate, byte for byte as it came. Never changes; may be used by several threads."""

    _type = "devid_cert"
    _is_shared = True
    _made_with = "Certificate.parse() and load_certificates()"

    @classmethod
    def parse(cls, certificate: Material) -> Certificate:
        """Reads one certificate, DER or PEM. There is no way from it to its public key but a validation."""
        content = material(certificate, "certificate")
        return cls._made_by("devid_cert_parse", content, len(content))

    @property
    def der(self) -> bytes:
        """The bytes as they came."""
        with self._use() as pointer:
            return borrowed("devid_cert_der", pointer) or b""

    @property
    def pem(self) -> str:
        """As PEM text."""
        with self._use() as pointer:
            return bytes_of("devid_cert_pem", pointer).decode("ascii")

    @property
    def subject(self) -> str:
        """The subject in the form of RFC 4514. For people: different names can look the same."""
        with self._use() as pointer:
            return text_of(library().devid_cert_subject(pointer))

    @property
    def issuer(self) -> str:
        """The issuer in the form of RFC 4514."""
        with self._use() as pointer:
            return text_of(library().devid_cert_issuer(pointer))

    @property
    def names(self) -> List[str]:
        """Its subjectAltNames for people, such as ``DNS:router-7.example``. To check a peer's name, tell a :class:`Validator`."""
        with self._use() as pointer:
            lib = library()
            count = lib.devid_cert_name_count(pointer)
            return [text_of(lib.devid_cert_name(pointer, index)) for index in range(count)]

    def urls(self, kind: UrlKind) -> List[str]:
        """URLs in it, in their order. Chosen by whoever issued it: see :func:`fetch`."""
        with self._use() as pointer:
            lib = library()
            found: List[str] = []
            while (url := lib.devid_cert_url(pointer, kind, len(found))) is not None:
                found.append(text_of(url))
            return found

    @property
    def serial(self) -> str:
        """The serial number's bytes in lower-case hexadecimal digits; a negative one as its magnitude behind a minus sign."""
        with self._use() as pointer:
            return text_of(library().devid_cert_serial(pointer))

    @property
    def not_before(self) -> datetime:
        """The first second of validity, UTC."""
        with self._use() as pointer:
            return moment_of(library().devid_cert_not_before(pointer))

    @property
    def not_after(self) -> datetime:
        """The last second of validity, UTC, inclusive; the end of the year 9999 means "no well-defined end"."""
        with self._use() as pointer:
            return moment_of(library().devid_cert_not_after(pointer))

    def __eq__(self, other: object) -> bool:
        return self.der == other.der if isinstance(other, Certificate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.der)

    def _about(self) -> str:
        return f"{self.subject!r}, serial {self.serial}"


Certificates = Union[Material, Certificate, Iterable[Union[Certificate, Material]]]
"""Wherever several certificates are wanted: PEM or DER, the path of a file, a certificate, or several of these."""


def load_certificates(pem_or_der: Material) -> List[Certificate]:
    """All certificates of a PEM or PKCS#7 file in its order, each once, other blocks skipped; or the one of a DER file."""
    with CertificateList.of(pem_or_der) as found:
        return found.certificates()


_ONE = (bytes, bytearray, memoryview, str, os.PathLike, Certificate)
"""What is not several, though some of it could be gone through one by one."""


class CertificateList(Handle):
    """Certificates on their way through the C face; Python programs use lists."""

    _type = "devid_cert_list"

    @classmethod
    def of(cls, certificates: Certificates, *, trusted: bool = False) -> CertificateList:
        """Makes one of whatever a program has; ``trusted``: of what is read, those that may be trust anchors."""
        if not isinstance(certificates, (*_ONE, IterableABC)):
            words = "PEM, DER, a pathlib.Path, Certificate or several of these"
            raise TypeError(f"certificates must be {words}, not {type(certificates).__name__}")
        made = cls._made_by("devid_cert_list_new")
        add = "devid_cert_list_add_anchors" if trusted else "devid_cert_list_add_bytes"
        try:
            with made._use() as pointer:
                for one in [certificates] if isinstance(certificates, _ONE) else certificates:
                    if isinstance(one, Certificate):
                        with one._use() as element:
                            call("devid_cert_list_add", pointer, element)
                    else:
                        content = material(one, "certificates: each of them")
                        call(add, pointer, content, len(content))
        except BaseException:
            made.close()
            raise
        return made

    def certificates(self) -> List[Certificate]:
        """As a list of objects of their own."""
        with self._use() as pointer:
            count = library().devid_cert_list_count(pointer)
            return [Certificate._made_by("devid_cert_list_at", pointer, index) for index in range(count)]


def encoded(certificates: Certificates, what: str, *, trusted: bool = False) -> bytes:
    """Certificates as one run of bytes, for functions that read files; ``trusted``: for those that read trust anchors."""
    if isinstance(certificates, _ONE) and not isinstance(certificates, Certificate):
        return material(certificates, what)
    with CertificateList.of(certificates, trusted=trusted) as made, made._use() as pointer:
        return bytes_of("devid_cert_list_pem", pointer)


@contextlib.contextmanager
def listed(certificates: Certificates, *, trusted: bool = False) -> Iterator[Any]:
    """The pointer of a list for the time of a call; ``trusted``: of trust anchors."""
    with CertificateList.of(certificates, trusted=trusted) as made, made._use() as pointer:
        yield pointer
