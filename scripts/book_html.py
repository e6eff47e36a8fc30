"""The book as pages: from Markdown to HTML that needs nothing else, no script, no font, no network. Python-Markdown does the reading."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

SYSTEM = "/usr/bin/python3"

STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--paper:#fff;--dim:#5c5c5c;--line:#d9d9d9;--box:#f5f5f5;--link:#1a5fa8}
@media(prefers-color-scheme:dark){:root{--ink:#e4e4e4;--paper:#181a1b;--dim:#a0a0a0;--line:#3a3d3f;--box:#222527;--link:#7db4ef}}
body{margin:0;color:var(--ink);background:var(--paper);font:16px/1.55 system-ui,sans-serif;display:flex;flex-wrap:wrap}
nav{flex:0 0 15rem;padding:1.5rem;font-size:.9rem}nav ul{list-style:none;padding-left:.8rem;margin:.3rem 0}nav>ul{padding-left:0}
nav a[aria-current]{font-weight:bold;color:var(--ink)}main{flex:1 1 30rem;min-width:0;max-width:52rem;padding:1.5rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}h3{font-size:1rem}
code{font-size:.88em}pre{background:var(--box);padding:.8rem;overflow:auto;border-radius:4px}p code,li code,td code{overflow-wrap:anywhere}
table{border-collapse:collapse;display:block;overflow:auto}td,th{border:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top}
footer{color:var(--dim);font-size:.85rem;margin-top:3rem;display:flex;justify-content:space-between;gap:1rem}
@media print{nav,footer{display:none}}
"""


def slug(heading: str, _separator: str = "-") -> str:
    """As the links in the pages are written."""
    return re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")


def chapters(summary: str) -> list[tuple[int, str, str]]:
    """Depth, title and file of each page, in order."""
    found = []
    for line in summary.splitlines():
        if match := re.match(r"( *)(?:- )?\[(.+?)\]\((\S+?)\)", line):
            found.append((len(match[1]) // 2, match[2], match[3]))
    return found


def contents(pages: list[tuple[int, str, str]], current: str) -> str:
    """The list at the side. Pages of the reference are shown while one is in their chapter."""
    family = current.split("-")[0].removesuffix(".md")
    out, depth = ["<ul>"], 0
    for level, title, name in pages:
        if level > 1 and name.split("-")[0].removesuffix(".md") != family:
            continue
        while depth < level:
            out.append("<ul>")
            depth += 1
        while depth > level:
            out.append("</ul>")
            depth -= 1
        mark = ' aria-current="page"' if name == current else ""
        out.append(f'<li><a href="{target(name)}"{mark}>{html.escape(title)}</a></li>')
    out += ["</ul>"] * (depth + 1)
    return "\n".join(out)


def target(name: str) -> str:
    """Where a page is, as HTML."""
    place, hash_, anchor = name.partition("#")
    if place == "README.md":
        place = "index.md"
    return re.sub(r"\.md$", ".html", place) + hash_ + anchor


def build(pages: list[tuple[int, str, str]], texts: dict[str, str], folder: Path) -> int:
    """Writes every page; answers how many. Fails where Python-Markdown is missing."""
    try:
        import markdown
    except ImportError:
        # Debian's package is for Debian's Python, which may not be the first in the path.
        if sys.executable != SYSTEM and subprocess.run([SYSTEM, "-c", "import markdown"], capture_output=True, check=False).returncode == 0:
            os.execv(SYSTEM, [SYSTEM, *sys.argv])
        print("book: Python-Markdown is missing (python3-markdown)", file=sys.stderr)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "book.css").write_text(STYLE.strip() + "\n")
    for number, (_, title, name) in enumerate(pages):
        reader = markdown.Markdown(extensions=["tables", "fenced_code", "toc"], extension_configs={"toc": {"slugify": slug}})
        # A list right behind a paragraph is one, as everywhere else.
        text = re.sub(r"(?m)^(?![-|*\s#>]|\d+\. |```)(.+)\n(?=(?:- |\d+\. ))", r"\1\n\n", texts[name])
        body = reader.convert(text)
        body = re.sub(r'href="(?![a-z]+:|#)([^"]+\.md[^"]*)"', lambda match: f'href="{target(match[1])}"', body)
        ends = []
        for offset, word in ((-1, "\u2190"), (1, "\u2192")):
            at = number + offset
            ends.append(f'<a href="{target(pages[at][2])}">{word} {html.escape(pages[at][1])}</a>' if 0 <= at < len(pages) else "<span></span>")
        (folder / target(name)).write_text(
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(title)} - devid</title><link rel=\"stylesheet\" href=\"book.css\"></head>\n<body><nav>\n{contents(pages, name)}\n</nav>\n"
            f"<main>\n{body}\n<footer>{ends[0]}{ends[1]}</footer></main></body></html>\n"
        )
    return len(pages)


def broken(folder: Path) -> list[str]:
    """Links within the pages that lead nowhere."""
    pages = {path.name: path.read_text() for path in folder.glob("*.html")}
    anchors = {name: set(re.findall(r'id="([^"]+)"', text)) for name, text in pages.items()}
    wrong = []
    for name, text in pages.items():
        for link in re.findall(r'href="([^"]+)"', text):
            place, _, anchor = html.unescape(link).partition("#")
            if re.match(r"[a-z]+:", link) or place == "book.css" or place.endswith(".svg") and (folder / place).exists():
                continue
            where = place or name
            if where not in pages:
                wrong.append(f"{name}: {link} leads nowhere")
            elif anchor and anchor not in anchors[where]:
                wrong.append(f"{name}: {link}: there is no such heading")
    return wrong
