"""What stands in a message, certificate, request, CRL or OCSP response, for people and logs."""

from __future__ import annotations

import json
from typing import Any

from ._abi import DEVID_INSPECT_JSON, DEVID_INSPECT_TEXT
from ._call import Material, bytes_of, material


def inspect(content: Material) -> str:
    """Indented lines of text about PEM or DER, also where it is broken. Nothing is verified and nothing becomes trusted.

    Private keys, tokens and passwords appear as their length only, and so do public keys. Raises :class:`InputError` if the
    content is neither PEM nor DER.
    """
    return _shown(content, DEVID_INSPECT_TEXT)


def inspect_fields(content: Material) -> Any:
    """The same as nested dicts and lists, with the field names of the ASN.1 modules."""
    return json.loads(_shown(content, DEVID_INSPECT_JSON))


def _shown(content: Material, form: int) -> str:
    given = material(content, "content")
    return bytes_of("devid_inspect", given, len(given), form).decode()
