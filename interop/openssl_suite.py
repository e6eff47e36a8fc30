#!/usr/bin/env python3
"""OpenSSL's own tests of its command `openssl cmp`, run with `devid cmp`: the same options, OpenSSL's mock server, OpenSSL's data.

The data come from Debian's source package, as no repository of ours holds them; where apt knows none, the part is skipped
aloud. `openssl_suite.toml` says of each case that is to succeed and does not why that is so, and of each case that is to
fail by which class of error it does: a program that fails at everything does not pass.

    openssl_suite.py --program target/debug/devid [--data FOLDER] [--openssl PROGRAM] [--record]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "openssl_suite.toml"
ASPECTS = ["connection", "verification", "credentials", "commands", "enrollment"]
SETTINGS = [
    "ca_dn", "server_dn", "server_host", "server_port", "server_tls", "server_path", "server_cert", "kur_port", "pbm_port",
    "pbm_ref", "pbm_secret",
]
# Exit status of devid's other commands by class: what `--json` says of an error.
CLASSES = {
    1: "internal", 2: "usage", 3: "input", 4: "crypto", 5: "protocol", 6: "rejected", 7: "transport", 8: "store", 9: "invalid",
    10: "locked", 11: "not-as-asked", 12: "unconfirmed",
}


@dataclass(frozen=True)
class Case:
    """One line of the data."""

    aspect: str
    title: str
    arguments: list[str]
    is_good: bool

    @property
    def name(self) -> str:
        return f"{self.aspect}: {self.title}"


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    case: Case
    status: int
    kind: str
    words: str

    @property
    def succeeded(self) -> bool:
        return self.status == 0


def settings_of(path: Path, section: str) -> dict[str, str]:
    """The values of a section that the data's placeholders name."""
    found: dict[str, str] = {}
    here = False
    for line in path.read_text().splitlines():
        if heading := re.match(r"\s*\[\s*(.*?)\s*\]", line):
            here = heading[1] == section
        elif here and (pair := re.match(r"\s*(\w+)\s*=\s*(.*?)\s*(?:#.*)?$", line)) and pair[1] in SETTINGS:
            found[pair[1]] = pair[2] or '""""'
    return found


def cases_of(data: Path, aspect: str, values: dict[str, str], results: Path) -> Iterator[Case]:
    """The lines of an aspect as arguments, by the rules of OpenSSL's own recipe."""
    is_old = not (data / "Mock" / "newcrl.pem").exists()
    for line in (data / f"test_{aspect}.csv").read_text().splitlines():
        for key in SETTINGS:
            line = line.replace("_" + key.upper(), values[key])
        line = line.replace("_RESULT_DIR", str(results))
        extra = ["-config", "../Mock/test.cnf", "-section", f"Mock {aspect}"]
        if aspect != "commands" or is_old or re.search(r",\s*-cmd\s*,\s*(ir|cr|p10cr|kur)\s*,", line):
            extra += ["-certout", f"{results}/test.cert.pem"]
        if not re.search(r",\s*-proxy\s*,", line):
            extra += ["-proxy", ""]
        if not re.search(r",\s*-no_proxy\s*,", line):
            extra += ["-no_proxy", values["server_host"].strip("[]")]
        if "-server,[" in line and not has_ipv6():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) < 3 or cells[0] not in ("0", "1"):
            continue
        yield Case(aspect, cells[1], arguments_of(cells[2:], extra), cells[0] == "1")


