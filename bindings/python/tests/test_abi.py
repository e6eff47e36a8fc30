"""The prototypes are those of the header, and the library is the one they belong to."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

import devid
from devid import _abi, _library


def test_prototypes_are_what_the_generator_makes_of_the_header(checkout: Path) -> None:
    generator = checkout / "bindings" / "python" / "tools" / "generate_abi.py"
    outcome = subprocess.run([sys.executable, generator, "--check"], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr


def test_generator_stops_at_a_type_it_does_not_know(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(checkout / "bindings" / "python" / "tools"))
    import generate_abi  # type: ignore[import-not-found]

    text = generate_abi.header.whole()
    strange = text.replace("devid_key_kind(const devid_key *key)", "devid_key_kind(long double key)")
    assert strange != text
    with pytest.raises(SystemExit, match="long double"):
        generate_abi.generate(strange)


def test_functions_are_the_symbols_of_the_library(checkout: Path) -> None:
    symbols = (checkout / "bindings" / "c" / "symbols.txt").read_text().split()
    assert sorted(_abi.FUNCTIONS) == sorted(symbols)
    for name in symbols:
        assert getattr(_library.library(), name).argtypes is not None


def test_codes_and_their_classes_are_those_of_the_library() -> None:
    lib = _library.library()
    for code in devid.Code:
        if code is not devid.Code.OK:
            assert lib.devid_status_name(code) == b"DEVID_E_" + code.name.encode()
            assert devid.Class(lib.devid_status_class(code)) in devid.errors.CLASSES


def test_every_class_of_failures_has_an_exception_of_its_own() -> None:
    kinds = [devid.errors.CLASSES[c] for c in devid.Class if c is not devid.Class.OK]
    assert len(set(kinds)) == len(kinds)


def test_handles_of_different_types_are_not_mixed_up() -> None:
    with devid.Key.generate() as key, key._use() as pointer, pytest.raises(ctypes.ArgumentError):
        _library.library().devid_cert_subject(pointer)


def run_python(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    source = str(Path(devid.__file__).resolve().parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source, **environment},
        capture_output=True,
        text=True,
    )


def test_missing_library_is_reported_with_the_places_tried(tmp_path: Path) -> None:
    outcome = run_python("import devid; devid.version()", DEVID_LIBRARY=str(tmp_path / "nothing.so"))
    assert outcome.returncode != 0
    assert "DEVID_LIBRARY" in outcome.stderr and "nothing.so" in outcome.stderr


def test_library_of_another_generation_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "old.c"
    source.write_text("unsigned devid_abi_version(void) { return 4711; }\n")
    built = tmp_path / "old.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", built, source], check=True)
    outcome = run_python("import devid; devid.version()", DEVID_LIBRARY=str(built))
    assert outcome.returncode != 0 and "generation 4711" in outcome.stderr


def test_library_that_lacks_functions_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "few.c"
    source.write_text(f"unsigned devid_abi_version(void) {{ return {_abi.DEVID_ABI_VERSION}; }}\n")
    built = tmp_path / "few.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", built, source], check=True)
    outcome = run_python("import devid; devid.version()", DEVID_LIBRARY=str(built))
    assert outcome.returncode != 0 and "older than this package" in outcome.stderr


def test_version_of_package_and_library_are_one(checkout: Path) -> None:
    header = (checkout / "include" / "devid.h").read_text()
    assert f'#define DEVID_VERSION_STRING "{devid.version()}"' in header


def test_features_are_asked_for_by_name() -> None:
    assert devid.supports("crypto-awslc") or devid.supports("crypto-rust")
    assert not devid.supports("teleportation")
    with pytest.raises(TypeError):
        devid.supports(b"http")  # type: ignore[arg-type]
