#!/usr/bin/env python3
"""How large the library is, by what is in it: builds each set of features and writes docs/sizes.md.

    python3 scripts/sizes.py                    all sets (an hour)
    python3 scripts/sizes.py default small      these; the other rows stay as they are, each has its day
    python3 scripts/sizes.py --check small      compares with the budget and writes nothing

The figures are those of stripped shared libraries for the machine that it runs on. With --keep FOLDER the libraries stay there with
their symbols: what in them takes the bytes is told by scripts/bytes.py.
"""

import argparse
import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import bytes as parts

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "sizes.md"
SMALL = "crypto-rust-p256,http"


@dataclass
class Set:
    """One library, or a program linked to it: how it is made, what its user has or lacks, what it may have and what it is to come to."""

    name: str
    features: str
    words: str
    profile: str = "small"
    budget: int | None = None
    aim: int | None = None
    # A C program, with its options for the compiler, linked to the static library.
    program: tuple[str, ...] = ()


ENROLS = ("benches/process.c",)
ENROLS_ITSELF = ("-DOWN_TRANSPORT", "benches/process.c")
VALIDATES = ("benches/validate.c",)
HTTP_WORDS = "benches/process.c, which enrols over HTTP"
OWN_WORDS = "the same with OWN_TRANSPORT: the program carries the messages, the engine is stepped"
VALIDATES_WORDS = "benches/validate.c: a chain with CRLs, and the peer's key"

# What `make small` builds has its own standard library and does not unwind.
ABORT = "small-abort"
SETS = [
    Set("default", "", "all of it: AWS-LC, HTTPS, CoAP, LDAP, settings", "release", budget=6_880_000, aim=5_000_000),
    Set("small", SMALL, "P-256 and HTTP", budget=3_370_000, aim=2_600_000),
    Set("small: C program", SMALL, HTTP_WORDS, program=ENROLS),
    Set("small: engine alone", "crypto-rust-p256", "no HTTP client: the program carries the messages, or files do"),
    Set("small: C program, own transport", "crypto-rust-p256", OWN_WORDS, program=ENROLS_ITSELF),
    Set("small: C program that validates", "crypto-rust-p256", VALIDATES_WORDS, program=VALIDATES),
    Set("immediate abort", SMALL, "as small, by `make small`", ABORT, aim=1_600_000),
    Set("immediate abort: C program", SMALL, HTTP_WORDS, ABORT, aim=1_000_000, program=ENROLS),
    Set("immediate abort: engine alone", "crypto-rust-p256", "as above", ABORT),
    Set("immediate abort: C program, own transport", "crypto-rust-p256", "as above", ABORT, aim=800_000, program=ENROLS_ITSELF),
    Set("immediate abort: C program that validates", "crypto-rust-p256", "as above", ABORT, aim=550_000, program=VALIDATES),
    Set("every algorithm", "crypto-rust,http", "and RSA, P-384, P-521, Ed25519, X25519, ML-DSA, ML-KEM", budget=4_080_000),
]
# Each beside `small`: what a user has by it, and lacks without.
ADDED = {
    "rust-rsa": "RSA keys and RSA signatures on certificates",
    "rust-p384": "P-384",
    "rust-p521": "P-521",
    "rust-25519": "Ed25519 and X25519",
    "rust-ml-dsa": "ML-DSA",
    "rust-ml-kem": "ML-KEM",
    "enveloped": "keys that the CA makes, certificates for keys that cannot sign, devid_key_decrypt(), devid_peer_encrypt()",
    "pkcs12": "PKCS#12 files read and written",
    "inspect": "devid_inspect(): structures as text",
    "ra": "devid_ra_*: a registration authority",
    "status-fetch": "CRLs and OCSP responses fetched by the URLs in certificates; without it the program brings them",
    "import": "certificates that come as files taken into device memory",
    "export": "identities written as files for other programs",
    "probe": "devid_probe(): what a server is like",
    "coap": "CMP over CoAP",
    "ldap": "CRLs from directories",
    "settings": "devid_device_*: a device by its settings file",
    "unicode-names": "names beyond ASCII compared by RFC 4518 in full",
    "identifier-names": "all registered names of attribute types; without it the everyday ones, and numbers",
    "legacy-ciphers": "old PKCS#12 files (with pkcs12)",
}
SETS += [Set(f"small and {feature}", f"{SMALL},{feature}", words) for feature, words in ADDED.items()]

