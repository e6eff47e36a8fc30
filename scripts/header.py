#!/usr/bin/env python3
"""Reads the headers into functions with types and documentation: the one parser that checks and bindings share.

    header.py functions     one prototype a line
    header.py json          everything as JSON
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"
# May still change: not included by devid.h.
UNSTABLE = sorted((INCLUDE / "devid" / "unstable").glob("*.h"))


def whole():
    """The text of devid.h, of the headers that it includes, and of the unstable ones, in their order."""
    core = (INCLUDE / "devid.h").read_text()
    parts = [INCLUDE / path for path in re.findall(r'^#include "(devid/.*)"$', core, re.M)]
    return "\n".join([core] + [path.read_text() for path in parts + UNSTABLE])


class Parameter:
    """One parameter: C type, name, what its @param says."""

    def __init__(self, ctype, name, doc):
        self.ctype, self.name, self.doc = ctype, name, doc

    @property
    def is_pointer(self):
        return self.ctype.endswith("*") or self.ctype.endswith("_fn") or "(*)" in self.ctype

    @property
    def may_be_null(self):
        return "May be NULL" in self.doc

    @property
    def not_null(self):
        return "Not NULL" in self.doc


class Function:
    """One function: result type, name, parameters, documentation."""

    def __init__(self, result, name, parameters, doc):
        self.result, self.name, self.parameters, self.doc = result, name, parameters, doc

    @property
    def is_fallible(self):
        return self.result == "devid_status" and self.parameters[-1:] and self.parameters[-1].name == "err"


def functions(text=None):
    """All functions of the headers in their order."""
    text = whole() if text is None else text
    found = []
    pattern = re.compile(r"/\*\*((?:(?!\*/).)*)\*/\s*((?:DEVID_\w+(?:\([^)]*\))?\s+)*DEVID_API\b[^;]*);", re.S)
    for comment, prototype in pattern.findall(text):
        doc = re.sub(r"^\s*\* ?", "", comment, flags=re.M).strip()
        prototype = " ".join(re.sub(r"\bDEVID_(API|MUST_USE)\b|DEVID_DEPRECATED\([^)]*\)", "", prototype).split())
        result, name, arguments = re.fullmatch(r"(.*?)\b(devid_\w+)\s*\((.*)\)", prototype).groups()
        documented = parameter_docs(doc)
        parameters = []
        for argument in split_arguments(arguments):
            pointer = re.fullmatch(r"(.*)\(\*(\w+)\)\((.*)\)", argument)
            if pointer:
                ctype, parameter = f"{pointer[1].strip()} (*)({pointer[3]})", pointer[2]
            else:
                ctype, parameter = re.fullmatch(r"(.*?)(\w+)", argument).groups()
            parameters.append(Parameter(ctype.strip(), parameter, documented.get(parameter, "")))
        found.append(Function(result.strip(), name, parameters, doc))
    return found


def parameter_docs(doc):
    """The text of each @param, over all its lines."""
    docs, name = {}, None
    for line in doc.splitlines():
        start = re.match(r"@param\s+(\w+)\s*(.*)", line)
        if start:
            name = start[1]
            docs[name] = start[2]
        elif line.startswith("@") or not line.strip():
            name = None
        elif name:
            docs[name] += " " + line.strip()
    return docs


def split_arguments(text):
    """Splits at commas outside parentheses."""
    if text.strip() in ("", "void"):
        return []
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part.strip() for part in parts + [text[start:]]]


def handles(text=None):
    """Names of the opaque types."""
    text = whole() if text is None else text
    return re.findall(r"typedef struct (devid_\w+) \1;", text)


def callbacks(text=None):
    """Callback types: name, result, parameters as (type, name)."""
    text = whole() if text is None else text
    found = []
    for result, name, arguments in re.findall(r"typedef ([\w *]+?)\s*\(\*(devid_\w+)\)\(([^;]*)\);", text):
        parameters = [re.fullmatch(r"(.*?)(\w+)", " ".join(a.split())).groups() for a in split_arguments(arguments)]
        found.append((name, result.strip(), [(t.strip(), n) for t, n in parameters]))
    return found


def constants(text=None):
    """Names of all macros with a value."""
    text = whole() if text is None else text
    return [name for name, value in re.findall(r"^#define (DEVID_\w+) +([-(0-9\"].*)$", text, re.M)]


def main():
    if sys.argv[1:] == ["functions"]:
        for function in functions():
            print(f"{function.result} {function.name}({', '.join(p.ctype + ' ' + p.name for p in function.parameters)})")
    elif sys.argv[1:] == ["json"]:
        print(json.dumps({
            "functions": [{"name": f.name, "result": f.result, "doc": f.doc,
                           "parameters": [[p.ctype, p.name] for p in f.parameters]} for f in functions()],
            "handles": handles(), "callbacks": callbacks(), "constants": constants(),
        }, indent=1))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
