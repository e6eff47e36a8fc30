"""Private keys: made here, loaded, or living elsewhere."""

from __future__ import annotations

from ctypes import string_at
from dataclasses import dataclass
from typing import Any, Callable, Optional

from . import _abi
from ._abi import Code
from ._call import (
    DESTROY,
    TOKENS,
    BytesLike,
    Material,
    SecretLike,
    append,
    bytes_of,
    call,
    data,
    guarded,
    material,
    optional_text,
    secret_data,
    text,
    text_of,
)
from ._handle import Handle, used
from ._integers import switch
from ._library import library
from .certificate import Certificate
from .errors import CryptoError


@dataclass(frozen=True)
class PinRequest:
    """For which token a PIN is asked."""

    token: str
    """The token's label."""
    serial: str
    """Its serial number."""
    is_final_try: bool  # never set: no PIN is asked for where one more wrong one would lock the token
    """One more wrong PIN locks the token."""


Sign = Callable[[str, bytes], bytes]
"""Signs a whole message: ``sign(algorithm, message)`` answers the signature, ECDSA as DER Ecdsa-Sig-Value.

Algorithms: ``RSA-PKCS1-SHA256``, ``RSA-PSS-SHA256``, ``ECDSA-SHA256``, ``Ed25519`` and the same with other digests.
"""

Decrypt = Callable[[str, bytes], bytes]
"""Decrypts with an RSA key: ``decrypt(scheme, ciphertext)``; ``RSA-OAEP-SHA256``, ``RSA-OAEP-SHA256-MGF1-SHA1``, ``RSA-PKCS1``, the same with other
digests. A :class:`CryptoError` with ``DECRYPT`` says that the key has answered, and does not open this; whatever else is raised, that it could
not be asked: then an operation asks again when it is run or stepped again, and says nothing to the CA."""

Agree = Callable[[bytes], bytes]
"""Agrees on a secret with an EC or X25519 key: ``agree(point)`` with the other side's point (04, x and y) answers x of the common one.
What it raises is as for :data:`Decrypt`."""

Pin = Callable[[PinRequest], str]
"""Gives the PIN of a token."""


@dataclass(frozen=True)
class _Elsewhere:
    """What a key does that lives elsewhere."""

    sign: Sign
    decrypt: Optional[Decrypt]
    agree: Optional[Agree]


