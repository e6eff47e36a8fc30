"""The examples run, and the documentation quotes them as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devid.testing import TestCa


def run(checkout: Path, name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    program = checkout / "examples" / "python" / name
    return subprocess.run([sys.executable, str(program), *map(str, arguments)], capture_output=True, text=True, timeout=60)


def test_enroll_prints_key_and_chain(checkout: Path, devid_testca: TestCa) -> None:
    ca = devid_testca
    arguments = [ca.cmp_url, ca.reference.decode(), ca.secret.decode(), ca.folder / "root.pem", "CN=router-7"]
    outcome = run(checkout, "enroll.py", *arguments)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("BEGIN PRIVATE KEY") == 1 and outcome.stdout.count("BEGIN CERTIFICATE") == 2
    arguments[2] = "guessed"
    outcome = run(checkout, "enroll.py", *arguments)
    assert outcome.returncode == 1 and "PROTECTION_INVALID" in outcome.stderr or "REJECTED" in outcome.stderr


def test_validate_tells_good_from_revoked(checkout: Path, devid_testca: TestCa) -> None:
    folder = devid_testca.folder
    both = folder / "good-chain.pem"
    both.write_bytes(devid_testca.read("peer-good.pem") + devid_testca.read("issuing.pem"))
    crls = [folder / "issuing.crl", folder / "root.crl"]
    outcome = run(checkout, "validate.py", folder / "root.pem", both, "good.peer.example", *crls)
    assert outcome.returncode == 0 and "is valid" in outcome.stdout, outcome.stderr
    outcome = run(checkout, "validate.py", folder / "root.pem", folder / "peer-good.pem", "good.peer.example", "fetch")
    assert outcome.returncode == 0 and "is valid" in outcome.stdout, outcome.stderr
    outcome = run(checkout, "validate.py", folder / "root.pem", folder / "peer-revoked.pem", "revoked.peer.example", "fetch")
    assert outcome.returncode == 1 and "REVOKED" in outcome.stderr
    both.write_bytes(devid_testca.read("peer-revoked.pem") + devid_testca.read("issuing.pem"))
    outcome = run(checkout, "validate.py", folder / "root.pem", both, "revoked.peer.example", *crls)
    assert outcome.returncode == 1 and "REVOKED" in outcome.stderr


def test_external_keys_sign_by_callback_and_by_step(checkout: Path, devid_testca: TestCa) -> None:
    folder = devid_testca.folder
    chain = folder / "idevid-with-chain.pem"
    chain.write_bytes(devid_testca.read("idevid.pem") + devid_testca.read("idevid-chain.pem"))
    arguments = [devid_testca.cmp_url, folder / "root.pem", chain, folder / "idevid.key", "CN=router-7"]
    outcome = run(checkout, "external_key.py", *arguments)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("issued:") == 2 and "slot second" in outcome.stdout


def test_demo_tells_the_whole_story(checkout: Path) -> None:
    outcome = run(checkout, "demo.py")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    for number in range(1, 7):
        assert f"  {number}. " in outcome.stdout


def test_offline_story_needs_no_network(checkout: Path) -> None:
    outcome = run(checkout, "offline.py")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    for words in ("ir is on the stick", "pollReq is on the stick", "certConf is on the stick", "without a network"):
        assert words in outcome.stdout


PAGES = ["README.md", "bindings/python/README.md"]


@pytest.mark.parametrize("page", [page for page in PAGES if (Path(__file__).resolve().parents[3] / page).exists()])
def test_documentation_quotes_the_example_as_it_is(checkout: Path, page: str) -> None:
    text = (checkout / page).read_text()
    example = (checkout / "examples" / "python" / "enroll.py").read_text()
    begin, end = "<!-- examples/python/enroll.py -->\n```python\n", "```\n<!-- end -->"
    assert begin in text, f"{page} does not quote the example"
    assert text.partition(begin)[2].partition(end)[0] == example
