#!/usr/bin/env python3
"""The book under docs/book: every link leads somewhere, every command in it exists with the options it is given, every setting is one;
written as HTML with the reference of C and Python (book_html.py, reference.py).

    book.py [--devid target/debug/devid] [--build FOLDER] [--run]

--run does what the page of the first five minutes says, as it stands there, with the devid-testca beside the command.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import book_html
import reference

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "docs" / "book"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def links(page: Path, text: str) -> list[str]:
    wrong = []
    for target in re.findall(r"\]\(([^)]+)\)", re.sub(FENCE, "", text)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        found = (page.parent / place).resolve() if place else page
        if not found.exists():
            wrong.append(f"{page.name}: {target} leads nowhere")
        elif anchor and anchor not in {re.sub(r"[^a-z0-9_ -]", "", h.lower()).replace(" ", "-")
                                       for h in re.findall(r"^#+ (.*)$", found.read_text(), re.M)}:
            wrong.append(f"{page.name}: there is no heading #{anchor} in {found.name}")
    # Files of the tree that are named in plain words.
    for name in re.findall(r"\b((?:docs|examples|interop|packaging|bindings)/[\w./-]*\w)", text):
        if not (ROOT / name).exists():
            wrong.append(f"{page.name}: there is no {name}")
    return wrong


def names_in_the_tree() -> list[str]:
    """Files and folders that the tree's own papers name and that are not there."""
    tops = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and re.fullmatch("[a-z]+", path.name) and path.name not in ("build", "target")))
    papers = [*ROOT.glob("*.md"), ROOT / "MAINTAINERS", *(ROOT / "docs").glob("*.md"), *(BOOK / "src").glob("*.md"), ROOT / "packaging" / "README.md"]
    wrong = []
    for paper in papers:
        for name in re.findall(rf"`((?:{tops})/[\w./-]+)`", re.sub(FENCE, "", paper.read_text())):
            if not (ROOT / name).exists() and paper.name != "CHANGELOG.md":
                wrong.append(f"{paper.name}: there is no {name}")
    return wrong


# The pages of the tree that are part of the built book, behind its own.
INSIDE = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in ("README.md", "command.md"))


