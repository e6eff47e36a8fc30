"""Keys in a PKCS#11 token: SoftHSM's, in a folder of the test's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Iterator, List, Optional

import pytest

import devid
from devid.testing import TestCa
from left_out import left_out

PLACES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"]
URI = "pkcs11:token=device;object=idevid"


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The path of the token's library."""
    found = [place for place in PLACES if Path(place).exists()]
    if not devid.supports("pkcs11"):
        pytest.skip("built without PKCS#11")
    if not found or not shutil.which("softhsm2-util"):
        left_out("no SoftHSM: nothing is tested with keys in a token")
    folder = tmp_path_factory.mktemp("softhsm")
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    command = "softhsm2-util --init-token --free --label device --so-pin 567890 --pin 1234"
    subprocess.run(command.split(), check=True, capture_output=True)
    yield found[0]
    del os.environ["SOFTHSM2_CONF"]


def test_key_in_a_token_signs_and_is_found_again(module: str, tmp_path: Path) -> None:
    asked: List[devid.PinRequest] = []

    def pin(request: devid.PinRequest) -> str:
        asked.append(request)
        return "1234"

    key = devid.Key.generate_pkcs11(URI, pin, module=module)
    assert key.kind == "P-256" and len(asked) == 1 and asked[0].token == "device" and not asked[0].is_final_try
    with pytest.raises(devid.UsageError):
        key.export()
    request = devid.Request(key, devid.Subject("CN=router-7"))
    (tmp_path / "router.csr").write_bytes(request.export())
    verified = subprocess.run(
        ["openssl", "req", "-verify", "-noout", "-in", str(tmp_path / "router.csr")], capture_output=True, text=True
    )
    assert verified.returncode == 0 and "OK" in verified.stdout + verified.stderr
    with devid.Store(tmp_path / "memory") as store:
        store.put_request("router", key, request)
        deferred = store.pending_key("router")
        assert deferred.public_key == key.public_key
        with pytest.raises(devid.UsageError):
            deferred.sign(b"message")
        store.use_pkcs11(pin, module=module)
        assert store.pending_key("router").sign(b"message")
    reference, public_key = key.reference, key.public_key
    key.close()

    again = devid.Key.open_pkcs11(reference, pin, module=module)
    assert again.public_key == public_key and again.reference == reference
    assert again.sign(b"message")
    devid.Key.destroy_pkcs11(reference, pin, module=module)
    with pytest.raises(devid.CryptoError):
        again.sign(b"message")
    with pytest.raises(devid.StoreError) as gone:
        devid.Key.open_pkcs11(reference, pin, module=module)
    assert gone.value.code is devid.Code.NOT_FOUND


def test_what_fails_is_told_apart(module: str) -> None:
    def nobody(request: devid.PinRequest) -> str:
        raise KeyError("nobody is there")

    with pytest.raises(KeyError, match="nobody"):
        devid.Key.generate_pkcs11(URI, nobody, module=module)
    for uri, pin, library, code in [
        (URI, "9999", module, devid.Code.WRONG_SECRET),
        (URI, "1234", module, devid.Code.NOT_FOUND),
        ("pkcs11:token=nobody;object=a", "1234", module, devid.Code.NOT_FOUND),
        (URI, "1234", "/nonexistent/module.so", devid.Code.SIGNER),
        (URI + "?pin-value=1234", "1234", module, devid.Code.INVALID_ARGUMENT),
    ]:
        with pytest.raises(devid.Error) as refused:
            devid.Key.open_pkcs11(uri, lambda _, given=pin: str(given), module=library)  # type: ignore[misc]
        assert refused.value.code is code, uri
        assert "1234" not in str(refused.value)


def test_keys_elsewhere_have_no_words_of_their_own() -> None:
    assert devid.Key.generate().reference == ""
    if not devid.supports("pkcs11"):
        with pytest.raises(devid.UsageError) as refused:
            devid.Key.open_pkcs11(URI, lambda _: "1234", module="m")
        assert refused.value.code is devid.Code.UNSUPPORTED


def objects(module: str) -> List[str]:
    """The labels of the private keys in the token, as another program sees them."""
    listed = subprocess.run(
        ["softhsm2-util", "--show-slots", "--module", module], capture_output=True, text=True, check=True
    )
    assert "device" in listed.stdout
    folder = Path(os.environ["SOFTHSM2_CONF"]).parent
    labels = []
    for file in folder.rglob("*.object"):
        content = file.read_bytes()
        # CKA_CLASS 3 is a private key; the label follows CKA_LABEL as it is.
        if (b"\x00" * 7 + b"\x03") in content:
            labels += re.findall(rb"router[^\x00]*", content)
    return [label.decode() for label in labels]