def arguments_of(cells: list[str], extra: list[str]) -> list[str]:
    """Cells without the empty ones; `\"\"\"\"` is an empty argument; what stands in ' is one argument, commas or not."""
    arguments: list[str] = []
    for cell in (cell for cell in cells if cell and cell != "BLANK"):
        if cell == "-section":
            arguments += extra
        elif arguments and arguments[-1].startswith("'") and not arguments[-1].endswith("'"):
            arguments[-1] += f", {cell}"
        elif cell in ('""""', '""'):
            arguments.append("")
        else:
            arguments.append(next(csv.reader([cell]))[0] if cell.startswith('"') else cell)
    return [a[1:-1] if len(a) > 1 and a[0] == a[-1] == "'" else a for a in arguments]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class MockServer:
    """OpenSSL's own server over its own data."""

    def __init__(self, openssl: list[str], data: Path, log: Path) -> None:
        command = [*openssl, "cmp", "-config", "server.cnf"]
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command, cwd=data / "Mock", stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace"
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if ready := re.match(r"ACCEPT\s(.*?):(\d+)\b", line):
                self.host, self.port = ready[1], ready[2]
                break
        else:
            raise SystemExit(f"openssl_suite: the mock server did not start: {log.read_text()[-500:]}")
        # Read on, or it would stop at a full pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def __enter__(self) -> MockServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def run(program: list[str], openssl: list[str], data: Path) -> list[Outcome]:
    """Every case, in the data's order: later ones use the files of earlier ones."""
    found = []
    with tempfile.TemporaryDirectory(prefix="devid-openssl-suite-") as folder:
        results = Path(folder)
        with MockServer(openssl, data, results / "server.txt") as server:
            values = dict.fromkeys(SETTINGS, '""""') | settings_of(data / "Mock" / "test.cnf", "Mock")
            host = {"[::]": "[::1]", "0.0.0.0": "127.0.0.1", "*": "127.0.0.1"}.get(server.host, server.host)
            values["server_host"] = host
            ports = dict.fromkeys(["server_port", "server_tls", "kur_port", "pbm_port"], server.port)
            for aspect in ASPECTS:
                own = settings_of(data / "Mock" / "test.cnf", aspect)
                values |= {key: value for key, value in own.items() if key != "server_host"} | ports
                for case in cases_of(data, aspect, values, results):
                    server_of_case = [] if "-server" in case.arguments else ["-server", f"{host}:{server.port}"]
                    found.append(attempt(program, case, server_of_case, data / "Mock"))
    return found


def attempt(program: list[str], case: Case, server: list[str], folder: Path) -> Outcome:
    command = [*program, "--json", "cmp", *server, *case.arguments]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        return Outcome(case, -1, "timeout", "")
    words = " | ".join(done.stderr.strip().splitlines()[-2:])
    if done.returncode == 0:
        return Outcome(case, 0, "", words)
    try:
        kind = CLASSES.get(json.loads(done.stdout)["error"]["exit"], "unknown")
    except (ValueError, KeyError, TypeError):
        kind = "crash"
    return Outcome(case, done.returncode, kind, words)


def judge(outcomes: list[Outcome], expected: dict[str, dict[str, object]]) -> list[str]:
    """Everything that is neither as OpenSSL's data say nor explained."""
    not_run: dict[str, str] = {str(k): str(v) for k, v in expected.get("not-run", {}).items()}
    pairs = {(name, kind) for kind, names in expected.get("fails-by", {}).items() for name in names}  # type: ignore[attr-defined]
    wrong = []
    for outcome in outcomes:
        name = outcome.case.name
        if outcome.case.is_good and name in not_run and outcome.succeeded:
            wrong.append(f"{name}: succeeds now; take it from the list")
        elif outcome.case.is_good and name not in not_run and not outcome.succeeded:
            wrong.append(f"{name}: is to succeed, fails ({outcome.kind}): {outcome.words}")
        elif not outcome.case.is_good and outcome.succeeded:
            wrong.append(f"{name}: is to fail, succeeds: {outcome.words}")
        elif not outcome.case.is_good and (name, outcome.kind) not in pairs:
            classes = " or ".join(sorted(kind for known, kind in pairs if known == name)) or "none on the list"
            wrong.append(f"{name}: is to fail by {classes}, fails by {outcome.kind}: {outcome.words}")
    return wrong


