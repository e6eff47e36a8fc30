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


@pytest.fixture(scope="module")
def tools() -> None:
    for name in ("setuptools", "wheel"):
        pytest.importorskip(name)


def test_release_wheels_carry_licences_a_list_of_parts_and_the_test_ca(
    checkout: Path, tools: None, tmp_path: Path
) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "THIRD-PARTY.md").write_text("licences")
    (papers / "devid.cdx.json").write_text("{}")
    (tmp_path / "devid-testca").symlink_to(papers)
    library, program = os.environ["DEVID_LIBRARY"], os.environ["DEVID_TESTCA"]
    command = [checkout / "packaging" / "python.py", "wheels", library, program, tmp_path / "out"]
    options = ["--platform", "manylinux_2_17_x86_64", "--notices", papers]
    done = subprocess.run([sys.executable, *map(str, command + options)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = sorted(path.name for path in (tmp_path / "out").glob("*.whl"))
    assert [name.split("-")[0] for name in names] == ["devid", "devid_testca"], names
    assert all(name.endswith("-py3-none-manylinux_2_17_x86_64.whl") for name in names), names
    for name in names:
        with zipfile.ZipFile(tmp_path / "out" / name) as archive:
            inside = [entry.split(".dist-info/")[-1] for entry in archive.namelist()]
            assert {"licenses/LICENSE-MIT", "licenses/THIRD-PARTY.md", "sboms/devid.cdx.json", "RECORD"} <= set(inside)
            record = archive.read(next(entry for entry in archive.namelist() if entry.endswith("RECORD"))).decode()
            assert "sboms/devid.cdx.json,sha256=" in record
            if name.startswith("devid_testca"):
                entry = next(entry for entry in archive.infolist() if entry.filename.endswith("scripts/devid-testca"))
                assert entry.external_attr >> 16 & 0o111, "a program that can be run"


def test_a_distribution_may_leave_the_library_out(checkout: Path, tools: None, tmp_path: Path) -> None:
    source = tmp_path / "checkout" / "bindings" / "python"
    leave = shutil.ignore_patterns("tests", "*.egg-info", "build", "__pycache__", ".*")
    shutil.copytree(checkout / "bindings" / "python", source, ignore=leave)
    shutil.copy(checkout / "Cargo.toml", tmp_path / "checkout")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    environment = {k: v for k, v in os.environ.items() if k != "DEVID_LIBRARY"} | {"DEVID_WITHOUT_LIBRARY": "1"}
    done = subprocess.run([*command, str(source)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    plain = next(tmp_path.glob("*.whl"))
    assert plain.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(plain) as archive:
        assert not [name for name in archive.namelist() if name.endswith((".so", ".dylib", ".dll"))]
        assert "devid/py.typed" in archive.namelist()


def test_the_source_distribution_has_all_that_a_build_reads(checkout: Path, tools: None, tmp_path: Path) -> None:
    if shutil.which("git") is None or not (checkout / ".git").exists():
        pytest.skip("not a checkout by git")
    command = [sys.executable, str(checkout / "packaging" / "python.py"), "sdist", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    packed = next(tmp_path.glob("devid-*.tar.gz"))
    subprocess.run(["tar", "xzf", packed, "-C", tmp_path], check=True)
    tree = next(path for path in tmp_path.iterdir() if path.is_dir())
    for name in ("PKG-INFO", "LICENSE-MIT", "rust/Cargo.lock", "rust/src/lib.rs", "src/devid/__init__.py"):
        assert (tree / name).exists(), name
    # Cargo finds every package of the workspace, at the versions that are locked.
    metadata = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]
    found = subprocess.run(metadata, cwd=tree / "rust", capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
