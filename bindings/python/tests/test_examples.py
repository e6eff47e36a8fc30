"""The examples run, and the documentation quotes them as they are."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import devid
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


def test_validate_says_why_without_a_traceback(checkout: Path, devid_testca: TestCa) -> None:
    folder = devid_testca.folder
    root, name = folder / "root.pem", "good.peer.example"
    key, empty, junk = folder / "given.key", folder / "empty.pem", folder / "junk.pem"
    key.write_bytes(devid.Key.generate().export_encrypted(b"password"))
    empty.write_bytes(b"")
    junk.write_bytes(b"\xfe\xed\xfe\xed and more")
    for peer in (folder / "supplier-root.pem", key, empty, junk, folder / "missing.pem"):
        outcome = run(checkout, "validate.py", root, peer, name)
        assert outcome.returncode == 1 and outcome.stderr and "Traceback" not in outcome.stderr, outcome.stderr
    assert "refused: " in run(checkout, "validate.py", root, folder / "supplier-root.pem", name).stderr
    outcome = run(checkout, "validate.py", root)
    assert outcome.returncode == 2 and "validate.py ANCHORS.pem" in outcome.stderr


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


def test_device_enrols_by_its_settings_file(checkout: Path, devid_testca: TestCa, tmp_path: Path) -> None:
    ca = devid_testca
    secret = tmp_path / "secret"
    secret.write_bytes(ca.secret)
    secret.chmod(0o600)
    settings = tmp_path / "devid.toml"
    settings.write_text(
        f"""
        [device]
        memory = "{tmp_path / 'memory'}"
        [ca]
        server = "{ca.cmp_url}"
        [ca.login]
        reference = "{ca.reference.decode()}"
        secret = "file:{secret}"
        [ca.trust]
        all = ["{ca.folder / 'root.pem'}"]
        signers = ["{ca.folder / 'cmp-signer.pem'}"]
        [identity.device]
        subject = "CN=router-8"
        """
    )
    outcome = run(checkout, "device.py", settings, tmp_path / "files")
    assert outcome.returncode == 0 and outcome.stdout.startswith("INSTALLED;"), outcome.stderr
    assert (tmp_path / "files" / "current" / "fullchain.pem").exists()
    outcome = run(checkout, "device.py", settings, tmp_path / "files")
    assert outcome.stdout.startswith("NOTHING;"), outcome.stderr
    settings.write_text("[ca]\nsever = 1\n")
    outcome = run(checkout, "device.py", settings, tmp_path / "files")
    assert outcome.returncode == 1 and "ca.server" in outcome.stderr


def test_an_event_loop_keeps_an_identity_up(checkout: Path, devid_testca: TestCa, tmp_path: Path) -> None:
    ca = devid_testca
    ca.set(waiting=1, check_after=1)
    arguments = [ca.cmp_url, ca.reference.decode(), ca.secret.decode(), ca.folder / "root.pem", tmp_path / "memory"]
    outcome = run(checkout, "asyncio_keep.py", *arguments, "router-7")
    assert outcome.returncode == 0 and outcome.stdout.splitlines()[-1] == "INSTALLED", outcome


def test_an_event_loop_enrols_several_without_a_thread(checkout: Path) -> None:
    with TestCa(arguments=["--tls"]) as ca:
        assert ca.https_url is not None
        ca.set(waiting=1, check_after=1)
        secret = [ca.reference.decode(), ca.secret.decode()]
        for url in (ca.cmp_url, ca.https_url + "/cmp"):
            outcome = run(checkout, "asyncio_enroll.py", url, *secret, ca.folder / "root.pem", "CN=a", "CN=b")
            assert outcome.returncode == 0 and sorted(outcome.stdout.split()) == ["CN=a", "CN=b"], outcome
        outcome = run(checkout, "asyncio_enroll.py", url, *secret, ca.folder / "supplier-root.pem", "CN=a")
        assert outcome.returncode == 1 and "the server's certificate is refused" in outcome.stderr, outcome


def test_ctrl_c_ends_the_event_loop_and_what_is_under_way_stays(
    checkout: Path, devid_testca: TestCa, tmp_path: Path
) -> None:
    ca = devid_testca
    ca.set(delay_ms=30_000)
    program = checkout / "examples" / "python" / "asyncio_keep.py"
    arguments = [ca.cmp_url, ca.reference.decode(), ca.secret.decode(), ca.folder / "root.pem", tmp_path / "memory"]
    command = [sys.executable, str(program), *map(str, arguments), "router-7"]
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        while not devid.Store(tmp_path / "memory").operations() and time.monotonic() < begun + 20:
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
    saved = devid.unfinished(devid.Store(tmp_path / "memory"), "router-7")
    assert saved is not None and saved.request == "ir" and time.monotonic() - begun < 25


PAGES = ["README.md", "bindings/python/README.md"]


def test_the_front_page_quotes_the_short_program_as_it_is(checkout: Path) -> None:
    text = (checkout / "README.md").read_text()
    example = (checkout / "examples" / "python" / "device.py").read_text()
    assert f"<!-- examples/python/device.py -->\n```python\n{example}```\n<!-- end -->" in text


@pytest.mark.parametrize("page", [page for page in PAGES if (Path(__file__).resolve().parents[3] / page).exists()])
@pytest.mark.parametrize("name", ["enroll.py", "asyncio_keep.py"])
def test_documentation_quotes_the_example_as_it_is(checkout: Path, page: str, name: str) -> None:
    text = (checkout / page).read_text()
    example = (checkout / "examples" / "python" / name).read_text()
    begin, end = f"<!-- examples/python/{name} -->\n```python\n", "```\n<!-- end -->"
    if name != "enroll.py" and page == "README.md":
        pytest.skip("the project's first page has the first example only")
    assert begin in text, f"{page} does not quote the example"
    assert text.partition(begin)[2].partition(end)[0] == example
