"""The OpenSSL versions we talk to: the system's, and one built from the sources in the crate `openssl-src`."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPENSSL_SRC = "400.0.2+4.0.3"
RELEASE = OPENSSL_SRC.partition("+")[2]
CONFIGURE = ["./Configure", "linux-x86_64", "no-shared", "no-module", "no-tests", "no-legacy", "no-docs"]


@dataclass(frozen=True)
class Peer:
    """One `openssl` command."""

    label: str
    program: Path
    version: tuple[int, int, int]

    def run(self, *arguments: object, folder: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs it with the system's configuration out of the way."""
        command = [str(self.program), *map(str, arguments)]
        return subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, errors="replace", timeout=timeout
        )

    def check(self, *arguments: object, folder: Path) -> None:
        """Runs it; a failure is an error of the harness."""
        outcome = self.run(*arguments, folder=folder)
        if outcome.returncode != 0:
            raise RuntimeError(f"{self.program} {' '.join(map(str, arguments))}\n{outcome.stderr}")


def environment() -> dict[str, str]:
    """Without what changes the behaviour of openssl behind our back."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("OPENSSL_", "SSL_"))
    }


def system() -> Peer:
    """The `openssl` of the system; it also makes the keys and certificates of the harness."""
    program = shutil.which("openssl")
    if program is None:
        raise SystemExit("interop: no openssl command; on Debian: apt-get install openssl")
    return _peer(Path(program))


def built() -> Peer:
    """OpenSSL as in the crate; built in about five minutes at the first use and kept outside the tree that cargo cleans."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devid"
    source = cache / f"openssl-{RELEASE}-src"
    program = source / "apps" / "openssl"
    if not program.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / f"openssl-{RELEASE}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not program.exists():
                _build(cache, source)
    return _peer(program)


def _build(cache: Path, source: Path) -> None:
    """Unpacks beside the final place and moves the tree there when its program runs: a broken build is never taken."""
    print(f"interop: building OpenSSL {RELEASE} into {source} (about five minutes, once)", flush=True)
    unfinished = cache / f"openssl-{RELEASE}-unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(_crate(cache) / "openssl", unfinished, symlinks=True)
    log = cache / f"openssl-{RELEASE}.log"
    with open(log, "w") as out:
        for command in (CONFIGURE, ["make", f"-j{os.cpu_count() or 1}", "build_programs"]):
            outcome = subprocess.run(command, cwd=unfinished, env=environment(), stdout=out, stderr=subprocess.STDOUT)
            if outcome.returncode != 0:
                raise SystemExit(f"interop: {' '.join(command)} failed, see {log}")
    unfinished.rename(source)


def _crate(cache: Path) -> Path:
    """The sources of the crate, fetched by cargo, which checks them against the registry's index."""
    project = cache / "openssl-src-fetch"
    (project / "src").mkdir(parents=True, exist_ok=True)
    (project / "src" / "lib.rs").write_text("")
    (project / "Cargo.toml").write_text(
        '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n\n[dependencies]\n'
        f'openssl-src = "={OPENSSL_SRC}"\n'
    )
    subprocess.run(["cargo", "fetch", "--quiet"], cwd=project, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--format-version", "1"], cwd=project, check=True, capture_output=True, text=True
    )
    for package in json.loads(metadata.stdout)["packages"]:
        if package["name"] == "openssl-src":
            return Path(package["manifest_path"]).parent
    raise SystemExit("interop: cargo did not fetch openssl-src")


def _peer(program: Path) -> Peer:
    answer = subprocess.run([program, "version"], capture_output=True, text=True, env=environment(), check=True).stdout
    match = re.match(r"OpenSSL (\d+)\.(\d+)\.(\d+)", answer)
    if match is None:
        raise SystemExit(f"interop: {program} says {answer.strip()!r}, which is not OpenSSL 3 or newer")
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version < (3, 0, 0):
        raise SystemExit(f"interop: {program} is {answer.strip()}; CMP came with OpenSSL 3.0")
    return Peer("OpenSSL " + ".".join(map(str, version)), program, version)


__all__ = ["Peer", "built", "environment", "system"]