def data_of(package: str, release: str) -> Path | None:
    """The suite's data out of Debian's source package, kept in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devid" / "openssl-suite" / release
    if found := next(iter(cache.glob("openssl-*/test/recipes/80-test_cmp_http_data")), None):
        return found
    if shutil.which("apt-get") is None:
        return None
    with tempfile.TemporaryDirectory(prefix="devid-apt-") as folder:
        sources = Path(folder) / "sources.list"
        sources.write_text(
            f"deb-src http://deb.debian.org/debian {release} main\n"
            f"deb-src http://deb.debian.org/debian-security {release}-security main\n"
        )
        (Path(folder) / "lists" / "partial").mkdir(parents=True)
        options = {
            "Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "/dev/null", "Dir::State::lists": f"{folder}/lists",
            "Dir::Cache": f"{folder}/cache",
        }
        apt = ["-o" + f"{name}={value}" for name, value in options.items()]
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", *apt, "update"], check=False, **quiet)  # type: ignore[call-overload]
        shown = subprocess.run(["apt-cache", *apt, "showsrc", package], capture_output=True, text=True, check=False).stdout
        # The newest may be announced and not be there yet.
        for version in sorted(set(re.findall(r"^Version: (\S+)", shown, re.M)), reverse=True):
            command = ["apt-get", *apt, "source", "--download-only", f"{package}={version}"]
            subprocess.run(command, check=False, **quiet)  # type: ignore[call-overload]
            if archive := next(iter(Path(folder).glob("*.orig.tar.gz")), None):
                with tarfile.open(archive) as tar:
                    wanted = [m for m in tar.getmembers() if "/80-test_cmp_http_data/" in m.name]
                    tar.extractall(cache, wanted, filter="data")
                return next(iter(cache.glob("openssl-*/test/recipes/80-test_cmp_http_data")), None)
    return None


def record(all_outcomes: dict[str, list[Outcome]], expected: dict[str, dict[str, object]]) -> None:
    """Adds the classes of errors to those that are known: what another version's data call for stays. Whoever runs this reads the
    difference, and takes out what is no longer right."""
    classes: dict[str, set[str]] = {str(kind): set(names) for kind, names in expected.get("fails-by", {}).items()}  # type: ignore[call-overload]
    for outcome in (o for outcomes in all_outcomes.values() for o in outcomes if not o.case.is_good):
        classes.setdefault(outcome.kind, set()).add(outcome.case.name)
    lines = [
        "# Cases of OpenSSL's suite for its command `cmp`: those that are to succeed and do not, and why; and by which class of",
        "# error those fail that are to fail. `openssl_suite.py --record` writes the second part.",
        "",
        "[not-run]",
        *(f"{json.dumps(str(name))} = {json.dumps(str(why))}" for name, why in expected.get("not-run", {}).items()),
        "",
        "[fails-by]",
    ]
    for kind in sorted(classes):
        lines += [f"{kind} = [", *(f"    {json.dumps(name)}," for name in sorted(classes[kind])), "]"]
    EXPECTED.write_text("\n".join(lines) + "\n")


def main() -> int:
    """Runs what there is data and a server for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--program", required=True, help="the command devid")
    parser.add_argument("--openssl", default="openssl", help="the server's program")
    parser.add_argument("--data", type=Path, action="append", default=[], help="80-test_cmp_http_data, as often as wanted")
    parser.add_argument("--record", action="store_true", help="write down by which class each case fails")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    program = [str(Path(options.program).resolve())]
    expected = tomllib.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    folders = options.data
    if not folders:
        # The server in the suite must be as new as the data: Debian's names of the system's release.
        release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
        found = data_of("openssl", release[1]) if release else None
        if found is None:
            print("openssl_suite: apt has no source package of openssl here: skipped")
            return 0
        folders = [found]
    everything: dict[str, list[Outcome]] = {}
    wrong: list[str] = []
    for folder in folders:
        label = next((part for part in folder.resolve().parts if part.startswith("openssl-")), str(folder))
        outcomes = everything[label] = run(program, options.openssl.split(), folder.resolve())
        good, bad = [o for o in outcomes if o.case.is_good], [o for o in outcomes if not o.case.is_good]
        print(
            f"openssl_suite: {label}: {len(outcomes)} cases; to succeed {sum(o.succeeded for o in good)}/{len(good)}, "
            f"to fail {sum(not o.succeeded for o in bad)}/{len(bad)}"
        )
        wrong += [f"{label}: {line}" for line in judge(outcomes, expected)] if not options.record else []
    if options.record:
        record(everything, expected)
    if options.json:
        rows = [
            {"data": label, "case": o.case.name, "is_good": o.case.is_good, "status": o.status, "class": o.kind}
            for label, outcomes in everything.items() for o in outcomes
        ]
        options.json.write_text(json.dumps(rows, indent=1))
    for line in wrong:
        print(f"openssl_suite: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
