"""docs/performance.md from the results of one run."""

import datetime
import os
import re
import subprocess
from pathlib import Path

INTRODUCTION = """\
# Performance

Written by `make bench`; do not edit. Figures of different machines and days are not to be compared with each other: every
rival was measured in the same run, in turns with us, so look at the ratios. Below 1 we need less than the rival.
"""

ENROLMENT = """\
## Enrolment: CPU of the client

`ir` and `certConf`, keys and settings decoded beforehand; the client object is made anew for each enrolment, and everyone
validates the new certificate to its anchor. CPU time of the client's thread in microseconds, median of {rounds} rounds. All
clients talk to the same server in the same process (libcrypto's server code, {server}, issuing certificates); what it costs
is left out. MAC: PasswordBasedMac, SHA-256, HMAC-SHA-256; 1,024 iterations here and in OpenSSL 4, 500 in OpenSSL 3.0, which
cannot be told otherwise. *Cryptography* is the part of our figure that no client can do without: the signatures and key derivations
alone, called directly.
"""

RSA = """\
*Ours* is what is left of our figure without the cryptography, as a share of the last rival's whole: with RSA, where proof of possession
alone is a signature that costs more than all the rest, the aim is set for it. `make` leaves AWS-LC's code for AVX-512 out (`AWS_LC_FLAGS`, 0.7 MB), that of RSA
with it: on a processor with AVX-512 a signature then takes 587 µs and not 231 (OpenSSL, which has it: 237 to 258), on one without nothing changes.
"""

HEAP = """\
Heap of one such enrolment (P-256), counted by the same preloaded counter; the server's share is left out. *Live* is the most
that was held at one time.
"""

PROCESSES = """\
## Enrolment: whole processes

From `exec` to exit over HTTP on the loopback interface, P-256, keys and certificates read from PEM files, the new
certificate written to one. CPU is user and system time; medians of turns. The server is the same for all.
"""

VALIDATION = """\
## Validation

CPU in microseconds: leaf, intermediate, root; the purpose serverAuth and the host name are checked. *Chain*: all three
decoded from DER each time. *Store kept*: root, intermediate and CRLs are decoded once, the leaf comes anew. *Status from
device memory*: the CRLs were kept there by an earlier validation, and the peer's key is opened behind the verdict. CRL
signatures are verified by everyone; we remember that they were, in a store that is kept. rustls-webpki uses ring; it has no OCSP. For OCSP, leaf, issuer
and response are decoded, the response verified and its answer for the leaf taken.
"""

CRLS = """\
## Big CRLs

Decode, verify the signature (P-256), look up one serial number: CPU in milliseconds. Then one more lookup in
microseconds. Memory is what the process gained at its peak, the DER included, in MiB; *mapped* is the same list in a memory-mapped
file, where only the index is our own (anonymous) memory.
"""

SCALE = """\
## Scale

One validator, used by several threads of {processors} processors: a leaf that comes anew, two CRLs, the issuing CA kept. CPU and
wall time a validation in microseconds (P-256); *waits*: how often in a thousand validations a thread gave its processor away, as it must to
wait for a lock.
"""

FLEET = """An enrolment through a registration authority (ir and certConf: each checked, sent on under the RA's signature, the answer given back under
the MAC of the device), and libcrypto's mock server ({server}), which answers the same two messages and issues; P-256, median CPU in
microseconds, heap as above.
"""

INSTRUCTIONS = """\
## Instructions

Counted by callgrind, per call, once all is warm: these do not move with the load of a machine, and stand beside the times for that.
Enrolments as above; the server's are left out. The C functions: a certificate read from DER; a leaf with an intermediate and two CRLs that
are kept, everything verified that changed. *Cryptography*: the signatures and derivations alone.
"""

SIZES = """\
## Sizes

Of the library, by what is in it: [`sizes.md`](sizes.md), by `make sizes`. A firmware without an operating system, its flash, heap and
stack: [`porting-to-a-board.md`](porting-to-a-board.md), by `make baremetal`.
"""

NOTES = """\
## Aims that this run missed
"""

