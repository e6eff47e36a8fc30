#!/usr/bin/env python3
"""Conversations with CMP code of others: our C and Python clients with OpenSSL's mock servers and through an RA, clients of
others with our test CA.

Prints a table, writes JSON, exits with 1 if anything is neither as it must be nor explained. Needs Python's standard
library, a C compiler, the system's openssl, and a built libdevid and devid-testca.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

import bouncy  # noqa: E402
import further  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import siemens  # noqa: E402
from authority import Authorities  # noqa: E402
from cases import (  # noqa: E402
    OUR_CA,
    OURS,
    Case,
    Obstacle,
    Version,
    conversations,
    conversations_through_an_ra,
    conversations_with_bouncy_castle,
    obstacle,
)
from clients import Client, Job, OpensslClient, OurClient, certificate_der  # noqa: E402
from jvm import Jvm, Missing  # noqa: E402
from material import REFERENCE, SECRET, SUBJECT, Material  # noqa: E402
from outcome import ANSWERED, complaint  # noqa: E402
from peers import Peer  # noqa: E402
from servers import MockServer  # noqa: E402


def main() -> int:
    """Runs the matrix."""
    options = arguments()
    library = options.library.resolve()
    system = peers.system()
    all_peers = [system] if options.short else [system, peers.built()]
    missing: list[str] = []
    more: list[further.Conversation] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="devid-interop-")))
        material = Material(system, folder)
        ours = our_clients(library, options.include, folder)
        package = ROOT / "bindings" / "python" / "src"
        authorities = stack.enter_context(Authorities(options.testca.resolve(), library, package, material))
        tasks: list[Task] = []
        for peer in all_peers:
            for label in OURS:
                tasks += [with_mock_server(c, peer, material, ours[label]) for c in conversations(peer.label, label)]
        clients: list[tuple[Client, Version | None]] = [(OpensslClient(peer), peer.version) for peer in all_peers]
        testca = stack.enter_context(authorities.another())
        beyond = further.Further(testca, system, material, folder)
        for peer in all_peers:
            more += [*beyond.from_openssl(peer), *beyond.with_openssl(peer)]
        more += beyond.with_imitations()
        if not options.short:
            try:
                jvm = stack.enter_context(siemens.start())
            except Missing as reason:
                missing.append(f"CmpRaComponent: {reason}")
            else:
                clients.append((siemens.Client(jvm, system, material), None))
                tasks += through_an_ra(jvm, ours, authorities)
                more += [*beyond.through_siemens(jvm), *beyond.from_siemens(jvm)]
            try:
                ca = bouncy.Ca(stack.enter_context(bouncy.start()), material)
            except Missing as reason:
                missing.append(f"Bouncy Castle: {reason}")
            else:
                tasks += with_bouncy_castle(ca, ours)
                more += beyond.with_bouncy_castle(ca)
        for client, version in clients:
            tasks += [with_our_ca(c, client, version, authorities) for c in conversations(OUR_CA, client.label)]
        results = list(run_all(selected(tasks, options.only), options.jobs))
        chosen = [c for c in more if options.only in f"{c.client} {c.server} {c.operation}"]
        further_results = [(c, *c()) for c in chosen]
    words = report.table(results)
    print(words)
    print(further.table(further_results))
    print("".join(f"missing: {peer}\n" for peer in missing), end="")
    if options.json:
        about = {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": platform.platform(),
            "peers": ", ".join(dict.fromkeys(name for r in results for name in (r.case.server, r.case.client))),
        }
        report.write(options.json, results, further_results, about)
        print(f"written to {options.json}")
    verdicts = [r.verdict for r in results] + [verdict for _, verdict, _ in further_results]
    return 1 if missing or "fail" in verdicts else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, required=True, help="libdevid.so")
    parser.add_argument("--include", type=Path, default=ROOT / "include", help="directory of devid.h")
    parser.add_argument("--testca", type=Path, required=True, help="the program devid-testca")
    parser.add_argument("--short", action="store_true", help="the system's OpenSSL only")
    parser.add_argument("--json", type=Path, help="where the results are written")
    parser.add_argument("--jobs", type=int, default=4 * (os.cpu_count() or 1), help="conversations at the same time")
    parser.add_argument("--only", default="", help="only conversations whose description contains this")
    return parser.parse_args()


def our_clients(library: Path, include: Path, folder: Path) -> dict[str, OurClient]:
    """The C client, compiled here, and the Python one."""
    program = folder / "client"
    # Programs look for the library by its SONAME.
    soname = folder / "lib" / f"libdevid.so.{abi(include)}"
    soname.parent.mkdir()
    soname.symlink_to(library)
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", f"-I{include}", str(HERE / "client.c"), str(library)]
    subprocess.run([*command, "-o", str(program)], check=True)
    python = {"DEVID_LIBRARY": str(library), "PYTHONPATH": str(ROOT / "bindings" / "python" / "src")}
    return {
        "C": OurClient("C", [str(program)], {"LD_LIBRARY_PATH": str(soname.parent)}),
        "Python": OurClient("Python", [sys.executable, str(HERE / "client.py")], python),
    }


def abi(include: Path) -> int:
    """The generation of the binary interface that the header names."""
    for line in (include / "devid.h").read_text().splitlines():
        if line.startswith("#define DEVID_ABI_VERSION "):
            return int(line.split()[2])
    raise SystemExit("interop: devid.h names no DEVID_ABI_VERSION")


class Task:
    """One conversation, to be run later."""

    def __init__(self, case: Case, obstacle: Obstacle | None, converse: Callable[[Case], str]) -> None:
        self.case, self._obstacle, self._converse = case, obstacle, converse

    def __call__(self) -> report.Result:
        begun = time.monotonic()
        try:
            words = self._converse(self.case)
        except Exception as error:  # noqa: BLE001 (a harness that breaks in one case goes on with the others)
            words = f"{type(error).__name__}: {error}"
        milliseconds = round((time.monotonic() - begun) * 1000)
        if self._obstacle is None:
            return report.Result(self.case, "fail" if words else "pass", words, milliseconds)
        if self._obstacle.sign in words:
            return report.Result(self.case, "explained", self._obstacle.reason, milliseconds)
        words = words or "works"
        return report.Result(self.case, "fail", f"should fail, as {self._obstacle.reason}; but: {words}", milliseconds)


def with_mock_server(case: Case, peer: Peer, material: Material, client: OurClient) -> Task:
    """One of our clients with a mock server of OpenSSL."""

    def converse(case: Case) -> str:
        kind = case.key_kind
        expected = certificate_der(material.issued[kind, case.ending == "grantedWithMods"])
        is_wrong = case.ending == "wrong credential"
        if is_wrong:
            credential = material.strangers[kind]
        else:
            credential = material.current[kind] if case.command == "kur" else material.suppliers[kind]
        with MockServer(peer, material, case) as server:
            job = Job(
                case,
                server.url,
                material.root.certificate,
                material.new_keys[kind],
                SUBJECT,
                reference=REFERENCE,
                secret="battery-staple" if is_wrong else SECRET,
                key=credential.key,
                certificate=credential.certificate,
            )
            outcome = client.run(job)
            server_text = "key is on the list" if case.ending == "rejection" else ANSWERED
            words = complaint(case, outcome, expected, server_text, MockServer.delays_pki_conf(peer))
            return words and f"{words} | client: {outcome.log.strip()[-600:]} | server: {server.log.strip()[-600:]}"

    return Task(case, obstacle(case, peer.version, None), converse)


def with_our_ca(case: Case, client: Client, version: Version | None, authorities: Authorities) -> Task:
    """A client of others with our test CA."""

    def converse(case: Case) -> str:
        authority = authorities.of(case, version)
        job = authority.job(case)
        outcome = client.run(job)
        words = complaint(case, outcome, None, authority.server_text(case), delays_pki_conf=False)
        words = words or authority.complaint(case, job, outcome)
        return words and f"{words} | client: {outcome.log.strip()[-900:]}"

    return Task(case, obstacle(case, None, version), converse)


def through_an_ra(jvm: Jvm, ours: dict[str, OurClient], authorities: Authorities) -> list[Task]:
    """Our clients with our test CA, and an RA of others in between."""
    ra = siemens.Ra(jvm)

    def converse(case: Case) -> str:
        # It is the RA that puts off, not the CA.
        authority = authorities.of(replace(case, is_polled=False))
        job = ra.between(case, authority.job(case), authority.folder)
        outcome = ours[case.client].run(job)
        words = complaint(case, outcome, None, authority.server_text(case), delays_pki_conf=False)
        words = words or authority.complaint(case, job, outcome)
        return words and f"{words} | client: {outcome.log.strip()[-600:]}"

    cases = [case for way in siemens.WAYS for label in OURS for case in conversations_through_an_ra(way, label)]
    return [Task(case, obstacle(case, None, None), converse) for case in cases]


def with_bouncy_castle(ca: bouncy.Ca, ours: dict[str, OurClient]) -> list[Task]:
    """Our clients with a CA of Bouncy Castle's classes."""

    def converse(case: Case) -> str:
        job = ca.job(case)
        outcome = ours[case.client].run(job)
        words = complaint(case, outcome, None, "", delays_pki_conf=False)
        return words and f"{words} | client: {outcome.log.strip()[-600:]}"

    return [Task(c, None, converse) for label in OURS for c in conversations_with_bouncy_castle(label)]


def selected(tasks: list[Task], words: str) -> list[Task]:
    """Those whose description contains the words."""
    return [t for t in tasks if words in f"{t.case.client} {t.case.server} {t.case.words}"]


def run_all(tasks: list[Task], jobs: int) -> Iterable[report.Result]:
    """All of them, several at a time: most of the time they wait. In the order of the matrix."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        yield from pool.map(lambda task: task(), tasks)


if __name__ == "__main__":
    sys.exit(main())
