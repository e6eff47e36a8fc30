"""CMP servers as processes: each on a port that the system chose, stopped by its own handle."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence

from cases import FAILURE_BIT, POLLS, Case
from material import REFERENCE, SECRET, Material
from peers import Peer, environment


class MockServer:
    """`openssl cmp -port 0` as a server that acts as a case wants."""

    def __init__(self, peer: Peer, material: Material, case: Case, more: Sequence[object] = ()) -> None:
        self._log: list[str] = []
        command = [str(peer.program), "cmp", "-config", "", "-port", "0", *_options(peer, material, case), *map(str, more)]
        self._process = subprocess.Popen(
            command,
            cwd=material.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.port = self._port()
        threading.Thread(target=self._read_log, daemon=True).start()

    @staticmethod
    def delays_pki_conf(peer: Peer) -> bool:
        """Whether `-poll_count` also holds for pkiConf: "delayed delivery of all types of response" came later."""
        return peer.version >= (3, 3, 0)

    @property
    def url(self) -> str:
        """Its path is that of the mock servers of all versions."""
        return f"http://127.0.0.1:{self.port}/pkix/"

    @property
    def log(self) -> str:
        """What it said."""
        return "".join(self._log)

    def _port(self) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._log.append(line)
            # "ACCEPT 0.0.0.0:34567 PID=..." or "ACCEPT [::]:34567 PID=..."
            if line.startswith("ACCEPT"):
                return int(line.rsplit(":", 1)[1].split()[0])
        self._process.wait()
        raise RuntimeError(f"the mock server did not start: {self.log}")

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        self._log.extend(self._process.stdout)

    def __enter__(self) -> MockServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _options(peer: Peer, material: Material, case: Case) -> list[str]:
    # A 3.0 server cannot sign with Ed25519; it can check such signatures, so the device signs with it all the same.
    kind = case.key_kind
    server = material.servers["P-256" if kind == "Ed25519" and peer.version < (3, 2, 0) else kind]
    options: list[object] = ["-srv_ref", REFERENCE, "-srv_secret", f"pass:{SECRET}"]
    options += ["-srv_cert", server.certificate, "-srv_key", server.key, "-srv_trusted", material.root.certificate]
    options += ["-rsp_cert", material.issued[kind, case.ending == "grantedWithMods"]]
    options += ["-rsp_extracerts", material.root.certificate]
    if case.command == "kur" and peer.version >= (3, 1, 0):
        options += ["-ref_cert", material.current[kind].certificate]
    if case.is_implicit:
        options += ["-grant_implicitconf"]
    if case.is_polled:
        options += ["-poll_count", POLLS, "-check_after", 1]
    if case.ending == "grantedWithMods":
        options += ["-pkistatus", 1]
    if case.ending == "rejection":
        options += ["-pkistatus", 2, "-failure", FAILURE_BIT, "-statusstring", "key is on the list"]
    if case.ending == "error":
        options += ["-send_error"]
    return [str(option) for option in options]