WHY_ENROLMENT = (
    "what is left beside the cryptography is code that runs once per message in caches that the server has used meanwhile; it "
    "grows with the load of the machine, on both sides"
)
WHY_VALIDATION = "two signature checks are nearly all of it on both sides; a few per cent either way change from run to run"
WHY_INSTRUCTIONS = {
    "devid_validate()": "by function, in a library with its symbols, 750,000 are the one P-256 signature and SHA-256, for the processor that "
    "callgrind plays, which has neither ADX nor SHA instructions; the code around them is what is left",
}
WHY_RESIDENT = (
    "pages of the library's file: the kernel maps 64 KiB around each that is touched, and so nearly all of it. Of 6.9 MiB, by "
    "/proc/PID/smaps, 0.45 are memory of the process alone (heap 0.08, stack 0.04, relocated data 0.2), 2.0 are pages of the "
    "library that were really used, and 1.6 the C library and the loader; it falls with the size of the file"
)
WHY_PROCESS = (
    "measured alike on that day, an empty process took 0.7 ms, one linked to libdevid.so that does nothing 1.2 (to libdevid.a 0.8), "
    "`openssl version` 2.0; of the 230 page faults of ours 127 are the start, and 0.3 ms are cryptography"
)


class Aims:
    """Compares figures with aims and remembers the ones that were missed, and those that were missed by far."""

    # So many times its aim is no noise of a busy machine: something has been broken.
    FAR = 2

    def __init__(self) -> None:
        self.missed: list[str] = []
        self.far: list[str] = []

    def shown(self, what: str, value: float, aim: float | None, form: str, why: str) -> str:
        """The figure as it is printed: bold where an aim is reached."""
        text = format(value, form)
        if aim is None:
            return text
        if float(text.replace(",", "")) <= aim:
            return f"**{text}**"
        if value > self.FAR * aim:
            self.far.append(f"{what}: {text}, more than {self.FAR} times its aim of {format(aim, form)}")
        self.missed.append(f"- {what}: {text}, the aim is {format(aim, form)}: {why}.")
        return text


def render(results: dict, root: Path) -> tuple[str, list[str]]:
    """The page, and what has missed its aim by far."""
    aims = Aims()
    parts = [INTRODUCTION, machine(results, root), enrolment(results, aims), heap(results), processes(results, aims)]
    parts += [validation(results, aims), crls(results, aims), scale(results, aims)]
    parts += [instructions(results, aims), SIZES]
    if aims.missed:
        parts.append(NOTES + "\n" + "\n".join(aims.missed) + "\n")
    return "\n".join(part for part in parts if part), aims.far


def machine(results: dict, root: Path) -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    commit = answer(["git", "-C", str(root), "rev-parse", "--short", "HEAD"])
    versions = ", ".join(f"{name} is {version}" for name, version in results["enrol"]["versions"].items())
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    form = " Short form." if results["short"] else ""
    rust = answer(["rustc", "--version"])
    where = f"{cpu[1].strip() if cpu else 'unknown CPU'}, {os.cpu_count()} processors"
    load = f" Load of the machine, over one minute: {' and '.join(format(one, '.1f') for one in results['load'])}."
    return f"{day}, commit {commit or 'unknown'}; {where}; {rust}; {versions}.{load}{form}\n"


