"""Peers written in Java: their libraries come from Maven Central, checked by digest, and are kept beside the other peers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path
from types import TracebackType

MAVEN = "https://repo1.maven.org/maven2"
HERE = Path(__file__).resolve().parent
ANSWER_SECONDS = 60

BOUNCY_CASTLE = {
    "org/bouncycastle/bcprov-jdk18on/1.86/bcprov-jdk18on-1.86.jar": "2af190b300cbb0b35e248ccf5f4a06b6072030aeb3da7a98ec73abe5b4cb371f",
    "org/bouncycastle/bcpkix-jdk18on/1.86/bcpkix-jdk18on-1.86.jar": "8d8b41a4b149bdae8d331f059a578870954d1e3ff29f8269a9eb3ee19a7e4ef7",
    "org/bouncycastle/bcutil-jdk18on/1.86/bcutil-jdk18on-1.86.jar": "1c268e15f785aafb1e4670d8d6e5f856f69475e96c162dadcd1ff9b350e9139f",
}
OLD_BOUNCY_CASTLE = {
    "org/bouncycastle/bcprov-jdk18on/1.78.1/bcprov-jdk18on-1.78.1.jar": "add5915e6acfc6ab5836e1fd8a5e21c6488536a8c1f21f386eeb3bf280b702d7",
    "org/bouncycastle/bcpkix-jdk18on/1.78.1/bcpkix-jdk18on-1.78.1.jar": "4b48ea084e5232b9d79ebca1887b9de037b124931807cd60710748c2aee08cc9",
    "org/bouncycastle/bcutil-jdk18on/1.78.1/bcutil-jdk18on-1.78.1.jar": "d9fa56f97b0f761ce3bc8d9d74c5d7137a987bf5bd3abfe1003f9bafa45a1d2f",
}
SIEMENS = {
    "com/siemens/pki/CmpRaComponent/4.1.4/CmpRaComponent-4.1.4.jar": "38a9574469b5668e966eb105250151c73d62d43deacd246ac4b1186bcf82a961",
    **OLD_BOUNCY_CASTLE,
    "org/slf4j/slf4j-api/2.0.13/slf4j-api-2.0.13.jar": "e7c2a48e8515ba1f49fa637d57b4e2f590b3f5bd97407ac699c3aa5efb1204a9",
    "org/slf4j/slf4j-simple/2.0.13/slf4j-simple-2.0.13.jar": "3153fe1d689cffb94f1530b58470c306685ba68844de8857116e3b6ebb81d9f7",
    "com/fasterxml/jackson/core/jackson-core/2.17.1/jackson-core-2.17.1.jar": "ddb26c8a1f1a84535e8213c48b35b253370434e3287b3cf15777856fc4e58ce6",
    "com/fasterxml/jackson/core/jackson-annotations/2.17.1/jackson-annotations-2.17.1.jar": "fccad82e13172c0e4384db71577219c9b8631c0820f4b18daaa57016fb661c76",
    "com/fasterxml/jackson/core/jackson-databind/2.17.1/jackson-databind-2.17.1.jar": "b6ca2f7d5b1ab245cec5495ec339773d2d90554c48592590673fb18f4400a948",
    "com/fasterxml/jackson/dataformat/jackson-dataformat-yaml/2.17.0/jackson-dataformat-yaml-2.17.0.jar": "46b65ace036b01743710bcfc9e7f041eded2fc82ba0d3d83e19b32c818c18b4c",
    "org/yaml/snakeyaml/2.2/snakeyaml-2.2.jar": "1467931448a0817696ae2805b7b8b20bfb082652bf9c4efaed528930dc49389b",
}


class Missing(Exception):
    """A peer that cannot be had on this machine, and why."""


class Refused(Exception):
    """A job that failed; its words, of which the first are the failure."""

    def __init__(self, words: list[str]) -> None:
        super().__init__(words[0])
        self.words = words


class Jvm:
    """A running program of `interop/java`, which does one job a line; several at the same time."""

    def __init__(self, name: str, jars: dict[str, str]) -> None:
        paths = [_jar(path, digest) for path, digest in jars.items()]
        own = os.environ.get("DEVID_CMP_RA_COMPONENT")
        if own:
            # One that was built from its sources: Maven Central ends at 4.1.4.
            paths = [Path(own) if "CmpRaComponent" in path.name else path for path in paths]
        classes = _compiled(name, paths)
        command = ["java", "-Xmx256m", "-cp", os.pathsep.join(map(str, [classes, *paths])), name]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as the program)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline().split("\t")
        if ready[0] != "ready":
            raise RuntimeError(f"{name} did not start: {self.log}")
        self.port = int(ready[1])
        self._answers: dict[int, list[str]] = {}
        self._last = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, operation: str, **values: object) -> list[str]:
        """Its answer to a job. `Refused` if it failed."""
        with self._changed:
            self._last += 1
            number = self._last
            assert self._process.stdin is not None
            fields = [f"{name}={value}" for name, value in values.items() if value is not None]
            self._process.stdin.write("\t".join([str(number), operation, *fields]) + "\n")
            self._process.stdin.flush()
            if not self._changed.wait_for(lambda: number in self._answers, ANSWER_SECONDS):
                raise RuntimeError(f"no answer within {ANSWER_SECONDS} s: {self.log[-600:]}")
            verdict, *words = self._answers.pop(number)
        if verdict != "ok":
            raise Refused(words)
        return words

    @property
    def log(self) -> str:
        """What it said on standard error."""
        self._log.seek(0)
        return self._log.read()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, *answer = line.rstrip("\n").split("\t")
            with self._changed:
                self._answers[int(number)] = answer
                self._changed.notify_all()

    def __enter__(self) -> Jvm:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devid" / "java"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _jar(path: str, digest: str) -> Path:
    """A library of Maven Central: never taken with another content than the one that was pinned."""
    kept = _cache() / path.rpartition("/")[2]
    if not kept.exists():
        try:
            with urllib.request.urlopen(f"{MAVEN}/{path}", timeout=60) as answer:
                content = answer.read()
        except OSError as error:
            raise Missing(f"{path} does not come from Maven Central: {error}") from error
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.rename(kept)
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    if found != digest:
        raise SystemExit(f"interop: {kept} has the digest {found}, expected {digest}")
    return kept


def _compiled(name: str, jars: list[Path]) -> Path:
    """The classes of a program of ours, compiled when its source or its libraries change."""
    for tool in ("javac", "java"):
        if shutil.which(tool) is None:
            raise Missing(f"there is no {tool}; on Debian: apt-get install default-jdk-headless")
    sources = [HERE / "java" / f"{file}.java" for file in (name, "Jobs")]
    content = b"".join(source.read_bytes() for source in sources)
    stamp = hashlib.sha256(content + "".join(map(str, jars)).encode()).hexdigest()[:16]
    folder = _cache() / f"{name}-{stamp}"
    with open(_cache() / "compile.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            libraries = os.pathsep.join(map(str, jars))
            command = ["javac", "-Xlint:all,-path", "-Werror", "-d", str(unfinished), "-cp", libraries, *map(str, sources)]
            subprocess.run(command, check=True)
            unfinished.rename(folder)
    return folder
