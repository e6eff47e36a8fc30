"""Puts the shared library into the wheel; everything else stands in pyproject.toml.

The library is the file that DEVID_LIBRARY names, or is built with cargo from the checkout that this directory is part of, or that
a source distribution brings as `rust`. DEVID_WITHOUT_LIBRARY=1, for distributions whose library is a package of its own: it is left
out, and the wheel is for every platform. DEVID_PLATFORM: the platform that a library was built for elsewhere, such as
manylinux_2_17_x86_64.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:
    from wheel.bdist_wheel import bdist_wheel

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE / "rust" if (HERE / "rust").is_dir() else HERE.parents[1]
WITHOUT_LIBRARY = os.environ.get("DEVID_WITHOUT_LIBRARY") == "1"
FILE = {"win32": "devid.dll", "darwin": "libdevid.dylib"}.get(sys.platform, "libdevid.so")


class WithLibrary(build_py):
    """Copies the library beside the modules."""

    def run(self):
        super().run()
        if self.editable_mode or WITHOUT_LIBRARY:
            return
        target = Path(self.build_lib) / "devid" / FILE
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library(), target)

    def get_outputs(self, include_bytecode=1):
        if WITHOUT_LIBRARY:
            return super().get_outputs(include_bytecode)
        return [*super().get_outputs(include_bytecode), str(Path(self.build_lib) / "devid" / FILE)]


class PlatformWheel(bdist_wheel):
    """Any Python 3, this platform: the library is called through ctypes, not through Python's own binary interface."""

    def get_tag(self):
        if WITHOUT_LIBRARY:
            return ("py3", "none", "any")
        return ("py3", "none", os.environ.get("DEVID_PLATFORM") or super().get_tag()[2])


class BinaryDistribution(Distribution):
    """Makes setuptools treat the wheel as one that belongs to a platform."""

    def has_ext_modules(self):
        return not WITHOUT_LIBRARY


def library():
    """The file to pack."""
    named = os.environ.get("DEVID_LIBRARY")
    if named:
        return Path(named)
    if not (CHECKOUT / "bindings" / "c" / "src").is_dir():
        raise SystemExit("devid: this is not a checkout of the project; name the library's file with DEVID_LIBRARY")
    # As `make` does it, so that what is built already is used.
    profile = os.environ.get("DEVID_PROFILE", "release")
    command = ["cargo", "build", "--locked", "--profile", profile, "-p", "devid-capi"]
    # What comes from an index has the same in it, whether it was built there or here.
    if CHECKOUT == HERE / "rust":
        command += ["--features", "devid-capi/pkcs11"]
    print("devid:", *command, flush=True)
    try:
        subprocess.run(command, cwd=CHECKOUT, check=True)
    except FileNotFoundError:
        raise SystemExit("devid: cargo was not found; install Rust, or name a built library with DEVID_LIBRARY") from None
    target = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target"))
    return target / ("debug" if profile == "dev" else profile) / FILE


def version():
    """The version of the library this belongs to."""
    manifest = CHECKOUT / "Cargo.toml"
    if manifest.exists():
        section = manifest.read_text().split("[workspace.package]", 1)[1]
        (HERE / "VERSION").write_text(re.search(r'^version = "(.+)"', section, re.M)[1] + "\n")
    return (HERE / "VERSION").read_text().strip()


setup(
    version=version(),
    cmdclass={"build_py": WithLibrary, "bdist_wheel": PlatformWheel},
    distclass=BinaryDistribution,
)
