#!/usr/bin/env python3
"""Which one-line changes in decisions does no test notice?

    mutants.py [--seed N] [--count N] [--room FOLDER]... [--tests NAME]... [--work FOLDER] [--only ID,ID] [--list]

Draws a sample of changes by a seed, from the rooms where the library decides: a comparison turned or moved by one, a condition
negated or cut in half, a check left out, a constant turned. All changes of a sample are compiled at once into a copy of the
tree, each behind a number; the tests then run once for each number (environment variable DEVID_MUTANT). So a sample costs
one build, and a change that does not compile is left out of it.

Writes build/mutants.md: every survivor with its line, for somebody to look at. A survivor is a missing test, or a change that
makes no difference; the report cannot tell which. Not looked at: text of messages, tests, what spans lines.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROOMS = ["src/cmp", "src/validation", "src/store", "src/transport", "src/client/renewal"]
# The quickest and most telling first: a change is dead with the first that fails.
TESTS = {
    "src/cmp": ["lib", "enrolment", "adversary", "testca"],
    "src/validation": ["lib", "revocation", "paths", "adversary", "fetch", "enrolment"],
    "src/store": ["lib", "store", "enrolment"],
    "src/transport": ["lib", "transport", "fetch", "testca"],
    "src/client/renewal": ["lib", "enrolment", "store"],
}
SWAPS = [
    (" == ", " != "), (" != ", " == "), (" <= ", " < "), (" >= ", " > "), (" < ", " <= "), (" > ", " >= "),
    (" && ", " || "), (" || ", " && "), (".is_some()", ".is_none()"), (".is_none()", ".is_some()"),
    (".is_ok()", ".is_err()"), (".is_err()", ".is_ok()"), (".any(", ".all("), (".all(", ".any("),
    (".is_some_and(", ".is_none_or("), (".is_none_or(", ".is_some_and("), (".min(", ".max("), (".max(", ".min("),
    (" + 1", ""), (" - 1", ""),
]
SWITCH = """
/// Which change is on; see scripts/mutants.py.
#[doc(hidden)]
pub fn mutant() -> u32 {
    static NUMBER: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *NUMBER.get_or_init(|| std::env::var("DEVID_MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0))
}
"""


class Change:
    """One line of one file, and what stands there instead."""

    def __init__(self, path, line, kind, before, after):
        self.path, self.line, self.kind, self.before, self.after = path, line, kind, before, after
        self.number = 0

    def words(self):
        return f"{self.path}:{self.line + 1} {self.kind}: `{self.before.strip()}` -> `{self.after.strip()}`"


def code_of(path):
    """Lines of a file up to its tests, with whether each is code worth changing."""
    lines = path.read_text().splitlines()
    end = next((i for i, line in enumerate(lines) if line.startswith("#[cfg(test)]")), len(lines))
    is_const = False
    for number, line in enumerate(lines):
        text = line.strip()
        is_const = is_const or bool(re.match(r"(pub(\(.*?\))? )?(const|static) (?!fn)", text))
        looked_at = number < end and not is_const and not text.startswith(("//", "#", "use ", "assert", "debug_assert"))
        if is_const and text.endswith((";", "}")):
            is_const = False
        yield number, line, looked_at


def variants(expression):
    """Other expressions of the same type, most likely."""
    if '"' in expression:
        return
    for old, new in SWAPS:
        at = expression.find(old)
        while at >= 0:
            yield f"{old.strip()} to {new.strip() or 'nothing'}", expression[:at] + new + expression[at + len(old):]
            at = expression.find(old, at + 1)
    for word, other in (("true", "false"), ("false", "true")):
        if re.fullmatch(word, expression.strip()):
            yield f"{word} to {other}", other


CONDITION = re.compile(r"^(\s*(?:\} else )?if )(?!let\b)(.*)( \{)$")
GUARD = re.compile(r"^(.* if )(?!let\b)([^{}]*?)( => .*)$")
LET = re.compile(r"^(\s*let (?:mut )?\w+(?:: bool)? = )(?!if\b|match\b)([^&].*)(;)$")
TAIL = re.compile(r"^(\s+)((?!return|let|if|else|match|for|while|loop|\}|\.|\|)[^;{}]*)()$")
LEAVES = re.compile(r"^\s*(return .*;|self\.\w+\(.*\)\?;|\w+(::\w+)*\(.*\)\?;|continue;|self\.[\w.]+ = .*;)$")


def changes_of(path):
    name = str(path.relative_to(ROOT))
    lines = list(code_of(path))
    for index, (number, line, looked_at) in enumerate(lines):
        if not looked_at:
            continue
        previous = lines[index - 1][1].rstrip() if index else ""
        following = lines[index + 1][1].strip() if index + 1 < len(lines) else ""
        for shape in (CONDITION, GUARD, LET, TAIL):
            found = shape.match(line)
            if not found:
                continue
            if shape is TAIL and not (previous.endswith("{") and following.startswith("}")):
                break
            head, expression, end = found.groups()
            others = list(variants(expression))
            if shape in (CONDITION, GUARD):
                others.append(("negated", f"!({expression})"))
            for kind, other in others:
                yield Change(name, number, kind, line, head + other + end)
            break
        if LEAVES.match(line) and '"' not in line:
            yield Change(name, number, "left out", line, "")


def switched(line, change):
    """The line with both, by number."""
    number = change.number
    is_on = f"crate::mutant() == {number}"
    if change.kind == "left out":
        indent = line[: len(line) - len(line.lstrip())]
        return f"{indent}if {is_on} {{}} else {{ {line.strip()} }}"
    for shape in (CONDITION, GUARD, LET, TAIL):
        old, new = shape.match(line), shape.match(change.after)
        if old:
            head, before, end = old.groups()
            after = new.group(2) if new else change.after[len(head): len(change.after) - len(end)]
            both = f"if {is_on} {{ {after} }} else {{ {before} }}"
            return f"{head}({both}){end}" if shape is not TAIL else f"{head}{both}"
    raise ValueError(line)


def write(copy, changes):
    """Puts all changes into the copy; of one line, one."""
    by_file = {}
    for change in changes:
        by_file.setdefault(change.path, []).append(change)
    for path in {change.path for change in changes} | {p for p in write.touched}:
        lines = (ROOT / path).read_text().splitlines()
        for change in by_file.get(path, []):
            lines[change.line] = switched(lines[change.line], change)
        (copy / path).write_text("\n".join(lines) + "\n")
        write.touched.add(path)


write.touched = set()


def cargo(copy, arguments, **options):
    return subprocess.run(["cargo", *arguments], cwd=copy, **options)


def test_arguments(names):
    return [word for name in names for word in (["--lib"] if name == "lib" else ["--test", name])]


def build(copy, changes, tests):
    """Builds what compiles, and answers it with the test programs."""
    while True:
        write(copy, changes)
        command = ["test", "--locked", "-p", "devid", "--features", "devid/pkcs11", "--no-run", "--message-format=json"]
        made = cargo(copy, command + test_arguments(tests), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        programs, broken = {}, set()
        for line in made.stdout.splitlines():
            if not line.startswith("{"):
                continue
            message = json.loads(line)
            if message.get("executable") and message["profile"]["test"]:
                name = "lib" if "lib" in message["target"]["kind"] else message["target"]["name"]
                programs[name] = message["executable"]
            if message.get("reason") == "compiler-message" and message["message"]["level"] == "error":
                for span in message["message"]["spans"]:
                    broken.add((span["file_name"], span["line_start"] - 1))
        if made.returncode == 0:
            return changes, programs
        left = [c for c in changes if (c.path, c.line) not in broken]
        if len(left) == len(changes):
            sys.exit("mutants: the copy does not build, and no change is to blame: see cargo's words in " + str(copy))
        print(f"mutants: {len(changes) - len(left)} changes do not compile", flush=True)
        changes = left


def survives(change, programs, tests, seconds):
    """`None`: the test that fails; else why it survives."""
    environment = dict(os.environ, DEVID_MUTANT=str(change.number), RUST_BACKTRACE="0")
    for name in tests:
        if name not in programs:
            continue
        try:
            # A change may loop for ever: that is noticed too.
            ran = subprocess.run([programs[name], "--quiet"], cwd=ROOT, env=environment, timeout=seconds,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return f"{name} (does not end)"
        if ran.returncode != 0:
            return name
    return None


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--count", type=int, default=40)
    asked.add_argument("--room", action="append", help="a folder or a file")
    asked.add_argument("--tests", action="append", help="test programs instead of each room's own")
    asked.add_argument("--work", default=str(ROOT / "build/mutants"))
    asked.add_argument("--only", help="numbers of the sample")
    asked.add_argument("--seconds", type=int, default=900, help="for one test program")
    asked.add_argument("--list", action="store_true", help="show the sample and build nothing")
    options = asked.parse_args()

    rooms = options.room or ROOMS
    files = sorted({f for room in rooms for f in ([ROOT / room] if room.endswith(".rs") else (ROOT / room).rglob("*.rs"))})
    drawn, lines = [], set()
    everything = [change for path in files for change in changes_of(path)]
    random.Random(options.seed).shuffle(everything)
    for change in everything:
        if (change.path, change.line) not in lines and len(drawn) < options.count:
            lines.add((change.path, change.line))
            drawn.append(change)
    for number, change in enumerate(drawn, 1):
        change.number = number
    print(f"mutants: {len(drawn)} of {len(everything)} changes drawn by seed {options.seed}", flush=True)
    if options.list:
        for change in drawn:
            print(change.number, change.words())
        return

    copy = pathlib.Path(options.work) / "tree"
    if copy.exists():
        shutil.rmtree(copy)
    copy.mkdir(parents=True)
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    for name in tracked.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    with open(copy / "src/lib.rs", "a") as lib:
        lib.write(SWITCH)
    os.environ["CARGO_TARGET_DIR"] = os.environ.get("CARGO_TARGET_DIR", str(pathlib.Path(options.work) / "target"))

    def room_of(change):
        return next((room for room in TESTS if change.path.startswith(room)), "src/validation")

    wanted = options.tests or sorted({name for change in drawn for name in TESTS[room_of(change)]})
    kept, programs = build(copy, drawn, wanted)
    nothing = Change("", 0, "", "", "")
    failing = survives(nothing, programs, wanted, options.seconds)
    if failing:
        sys.exit(f"mutants: {failing} fails without a change")
    only = {int(n) for n in options.only.split(",")} if options.only else None
    report = pathlib.Path(ROOT / "build/mutants.md")
    report.parent.mkdir(exist_ok=True)
    alive, looked_at = [], 0
    for change in kept:
        if only is not None and change.number not in only:
            continue
        begun = time.monotonic()
        killer = survives(change, programs, options.tests or TESTS[room_of(change)], options.seconds)
        looked_at += 1
        print(f"{change.number} {'SURVIVES' if killer is None else 'noticed by ' + killer} "
              f"({time.monotonic() - begun:.0f} s) {change.words()}", flush=True)
        if killer is None:
            alive.append(change)
        text = "".join(f"- {c.words()}\n" for c in alive)
        report.write_text(f"# Changes that no test noticed\n\nSeed {options.seed}: {looked_at - len(alive)} of {looked_at} "
                          f"changes were noticed.\n\n{text}")
    print(f"mutants: {looked_at - len(alive)} of {looked_at} noticed; build/mutants.md lists the others")


if __name__ == "__main__":
    main()
