"""Keys: made, stored, and living elsewhere."""

from __future__ import annotations

import gc
import subprocess
import threading
import weakref
from pathlib import Path

import pytest

import devid


def verified_by_openssl(folder: Path, key: devid.Key, message: bytes, signature: bytes) -> bool:
    (folder / "key.spki").write_bytes(key.public_key)
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(signature)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key.spki", "-sigfile", "signature"]
    command += ["-rawin", "-in", "message"]
    command += [] if key.kind == "Ed25519" else ["-digest", "sha256"]
    return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


@pytest.mark.parametrize("kind", ["P-256", "RSA-2048", "Ed25519"])
def test_signature_of_a_new_key_is_verified_by_another_implementation(kind: str, tmp_path: Path) -> None:
    with devid.Key.generate(kind) as key:
        assert key.kind == kind
        signature = key.sign(b"I am router 7")
        assert verified_by_openssl(tmp_path, key, b"I am router 7", signature)
        assert not verified_by_openssl(tmp_path, key, b"I am router 8", signature)


def test_exported_key_comes_back_as_the_same_key() -> None:
    with devid.Key.generate() as key:
        for exported in (key.export(), key.export(der=True)):
            with devid.Key.load(exported) as again:
                assert again.public_key == key.public_key


def test_encrypted_key_opens_with_its_password_alone() -> None:
    with devid.Key.generate() as key:
        by_pbkdf2 = key.export_encrypted(b"letmein", iterations=2048)
        by_scrypt = key.export_encrypted(b"letmein", scrypt=1024)
        for sealed in (by_pbkdf2, by_scrypt):
            assert b"ENCRYPTED PRIVATE KEY" in sealed
            assert devid.Key.load(sealed, b"letmein").public_key == key.public_key
            for wrong in (b"letmeout", None):
                with pytest.raises(devid.CryptoError) as refused:
                    devid.Key.load(sealed, wrong)
                assert refused.value.code == devid.Code.WRONG_SECRET and refused.value.name == "WRONG_SECRET"
        with pytest.raises(devid.CryptoError):
            key.export_encrypted(b"letmein", scrypt=1000)


def test_bytearray_and_memoryview_are_taken_like_bytes() -> None:
    with devid.Key.generate() as key:
        exported = key.export(der=True)
        for form in (bytearray(exported), memoryview(exported)):
            assert devid.Key.load(form).public_key == key.public_key
        assert len(key.sign(memoryview(b"hello"))) > 60


def test_zero_bytes_in_a_message_do_not_end_it(tmp_path: Path) -> None:
    with devid.Key.generate() as key:
        signature = key.sign(b"a\0b")
        assert verified_by_openssl(tmp_path, key, b"a\0b", signature)
        assert not verified_by_openssl(tmp_path, key, b"a", signature)


def test_text_where_bytes_belong_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="bytes-like"):
        devid.Key.generate().sign("message")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be str"):
        devid.Key.generate(b"P-256")  # type: ignore[arg-type]


def test_text_with_a_nul_is_refused_instead_of_cut() -> None:
    with pytest.raises(devid.UsageError, match="NUL") as refused:
        devid.Key.generate("P-256\0RSA")
    assert isinstance(refused.value, ValueError) and refused.value.code == devid.Code.INVALID_ARGUMENT


def test_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(devid.UsageError, match="P-257"):
        devid.Key.generate("P-257")


def test_closed_key_answers_that_it_is_closed() -> None:
    key = devid.Key.generate()
    key.close()
    key.close()
    assert key.closed and "closed" in repr(key)
    with pytest.raises(devid.UsageError, match="closed") as refused:
        key.sign(b"x")
    assert refused.value.code == devid.Code.STATE
    with pytest.raises(devid.UsageError), key:
        pass


def test_keys_are_neither_copied_nor_pickled() -> None:
    import copy
    import pickle

    with devid.Key.generate() as key:
        for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                attempt(key)
    with pytest.raises(TypeError):
        devid.Key()


def test_external_key_signs_where_it_lives(tmp_path: Path) -> None:
    asked = []
    with devid.Key.generate() as inside_the_hsm:

        def sign(algorithm: str, message: bytes) -> bytes:
            asked.append((algorithm, message))
            return inside_the_hsm.sign(message, algorithm)

        with devid.Key.external(inside_the_hsm.public_key, sign) as key:
            signature = key.sign(b"to be signed")
            assert asked == [("ECDSA-SHA256", b"to be signed")]
            assert verified_by_openssl(tmp_path, key, b"to be signed", signature)
            with pytest.raises(devid.Error):
                key.export()


