"""PKCS#12 (RFC 7292): key and certificates in one file under a password."""

from __future__ import annotations

from ctypes import POINTER, byref
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

from . import _abi
from ._call import Material, bytes_of, call, material, optional_text, text
from ._handle import using
from .certificate import Certificate, CertificateList, listed
from .key import Key


@dataclass(frozen=True)
class Pkcs12:
    """What a PKCS#12 file held. Nothing in it is trusted: validate the certificate before use."""

    key: Optional[Key]
    """The first private key that a certificate in the file is for; None if there is none."""
    certificate: Optional[Certificate]
    """The certificate of that key."""
    others: Tuple[Certificate, ...]
    """All other certificates, in their order."""


def read_pkcs12(content: Material, password: str) -> Pkcs12:
    """Opens a PKCS#12 file.

    Raises :class:`CryptoError` (``WRONG_SECRET``) for a wrong password, and :class:`InputError` (``CORRUPT``) where the
    password is right and the file was changed.
    """
    file, secret = material(content, "content"), text(password, "password")
    key, certificate = POINTER(_abi.devid_key)(), POINTER(_abi.devid_cert)()
    others = POINTER(_abi.devid_cert_list)()
    call("devid_pkcs12_read", file, len(file), secret, len(secret), byref(key), byref(certificate), byref(others))
    with CertificateList._adopt(others) as rest:
        return Pkcs12(
            Key._adopt(key) if key else None,
            Certificate._adopt(certificate) if certificate else None,
            tuple(rest.certificates()),
        )


def write_pkcs12(
    key: Key,
    certificate: Certificate,
    issuers: Sequence[Certificate] = (),
    *,
    password: str,
    name: Optional[str] = None,
    mac: str = "HMAC",
    iterations: int = 0,
    scrypt: int = 0,
) -> bytes:
    """Writes a PKCS#12 file with PBES2, AES-256 and SHA-256.

    ``issuers`` are the certificates above, nearest first; its own before them is passed over. ``name`` is what software shows people; ``mac`` is ``HMAC``, which everyone reads, or ``PBMAC1`` (RFC 9579); 0
    iterations mean the library's default. ``scrypt`` takes that in the place of PBKDF2 for key and certificates: its cost, a power of
    two, so many KiB of memory, of which OpenSSL reads 16384 by itself; 0: PBKDF2.
    """
    secret = text(password, "password")
    with using(key, "Key", "key") as private, using(certificate, "Certificate", "certificate") as leaf, listed(issuers) as above:
        return bytes_of(
            "devid_pkcs12_write",
            private,
            leaf,
            above,
            optional_text(name, "name"),
            secret,
            len(secret),
            text(mac, "mac"),
            iterations,
            scrypt,
        )