def settings_objection(program: Path, body: str) -> str | None:
    """What the command says of an example of settings: an unknown name, a value of another kind."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "example.toml"
        file.write_text(body)
        done = subprocess.run([program, "-c", file, "config", "show"], capture_output=True, text=True, check=False)
        return done.stderr.strip().replace(str(file), "example") if done.returncode != 0 else None


def run_page(page: Path, program: Path) -> list[str]:
    """Every command of a page, in order, in an empty folder. Each must end well, and each file that the page names must be there."""
    text = page.read_text()
    lines = [re.sub(r"^\$ ", "", line) for language, body in FENCE.findall(text) if language == "console" for line in body.splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        script = ["set -eu", "started() { for _ in $(seq 200); do [ -s ca.json ] && return; sleep 0.05; done; return 1; }"]
        for line in lines:
            # A person does not type as fast as a program reads: what was started behind has begun to speak.
            script += [line, "started"] if line.endswith("&") else [line]
        environment = {**os.environ, "PATH": f"{program.parent.resolve()}:{os.environ['PATH']}"}
        running = subprocess.Popen(["sh", "-c", "\n".join(script)], cwd=folder, env=environment, start_new_session=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
        try:
            # Not until all output has ended: the server lives on.
            status = running.wait(300)
            told = Path(folder) / "why.html"
            wrong = [] if told.exists() and told.stat().st_size else [f"{page.name}: no why.html was written"]
        finally:
            # This group is of this page alone.
            os.killpg(running.pid, signal.SIGTERM)
        output = running.stdout.read() if running.stdout else ""
        return [f"{page.name}: ended with {status}:\n{output}"] if status else wrong


def names_of_c(page: Path, text: str) -> list[str]:
    """Functions, types and constants of C that a page names and no header has."""
    headers = "".join(header.read_text() for header in sorted((ROOT / "include").rglob("*.h")))
    # Hooks have their facts in the environment; the fixture is pytest's.
    known = set(re.findall(r"\b(?:devid|DEVID)_\w+", headers)) | {"DEVID_EVENT", "DEVID_IDENTITY", "devid_testca"}
    named = set(re.findall(r"`\*?((?:devid|DEVID)_\w+)(?:\(\))?`", re.sub(FENCE, "", text)))
    # A name that ends in "_" stands for all that begin so.
    gone = {name for name in named if name not in known and not (name.endswith("_") and any(one.startswith(name) for one in known))}
    return [f"{page.name}: there is no {name} in the headers" for name in sorted(gone)]


def targets_of_make(page: Path, line: str) -> list[str]:
    """What a line asks `make` for and that is no target of ours, and variables that it does not know."""
    words = shlex.split(line, comments=True)[1:]
    makefile = (ROOT / "Makefile").read_text()
    targets = {word for names in re.findall(r"^([a-z][\w -]*):(?!=)", makefile, re.M) for word in names.split()}
    known = set(re.findall(r"\b([A-Z_]{3,})\b", makefile))
    wrong = [f"{page.name}: {line}: make has no target {word}" for word in words if "=" not in word and not word.startswith("-") and word not in targets]
    return wrong + [f"{page.name}: {line}: make knows no {word.split('=')[0]}" for word in words if "=" in word and word.split("=")[0] not in known]


def options_of_cmp(page: Path, text: str, command: Command) -> list[str]:
    """The table of options against what the command lists: none is missing, none is made up."""
    listed = subprocess.run([command.program, "cmp", "-help"], capture_output=True, text=True, check=True).stdout
    rows = dict(re.findall(r"^  (-[\w-]+)(.*)$", listed, re.M))
    named = set(re.findall(r"`(-\w[\w-]*)`", text))
    others = ("the mock server is", "which has no such switch")
    wrong = [f"{page.name}: nothing is said of {name}" for name, words in rows.items() if name not in named and not any(one in words for one in others)]
    return wrong + [f"{page.name}: cmp has no {name}" for name in sorted(named - rows.keys()) if not name.startswith("--") and len(name) > 2]


class Command:
    """What the command itself says of its parts."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.known: dict[tuple[str, ...], str] = {}

    def help(self, *words: str) -> str:
        if words not in self.known:
            done = subprocess.run([self.program, *words, "--help"], capture_output=True, text=True, check=False)
            self.known[words] = done.stdout if done.returncode == 0 else ""
        return self.known[words]

    def objection(self, line: str) -> str | None:
        words = shlex.split(line.replace("$(", "").replace(")", ""), comments=True)[1:]
        if words[:1] == ["cmp"]:
            options = subprocess.run([self.program, "cmp", "-help"], capture_output=True, text=True, check=True).stdout
            return next((f"cmp has no {w}" for w in words[1:] if w.startswith("-") and f" {w} " not in f"{options} "), None)
        if words[:2] == ["help", "error"]:
            return None
        path: list[str] = []
        options = self.help()
        rest = iter(words)
        for word in rest:
            if word.startswith("-"):
                name = word.split("=")[0]
                if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", options):
                    return f"devid {' '.join(path)} has no {name}"
                if re.search(rf"{re.escape(name)}(?:, --[a-z-]+)? <", options):
                    next(rest, None)
            elif re.search(rf"^  {re.escape(word)}(?: |$)", options, re.M) and "Commands:" in options:
                path.append(word)
                options = self.help(*path)
            elif not path:
                return f"there is no command {word}"
        return None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devid", type=Path, default=ROOT / "target" / "debug" / "devid")
    parser.add_argument("--build", type=Path, help="where the pages go, as HTML")
    parser.add_argument("--run", action="store_true", help="do what the first page says")
    options = parser.parse_args()
    pages = sorted((BOOK / "src").glob("*.md"))
    summary = (BOOK / "src" / "SUMMARY.md").read_text()
    wrong = [f"{page.name} is not in SUMMARY.md" for page in pages if page.name not in summary and page.name != "SUMMARY.md"]
    wrong += names_in_the_tree()
    command = Command(options.devid) if options.devid.exists() else None
    if command is None:
        print(f"book: no {options.devid}: commands are not looked at (make command, or cargo build -p devid-cli)")
    count = 0
    for page in [*pages, ROOT / "docs" / "command.md"]:
        text = page.read_text()
        wrong += links(page, text)
        wrong += names_of_c(page, text)
        if page.name == "porting-openssl.md" and command is not None:
            wrong += options_of_cmp(page, text, command)
        for language, body in FENCE.findall(text):
            if language == "python":
                try:
                    ast.parse(body)
                except SyntaxError as error:
                    wrong.append(f"{page.name}: Python that cannot be read: {error}")
            if language == "toml":
                try:
                    tomllib.loads(body)
                    objection = settings_objection(command.program, body) if command else None
                    wrong += [f"{page.name}: a settings example: {objection}"] if objection else []
                except tomllib.TOMLDecodeError as error:
                    wrong.append(f"{page.name}: a settings example that cannot be read: {error}")
            for line in re.sub(r"\\\n\s*", "", body).splitlines() if language == "console" else []:
                line = re.sub(r"^[$#] ", "", line)
                if line.startswith("make "):
                    wrong += targets_of_make(page, line.split(" && ")[0])
                if command is not None and line.startswith("devid "):
                    count += 1
                    objection = command.objection(line.split("#")[0])
                    wrong += [f"{page.name}: {line[:60]}: {objection}"] if objection else []
        if command is not None:
            listed = command.help("config") and subprocess.run(
                [command.program, "config", "explain"], capture_output=True, text=True, check=True
            ).stdout
            for name in re.findall(r"`((?:device|ca|identity|hooks|peers|run)\.[a-z0-9.*A-Z-]+)(?: = [^`]*)?`", text):
                pattern = re.sub(r"^identity\.[^.]+", "identity.*", name)
                if not re.search(rf"^{re.escape(pattern)}[ .\n]", listed, re.M):
                    wrong.append(f"{page.name}: there is no setting {name}")
    if options.run and not wrong:
        wrong += run_page(BOOK / "src" / "start.md", options.devid)
    for line in wrong:
        print(f"book: {line}", file=sys.stderr)
    if wrong:
        return 1
    print(f"book: {len(pages)} pages, {count} commands{', the first page done as it stands' if options.run else ''}")
    return render(options.build, command) if options.build else 0


