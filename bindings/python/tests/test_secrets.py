"""A private key in a form that is not read, or given where something else is wanted: no message holds any part of it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import devid

PART = 6
"""So many characters of a secret in a message are too many."""

_none = serialization.NoEncryption()
_pem, _der = serialization.Encoding.PEM, serialization.Encoding.DER
_pkcs8, _traditional = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL


def encodings() -> Iterator[Tuple[str, bytes, bytes]]:
    """Keys of all kinds: name, DER, PEM."""
    keys: Dict[str, Any] = {
        "P-256": ec.generate_private_key(ec.SECP256R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate(),
        "RSA": rsa.generate_private_key(65537, 2048),
    }
    for name, key in keys.items():
        for form_name, form in (("PKCS#8", _pkcs8), ("traditional", _traditional)):
            if name != "Ed25519" or form is _pkcs8:
                yield f"{name} {form_name}", key.private_bytes(_der, form, _none), key.private_bytes(_pem, form, _none)


def written(der: bytes, pem: bytes) -> Dict[str, bytes]:
    """One key as people have it: in files, variables, JSON, YAML, damaged, from other systems."""
    text = pem.decode()
    lines = text.splitlines()
    bare = base64.b64encode(der).decode()
    return {
        "base64": bare.encode(),
        "base64 in lines": base64.encodebytes(der),
        "hex": der.hex().encode(),
        "hex with colons": ":".join(f"{byte:02X}" for byte in der).encode(),
        "one line": text.replace("\n", "").encode(),
        "one line with blanks": text.replace("\n", " ").encode(),
        "escaped": text.replace("\n", "\\n").encode(),
        "quoted": ('"' + text.replace("\n", "\\n") + '"').encode(),
        "indented": "\n".join("    " + line for line in lines).encode(),
        "json": ('{"key": "' + text.replace("\n", "\\n") + '"}').encode(),
        "without end": "\n".join(lines[:-1]).encode(),
        "without begin": "\n".join(lines[1:]).encode(),
        "label with the key": f"-----BEGIN {bare[:60]}-----\n{bare}\n-----END {bare[:60]}-----\n".encode(),
        "odd dashes": text.replace("-----", "\u2013\u2013").encode(),
        "utf-16": text.encode("utf-16"),
        "utf-16 without mark": text.encode("utf-16-le"),
        "cut short": der[:-5],
        "with bytes behind": der + b"behind",
        "bad base64": text.replace("A", "*", 1).encode(),
        "another label": text.replace("PRIVATE KEY", "CERTIFICATE").encode(),
        "as a list": text.replace("PRIVATE KEY", "X509 CRL").encode(),
        "inside a sequence": bytes([0x30, 0x82]) + len(der).to_bytes(2, "big") + der,
        "pem": pem,
        "der": der,
    }


def readers(folder: Path) -> Dict[str, Callable[[bytes], object]]:
    """Whatever takes a file."""

    def validator() -> devid.Validator:
        return devid.Validator(devid.Trust(), purposes=None, any_name=True)

    store = devid.Store(folder)
    return {
        "Key.load": devid.Key.load,
        "Key.load with a password": lambda form: devid.Key.load(form, b"password"),
        "Certificate.parse": devid.Certificate.parse,
        "load_certificates": devid.load_certificates,
        "Trust": devid.Trust,
        "add_crls": lambda form: validator().add_crls(form),
        "add_ocsp": lambda form: validator().add_ocsp(form),
        "add_intermediates": lambda form: validator().add_intermediates(form),
        "validate": lambda form: validator().validate(form, 1_800_000_000),
        "read_pkcs12": lambda form: devid.read_pkcs12(form, "password"),
        "import_certificate": lambda form: store.import_certificate(form, devid.Trust(), purpose="ldevid"),
        "Template.parse": devid.Template.parse,
    }


def said(error: BaseException) -> str:
    """All that a program may log of an error."""
    return " ".join([str(error), repr(error), *(f"{name}={value}" for name, value in vars(error).items())])


def test_no_message_holds_a_part_of_a_key(tmp_path: Path) -> None:
    refusals = 0
    for kind, der, pem in encodings():
        bare = base64.b64encode(der).decode()
        # What every key of the kind begins with is no secret.
        secrets = [bare[48:], der.hex()[72:], der.hex()[72:].upper(), ":".join(f"{b:02X}" for b in der[36:])]
        parts = {secret[at : at + PART] for secret in secrets for at in range(len(secret) - PART + 1)}
        for form, content in written(der, pem).items():
            for reader, read in readers(tmp_path / "store").items():
                try:
                    read(content)
                except (devid.Error, TypeError, ValueError) as error:
                    refusals += 1
                    words = said(error)
                    shown = next((words[at : at + PART] for at in range(len(words)) if words[at : at + PART] in parts), None)
                    assert shown is None, f"{kind}, {form}, {reader}: {shown} in {words}"
    assert refusals > 500


def test_what_is_said_of_a_key_tells_what_it_looks_like() -> None:
    """The twin: words that let the reader act."""
    _, der, pem = next(encodings())
    forms = written(der, pem)
    for form, word in {
        "base64": "base64 without a BEGIN line",
        "hex": "hex",
        "one line": "BEGIN line",
        "escaped": "BEGIN line",
        "utf-16": "UTF-16",
        "without end": "END line",
    }.items():
        with pytest.raises(devid.Error, match=word):
            devid.Key.load(forms[form])


def test_a_login_or_a_pin_in_a_uri_is_repeated_nowhere() -> None:
    for url in ("http://user:geheim@127.0.0.1:9/pkix", "https://geheim@a@host", "coap://geheim@[::1]:5683/a?b@c"):
        config = devid.Config(url)
        assert "geheim" not in repr(config) and "@" not in repr(config)
        config.set_secret("4711", "x" * 16)
        with pytest.raises(devid.Error) as refused:
            devid.Client(config).ask_ca_certs().run()
        assert "geheim" not in str(refused.value), url
    assert repr(devid.Config("http://127.0.0.1:9/pkix/a@b")) == "<Config for http://127.0.0.1:9/pkix/a@b>"
    settings = devid.Config("http://127.0.0.1:9/")
    for place in ("pkcs11:token=x;object=y?pin-value=geheim", "pkcs11:object=y;pin-value=geheim", "pkcs11:?PIN-SOURCE=geheim"):
        with pytest.raises(devid.Error) as unusable:
            devid.Renewal(settings, "x", new_key=place)
        assert "geheim" not in str(unusable.value), place
