"""Keys in a PKCS#11 token: SoftHSM's, in a folder of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest

import devid
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