INTRODUCTION = """\
# Sizes

Written by `python3 scripts/sizes.py`, which builds each set; do not edit the table. Stripped `libdevid.so`, and C programs linked to
`libdevid.a`, for x86-64 in bytes. Sets but the first are built without a C compiler (RustCrypto). What in a library takes the bytes, by
section, crate and function: `scripts/bytes.py`. A firmware without an operating system: [`porting-to-a-board.md`](porting-to-a-board.md).

*Immediate abort* is what `make small` builds: a standard library of its own, made for size, and nothing that unwinds. A panic, which would be a
fault of this library, then ends the process; in the other sets the guard around each C function catches it, and answers `DEVID_E_PANIC`.
`devid_supports("panic-guard")` tells which it is.

| set | bytes | beside small | aim | features | what a user has with it | day |
| --- | --- | --- | --- | --- | --- | --- |
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(s.name for s in SETS))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    unknown = set(options.sets) - {s.name for s in SETS}
    if unknown:
        parser.error(f"no such set: {', '.join(sorted(unknown))}")
    page = old_page()
    too_large = []
    for one in [s for s in SETS if not options.sets or s.name in options.sets]:
        size, what = measure(one, options.keep)
        print(f"size: {one.name}: {size:,} bytes" + (f" of {one.budget:,}" if one.budget else ""), flush=True)
        if one.budget is not None and size > one.budget:
            too_large.append(one.name)
        if not options.check:
            today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
            small = page.rows.get("small", (None,))[0]
            beside = f"{size - small:+,}" if small and one.name.startswith("small and") else ""
            page.rows[one.name] = (size, beside, today)
            if one.aim is not None:
                page.parts[one.name] = ([what[group] for group in parts.GROUPS], today)
            page.write()
    if too_large:
        sys.exit(f"size: over the budget: {', '.join(too_large)}")


def measure(one: Set, keep: Path | None) -> tuple[int, dict[str, int]]:
    """Builds a set and gives the size of its stripped library, or program, and what it consists of."""
    work = ROOT / "build"
    work.mkdir(exist_ok=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    # With its symbols, which tell what it consists of; what is measured is stripped afterwards.
    environment = {**os.environ, f"CARGO_PROFILE_{one.profile.upper().replace('-', '_')}_STRIP": "none"}
    command = ["make", f"FEATURES={one.features}"]
    if one.profile == ABORT:
        command += ["small"]
        target /= host()
    else:
        command += ["release", f"PROFILE={one.profile}"]
    built = target / one.profile / "libdevid.so"
    log = work / "size.log"
    with log.open("w") as out:
        if subprocess.run(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT).returncode:
            sys.exit(f"size: {one.name} does not build:\n" + "\n".join(log.read_text().splitlines()[-20:]))
    if one.program:
        library, built = built.with_suffix(".a"), work / "size-program"
        command = ["cc", "-Os", "-Iinclude", "-Wl,--gc-sections,--as-needed", "-o", str(built), *one.program, str(library)]
        subprocess.run([*command, "-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"], cwd=ROOT, check=True)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(built, keep / re.sub(r"\W+", "-", one.name))
    stripped = work / "size-stripped"
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, built], check=True)
    return stripped.stat().st_size, parts.groups(built, stripped)


def host() -> str:
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return re.search(r"^host: (.*)$", said, re.M)[1]


@dataclass
class Page:
    """Sizes by set, beside what `small` was then, with their days; what those that have an aim consist of, in the order of the groups;
    what people wrote below."""

    rows: dict[str, tuple[int, str, str]]
    parts: dict[str, tuple[list[int], str]]
    rest: str

    def write(self) -> None:
        lines = []
        for one in SETS:
            size, beside, day = self.rows.get(one.name, (None, "", ""))
            known = [f"{size:,}" if size else "not measured", beside, f"{one.aim:,}" if one.aim else ""]
            lines.append(f"| {' | '.join([one.name, *known, f'`{one.features}`' if one.features else 'default', one.words, day])} |\n")
        PAGE.write_text(INTRODUCTION + "".join(lines) + self.consist() + self.rest)

    def consist(self) -> str:
        """One column a set, one row a group."""
        told = [one for one in SETS if one.name in self.parts]
        if not told:
            return ""
        lines = [CONSIST, *(f" {one.name} |" for one in told), "\n| --- |", " ---: |" * len(told), "\n"]
        for index, group in enumerate(parts.GROUPS):
            lines += [f"| {group} |", *(f" {self.parts[one.name][0][index]:,} |" for one in told), "\n"]
        days = [self.parts[one.name][1] for one in told]
        aims = [f"{self.rows[one.name][0] - one.aim:+,}" for one in told]
        return "".join([*lines, f"| beside the aim | {' | '.join(aims)} |\n", f"| day | {' | '.join(days)} |\n"])


CONSIST = """
## What those with an aim consist of

Bytes of the stripped file, by the symbols of the same file before (`scripts/bytes.py`). *The C functions* are those that `devid.h` names and
what is compiled into them; what they share is our own code.

| what |"""


def old_page() -> Page:
    """The figures of earlier runs, and what people wrote below the tables."""
    text = PAGE.read_text() if PAGE.exists() else ""
    rows = {}
    for name, size, beside, day in re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([^|]*) \|.*\| ([\d-]+) \|$", text, re.M):
        rows[name] = (int(size.replace(",", "")), beside.strip(), day)
    of_parts = {}
    table = re.search(r"^\| what \|.*?(?=^(?!\|)|\Z)", text, re.M | re.S)
    if table:
        names, _, *lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()]
        figures = {line[0]: line[1:] for line in lines}
        if set(parts.GROUPS) <= set(figures):
            for place, name in enumerate(names[1:]):
                of_parts[name] = ([int(figures[group][place].replace(",", "")) for group in parts.GROUPS], figures["day"][place])
    below = re.search(r"^## What stands in the way.*", text, re.M | re.S)
    return Page(rows, of_parts, "\n" + below[0] if below else "")


if __name__ == "__main__":
    if platform.machine() != "x86_64" and "--check" not in sys.argv:
        sys.exit("sizes: the page is about x86-64")
    main()