@pytest.mark.parametrize("place", [None, "pkcs11:token=device;object=router"])
def test_an_identity_of_a_token_is_kept_up_in_it(
    module: str, devid_testca: TestCa, tmp_path: Path, place: Optional[str]
) -> None:
    """Years of renewals: each key is made in the token, and no key is left there that nobody can use."""
    ca, now = devid_testca, int(time.time())
    store = devid.Store(tmp_path / "memory")
    store.use_pkcs11(lambda _: "1234", module=module)
    settings = devid.Config(ca.cmp_url, cmp_anchors=ca.root, enrolment_anchors=ca.root)
    settings.set_credential(*ca.idevid())
    first = "pkcs11:token=device;object=router"
    if place is None:
        # The first key was made by hand, as factories do.
        key = devid.Key.generate_pkcs11(first, lambda _: "1234", module=module)
        devid.Client(settings).enroll(key, "CN=router-7").install_into(store, "router").run()
    # Due again after a thousandth of a year; the CA tells the time that is pretended, and looks at no other.
    settings.set_time_window(None)
    settings.set_message_time(False)
    renewal = devid.Renewal(settings, "router", subject="CN=router-7", new_key=place, share_permille=1, spread_permille=0)
    references, later = [], 0
    for turn in range(4):
        later += 10 * 3600
        for _ in range(3):
            ca.set(message_time_off=later)
            report = renewal.run(store, now + later)
            if report.done is devid.Done.INSTALLED:
                break
            later += report.wait_seconds
        assert report.done is devid.Done.INSTALLED, (turn, report)
        identity = store.current("router")
        assert identity.key_reference.startswith("pkcs11:") and "~" in identity.key_reference
        assert identity.key.sign(b"message")
        references.append(identity.key_reference)
    assert len(set(references)) == len(references)
    labels = set(objects(module))
    expected = {urllib.parse.unquote(re.findall(r"object=([^;]*)", r)[0]) for r in references[-2:]}
    made = {label for label in labels if "~" in label}
    assert made == expected, "the key in use and the one before it"
    assert ("router" in labels) is (place is None), "what was made by hand stays"
    for reference in references[-2:]:
        devid.Key.destroy_pkcs11(reference, lambda _: "1234", module=module)
    if place is None:
        devid.Key.destroy_pkcs11(first, lambda _: "1234", module=module)


def test_a_server_that_is_not_there_fills_no_token(module: str, devid_testca: TestCa, tmp_path: Path) -> None:
    store, now = devid.Store(tmp_path / "memory"), int(time.time())
    store.use_pkcs11(lambda _: "1234", module=module)
    settings = devid.Config("http://127.0.0.1:9/", cmp_anchors=devid_testca.root, enrolment_anchors=devid_testca.root)
    settings.set_credential(*devid_testca.idevid())
    renewal = devid.Renewal(settings, "router", subject="CN=a", new_key="pkcs11:token=device;object=router")
    for attempt in range(4):
        report = renewal.run(store, now + attempt * 90_000)
        assert report.error is not None and report.error.code is devid.Code.CONNECT
    assert [label for label in objects(module) if "~" in label] == []


def test_where_keys_are_made_is_checked_when_it_is_said(module: str, devid_testca: TestCa, tmp_path: Path) -> None:
    settings = devid.Config(devid_testca.cmp_url, cmp_anchors=devid_testca.root, enrolment_anchors=devid_testca.root)
    settings.set_credential(*devid_testca.idevid())
    for place in ("pkcs11:token=device", "pkcs11:object=a;id=%01", "slot 1", "pkcs11:object=a?pin-value=1234"):
        with pytest.raises(devid.UsageError):
            devid.Renewal(settings, "router", new_key=place)
    renewal = devid.Renewal(settings, "router", subject="CN=a", new_key="pkcs11:token=device;object=router")
    report = renewal.run(devid.Store(tmp_path / "memory"), int(time.time()))
    assert report.error is not None and "set_pkcs11" in str(report.error)

    made = []

    def make(kind: Optional[str]) -> devid.Key:
        made.append(kind)
        return devid.Key.generate("P-384")

    store = devid.Store(tmp_path / "other")
    renewal = devid.Renewal(settings, "router", subject="CN=a", new_key=make)
    assert renewal.run(store, int(time.time())).done is devid.Done.INSTALLED
    assert made == [None] and store.current("router").key.kind == "P-384"
