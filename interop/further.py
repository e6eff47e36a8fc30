"""What goes beyond ir, cr and kur with certificates in the clear: p10cr, rr, genm, generated keys, keys that cannot sign.

Each conversation is one function that raises where something is not as it must be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bouncy import Ca
from cases import OUR_CA, RA_FORWARDING, SIEMENS_CLIENT, Case, Obstacle
from jvm import Jvm, Refused
from material import SUBJECT, Material
from peers import Peer
from servers import MockServer

QUESTIONS = {"caCerts": "cacerts", "rootCaCert": "root", "certReqTemplate": "template", "crlStatusList": "crls"}
"""Questions by their RFC 9810 names, and what the Java program calls them."""
KEYS = {"ktri": "RSA", "kari": "P-256", "pwri": "secret"}
"""By what a generated key is encrypted, and which credential leads to that."""


IMITATED = {
    "insta": ("secret", "ir"),
    "xipki": ("certificate", "ir", "kur", "central key"),
    "cryptlib": ("octets", "ir"),
    "trustpoint": ("secret", "ir"),
}
"""CAs that our test CA behaves like, by what a device is known there, and what works."""
OCTETS = bytes.fromhex("9307e400ff512bc318")
"""A reference value that is no text, as cryptlib has them."""


EXCUSES = {
    (RA_FORWARDING, "p10cr"): Obstacle(
        "CmpRaComponent takes certReqId 0 only in cp, where RFC 9483 section 4.1.4 has -1", "CertReqId must be 0"
    ),
    (SIEMENS_CLIENT, "p10cr"): Obstacle(
        "CmpClient takes certReqId 0 only in cp, where RFC 9483 section 4.1.4 has -1", "CertReqId must be 0"
    ),
    (RA_FORWARDING, "central key, ktri"): Obstacle(
        "CmpRaComponent labels the signed key package id-data, where RFC 9483 section 4.1.6 has id-signedData",
        "is not wrapped in SignedData",
    ),
    (RA_FORWARDING, "central key, kari"): Obstacle(
        "CmpRaComponent labels the signed key package id-data, where RFC 9483 section 4.1.6 has id-signedData",
        "is not wrapped in SignedData",
    ),
    (RA_FORWARDING, "central key, pwri"): Obstacle(
        "CmpRaComponent wraps by RFC 3211's PWRI-KEK, where RFC 9481 section 4.3 has AES key wrap",
        "KeyWrapAlgorithm: parameters other than NULL",
    ),
    **{
        (SIEMENS_CLIENT, f"central key, {by}"): Obstacle(
            "CmpClient says raVerified of a key that is yet to be made, where RFC 9483 section 4.1.6 has no proof",
            "raVerified from someone who is no RA",
        )
        for by in KEYS
    },
}
"""What cannot work with whom: it must fail with the sign of its reason."""


@dataclass(frozen=True)
class Conversation:
    """One row and cell of the grid."""

    client: str
    server: str
    operation: str
    converse: Callable[[], None]

    def __call__(self) -> tuple[str, str]:
        """Verdict as in `report.Result`, and words."""
        words = ""
        try:
            self.converse()
        except Refused as refused:
            words = " ".join(refused.words)
        except Exception as error:  # noqa: BLE001 (one that breaks is a failure like any other)
            words = f"{type(error).__name__}: {error}"
        excuse = EXCUSES.get((self.server, self.operation)) or EXCUSES.get((self.client, self.operation))
        if excuse is None:
            return ("fail" if words else "pass"), words
        if excuse.sign in words:
            return "explained", excuse.reason
        return "fail", f"should fail, as {excuse.reason}; but: {words or 'works'}"


def table(results: list[tuple[Conversation, str, str]]) -> str:
    """One line for each operation of a pair."""
    lines: list[str] = []
    for pair in dict.fromkeys((c.client, c.server) for c, _, _ in results):
        lines += ["", f"{pair[0]} client, {pair[1]} server: further operations", ""]
        for conversation, verdict, words in results:
            if (conversation.client, conversation.server) == pair:
                mark = {"pass": "ok", "explained": f"cannot: {words}", "fail": f"FAIL {words}"}[verdict]
                lines.append(f"  {conversation.operation:<26}{mark}")
    counts = {verdict: sum(v == verdict for _, v, _ in results) for verdict in ("pass", "explained", "fail")}
    lines.append(
        f"\n{len(results)} further conversations: {counts['pass']} as they must be, {counts['explained']} that cannot work "
        f"and say why, {counts['fail']} failed"
    )
    return "\n".join(lines)


class Further:
    """The conversations, with a test CA of their own."""

    def __init__(self, testca: Any, openssl: Peer, material: Material, folder: Path) -> None:
        import devid

        self._devid, self._ca, self._openssl, self._material = devid, testca, openssl, material
        self._folder = folder

    def through_siemens(self, jvm: Jvm) -> Iterator[Conversation]:
        """Our Python client, and the RA in front of our test CA; it is the RA that makes keys."""
        url = self._ra(jvm)

        def told(operation: str, converse: Callable[[], None]) -> Conversation:
            return Conversation("Python", RA_FORWARDING, operation, converse)

        yield from (told(operation, converse) for operation, converse in self._ours(url))
        for by, kind in KEYS.items():
            yield told(f"central key, {by}", lambda kind=kind: self._central(url if kind != "secret" else self._ra(jvm, True), kind))  # type: ignore[misc]

    def with_bouncy_castle(self, ca: Ca) -> Iterator[Conversation]:
        """Our Python client with keys that cannot sign, or do not."""
        for kind in ("RSA-2048", "ML-KEM-768"):
            for possession in ("encrCert", "challengeResp"):
                yield Conversation(
                    "Python", ca.label, f"{possession}, {kind}",
                    lambda kind=kind, possession=possession: self._encrypted(ca, kind, possession),  # type: ignore[misc]
                )  # fmt: skip

    def with_imitations(self) -> Iterator[Conversation]:
        """Our Python client, and our test CA with the habits of CAs that cannot be had here: under the profile for each."""
        for ca, (by, *operations) in IMITATED.items():
            for operation in operations:
                yield Conversation(
                    "Python", f"{OUR_CA}, like={ca},", f"{operation} by {by}",
                    lambda ca=ca, by=by, operation=operation: self._imitated(ca, by, operation),  # type: ignore[misc]
                )  # fmt: skip

    def with_openssl(self, peer: Peer) -> Iterator[Conversation]:
        """Our Python client with OpenSSL's mock server, which makes keys since 3.5."""
        if peer.version >= (3, 5, 0):
            for by, kind in KEYS.items():
                if kind != "secret":
                    yield Conversation(
                        "Python", peer.label, f"central key, {by}", lambda kind=kind: self._openssl_central(peer, kind)  # type: ignore[misc]
                    )

    def from_siemens(self, jvm: Jvm) -> Iterator[Conversation]:
        """Siemens' client with our test CA."""

        def told(operation: str, converse: Callable[[], None]) -> Conversation:
            return Conversation(SIEMENS_CLIENT, OUR_CA, operation, converse)

        yield told("p10cr", lambda: self._siemens_p10cr(jvm))
        yield told("rr", lambda: self._siemens_rr(jvm))
        for question, operation in QUESTIONS.items():
            yield told(f"genm {question}", lambda operation=operation: self._siemens_asks(jvm, operation))  # type: ignore[misc]
        for by, kind in KEYS.items():
            yield told(f"central key, {by}", lambda kind=kind: self._siemens_central(jvm, kind))  # type: ignore[misc]

    def from_openssl(self, peer: Peer) -> Iterator[Conversation]:
        """`openssl cmp` with our test CA."""

        def told(operation: str, converse: Callable[[], None]) -> Conversation:
            return Conversation(peer.label, OUR_CA, operation, converse)

        yield told("p10cr", lambda: self._openssl_p10cr(peer))
        yield told("rr", lambda: self._openssl_rr(peer))
        if peer.version >= (3, 5, 0):
            for question in QUESTIONS:
                yield told(f"genm {question}", lambda question=question: self._openssl_asks(peer, question))  # type: ignore[misc]

    # ---- our Python client ----

    def _config(self, url: str, kind: str = "P-256") -> Any:
        devid, ca = self._devid, self._ca
        config = devid.Config(url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
        config.set_signer(cmc_purpose=True)
        # This RA encrypts for RSA keys as of old.
        config.set_tolerance("pkcs1_key_transport", True)
        if kind == "secret":
            config.set_secret(ca.reference, ca.secret)
            config.set_mac(iterations=1000)
        else:
            name = {"P-256": "idevid", "RSA": "idevid-rsa"}[kind]
            config.set_credential(devid.Key.load(ca.read(f"{name}.key")), ca.read(f"{name}.pem") + ca.read("idevid-chain.pem"))
        return config

    def _ours(self, url: str) -> Iterator[tuple[str, Callable[[], None]]]:
        devid = self._devid

        def p10cr() -> None:
            key = devid.Key.generate("P-256")
            issued = devid.Client(self._config(url)).enroll_pkcs10(devid.Request(key, devid.Subject(SUBJECT)).export()).run()
            assert key.public_key in issued.certificate.der, "the certificate is for another key"

        def rr() -> None:
            key = devid.Key.generate("P-256")
            issued = devid.Client(self._config(self._ca.cmp_url)).enroll(key, SUBJECT).run()
            config = self._config(url)
            config.set_credential(key, issued.certificate.pem.encode() + self._ca.read("issuing.pem"))
            devid.Client(config).revoke(issued.certificate, devid.Reason.SUPERSEDED).run()

        def ca_certs() -> None:
            found = devid.Client(self._config(url)).ask_ca_certs().run()
            assert any(c.der == self._der("issuing.pem") for c in found), "the issuing CA is not among the CA certificates"

        def root_update() -> None:
            update = devid.Client(self._config(url)).ask_root_update(devid.Certificate.parse(self._ca.root)).run()
            assert update is not None, "no new root"

        def template() -> None:
            assert devid.Client(self._config(url)).ask_template().run() is not None, "no template"

        def crl() -> None:
            found = devid.Client(self._config(url)).ask_crl_of(issuer="CN=devid test issuing CA").run()
            assert found and b"devid test issuing CA" in found[0], "no CRL"

        yield "p10cr", p10cr
        yield "rr", rr
        yield "genm caCerts", ca_certs
        yield "genm rootCaCert", root_update
        yield "genm certReqTemplate", template
        yield "genm crlStatusList", crl

    def _central(self, url: str, kind: str) -> None:
        devid = self._devid
        issued = devid.Client(self._config(url, kind)).enroll_central(SUBJECT, key_kind="P-256").run()
        assert issued.private_key is not None and issued.private_key.public_key in issued.certificate.der, "not that key"

    def _imitated(self, name: str, by: str, operation: str) -> None:
        devid, ca = self._devid, self._ca
        ca.set(like=name)
        try:
            config = devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root, profile=name)
            if by == "octets":
                ca.control(f"secret-octets={OCTETS.hex()}:{ca.secret.decode()}")
                config.set_secret(OCTETS, ca.secret)
            elif by == "secret":
                config.set_secret(ca.reference, ca.secret)
            else:
                # Its own certificate for its answers; who makes keys is under the root.
                anchors = ca.read("self-signed-signer.pem") + ca.root
                config = devid.Config(ca.cmp_url, cmp_anchors=anchors, enrolment_anchors=ca.root, profile=name)
                config.set_credential(*ca.idevid())
            if operation == "central key":
                issued = devid.Client(config).enroll_central(SUBJECT, key_kind="P-256").run()
                assert issued.private_key.public_key in issued.certificate.der, "not that key"
                return
            key = devid.Key.generate("P-256")
            issued = devid.Client(config).enroll(key, SUBJECT).run()
            assert key.public_key in issued.certificate.der, "the certificate is for another key"
            if operation == "kur":
                config.set_credential(key, issued.certificate.pem.encode() + ca.read("issuing.pem"))
                devid.Client(config).renew(devid.Key.generate("P-256")).run()
        finally:
            ca.reset()

    def _encrypted(self, ca: Ca, kind: str, possession: str) -> None:
        devid, material = self._devid, self._material
        root = material.root.certificate.read_bytes()
        config = devid.Config(ca.endpoint("P-256"), cmp_anchors=root, enrolment_anchors=root)
        credential = material.suppliers["P-256"]
        config.set_credential(devid.Key.load(credential.key.read_bytes()), credential.certificate.read_bytes())
        config.set_possession(possession)
        key = devid.Key.generate(kind)
        issued = devid.Client(config).enroll(key, SUBJECT).run()
        assert key.public_key in issued.certificate.der, "the certificate is for another key"

    # ---- Siemens ----

    def _ra(self, jvm: Jvm, is_by_secret: bool = False) -> str:
        folder = self._ca.folder
        path = jvm.ask(
            "serve",
            upstream=self._ca.cmp_url,
            device_trust=f"{folder / 'supplier-root.pem'},{folder / 'root.pem'}",
            ca_trust=folder / "root.pem",
            intermediates=folder / "issuing.pem",
            ra_key=folder / "ra.key",
            ra_chain=f"{folder / 'ra.pem'},{folder / 'issuing.pem'}",
            kga_key=folder / "kga.key",
            kga_chain=f"{folder / 'kga.pem'},{folder / 'issuing.pem'}",
            reference=self._ca.reference.decode() if is_by_secret else None,
            secret=self._ca.secret.decode() if is_by_secret else None,
            mac="pbm",
        )[0]
        return f"http://127.0.0.1:{jvm.port}{path}"

    def _siemens(self, jvm: Jvm, operation: str, kind: str = "P-256", **more: object) -> list[str]:
        folder = self._ca.folder
        name = {"P-256": "idevid", "RSA": "idevid-rsa", "secret": ""}[kind]
        given: dict[str, object] = {"url": self._ca.cmp_url, "anchors": folder / "root.pem",
                                    "intermediates": folder / "issuing.pem", "subject": SUBJECT}  # fmt: skip
        if kind == "secret":
            given |= {"reference": self._ca.reference.decode(), "secret": self._ca.secret.decode(), "mac": "pbm"}
        else:
            given |= {"device_key": folder / f"{name}.key", "device_chain": f"{folder / name}.pem,{folder / 'idevid-chain.pem'}"}
        return jvm.ask(operation, **{**given, **more})

    def _siemens_p10cr(self, jvm: Jvm) -> None:
        key = self._devid.Key.generate("P-256")
        request = self._folder / "siemens.csr"
        request.write_bytes(self._devid.Request(key, self._devid.Subject(SUBJECT)).export(der=True))
        issued = bytes.fromhex(self._siemens(jvm, "enrol", command="p10cr", request=request)[0])
        assert key.public_key in issued, "the certificate is for another key"

    def _siemens_rr(self, jvm: Jvm) -> None:
        key, certificate = self._enrolled("siemens")
        said = self._siemens(jvm, "revoke", certificate=certificate, device_key=key,
                             device_chain=f"{certificate},{self._ca.folder / 'issuing.pem'}")  # fmt: skip
        assert said == ["true"], f"the client says {said}"

    def _siemens_asks(self, jvm: Jvm, operation: str) -> None:
        answer = self._siemens(jvm, operation, old_root=self._ca.folder / "root.pem", issuer="CN=devid test issuing CA")[0]
        assert len(bytes.fromhex(answer)) > 20, "the answer is empty"

    def _siemens_central(self, jvm: Jvm, kind: str) -> None:
        certificate, key = self._siemens(jvm, "enrol", kind, command="ir")
        generated = self._devid.Key.load(bytes.fromhex(key))
        assert generated.public_key in bytes.fromhex(certificate), "the key is not that of the certificate"

    # ---- OpenSSL ----

    def _openssl_run(self, peer: Peer, *arguments: object, key: Path | None = None, certificate: Path | None = None) -> None:
        folder = self._ca.folder
        address, _, path = self._ca.cmp_url.removeprefix("http://").partition("/")
        chain = folder / ("issuing.pem" if key else "idevid-chain.pem")
        common = ["cmp", "-config", "", "-batch", "-server", address, "-path", f"/{path}", "-trusted", folder / "root.pem",
                  "-untrusted", folder / "issuing.pem", "-key", key or folder / "idevid.key",
                  "-cert", certificate or folder / "idevid.pem", "-extracerts", chain]  # fmt: skip
        outcome = peer.run(*common, *arguments, folder=self._folder)
        assert outcome.returncode == 0, (outcome.stderr + outcome.stdout).strip()[-600:]

    def _openssl_central(self, peer: Peer, kind: str) -> None:
        devid, material = self._devid, self._material
        root, credential = material.root.certificate.read_bytes(), material.suppliers[kind]
        authority = material.key_authorities[kind]
        more = ["-rsp_key", material.new_keys[kind], "-srv_cert", authority.certificate, "-srv_key", authority.key]
        with MockServer(peer, material, Case(peer.label, "Python", "ir", kind), more) as server:
            config = devid.Config(server.url, cmp_anchors=root, enrolment_anchors=root)
            # Its messages about keys are of an own kind: see docs/known-cas.md.
            config.set_profile("openssl-mock")
            config.set_credential(devid.Key.load(credential.key.read_bytes()), credential.certificate.read_bytes())
            try:
                issued = devid.Client(config).enroll_central(SUBJECT).run()
            except devid.Error as error:
                raise RuntimeError(f"{error} | server: {server.log[-600:]}") from error
        assert issued.private_key is not None and issued.private_key.public_key in issued.certificate.der, "not that key"

    def _openssl_p10cr(self, peer: Peer) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            key = self._devid.Key.generate("P-256")
            request, written = Path(name) / "request.csr", Path(name) / "new.pem"
            request.write_bytes(self._devid.Request(key, self._devid.Subject(SUBJECT)).export())
            self._openssl_run(peer, "-cmd", "p10cr", "-csr", request, "-certout", written)
            assert key.public_key in self._devid.Certificate.parse(written.read_bytes()).der, "for another key"

    def _openssl_rr(self, peer: Peer) -> None:
        key, certificate = self._enrolled(peer.label.replace(" ", "-"))
        self._openssl_run(peer, "-cmd", "rr", "-oldcert", certificate, key=key, certificate=certificate)

    def _openssl_asks(self, peer: Peer, question: str) -> None:
        folder = self._ca.folder
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            out = Path(name) / "answer"
            more = {
                "caCerts": ["-cacertsout", out],
                "rootCaCert": ["-oldwithold", folder / "root.pem", "-newwithnew", out],
                "certReqTemplate": ["-template", out],
                "crlStatusList": ["-crlcert", folder / "peer-good.pem", "-crlout", out],
            }[question]
            self._openssl_run(peer, "-cmd", "genm", "-infotype", question, *more)
            assert out.exists() and out.stat().st_size > 2, "nothing was written"

    # ---- both ----

    def _enrolled(self, name: str) -> tuple[Path, Path]:
        """A certificate of our test CA that may be revoked."""
        key = self._devid.Key.generate("P-256")
        issued = self._devid.Client(self._config(self._ca.cmp_url)).enroll(key, SUBJECT).run()
        key_file, certificate = self._folder / f"{name}.key", self._folder / f"{name}.pem"
        key_file.write_bytes(key.export())
        certificate.write_text(issued.certificate.pem)
        return key_file, certificate

    def _der(self, name: str) -> bytes:
        return bytes(self._devid.Certificate.parse(self._ca.read(name)).der)
