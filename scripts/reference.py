#!/usr/bin/env python3
"""The reference of the C functions and of the Python package, from their own comments: manual pages, and pages for the book.

    reference.py [--man FOLDER] [--book FOLDER]

Every function of the headers gets a page devid_NAME(3). What a comment lacks (a parameter, what is returned) is an error.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INCLUDE = ROOT / "include"
PACKAGE = ROOT / "bindings" / "python" / "src" / "devid"


@dataclass
class Item:
    """A function, type or constant, with what its comment says."""

    name: str
    kind: str
    declaration: str
    text: list[str]
    parameters: list[tuple[str, str]]
    returns: str


@dataclass
class Group:
    """A part of a header."""

    header: str
    name: str
    title: str
    text: list[str]
    items: list[Item] = field(default_factory=list)


def comment_of(block: str) -> tuple[list[str], list[tuple[str, str]], str]:
    """Paragraphs, parameters, and what is returned."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in block.strip().splitlines()]
    body, tags = [], []
    for line in lines:
        if line.startswith("@"):
            tags.append(line)
        elif tags and line.strip():
            tags[-1] += " " + line.strip()
        elif not tags:
            body.append(line)
    paragraphs = [part.strip("\n") for part in re.split(r"\n\s*\n", "\n".join(body)) if part.strip()]
    parameters, returns = [], ""
    for tag in tags:
        if found := re.match(r"@param\s+(\w+)\s+(.*)", tag):
            parameters.append((found[1], found[2]))
        elif found := re.match(r"@return\s+(.*)", tag):
            returns = found[1]
    return paragraphs, parameters, returns


def item_of(block: str, declaration: str) -> Item | None:
    text, parameters, returns = comment_of(block)
    plain = re.sub(r"\s+", " ", re.sub(r"^(DEVID_API|DEVID_MUST_USE|DEVID_DEPRECATED\(.*?\))\s*", "", declaration, flags=re.M)).strip()
    if found := re.match(r"#define (DEVID_\w+)", declaration):
        return Item(found[1], "constant", declaration.strip(), text, [], "")
    if found := re.match(r"typedef .*?\(\s*\*\s*(devid_\w+)\)", plain):
        return Item(found[1], "callback", plain, text, parameters, returns)
    if found := re.match(r"typedef .*?\b(devid_\w+);$", plain):
        return Item(found[1], "type", plain, text, [], "")
    if found := re.match(r"[\w* ]*?\b(devid_\w+)\(", plain):
        return Item(found[1], "function", plain, text, parameters, returns)
    return None


def groups() -> list[Group]:
    found: list[Group] = []
    for path in [INCLUDE / "devid.h", *sorted((INCLUDE / "devid").rglob("*.h"))]:
        text = path.read_text()
        header = str(path.relative_to(INCLUDE))
        for match in re.finditer(r"/\*\*(.*?)\*/\n?((?:[^/\n][^\n]*\n|\n(?!/\*))*)", text, re.S):
            block, behind = match[1], match[2]
            if head := re.search(r"@defgroup (\w+) (.*)", block):
                intro = comment_of(re.sub(r"@defgroup .*", "", block).replace("@{", ""))[0]
                found.append(Group(header, head[1], head[2].strip(), intro))
                continue
            declaration = re.split(r"(?<=;)\n", behind.strip() + "\n")[0].strip()
            if declaration.startswith("#define"):
                declaration = declaration.splitlines()[0]
            item = item_of(block, declaration)
            if item and found:
                found[-1].items.append(item)
    return found


def lacking(all_groups: list[Group]) -> list[str]:
    """What the comments do not say."""
    wrong = []
    for item in (item for group in all_groups for item in group.items if item.kind == "function"):
        inside = re.search(r"\((.*)\);", item.declaration)
        given = [re.sub(r".*?(\w+)(\[\])?$", r"\1", one.strip()) for one in re.split(r",(?![^()]*\))", inside[1])] if inside else []
        told = [name for name, _ in item.parameters]
        for name in given:
            if name not in told and name not in ("void", "") and "(" not in name:
                wrong.append(f"{item.name}: nothing is said of {name}")
        if not item.text:
            wrong.append(f"{item.name}: nothing is said of it")
    return wrong