class HsmIsGone(Exception):
    """Raised by a callback."""


def test_exception_of_the_signer_comes_out_of_the_call_that_needed_it() -> None:
    with devid.Key.generate() as other:

        def sign(_algorithm: str, _message: bytes) -> bytes:
            raise HsmIsGone("slot 3")

        with devid.Key.external(other.public_key, sign) as key:
            with pytest.raises(HsmIsGone, match="slot 3"):
                key.sign(b"x")
            assert key.kind == "P-256", "the key can still be used"


@pytest.mark.parametrize("answer", ["text", None, 17])
def test_signer_that_answers_no_bytes_is_a_type_error(answer: object) -> None:
    with devid.Key.generate() as other, devid.Key.external(other.public_key, lambda _a, _m: answer) as key:  # type: ignore
        with pytest.raises(TypeError, match="signature"):
            key.sign(b"x")


def test_signature_of_another_key_is_not_passed_on() -> None:
    with devid.Key.generate() as claimed, devid.Key.generate() as actual:
        with devid.Key.external(claimed.public_key, lambda a, m: actual.sign(m, a)) as key:
            with pytest.raises(devid.CryptoError):
                key.sign(b"x")


def test_keyboard_interrupt_in_a_callback_is_not_lost() -> None:
    def sign(_algorithm: str, _message: bytes) -> bytes:
        raise KeyboardInterrupt

    with devid.Key.generate() as other, devid.Key.external(other.public_key, sign) as key:
        with pytest.raises(KeyboardInterrupt):
            key.sign(b"x")


def test_signer_lives_as_long_as_its_key_and_no_longer() -> None:
    class Signer:
        def __call__(self, _algorithm: str, _message: bytes) -> bytes:
            return b""

    signer = Signer()
    gone = weakref.ref(signer)
    with devid.Key.generate() as other:
        key = devid.Key.external(other.public_key, signer)
        del signer
        gc.collect()
        assert gone() is not None
        key.close()
        gc.collect()
        assert gone() is None


def test_signer_is_let_go_when_the_key_is_refused() -> None:
    class Signer:
        def __call__(self, _algorithm: str, _message: bytes) -> bytes:
            return b""

    signer = Signer()
    gone = weakref.ref(signer)
    with pytest.raises(devid.Error):
        devid.Key.external(b"not a key", signer)
    del signer
    gc.collect()
    assert gone() is None


def test_key_closed_by_its_own_callback_is_freed_after_the_call() -> None:
    with devid.Key.generate() as other:
        keys: "list[devid.Key]" = []

        def sign(algorithm: str, message: bytes) -> bytes:
            keys[0].close()
            return other.sign(message, algorithm)

        key = devid.Key.external(other.public_key, sign)
        keys.append(key)
        assert key.sign(b"x")
        assert key.closed


def test_one_key_signs_for_several_threads() -> None:
    with devid.Key.generate() as key:
        signatures: "list[bytes]" = []
        failures: "list[BaseException]" = []

        def work() -> None:
            try:
                signatures.extend(key.sign(b"x") for _ in range(20))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and len(signatures) == 80


@pytest.mark.parametrize(("kind", "size"), [("P-256", 32), ("P-384", 48), ("P-521", 66)])
def test_point_and_numbers_of_a_secure_element_make_a_key_that_signs(kind: str, size: int) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    with devid.Key.generate(kind) as inside:
        point = inside.public_key[-1 - 2 * size :]
        length = bytes([len(point)]) if len(point) < 0x80 else bytes([0x81, len(point)])
        for form in (point, point[1:], b"\x04" + length + point):
            assert devid.Key.ec_public(kind, form) == inside.public_key
        for wrong in (point[:-1] + bytes([point[-1] ^ 1]), point[:-1], b"\x02" + point[1 : 1 + size], b""):
            with pytest.raises(devid.CryptoError) as refused:
                devid.Key.ec_public(kind, wrong)
            assert refused.value.name == "BAD_KEY"

        def chip(algorithm: str, message: bytes) -> bytes:
            r, s = decode_dss_signature(inside.sign(message, algorithm))
            return devid.Key.ecdsa_der(r.to_bytes(size, "big") + s.to_bytes(size, "big"))

        with devid.Key.external(devid.Key.ec_public(kind, point), chip) as key:
            # It is verified before it is handed out.
            assert key.sign(b"I am router 7")
    with pytest.raises(devid.CryptoError):
        devid.Key.ecdsa_der(b"\x01" * 63)
