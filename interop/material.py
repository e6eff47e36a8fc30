"""Keys and certificates for the mock servers, all made by the system's openssl.

A mock server issues one certificate that was made before, whatever it is asked: so the new keys exist first, the
certificates for them are made here, and clients ask for exactly these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peers import Peer

KINDS = {
    "RSA": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "P-256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "Ed25519": ["ED25519"],
}
EXTENSIONS = "keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
SUBJECT = "CN=device"
REFERENCE = "4711"
SECRET = "correct-horse"


@dataclass(frozen=True)
class Pair:
    """A key and its certificate, as files."""

    key: Path
    certificate: Path


class Material:
    """Everything, in one folder."""

    def __init__(self, openssl: Peer, folder: Path) -> None:
        self._openssl, self.folder = openssl, folder
        (folder / "leaf.ext").write_text(EXTENSIONS)
        # cmcRA: who may answer; cmKGA: who may make keys (RFC 9810 section 4.5).
        (folder / "server.ext").write_text(EXTENSIONS + "extendedKeyUsage=1.3.6.1.5.5.7.3.28\n")
        (folder / "kga.ext").write_text(EXTENSIONS + "extendedKeyUsage=1.3.6.1.5.5.7.3.28,1.3.6.1.5.5.7.3.32\n")
        self.root = self._authority("root", "/CN=Interop Root")
        self.stranger = self._authority("stranger", "/CN=Another Root")
        self.servers = {kind: self._server(kind) for kind in KINDS}
        # The same keys, for a server that also makes keys.
        self.key_authorities = {
            kind: Pair(server.key, self._certify(f"kga-{kind}", server.key, "/CN=CMP server", self.root, None, "kga.ext"))
            for kind, server in self.servers.items()
        }
        self.suppliers = {kind: self._certified(f"idevid-{kind}", kind, "/CN=device/O=Supplier") for kind in KINDS}
        self.strangers = {
            kind: self._certified(f"stranger-{kind}", kind, "/CN=device/O=Nobody", self.stranger) for kind in KINDS
        }
        # A key update: the certificate that is updated, and its successors. OpenSSL 3.0's server compares issuer and
        # serial number of the old certificate with those of the one it issues: theirs are equal.
        self.current = {kind: self._certified(f"current-{kind}", kind, f"/{SUBJECT}", serial=serial)
                        for serial, kind in enumerate(KINDS, 1001)}
        self.new_keys = {kind: self._key(f"new-{kind}", kind) for kind in KINDS}
        self.issued: dict[tuple[str, bool], Path] = {}
        for serial, kind in enumerate(KINDS, 1001):
            for is_modified in (False, True):
                name = f"issued-{kind}" + ("-modified" if is_modified else "")
                subject = f"/{SUBJECT}" + ("/O=Modified" if is_modified else "")
                self.issued[kind, is_modified] = self._certify(name, self.new_keys[kind], subject, self.root, serial)

    def _key(self, name: str, kind: str) -> Path:
        key = self.folder / f"{name}.key"
        self._openssl.check("genpkey", "-algorithm", *KINDS[kind], "-out", key, folder=self.folder)
        return key

    def _authority(self, name: str, subject: str) -> Pair:
        key, certificate = self._key(name, "P-256"), self.folder / f"{name}.pem"
        self._openssl.check(
            "req", "-x509", "-key", key, "-out", certificate, "-subj", subject, "-days", 30,
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", folder=self.folder,
        )  # fmt: skip
        return Pair(key, certificate)

    def _certified(self, name: str, kind: str, subject: str, by: Pair | None = None, serial: int | None = None) -> Pair:
        key = self._key(name, kind)
        return Pair(key, self._certify(name, key, subject, by or self.root, serial))

    def _server(self, kind: str) -> Pair:
        key = self._key(f"server-{kind}", kind)
        return Pair(key, self._certify(f"server-{kind}", key, "/CN=CMP server", self.root, None, "server.ext"))

    def _certify(self, name: str, key: Path, subject: str, by: Pair, serial: int | None,
                 extensions: str = "leaf.ext") -> Path:
        certificate, request = self.folder / f"{name}.pem", self.folder / f"{name}.csr"
        self._openssl.check("req", "-new", "-key", key, "-subj", subject, "-out", request, folder=self.folder)
        number = ["-set_serial", serial] if serial else ["-CAcreateserial"]
        self._openssl.check(
            "x509", "-req", "-in", request, "-CA", by.certificate, "-CAkey", by.key, *number, "-days", 30,
            "-extfile", self.folder / extensions, "-out", certificate, folder=self.folder,
        )  # fmt: skip
        return certificate
