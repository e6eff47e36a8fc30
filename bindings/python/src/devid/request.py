"""Requests for CAs that are reached by other means than CMP; :meth:`Store.import_certificate` takes what comes back."""

from __future__ import annotations

from typing import Optional, Union

from ._call import BytesLike, bytes_of, call, data, optional_text, text_of
from ._handle import Handle, using
from ._library import library
from .config import Subject
from .key import Key, _form


class Request(Handle):
    """A PKCS#10 request (RFC 2986), signed or waiting for its signature."""

    _type = "devid_request"

    def __init__(
        self,
        key: Key,
        subject: Union[Subject, str],
        *,
        challenge_password: Optional[str] = None,
        algorithm: Optional[str] = None,
    ) -> None:
        """Asks for a certificate over the key, which signs at once; a deferred one is served with :meth:`set_signature`.

        The format has no place for an issuer or a validity. All who handle the request can read the challenge password.
        ``algorithm`` as in :data:`Sign`, such as ``RSA-PSS-SHA256``; the key's usual one if None.
        """
        password = optional_text(challenge_password, "challenge_password")
        how = optional_text(algorithm, "algorithm")
        with using(key, "Key", "key") as private, Subject._of(subject, "subject") as wanted, wanted._use() as names:
            self._own(self._pointer_from("devid_request_new", private, names, password, how))

    @property
    def to_sign(self) -> bytes:
        """What is to be signed, whole and not its digest. Raises :class:`UsageError` if the request is signed."""
        with self._use() as request:
            return bytes_of("devid_request_to_sign", request)

    @property
    def algorithm(self) -> str:
        """With which algorithm the request is, or is to be, signed; as in :data:`Sign`."""
        with self._use() as request:
            return text_of(library().devid_request_sign_algorithm(request))

    def set_signature(self, signature: BytesLike) -> None:
        """Hands in the signature of a deferred key. It is checked with the public key."""
        content = data(signature, "signature")
        with self._use() as request:
            call("devid_request_put_signature", request, content, len(content))

    def export(self, *, der: bool = False) -> bytes:
        """The signed request, as a CA takes it. Before it goes out, :meth:`Store.put_request` keeps its key."""
        with self._use() as request:
            return bytes_of("devid_request_data", request, _form(der))

    def _about(self) -> str:
        return self.algorithm