def settings_page(command: Command) -> str:
    """Every setting, by the table of the file that it stands in."""
    told = subprocess.run([command.program, "--json", "config", "explain"], capture_output=True, text=True, check=True).stdout
    lines = ["# Settings", "", "All settings of `devid.toml`, as `devid config explain` tells them; `devid.toml(5)` is the same as a manual page. An",
             "asterisk stands for a name of your own. Each can be given as `-o KEY=VALUE`, over the file."]  # fmt: skip
    tables: dict[str, list[str]] = {}
    for one in json.loads(told)["settings"]:
        of, name = one["key"].rsplit(".", 1)
        cells = (f"`{name}`", one["value"], one["default"], one["meaning"])
        row = "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells) + " |"
        tables.setdefault(of, []).append(row)
    for of, rows in tables.items():
        lines += ["", f"## {of}".replace("*", "\\*"), "", "| setting | value | default | does |", "| --- | --- | --- | --- |", *rows]
    return "\n".join(lines) + "\n"


def error_pages(text: str, command: Command) -> dict[str, str]:
    """A page for each code, and the list of them in the place of the one long page that the command carries inside."""
    intro, *parts = re.split(r"^## ", text, flags=re.M)
    pages, classes = {}, {}
    for part in parts:
        name, _, body = part.partition("\n")
        told = subprocess.run([command.program, "--json", "help", "error", name], capture_output=True, text=True, check=True).stdout
        facts = json.loads(told)
        place = f"errors-{name.lower().replace('_', '-')}.md"
        pages[place] = (
            f"# {name}\n\n| | |\n| --- | --- |\n| C | `DEVID_E_{name}`, {facts['number']} |\n| Python | `devid.{facts['class'].capitalize()}Error`, "
            f"`error.name == \"{name}\"` |\n| Rust | `Code::{''.join(word.capitalize() for word in name.split('_'))}` |\n"
            f"| command | exit status {facts['exit']}: {facts['meaning']} |\n\n{body.strip()}\n\n[All codes](errors.md)\n"
        )
        classes.setdefault(facts["class"], []).append((name, facts, place, body.strip().split("\n")[0]))
    index = [intro.strip(), ""]
    for group, rows in classes.items():
        index += [f"## {group.capitalize()}", "", "| code | number | exit status | means |", "| --- | --- | --- | --- |"]
        index += [f"| [{name}]({place}) | {facts['number']} | {facts['exit']} | {first} |" for name, facts, place, first in rows]
        index.append("")
    return {"errors.md": "\n".join(index) + "\n", **pages}


