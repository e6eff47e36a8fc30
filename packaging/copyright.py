#!/usr/bin/env python3
"""The paragraphs of debian/copyright on vendored crates: each folder under its own licence and authors, by its own manifest.

    copyright.py VENDOR
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

# Full texts are on every Debian system.
COMMON = {"Apache-2.0": "Apache-2.0", "MPL-2.0": "MPL-2.0", "CC0-1.0": "CC0-1.0", "LGPL-2.1-or-later": "LGPL-2.1"}
# In the head of debian/copyright.
THERE = {"Apache-2.0", "MIT"}
# Of which no crate has a file of its own; the text as SPDX has it.
OWN = {
    "MIT-0": """\
Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
""",
}
TEXTS = re.compile(r"(licen[cs]e|copying|unlicense|copyright)", re.I)


def expression(manifest: dict[str, object]) -> str:
    """SPDX as debian/copyright writes it: or, and, with in small letters."""
    found = str(manifest.get("license") or f"other-{manifest['name']}").replace("/", " or ")
    # What stands in parentheses is parted off by a comma there.
    found = re.sub(r"\)\s*AND\s*\(?|\s*AND\s*\(", ", and ", found)
    found = re.sub(r"\b(OR|AND)\b", lambda match: match[1].lower(), found).replace("(", "").replace(")", "")
    found = re.sub(r"\s+", " ", found)
    return re.sub(r" WITH (\S+)", r" with \1 exception", found).replace("-exception exception", " exception")


def names(found: str) -> set[str]:
    return set(re.split(r" or |,? and ", found))


def text_of(name: str, crates: list[tuple[Path, str]]) -> str:
    """The text of a licence, from a crate that has it: one that is under it alone, or whose file is called by it."""
    if name in COMMON:
        return f" On Debian systems the full text is in /usr/share/common-licenses/{COMMON[name]}."
    if name.startswith("Apache-2.0 with"):
        return " Apache-2.0, in /usr/share/common-licenses/Apache-2.0, with the exceptions to it that\n LLVM makes: binaries may be given away without its sections 4(a), 4(b) and 4(d)."
    if name in OWN:
        return indented(OWN[name])
    word = name.split("-")[0].lower()
    files = [(found == name, one) for folder, found in crates if name in names(found) for one in sorted(folder.iterdir())
             if one.is_file() and TEXTS.search(one.name)]
    by_name = [one for _, one in files if word in one.name.lower()]
    # A file of a crate under several licences may hold all of them: its text is nobody's.
    chosen = by_name or [one for alone, one in files if alone]
    if not chosen:
        raise SystemExit(f"copyright: no crate has a text of {name} by itself: put it into OWN")
    return indented(chosen[0].read_text(errors="replace"))


def indented(text: str) -> str:
    lines = text.strip().splitlines()
    return "\n".join(f" {line.rstrip()}" if line.strip() else " ." for line in lines)


def main() -> int:
    vendor = Path(sys.argv[1])
    crates, groups = [], defaultdict(list)
    for folder in sorted(one for one in vendor.iterdir() if (one / "Cargo.toml").exists()):
        manifest = tomllib.loads((folder / "Cargo.toml").read_text())["package"]
        found = expression(manifest)
        authors = ", ".join(re.sub(r"\s*<[^>]*>", "", author) for author in manifest.get("authors", [])) or f"the authors of {manifest['name']}"
        crates.append((folder, found))
        groups[(found, authors)].append(folder.name)
    for (found, authors), folders in sorted(groups.items()):
        files = "\n ".join(f"vendor/{name}/*" for name in folders)
        print(f"\nFiles: {files}\nCopyright: {authors}\nLicense: {found}")
    for name in sorted(set().union(*(names(found) for _, found in crates)) - THERE):
        print(f"\nLicense: {name}\n{text_of(name, crates)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
