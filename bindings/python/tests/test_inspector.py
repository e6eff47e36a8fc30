"""What stands in messages and files, for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import devid
from devid.testing import TestCa


def test_request_and_certificate_are_shown_as_text_and_as_fields(devid_testca: TestCa) -> None:
    request = devid.Request(devid.Key.generate("P-256"), devid.Subject("CN=meter-7", dns=["meter-7.example"])).export()
    shown = devid.inspect(request)
    assert shown.startswith("CertificationRequest:\n") and "subject: CN=meter-7" in shown and "dNSName: meter-7.example" in shown
    fields = devid.inspect_fields(devid_testca.root)
    assert fields["Certificate"]["tbsCertificate"]["version"] == "v3 (2)"


def test_private_key_is_not_shown(devid_testca: TestCa) -> None:
    shown = devid.inspect(devid_testca.read("idevid.key"))
    assert "OneAsymmetricKey" in shown and "not shown" in shown
    assert len(shown) < 300


def test_what_is_neither_pem_nor_der_is_refused() -> None:
    with pytest.raises(devid.InputError, match="neither PEM nor DER"):
        devid.inspect(b"hello")


def test_command_shows_files_and_names_those_it_cannot_read(devid_testca: TestCa, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"hello")
    crl = devid_testca.folder / "issuing.crl"
    command = [sys.executable, "-m", "devid", "inspect", str(crl), str(broken), str(tmp_path / "missing")]
    outcome = subprocess.run(command, capture_output=True, text=True)
    assert outcome.returncode == 1
    assert outcome.stdout.startswith("CertificateList:\n") and "revokedCertificates:" in outcome.stdout
    assert "broken: " in outcome.stderr and "missing" in outcome.stderr
    good = subprocess.run([*command[:4], "--json", str(crl)], capture_output=True, text=True)
    assert good.returncode == 0 and good.stdout.startswith('{"CertificateList"')
