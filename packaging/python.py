#!/usr/bin/env python3
"""What PyPI would take: wheels of the package and of the test CA for a platform, and a source distribution that builds.

    python.py wheels LIBRARY TESTCA OUT [--platform manylinux_2_17_x86_64] [--notices FOLDER]
    python.py sdist OUT

LIBRARY and TESTCA are built already: by `make` for this machine, by `make wheels` against an old glibc. Run by a Python that has
`wheel` and `setuptools`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "bindings" / "python"
LICENCES = ("LICENSE-APACHE", "LICENSE-MIT")


def version() -> str:
    manifest = (ROOT / "Cargo.toml").read_text().split("[workspace.package]", 1)[1]
    found = re.search(r'^version = "(.+)"', manifest, re.M)
    assert found
    return found[1]


def run(*command: object, **more: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise SystemExit(f"python: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def notices(package: str, features: list[str], made: Path | None) -> Path:
    """Licences of the linked crates, and the list of them."""
    if made is not None:
        return made
    folder = ROOT / "build" / "notices" / package
    run(sys.executable, ROOT / "packaging" / "notices.py", folder, "--package", package, *features)
    return folder


def add_papers(unpacked: Path, papers: Path) -> None:
    """Licence files and the SBOM (PEP 639, PEP 770)."""
    info = next(unpacked.glob("*.dist-info"))
    (info / "licenses").mkdir(exist_ok=True)
    (info / "sboms").mkdir(exist_ok=True)
    for name in LICENCES:
        shutil.copy(ROOT / name, info / "licenses")
    shutil.copy(papers / "THIRD-PARTY.md", info / "licenses")
    shutil.copy(papers / "devid.cdx.json", info / "sboms")


def wheels(library: Path, testca: Path, out: Path, platform: str | None, papers: Path | None) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # From a copy: setuptools leaves its traces beside what it builds.
        source = work / "checkout" / "bindings" / "python"
        shutil.copytree(PYTHON, source, ignore=shutil.ignore_patterns("tests", "*.egg-info", "build", "__pycache__", ".*"))
        shutil.copy(ROOT / "Cargo.toml", work / "checkout")
        environment = {**os.environ, "DEVID_LIBRARY": str(library.resolve()), **({"DEVID_PLATFORM": platform} if platform else {})}
        run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", work, source, env=environment)
        plain = next(work.glob("devid-*.whl"))
        run(sys.executable, "-m", "wheel", "unpack", "--dest", work / "open", plain)
        unpacked = next((work / "open").iterdir())
        add_papers(unpacked, notices("devid-capi", ["--features", "default,pkcs11"], papers))
        run(sys.executable, "-m", "wheel", "pack", "--dest-dir", out, unpacked)
        tag = plain.name.split("-", 2)[2].removesuffix(".whl")
        run(sys.executable, "-m", "wheel", "pack", "--dest-dir", out, testca_tree(work, testca, tag, papers))
    return sorted(out.glob(f"devid*{version()}-*.whl"))


def testca_tree(work: Path, program: Path, tag: str, papers: Path | None) -> Path:
    """The test CA: a program in the environment's bin, where `devid.testing` finds it."""
    tree = work / "testca"
    scripts = tree / f"devid_testca-{version()}.data" / "scripts"
    info = tree / f"devid_testca-{version()}.dist-info"
    scripts.mkdir(parents=True)
    info.mkdir()
    shutil.copy(program, scripts / "devid-testca")
    (scripts / "devid-testca").chmod(0o755)
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nGenerator: devid\nRoot-Is-Purelib: false\nTag: {tag}\n")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: devid-testca\nVersion: {version()}\nRequires-Python: >=3.9\n"
        "Summary: A CA for tests of devices: CMP, CRLs, OCSP on the loopback interface, with a knob for everything that a real one may do wrong\n"
        "License: Apache-2.0 OR MIT\nProject-URL: Homepage, https://github.com/devid/devid\nDescription-Content-Type: text/markdown\n\n"
        "The program `devid-testca`, for `devid.testing`. Never for production.\n"
    )
    (info / "RECORD").write_text("")
    add_papers(tree, notices("devid-testca", [], papers and papers.parent / "devid-testca"))
    return tree


def sdist(out: Path) -> Path:
    """The package with the Rust sources that its library is built from; what is committed, no more."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "devid"
        shutil.copytree(PYTHON, tree, ignore=shutil.ignore_patterns("tests", "*.egg-info", "build", "__pycache__", ".*"))
        rust = tree / "rust"
        rust.mkdir()
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", rust], input=archive, check=True)
        # What no build reads; of the tests, cargo asks for the manifest of the package that they share.
        for path in (rust / "tests").iterdir():
            if path.name != "support":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in ("fuzz", "interop", "docs/book", "packaging", "bindings/python", ".ci"):
            shutil.rmtree(rust / name, ignore_errors=True)
        for name in LICENCES:
            shutil.copy(ROOT / name, tree)
        (tree / "VERSION").write_text(version() + "\n")
        (tree / "MANIFEST.in").write_text("graft rust\ninclude VERSION LICENSE-APACHE LICENSE-MIT\nglobal-exclude __pycache__ *.pyc\n")
        run(sys.executable, "setup.py", "-q", "sdist", "--formats=gztar", "--dist-dir", out.resolve(), cwd=tree)
    return next(out.glob(f"devid-{version()}.tar.gz"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    wheel = kinds.add_parser("wheels")
    for name in ("shared_object", "testca", "out"):
        wheel.add_argument(name, type=Path)
    wheel.add_argument("--platform")
    wheel.add_argument("--notices", type=Path)
    source = kinds.add_parser("sdist")
    source.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.kind == "sdist":
        made = [sdist(options.out)]
    else:
        made = wheels(options.shared_object, options.testca, options.out, options.platform, options.notices)
    for path in made:
        print(f"python: {path.name}, {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