def roff(text: str) -> str:
    """Plain words for troff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"`([^`]+)`", r"\\fI\1\\fP", text)
    return "\n".join(("\\&" + line if line.startswith((".", "'")) else line) for line in text.splitlines())


def wrapped(declaration: str) -> str:
    """One parameter a line."""
    head, _, rest = declaration.removesuffix(");").partition("(")
    parts = re.split(r", (?![^()]*\))", rest)
    return head + "(" + (",\n" + " " * (len(head) + 1)).join(parts) + ");"


def page(item: Item, group: Group, version: str) -> str:
    brief = re.split(r"(?<=[.:;])\s", " ".join(item.text[0].split()))[0].rstrip(".:;")
    others = [other.name for other in group.items if other.kind == "function" and other.name != item.name]
    lines = [
        f'.TH {item.name.upper()} 3 "" "devid {version}" "devid"',
        ".SH NAME", f"{roff(item.name)} \\- {roff(brief)}",
        ".SH SYNOPSIS", ".nf", f"#include <{group.header}>", "", roff(wrapped(item.declaration)), ".fi",
        ".SH DESCRIPTION",
    ]
    for paragraph in item.text:
        lines += [".PP", roff(paragraph)]
    if item.parameters:
        lines.append(".SH PARAMETERS")
        for name, words in item.parameters:
            lines += [".TP", f".I {name}", roff(words)]
    if item.returns:
        lines += [".SH RETURN VALUE", roff(item.returns)]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {roff(name)} (3)" for name in [*others[:12], "libdevid"])]
    return "\n".join(lines).replace(",\n.BR", " ,\n.BR") + "\n"


def overview(all_groups: list[Group], version: str) -> str:
    rules = re.search(r"/\*(.*?)\*/", (INCLUDE / "devid.h").read_text(), re.S)
    words = "\n".join(re.sub(r"^ \* ?", "", line) for line in (rules[1] if rules else "").splitlines())
    words = words.split("Contents.")[0]
    lines = [f'.TH LIBDEVID 3 "" "devid {version}" "devid"', ".SH NAME", "libdevid \\- identity of devices in a PKI", ".SH RULES", ".nf"]
    lines += [roff(words.strip()), ".fi", ".SH FUNCTIONS"]
    for group in all_groups:
        names = [item.name for item in group.items if item.kind == "function"]
        if names:
            lines += [".SS " + roff(group.title), ", ".join(f"\\fB{roff(name)}\\fP(3)" for name in names)]
    return "\n".join(lines) + "\n"


def anchored(words: str, places: dict[str, str], here: str) -> str:
    """Names of functions become links."""
    def link(match: re.Match[str]) -> str:
        place = places.get(match[1])
        return match[0] if place is None else f"[`{match[0]}`]({'' if place == here else place}#{match[1].lower()})"
    words = words.replace("<", "&lt;").replace("*", "\\*")
    return re.sub(r"\b(devid_\w+|DEVID_\w+)(?:\(\))?", link, words)


def c_pages(all_groups: list[Group]) -> dict[str, str]:
    name_of = lambda group: f"c-{group.name.removeprefix('devid_').replace('_', '-')}.md"
    places = {item.name: name_of(group) for group in all_groups for item in group.items}
    pages = {"c.md": "# C: reference\n\nFrom the headers' own comments; the rules that hold for every function stand at the top of `devid.h`.\n\n"}
    for group in all_groups:
        here = name_of(group)
        pages["c.md"] += f"- [{group.title}]({here}), `{group.header}`\n"
        out = [f"# {group.title}\n\n`#include <{group.header}>`\n"]
        out += [anchored(" ".join(text.split()), places, here) + "\n" for text in group.text]
        for item in group.items:
            out.append(f"## {item.name}\n\n```c\n{wrapped(item.declaration) if item.kind == 'function' else item.declaration}\n```\n")
            out += [anchored(" ".join(text.split()), places, here) + "\n" for text in item.text]
            if item.parameters:
                out.append("| parameter | |\n| --- | --- |")
                out += [f"| `{name}` | {anchored(words, places, here).replace('|', chr(92) + '|')} |" for name, words in item.parameters]
                out.append("")
            if item.returns:
                out.append(f"Returns: {anchored(item.returns, places, here)}\n")
        pages[here] = "\n".join(out)
    return pages


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){returns}"


def python_pages() -> tuple[dict[str, str], list[str]]:
    """One page a module, from its own docstrings; what is public and has none is an error."""
    pages, wrong = {"python.md": "# Python: reference\n\nFrom the package's own docstrings; names without prefix are importable from `devid`.\n\n"}, []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(("devid", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        if any(part.startswith("_") for part in module.split(".")[1:]) or path.name.startswith("_"):
            if path.name != "__init__.py":
                continue
        tree = ast.parse(path.read_text())
        out = [f"# {module}\n", (ast.get_docstring(tree) or "") + "\n"]
        for node in tree.body:
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
                continue
            words = ast.get_docstring(node)
            if words is None:
                wrong.append(f"{module}.{node.name}: nothing is said of it")
            if isinstance(node, ast.ClassDef):
                out.append(f"## {node.name}\n\n{words or ''}\n")
                for inner in node.body:
                    if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and (not inner.name.startswith("_") or inner.name == "__init__"):
                        out.append(f"### {node.name}.{inner.name}\n\n```python\n{signature(inner)}\n```\n\n{ast.get_docstring(inner) or ''}\n")
            else:
                out.append(f"## {node.name}\n\n```python\n{signature(node)}\n```\n\n{words or ''}\n")
        if len(out) > 2:
            name = f"python-{module.replace('.', '-')}.md"
            pages[name] = "\n".join(out)
            pages["python.md"] += f"- [{module}]({name})\n"
    return pages, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--man", type=Path)
    parser.add_argument("--book", type=Path)
    options = parser.parse_args()
    constants = (ROOT / "bindings" / "c" / "constants.txt").read_text()
    found = re.search(r"^DEVID_VERSION_STRING (\S+)", constants, re.M)
    version = found[1] if found else ""
    all_groups = groups()
    functions = [item for group in all_groups for item in group.items if item.kind == "function"]
    pages, undocumented = python_pages()
    wrong = lacking(all_groups) + undocumented
    exported = {line.split()[0] for line in (ROOT / "bindings" / "c" / "symbols.txt").read_text().splitlines() if line.startswith("devid_")}
    wrong += [f"{name} has no page" for name in sorted(exported - {item.name for item in functions})]
    for line in wrong:
        print(f"reference: {line}", file=sys.stderr)
    if options.man:
        options.man.mkdir(parents=True, exist_ok=True)
        for group in all_groups:
            for item in group.items:
                if item.kind == "function":
                    (options.man / f"{item.name}.3").write_text(page(item, group, version))
        (options.man / "libdevid.3").write_text(overview(all_groups, version))
    if options.book:
        options.book.mkdir(parents=True, exist_ok=True)
        for name, text in {**c_pages(all_groups), **pages}.items():
            (options.book / name).write_text(text)
    print(f"reference: {len(functions)} functions of C in {len(all_groups)} groups, {len(pages) - 1} modules of Python")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
