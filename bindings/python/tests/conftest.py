"""What several stories need."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

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