def within(text: str, texts: dict[str, str]) -> str:
    """A page whose links to documents of the tree, and whose words that name one, lead to the page that the book has of it; what lies
    elsewhere in the tree is named without a link."""

    def link(match: re.Match[str]) -> str:
        title, place, anchor = match[1], match[2].rsplit("/", 1)[-1], match[3] or ""
        if match[2].startswith(("http:", "https:", "mailto:")) or not match[2]:
            return match[0]
        if match[2] == "book/src/README.md" or place in texts and "book" not in match[2]:
            return f"[{title}]({place}{anchor})"
        return match[0] if (ROOT / "docs" / match[2]).suffix == ".svg" else title

    def named(match: re.Match[str]) -> str:
        return f"[`docs/{match[1]}`]({match[1]})" if match[1] in texts else match[0]

    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    for at in range(0, len(parts), 2):
        parts[at] = re.sub(r"(?<!!)\[([^\]\n]*)\]\(([^)#\s]*)(#[^)\s]*)?\)", link, parts[at])
        parts[at] = re.sub(r"(?<![\[/\w`])(?<!\]\()`?docs/([\w-]+\.md)`?(?![\w\]])", named, parts[at])
    return "".join(parts)


def render(folder: Path, command: Command | None) -> int:
    """The book as HTML: its own pages, the command's manual, and the reference of C and Python."""
    source = BOOK / "src"
    pages = book_html.chapters((source / "SUMMARY.md").read_text())
    texts = {name: (source / name).read_text() for _, _, name in pages}
    if command is not None:
        made = error_pages(texts["errors.md"], command)
        texts |= made
        pages += [(1, re.sub(r"^# ", "", text.splitlines()[0]), name) for name, text in made.items() if name != "errors.md"]
    groups = reference.groups()
    for title, first, made in (
        ("C: reference", "c.md", reference.c_pages(groups)),
        ("Python: reference", "python.md", reference.python_pages()[0]),
    ):
        pages.append((0, title, first))
        pages += [(1, re.sub(r"^# ", "", text.splitlines()[0]), name) for name, text in made.items() if name != first]
        texts |= made
    texts["command.md"] = (ROOT / "docs" / "command.md").read_text()
    pages.append((0, "The command", "command.md"))
    if command is not None:
        texts["settings.md"] = settings_page(command)
        pages.append((0, "Settings", "settings.md"))
    # The documents of the tree by reader, and each of them.
    texts["inside.md"] = (ROOT / "docs" / "README.md").read_text()
    pages.append((0, "Inside", "inside.md"))
    for name in INSIDE:
        texts[name] = (ROOT / "docs" / name).read_text()
        pages.append((1, re.sub(r"^# ", "", texts[name].splitlines()[0]), name))
    texts = {name: within(text, texts) for name, text in texts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for picture in (ROOT / "docs").glob("*.svg"):
        shutil.copy(picture, folder)
    count = book_html.build(pages, texts, folder)
    wrong = book_html.broken(folder) if count else ["nothing was written"]
    for line in wrong:
        print(f"book: {line}", file=sys.stderr)
    print(f"book: {count} pages in {folder}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