class Key(Handle):
    """A private key, wherever it lives. Never changes; may be used by several threads."""

    _type = "devid_key"
    _is_shared = True

    @classmethod
    def generate(cls, kind: str = "P-256") -> Key:
        """A new key pair: ``P-256``, ``P-384``, ``P-521``, ``RSA-2048``, ``RSA-3072``, ``RSA-4096``, ``Ed25519``."""
        return cls._made_by("devid_key_generate", text(kind, "kind"))

    @classmethod
    def load(cls, key: Material, password: Optional[SecretLike] = None) -> Key:
        """Reads PKCS#8, encrypted PKCS#8, PKCS#1 or SEC 1, PEM or DER.

        Raises :class:`CryptoError` (``WRONG_SECRET``) if the password is missing or wrong.
        """
        content = material(key, "key")
        secret = None if password is None else secret_data(password, "password")
        return cls._made_by("devid_key_load", content, len(content), secret, len(secret or b""))

    @classmethod
    def external(
        cls, public_key: BytesLike, sign: Sign, *, decrypt: Optional[Decrypt] = None, agree: Optional[Agree] = None
    ) -> Key:
        """A key that lives elsewhere (HSM, TPM): each signature is asked from ``sign``, in the thread that uses the key.

        ``public_key`` is its SubjectPublicKeyInfo, DER. What ``sign`` raises comes out of the call that needed the signature. With ``decrypt``
        (RSA) or ``agree`` (EC, X25519) it also opens what is encrypted to it: keys that the CA's side made, challenges, :meth:`decrypt`.
        """
        for name, function in (("sign", sign), ("decrypt", decrypt), ("agree", agree)):
            if not callable(function) and (name == "sign" or function is not None):
                raise TypeError(f"{name} must be callable, not {type(function).__name__}")
        spki = data(public_key, "public_key")
        token = TOKENS.put(_Elsewhere(sign, decrypt, agree))
        opens = _DECRYPT if decrypt else _abi.devid_decrypt_fn(), _AGREE if agree else _abi.devid_agree_fn()
        return cls._made_by("devid_key_from_callbacks", spki, len(spki), _SIGN, *opens, token, DESTROY)

    @staticmethod
    def ecdsa_der(numbers: BytesLike) -> bytes:
        """An ECDSA signature (Ecdsa-Sig-Value, DER) from r and s in a row, as secure elements and tokens give them."""
        content = data(numbers, "numbers")
        return bytes_of("devid_key_ecdsa_der", content, len(content))

    @staticmethod
    def ec_public(kind: str, point: BytesLike) -> bytes:
        """SubjectPublicKeyInfo, DER, of a key on ``P-256``, ``P-384`` or ``P-521`` from the point that a secure element or a token gives:
        04, x and y; x and y alone; or the former in an OCTET STRING (``CKA_EC_POINT``)."""
        content = data(point, "point")
        return bytes_of("devid_key_ec_public", text(kind, "kind"), content, len(content))

    @classmethod
    def deferred(cls, public_key: BytesLike) -> Key:
        """A key that lives elsewhere and is asked by stepping: operations answer :attr:`Action.SIGN` when it is to sign.

        ``public_key`` is its SubjectPublicKeyInfo, DER.
        """
        spki = data(public_key, "public_key")
        return cls._made_by("devid_key_deferred", spki, len(spki))

    @classmethod
    def open_pkcs11(cls, uri: str, pin: Pin, *, module: Optional[str] = None) -> Key:
        """A key in a PKCS#11 token, named by its URI (RFC 7512), such as ``pkcs11:token=device;object=idevid``.

        ``module`` is the path of the token's library, which is loaded into this process; without it the URI's
        ``module-path``. ``pin`` is called when the token wants a login. Raises :class:`UsageError` (``UNSUPPORTED``) if the
        library was built without it: see :func:`supports`.
        """
        return cls._in_token("devid_key_open_pkcs11", pin, optional_text(module, "module"), text(uri, "uri"))

    @classmethod
    def generate_pkcs11(cls, uri: str, pin: Pin, kind: str = "P-256", *, module: Optional[str] = None) -> Key:
        """A new key pair in a token. The URI names the token and, by ``object``, the key to be."""
        where = optional_text(module, "module"), text(uri, "uri")
        return cls._in_token("devid_key_generate_pkcs11", pin, *where, text(kind, "kind"))

    @classmethod
    def _in_token(cls, function: str, pin: Pin, *where: Optional[bytes]) -> Key:
        if not callable(pin):
            raise TypeError(f"pin must be callable, not {type(pin).__name__}")
        return cls._made_by(function, *where, PIN, TOKENS.put(pin), DESTROY)

    @staticmethod
    def destroy_pkcs11(uri: str, pin: Pin, *, module: Optional[str] = None) -> None:
        """Destroys a private key in a token, and its public half."""
        token = TOKENS.put(pin)
        try:
            call("devid_key_destroy_pkcs11", optional_text(module, "module"), text(uri, "uri"), PIN, token)
        finally:
            TOKENS.drop(token)

    @property
    def reference(self) -> str:
        """By what words a key that cannot leave its home is found again: the URI of one in a token. Empty for others."""
        with self._use() as pointer:
            return text_of(library().devid_key_reference(pointer))

    @property
    def kind(self) -> str:
        """Type and size, such as ``P-256`` or ``RSA-2048``."""
        with self._use() as pointer:
            return text_of(library().devid_key_kind(pointer))

    @property
    def public_key(self) -> bytes:
        """The public half: SubjectPublicKeyInfo, DER."""
        with self._use() as pointer:
            return bytes_of("devid_key_public", pointer)

    def export(self, *, der: bool = False) -> bytes:
        """The private key unencrypted, PKCS#8. For a key that leaves memory :meth:`export_encrypted` is the better choice."""
        with self._use() as pointer:
            return bytes_of("devid_key_export_plain", pointer, _form(der))

    def export_encrypted(
        self, password: SecretLike, *, iterations: int = 0, scrypt: Optional[int] = None, der: bool = False
    ) -> bytes:
        """The private key encrypted with a password (PBES2, AES-256); 0 iterations mean the library's default.

        ``scrypt`` takes that in the place of PBKDF2: its cost, a power of two, so many KiB of memory; 0 means
        16384, the most that OpenSSL reads by itself.
        """
        secret = secret_data(password, "password")
        with self._use() as pointer:
            if scrypt is not None:
                return bytes_of("devid_key_export_scrypt", pointer, secret, len(secret), scrypt, _form(der))
            return bytes_of("devid_key_export_encrypted", pointer, secret, len(secret), iterations, _form(der))

    def sign(self, message: BytesLike, algorithm: Optional[str] = None) -> bytes:
        """Signs a message; the algorithm as in :data:`Sign`, or the key's usual one."""
        content = data(message, "message")
        with self._use() as pointer:
            name = optional_text(algorithm, "algorithm")
            return bytes_of("devid_key_sign", pointer, name, content, len(content))

    def decrypt(self, cms: Material, certificate: Optional[Certificate] = None) -> bytes:
        """Opens what was encrypted for this key: CMS (RFC 5652), as :meth:`Peer.encrypt` makes it.

        Recipients that are not named by ``certificate`` are passed over; without it every one of the key's type is tried.
        """
        content = material(cms, "cms")
        with self._use() as pointer, used(certificate, "Certificate", "certificate") as cert:
            return bytes_of("devid_key_decrypt", pointer, cert, content, len(content))

    def _about(self) -> str:
        return self.kind


