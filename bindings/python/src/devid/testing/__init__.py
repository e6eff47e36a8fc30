"""A test CA for the tests of programs that use devid: CMP, CRL and OCSP on loopback, with knobs for every misbehaviour.

Starts the program ``devid-testca`` on a port that the system chooses. Its keys lie about: for tests only. With pytest the
fixture ``devid_testca`` of :mod:`devid.testing.plugin` gives one for each test.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import urllib.request
from pathlib import Path
from typing import List, Optional, Sequence, Union

from .. import Key

PROGRAM = "DEVID_TESTCA"
"""Environment variable that names the program; else it is looked for where this Python's packages have their programs, then on PATH."""

Knob = Union[str, int, bool]


class TestCa:
    """A running test CA, stopped by :meth:`stop` or at the end of ``with``.

    Files of its folder: ``root.pem``, ``issuing.pem``, ``cmp-signer.pem``, ``supplier-root.pem``, a supplier's credential ``idevid.key``,
    ``idevid.pem``, ``idevid-chain.pem``, peers ``peer-good``, ``peer-rsa``, ``peer-revoked`` (``.key`` and ``.pem``), CRLs
    ``issuing.crl``, ``root.crl``, and a shared secret in ``reference.txt`` and ``secret.txt``.
    """

    __test__ = False  # pytest: this is no test, whatever its name says

    def __init__(
        self,
        program: Union[str, "os.PathLike[str]", None] = None,
        *,
        arguments: Sequence[str] = (),
        **knobs: Knob,
    ) -> None:
        """Starts it; returns when it is ready. Knobs are named as in its ``--help``, with ``_`` for ``-``."""
        self._folder = tempfile.TemporaryDirectory(prefix="devid-testca-")
        self.folder = Path(self._folder.name)
        command = [_program(program), "--dir", str(self.folder), "--until-stdin-closes", *arguments]
        command += [f"--{name.replace('_', '-')}={_value(value)}" for name, value in knobs.items()]
        # It ends when its standard input closes, so that it does not outlive a test run that is killed.
        self._said = tempfile.TemporaryFile()
        """What it says on standard error."""
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._said, text=True)
        except BaseException:
            self._said.close()
            self._folder.cleanup()
            raise
        try:
            ready = self._ready(command[0])
        except BaseException:
            self.stop()
            raise
        self.url: str = ready["url"]
        self.cmp_url: str = ready["cmp"]
        self.ocsp_url: str = ready["ocsp"]
        self.crl_url: str = ready["crl"]
        self.ra_url: Optional[str] = ready.get("ra")
        """Where the RA in front of the CA listens, if it was started with ``arguments=["--ra=WAY"]``."""
        self.coap_url: Optional[str] = ready.get("coap")
        """Where CoAP is spoken: with the argument ``--coap``."""
        self.https_url: Optional[str] = ready.get("https")
        """Where the same paths are by HTTPS, under the operator's root: with the arguments ``--tls`` or ``--tls-client-auth``."""

    def _ready(self, program: str) -> "dict[str, str]":
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            ready: "dict[str, str]" = json.loads(line)
            return ready
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip()
        raise RuntimeError(f"{program} ended with exit code {code} before it was ready: {said or 'it said nothing'}")

    def __repr__(self) -> str:
        return f"<TestCa at {self.url}>" if self._process.poll() is None else "<TestCa, stopped>"

    def read(self, name: str) -> bytes:
        """A file of its folder."""
        return (self.folder / name).read_bytes()

    @property
    def root(self) -> bytes:
        """The operator's root: the anchor for answers, issued certificates and peers. PEM."""
        return self.read("root.pem")

    @property
    def reference(self) -> bytes:
        """The reference value of the shared secret."""
        return self.read("reference.txt")

    @property
    def secret(self) -> bytes:
        """The shared secret."""
        return self.read("secret.txt")

    def idevid(self) -> "tuple[Key, bytes]":
        """A supplier's credential, as a device leaves the factory: the key, and certificate and chain in PEM."""
        return Key.load(self.read("idevid.key")), self.read("idevid.pem") + self.read("idevid-chain.pem")

    def set(self, **knobs: Knob) -> None:
        """Sets knobs from now on."""
        self.control(*(f"{name.replace('_', '-')}={_value(value)}" for name, value in knobs.items()))

    def reset(self) -> None:
        """All knobs at their defaults, and what was received forgotten."""
        self.control("reset", "forget")

    def revoke(self, serial: str, reason: int = 0) -> None:
        """Revokes a certificate by its serial number in hexadecimal digits."""
        self.control(f"revoke={serial},{reason}")

    def control(self, *lines: str) -> None:
        """Sends lines to its control path."""
        self._get("/control", "\n".join(lines).encode())

    def received(self) -> List[str]:
        """The messages that came, by name: ``ir``, ``pollReq``, ``certConf``..."""
        first = self._get("/control").decode().splitlines()[0]
        return first.partition(":")[2].split()

    def complaints(self) -> List[str]:
        """What was wrong with messages that came."""
        return [line for line in self._get("/control").decode().splitlines()[1:] if line]

    def crl(self) -> bytes:
        """The issuing CA's CRL as it is now, DER."""
        return self._get("/crl/issuing.crl")

    def _get(self, path: str, body: Optional[bytes] = None) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, body, timeout=20) as answer:
            content: bytes = answer.read()
            return content

    def stop(self) -> None:
        """Stops it and removes its folder. May be called any number of times."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._said.close()
        self._folder.cleanup()

    def __enter__(self) -> TestCa:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _program(given: Union[str, "os.PathLike[str]", None]) -> str:
    named = os.fspath(given) if given is not None else os.environ.get(PROGRAM) or _installed()
    if not named:
        words = (
            f"devid-testca was not found: pip install devid-testca, or set {PROGRAM} to the one of a checkout"
            " (cargo build -p devid-testca)"
        )
        raise FileNotFoundError(words)
    return named


def _installed() -> Optional[str]:
    """The program of the package devid-testca in this environment, which need not be activated; else that on PATH."""
    places = [sysconfig.get_path("scripts")]
    if f"{os.name}_user" in sysconfig.get_scheme_names():
        places.append(sysconfig.get_path("scripts", f"{os.name}_user"))
    for place in places:
        found = shutil.which("devid-testca", path=place)
        if found:
            return found
    return shutil.which("devid-testca")


def _value(value: Knob) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
