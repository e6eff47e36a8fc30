"""What `pip install` makes of this directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built around the library under test."""
    try:
        from setuptools.command import bdist_wheel  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
    except ImportError:
        pytest.importorskip("wheel", reason="setuptools before 70.1 needs the package wheel to build one")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    # From a copy: setuptools leaves its traces beside what it builds.
    source = folder / "checkout" / "bindings" / "python"
    leave = shutil.ignore_patterns("tests", "*.egg-info", "build", "__pycache__", ".*")
    shutil.copytree(checkout / "bindings" / "python", source, ignore=leave)
    shutil.copy(checkout / "Cargo.toml", folder / "checkout")
    outcome = subprocess.run([*map(str, command), str(source)], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return next(folder.glob("*.whl"))


def test_wheel_is_for_any_python_on_this_platform(wheel: Path) -> None:
    assert wheel.name.startswith("devid-") and "-py3-none-" in wheel.name and not wheel.name.endswith("-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        assert "Root-Is-Purelib: false" in archive.read(metadata).decode()
        assert "devid/py.typed" in archive.namelist() and "devid/testing/plugin.py" in archive.namelist()


def test_installed_package_works_with_the_library_inside(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    environment = {k: v for k, v in os.environ.items() if k not in ("DEVID_LIBRARY", "LD_LIBRARY_PATH")}
    environment["PYTHONPATH"] = str(tmp_path)
    code = "import devid; print(devid.__file__, devid.Key.generate().kind, devid._library.library()._name)"
    outcome = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    module, kind, library = outcome.stdout.split()
    assert module.startswith(str(tmp_path)) and library.startswith(str(tmp_path)) and kind == "P-256"
