"""What a CA wants requests for certificates to look like (RFC 9483 section 4.3.3)."""

from __future__ import annotations

from typing import List, Optional, Tuple

from ._call import Material, borrowed, call, material, optional_text_of, text_of
from ._handle import Handle, using
from ._library import library
from .key import Key


class Template(Handle):
    """A CA's template for requests; give it to :class:`Subject` to be followed. Never changes."""

    _type = "devid_template"
    _is_shared = True

    @classmethod
    def parse(cls, der: Material) -> Template:
        """Reads a template that was kept: see :attr:`der`."""
        content = material(der, "der")
        return cls._made_by("devid_template_parse", content, len(content))

    @property
    def der(self) -> bytes:
        """CertReqTemplateContent as the CA sent it."""
        with self._use() as template:
            return borrowed("devid_template_der", template) or b""

    @property
    def subject(self) -> Optional[str]:
        """The subject asked for: attributes without a value are to be filled in, and so is all of ``""``. None: any."""
        with self._use() as template:
            return optional_text_of(library().devid_template_subject(template))

    @property
    def key_kinds(self) -> List[str]:
        """The types of keys that the CA certifies, of those known here; see also :meth:`check_key`."""
        lib = library()
        with self._use() as template:
            count = lib.devid_template_key_count(template)
            return [text_of(lib.devid_template_key(template, index)) for index in range(count)]

    @property
    def key_words(self) -> str:
        """The types of keys that the CA certifies, in words, those not known here too; ``""`` if it has no wishes."""
        with self._use() as template:
            return text_of(library().devid_template_key_words(template))

    @property
    def extensions(self) -> List[Tuple[str, bytes]]:
        """The extensions asked for: identifier in dotted form, and the value in DER, empty if it is to be filled in."""
        lib = library()
        with self._use() as template:
            count = lib.devid_template_extension_count(template)
            return [
                (
                    text_of(lib.devid_template_extension(template, index)),
                    borrowed("devid_template_extension_value", template, index) or b"",
                )
                for index in range(count)
            ]

    def check_key(self, key: Key) -> None:
        """Raises :class:`CryptoError` (``ALGORITHM``) for a key of a type that the CA does not certify."""
        with self._use() as template, using(key, "Key", "key") as asked:
            call("devid_template_check_key", template, asked)

    def generate_key(self) -> Key:
        """A new key of the first type in the CA's list that can be made here; ``P-256`` if the CA has no wishes."""
        with self._use() as template:
            return Key._made_by("devid_template_generate_key", template)

    def _about(self) -> str:
        return f"with subject {self.subject!r}, keys {self.key_words or 'of any type'}"