def _form(der: bool) -> int:
    return _abi.DEVID_FORM_DER if switch(der, "der") else _abi.DEVID_FORM_PEM


@guarded
def _on_sign(user: Optional[int], algorithm: bytes, message: Any, message_len: int, signature: Any) -> int:
    key: _Elsewhere = TOKENS.at(user)
    content = string_at(message, message_len) if message_len else b""
    append(signature, key.sign(text_of(algorithm), content), "signature")
    return 0


def _opened(ask: Callable[[], None]) -> int:
    """What the key's home gives, or that it does not open it."""
    try:
        ask()
    except CryptoError as error:
        if error.code != Code.DECRYPT:
            raise
        return int(Code.DECRYPT)
    return 0


@guarded
def _on_decrypt(user: Optional[int], scheme: bytes, ciphertext: Any, ciphertext_len: int, plaintext: Any) -> int:
    key: _Elsewhere = TOKENS.at(user)
    decrypt = key.decrypt
    assert decrypt is not None, "only set where there is one"
    sealed = string_at(ciphertext, ciphertext_len)
    return _opened(lambda: append(plaintext, decrypt(text_of(scheme), sealed), "plaintext"))


@guarded
def _on_agree(user: Optional[int], point: Any, point_len: int, secret: Any) -> int:
    key: _Elsewhere = TOKENS.at(user)
    agree = key.agree
    assert agree is not None, "only set where there is one"
    theirs = string_at(point, point_len)
    return _opened(lambda: append(secret, agree(theirs), "secret"))


_SIGN = _abi.devid_sign_fn(_on_sign)
_DECRYPT = _abi.devid_decrypt_fn(_on_decrypt)
_AGREE = _abi.devid_agree_fn(_on_agree)


@guarded
def _on_pin(user: Optional[int], token: bytes, serial: bytes, final_try: int, pin: Any) -> int:
    ask: Pin = TOKENS.at(user)
    given = ask(PinRequest(text_of(token), text_of(serial), final_try == 1))
    append(pin, text(given, "PIN"), "PIN")
    return 0


PIN = _abi.devid_pin_fn(_on_pin)
"""The function for all tokens; what is asked stands in TOKENS."""
