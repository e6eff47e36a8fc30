#!/usr/bin/env python3
"""The book under docs/book: every link leads somewhere, every command in it exists with the options it is given, every setting is one;
written as HTML with the reference of C and Python (book_html.py, reference.py).

    book.py [--devid target/debug/devid] [--build FOLDER]
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
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
    options = parser.parse_args()
    pages = sorted((BOOK / "src").glob("*.md"))
    summary = (BOOK / "src" / "SUMMARY.md").read_text()
    wrong = [f"{page.name} is not in SUMMARY.md" for page in pages if page.name not in summary and page.name != "SUMMARY.md"]
    command = Command(options.devid) if options.devid.exists() else None
    if command is None:
        print(f"book: no {options.devid}: commands are not looked at (make command, or cargo build -p devid-cli)")
    count = 0
    for page in [*pages, ROOT / "docs" / "command.md"]:
        text = page.read_text()
        wrong += links(page, text)
        for language, body in FENCE.findall(text):
            if language == "toml":
                try:
                    tomllib.loads(body)
                except tomllib.TOMLDecodeError as error:
                    wrong.append(f"{page.name}: a settings example that cannot be read: {error}")
            for line in re.sub(r"\\\n\s*", "", body).splitlines() if language == "console" else []:
                line = re.sub(r"^[$#] ", "", line)
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
    for line in wrong:
        print(f"book: {line}", file=sys.stderr)
    if wrong:
        return 1
    print(f"book: {len(pages)} pages, {count} commands")
    return render(options.build, command) if options.build else 0


def render(folder: Path, command: Command | None) -> int:
    """The book as HTML: its own pages, the command's manual, and the reference of C and Python."""
    source = BOOK / "src"
    pages = book_html.chapters((source / "SUMMARY.md").read_text())
    texts = {name: (source / name).read_text() for _, _, name in pages}
    groups = reference.groups()
    for title, first, made in (
        ("C: reference", "c.md", reference.c_pages(groups)),
        ("Python: reference", "python.md", reference.python_pages()[0]),
    ):
        pages.append((0, title, first))
        pages += [(1, re.sub(r"^# ", "", text.splitlines()[0]), name) for name, text in made.items() if name != first]
        texts |= made
    texts["command.md"] = (ROOT / "docs" / "command.md").read_text().replace("(export.md)", "(programs.md)")
    pages.append((0, "The command", "command.md"))
    # What the pages name in the tree is not beside them.
    texts = {name: re.sub(r"\]\(\.\./[^)]*\)", "](README.md)", text) for name, text in texts.items()}
    count = book_html.build(pages, texts, folder)
    wrong = book_html.broken(folder) if count else ["nothing was written"]
    for line in wrong:
        print(f"book: {line}", file=sys.stderr)
    print(f"book: {count} pages in {folder}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