def answer(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


# Of the whole to the last rival's whole; with RSA of what is ours alone.
ENROLMENT_AIMS = {"P-256": 0.6, "RSA-2048": 0.2}


def enrolment(results: dict, aims: Aims) -> str:
    rivals = list(results["enrol"]["versions"])
    last = rivals[-1]
    rows = []
    for row in results["enrol"]["rows"]:
        spent, key = row["microseconds"], row["key"]
        aim, of_ours = ENROLMENT_AIMS[key], key == "RSA-2048"
        label = f"{key}, {row['protection']}"
        cells = [label]
        for name in rivals:
            here = aim if name == last and not of_ours else None
            cells.append(aims.shown(f"enrolment, {label}", spent["devid"] / spent[name], here, ".2f", WHY_ENROLMENT))
        share = (spent["devid"] - spent["cryptography"]) / spent[last]
        cells.append(aims.shown(f"enrolment, {label}, ours", share, aim if of_ours else None, ".2f", WHY_ENROLMENT))
        cells += [f"{spent['devid']:.0f}", f"{spent['cryptography']:.0f}", *(f"{spent[name]:.0f}" for name in rivals)]
        rows.append([*cells, f"{aim}, ours" if of_ours else f"{aim}"])
    head = ["what", *(f"ratio to {name}" for name in rivals), "ours", "devid µs", "cryptography µs", *(f"{name} µs" for name in rivals)]
    text = ENROLMENT.format(rounds=results["enrol"]["rounds"], server=results["enrol"]["server"])
    return text + "\n" + table([*head, f"aim (to {last})"], rows) + "\n" + RSA


def heap(results: dict) -> str:
    rows = []
    for row in results["heap"]["rows"]:
        for name, counted in sorted(row["heap"].items(), key=ours_first):
            figures = [f"{counted[key]:,}" for key in ("allocations", "bytes", "peak_live_bytes")]
            rows.append([row["protection"], name, *figures, "500, 64 KB" if name == "devid" else ""])
    return HEAP + "\n" + table(["protection", "client", "allocations", "bytes in all", "live bytes", "aim"], rows)


# MiB, by how the program is linked.
MOST_RESIDENT = {"so": 4.8, "a": 4.4}


def processes(results: dict, aims: Aims) -> str:
    rows = []
    for protection in ("signature", "mac"):
        group = [row for row in results["processes"] if row["protection"] == protection]
        for row in group:
            ours = row["program"].startswith("devid")
            others = [other for other in group if not other["program"].startswith("devid")]
            label = f"{row['program']}, {protection}"
            shares = []
            for other in others if ours else []:
                aim = 0.33 if other is others[-1] else None
                what = f"{label}, CPU against {other['program']}"
                shares.append(aims.shown(what, row["cpu_us"] / other["cpu_us"], aim, ".2f", WHY_PROCESS))
            most = MOST_RESIDENT[row["program"].rpartition(".")[2]] if ours else None
            resident = aims.shown(f"{label}, MiB", row["peak_kib"] / 1024, most, ".1f", WHY_RESIDENT)
            cells = [protection, row["program"], " / ".join(shares)]
            cells += [f"{row['cpu_us'] / 1000:.1f}", f"{row['wall_us'] / 1000:.1f}", resident]
            rows.append([*cells, f"0.33, {most} MiB" if ours else ""])
    if not any(row["program"].startswith("devid") for row in results["processes"]):
        return ""
    head = ["protection", "program", "CPU ratio to each rival", "CPU ms", "wall ms", "peak RSS MiB", "aim"]
    return PROCESSES + "\n" + table(head, rows)


def validation(results: dict, aims: Aims) -> str:
    names = ["rustls-webpki", *results["enrol"]["versions"]]
    wanted = {"chain": ("rustls-webpki", 1.0), "chain, store kept with two CRLs": ("rustls-webpki", 0.8)}
    last = names[-1]
    wanted |= {"OCSP response signed by the CA": (last, 0.9), "OCSP response, delegated responder": (last, 0.9)}
    rows = []
    for row in results["validation"]["rows"]:
        spent = row["microseconds"]
        rival, aim = wanted.get(row["what"], ("", None))
        cells = [f"{row['key']}: {row['what']}"]
        for name in names:
            if name not in spent:
                cells.append("–")
                continue
            here = aim if name == rival else None
            cells.append(aims.shown(f"validation, {cells[0]}", spent["devid"] / spent[name], here, ".2f", WHY_VALIDATION))
        cells.append(f"{spent['devid']:.1f}")
        cells += [f"{spent[name]:.1f}" if name in spent else "–" for name in names]
        rows.append([*cells, f"{aim} of {rival}" if aim else ""])
    head = ["what", *(f"ratio to {name}" for name in names), "devid µs", *(f"{name} µs" for name in names), "aim"]
    return VALIDATION + "\n" + table(head, rows) + "\n" + repeated(results["validation"]["repeated"], aims)


def repeated(microseconds: dict, aims: Aims) -> str:
    """What a big CRL costs a store that is kept, beside small ones, measured without rivals in between."""
    none, small, big = (microseconds[lists] for lists in ("none", "small", "100,000 entries"))
    shown = aims.shown("validation, 100,000 entries against small CRLs", big / small, 1.1, ".2f", "an entry is looked up in an index")
    return (
        f"By ourselves alone, in a store that is kept: {none:.1f} µs without CRLs, {small:.1f} with two small ones, "
        f"{big:.1f} with one of 100,000 entries among them, {shown} of that (aim: at most 1.1).\n"
    )


def crls(results: dict, aims: Aims) -> str:
    rows = []
    last = list(results["enrol"]["versions"])[-1]
    for row in results["crl"]["rows"]:
        first, later, memory = row["first_microseconds"], row["lookup_microseconds"], row["memory"]
        name = f"{row['entries']:,} ({row['der_bytes'] / 1e6:.1f} MB)"
        for candidate, _ in sorted(memory.items(), key=ours_first):
            timed = candidate if candidate in first else None
            share = ""
            if timed and timed != "devid":
                aim = 0.15 if candidate == last and row["entries"] == 1_000_000 else None
                why = "the signature's digest over the whole list is most of it on both sides"
                share = aims.shown(f"CRL of {name}, CPU against {last}", first["devid"] / first[timed], aim, ".3f", why)
            rows.append([
                name,
                candidate,
                share,
                f"{first[timed] / 1000:.1f}" if timed else "",
                f"{later[timed]:.2f}" if timed else "",
                f"{memory[candidate]['peak_kib'] / 1024:.1f}",
                f"{memory[candidate]['anonymous_kib'] / 1024:.1f}",
            ])
    text = CRLS + "\n" + table(
        ["entries", "who", "our share of its CPU", "first answer ms", "later lookup µs", "peak MiB", "anonymous MiB"], rows
    )
    return text + "\nAim for a million entries: at most 0.15 of OpenSSL's CPU, and 10 MiB beside the DER.\n"


def scale(results: dict, aims: Aims) -> str:
    threads, fleet = results["scale"]["threads"], results["scale"]["ra"]
    alone = threads["rows"][0]["cpu_microseconds"]
    rows = []
    for row in threads["rows"]:
        what = f"validation by {row['threads']} threads, CPU against one"
        share = aims.shown(what, row["cpu_microseconds"] / alone, 1.1, ".2f", "the threads disturb each other's caches")
        rows.append([
            str(row["threads"]), f"{row['cpu_microseconds']:.1f}", f"{row['wall_microseconds']:.1f}", share,
            f"{row['waits_per_thousand']:.1f}", "1.1",
        ])
    text = SCALE.format(processors=threads["processors"]) + "\n"
    text += table(["threads", "CPU µs", "wall µs", "CPU against one thread", "waits", "aim"], rows)
    heap = results["heap"]
    flying = heap["in_flight"]
    few, many = flying[0], flying[-1]
    growth = aims.shown(
        "operations in flight, CPU of one beside", many["microseconds_each"] / few["microseconds_each"], 1.2, ".2f", "caches"
    )
    each = aims.shown("bytes of an operation in flight", many["bytes_each"], 3600, ",.0f", "the request is kept until it is answered")
    text += (
        f"\n{many['operations']:,} operations of one client that wait for their answers hold {each} bytes each (aim: 3,600); to begin one takes "
        f"{many['microseconds_each']:.1f} µs, {growth} of what it takes with {few['operations']:,}.\n"
    )
    rows = []
    for name, spent in fleet["microseconds"].items():
        held = heap["ra"]["devid" if name.startswith("devid") else name]
        rows.append([name, f"{spent:.0f}", f"{2e6 / spent:,.0f}", f"{held['allocations']:,}", f"{held['bytes']:,}"])
    text += "\n" + FLEET.format(server=fleet["server"]) + "\n"
    text += table(["who", "CPU µs", "messages a second and processor", "allocations", "bytes in all"], rows)
    return text + f"\nA device whose secret the RA knows takes {heap['ra']['bytes_of_a_device']:.0f} bytes.\n"


def instructions(results: dict, aims: Aims) -> str:
    """Aims are for what is left beside the cryptography, of an enrolment; of the functions for all of it."""
    wanted = {"enrolment, P-256, signature": 250_000, "devid_cert_parse()": 32_000, "devid_validate()": 800_000}
    rows = []
    for row in results["instructions"]:
        what, alone, aim = row["what"], row.get("cryptography"), wanted.get(row["what"])
        rest = None if alone is None else row["all"] - alone
        label, why = f"instructions, {what}", WHY_INSTRUCTIONS.get(what, "counted, not timed: it is what the code does")
        every = aims.shown(label, row["all"], None if rest is not None else aim, ",d", why)
        beside = "" if rest is None else aims.shown(f"{label}, beside cryptography", rest, aim, ",d", why)
        rows.append([what, every, "" if alone is None else f"{alone:,}", beside, f"{aim:,}" if aim else ""])
    return INSTRUCTIONS + "\n" + table(["what", "instructions", "cryptography", "the rest", "aim"], rows)


def ours_first(item: tuple[str, object]) -> tuple[bool, str]:
    return (not item[0].startswith("devid"), item[0])


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
