"""What several stories need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Optional, Tuple

import pytest

import devid

pytest_plugins = ["devid.testing.plugin"]

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout of the project."""
    return CHECKOUT


@pytest.fixture(scope="session")
def certificate_pem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A self-signed certificate that another implementation made."""
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout key.pem -out cert.pem"
    subprocess.run([*command.split(), "-subj", "/O=Example/CN=router-7"], cwd=folder, check=True, capture_output=True)
    return (folder / "cert.pem").read_bytes()


class Bench:
    """OpenSSL's mock server with everything a device needs to talk to it: the interop harness' material."""

    def __init__(self, folder: Path) -> None:
        import material  # type: ignore[import-not-found, unused-ignore]
        import peers  # type: ignore[import-not-found, unused-ignore]

        self._peer = peers.system()
        self.material = material.Material(self._peer, folder)
        self.secret, self.reference = material.SECRET.encode(), material.REFERENCE.encode()
        self.anchors = self.material.root.certificate.read_bytes()

    def serve(self, command: str = "ir", **how: Any) -> Any:
        """A server, as a context manager; `how` as in the harness' cases."""
        import cases  # type: ignore[import-not-found, unused-ignore]
        import servers  # type: ignore[import-not-found, unused-ignore]

        case = cases.Case(self._peer.label, "Python", command, "P-256", **how)
        return servers.MockServer(self._peer, self.material, case)

    @property
    def new_key(self) -> devid.Key:
        """The key that the server's certificate is for."""
        return devid.Key.load(self.material.new_keys["P-256"].read_bytes())

    @property
    def certificate(self) -> devid.Certificate:
        """What the server issues."""
        return devid.Certificate.parse(self.material.issued["P-256", False].read_bytes())

    def config(self, server: Any, **settings: Any) -> devid.Config:
        """Anchors and address."""
        return devid.Config(server.url, cmp_anchors=self.anchors, enrolment_anchors=self.anchors, **settings)

    def client(self, server: Any, secret: Optional[bytes] = None, **settings: Any) -> devid.Client:
        """A client with the shared secret."""
        with self.config(server, **settings) as config:
            config.set_secret(self.reference, secret or self.secret)
            return devid.Client(config)

    def idevid(self) -> Tuple[devid.Key, bytes]:
        """The supplier's credential."""
        pair = self.material.suppliers["P-256"]
        return devid.Key.load(pair.key.read_bytes()), pair.certificate.read_bytes()


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """OpenSSL on the other side."""
    sys.path.insert(0, str(CHECKOUT / "interop"))
    return Bench(tmp_path_factory.mktemp("bench"))
