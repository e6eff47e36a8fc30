"""What a Rust crate shows: its public types with their public parts, and its public functions, read from the sources.

Modules, ``use`` lists, ``impl`` blocks wherever they stand and however they are written; of macros, the types that their calls show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set, Tuple

ModulePath = Tuple[str, ...]
Place = Tuple[ModulePath, str]
"""Where an item is defined: its module, and its name."""

TOKEN = re.compile(
    r"""
      (?P<skip>\s+ | //[^\n]*)
    | (?P<comment>/\*)
    | (?P<raw>(?:b|c)?r(?P<hashes>\#*)".*?"(?P=hashes))
    | (?P<text>(?:b|c)?"(?:\\.|[^"\\])*")
    | (?P<char>b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\])')
    | (?P<life>'[A-Za-z_]\w*)
    | (?P<word>(?:r\#)?[A-Za-z_]\w*)
    | (?P<number>\d\w*)
    | (?P<sign>::|->|=>|.)
    """,
    re.X | re.S,
)
PAIRS = {"(": ")", "[": "]", "{": "}"}


def tokens_of(text: str) -> List[str]:
    """The words and signs of a text, without comments; what is quoted as `""`."""
    found: List[str] = []
    at = 0
    while at < len(text):
        token = TOKEN.match(text, at)
        assert token is not None, text[at : at + 40]
        at = token.end()
        kind = token.lastgroup if token.lastgroup != "hashes" else "raw"
        if kind == "comment":
            depth = 1
            while depth:
                edge = re.compile(r"/\*|\*/").search(text, at)
                assert edge is not None, "a comment that never ends"
                depth += 1 if edge[0] == "/*" else -1
                at = edge.end()
        elif kind in ("raw", "text", "char"):
            found.append('""')
        elif kind != "skip":
            found.append(token[0])
    return found


@dataclass
class Item:
    """A type or a function."""

    kind: str
    is_public: bool
    parts: Set[str] = field(default_factory=set)
    """`.field`, `.Variant`, `.function()`"""


@dataclass
class Module:
    """What stands in a module, whether it is public or not."""

    path: ModulePath
    items: Dict[str, Item] = field(default_factory=dict)
    modules: Dict[str, bool] = field(default_factory=dict)
    """Those below, by name; whether they are public."""
    names: Dict[str, Tuple[bool, ModulePath]] = field(default_factory=dict)
    """What `use` brings in: whether it is shown on, and the path it names."""
    globs: List[Tuple[bool, ModulePath]] = field(default_factory=list)
    impls: List[Tuple[ModulePath, Set[str]]] = field(default_factory=list)


class Reader:
    """Reads the items of one file."""

    def __init__(self, crate: "Crate", tokens: List[str], file: Path, is_front: bool) -> None:
        self.crate, self.tokens, self.file, self.is_front = crate, tokens, file, is_front

    def closing(self, at: int) -> int:
        """Where a bracket is closed that opens here."""
        depth = 0
        for place in range(at, len(self.tokens)):
            if self.tokens[place] in PAIRS:
                depth += 1
            elif self.tokens[place] in PAIRS.values():
                depth -= 1
                if depth == 0:
                    return place
        raise AssertionError(f"{self.file}: a bracket that never closes")

    def until(self, at: int, ends: Tuple[str, ...]) -> int:
        """The next of these outside of brackets, `<` and `>` included."""
        angles = 0
        while True:
            token = self.tokens[at]
            if token in ends and angles == 0:
                return at
            if token in PAIRS:
                at = self.closing(at)
            elif token == "<":
                angles += 1
            elif token == ">":
                angles -= 1
            at += 1

    def statement(self, at: int) -> int:
        """The `;` that ends an item whose value may have any signs."""
        while self.tokens[at] != ";":
            at = self.closing(at) + 1 if self.tokens[at] in PAIRS else at + 1
        return at

    def parts(self, at: int, end: int) -> Iterator[Tuple[int, bool]]:
        """Where the parts begin that commas separate; whether each is public."""
        while at < end:
            is_test = False
            while self.tokens[at] == "#":
                shut = self.closing(at + 1)
                is_test |= self.tokens[at + 2 : shut] == ["cfg", "(", "test", ")"]
                at = shut + 1
            is_public = self.tokens[at] == "pub" and self.tokens[at + 1] != "("
            if self.tokens[at] == "pub":
                at = at + 1 if is_public else self.closing(at + 1) + 1
            if at < end and not is_test:
                yield at, is_public
            angles = 0
            while at < end and not (self.tokens[at] == "," and angles == 0):
                angles += {"<": 1, ">": -1}.get(self.tokens[at], 0)
                at = self.closing(at) + 1 if self.tokens[at] in PAIRS else at + 1
            at += 1

    def use(self, at: int, end: int, before: ModulePath, is_public: bool, module: Module) -> None:
        """One tree of a `use`."""
        path = before
        while at < end:
            token = self.tokens[at]
            if token == "{":
                shut = self.closing(at)
                start = at + 1
                while start < shut:
                    stop = start
                    while stop < shut and self.tokens[stop] != ",":
                        stop = self.closing(stop) + 1 if self.tokens[stop] in PAIRS else stop + 1
                    self.use(start, stop, path, is_public, module)
                    start = stop + 1
                return
            if token == "*":
                module.globs.append((is_public, path))
                return
            if token == "as":
                module.names[self.tokens[at + 1]] = (is_public, path)
                return
            if token != "::":
                path = path if token == "self" and path else (*path, token)
            at += 1
        if path:
            module.names[path[-1]] = (is_public, path)

    def inner(self, at: int, end: int, is_trait: bool) -> Set[str]:
        """What a trait or an `impl` shows: functions and constants."""
        found: Set[str] = set()
        while at < end:
            is_test, is_public, name, kind = False, is_trait, "", ""
            while self.tokens[at] == "#":
                shut = self.closing(at + 1)
                is_test |= self.tokens[at + 2 : shut] == ["cfg", "(", "test", ")"]
                at = shut + 1
            if self.tokens[at] == "pub":
                is_public = self.tokens[at + 1] != "("
                at = at + 1 if is_public else self.closing(at + 1) + 1
            while self.tokens[at] in ("unsafe", "async", "default") or self.tokens[at : at + 2] == ["const", "fn"]:
                at += 1
            kind, name = self.tokens[at], self.tokens[at + 1]
            if kind == "fn":
                at = self.until(at, ("{", ";"))
                at = self.closing(at) + 1 if self.tokens[at] == "{" else at + 1
            else:
                at = self.statement(at) + 1
            if is_public and not is_test and kind in ("fn", "const"):
                found.add(f".{name}()" if kind == "fn" else f".{name}")
        return found

    def items(self, at: int, end: int, module: Module) -> None:
        """All items of a module."""
        tokens = self.tokens
        while at < end:
            is_test = False
            while at < end and tokens[at] == "#":
                begin = at + 2 if tokens[at + 1] == "!" else at + 1
                shut = self.closing(begin)
                is_test |= tokens[begin + 1 : shut] == ["cfg", "(", "test", ")"]
                at = shut + 1
            if at >= end:
                return
            is_public = tokens[at] == "pub" and tokens[at + 1] != "("
            if tokens[at] == "pub":
                at = at + 1 if is_public else self.closing(at + 1) + 1
            while tokens[at] in ("unsafe", "async") or tokens[at : at + 2] == ["const", "fn"]:
                at += 1
            at = self.item(at, is_public, module if not is_test else Module(("test",)), is_test)

    def item(self, at: int, is_public: bool, module: Module, is_test: bool) -> int:
        """One item; where the next begins."""
        tokens = self.tokens
        kind, name = tokens[at], tokens[at + 1]
        if kind == "mod":
            module.modules[name] = is_public
            if tokens[at + 2] == ";":
                if not is_test:
                    self.crate.read_file(self.below(name), (*module.path, name))
                return at + 3
            shut = self.closing(at + 2)
            if not is_test:
                below = self.crate.module((*module.path, name))
                self.items(at + 3, shut, below)
            return shut + 1
        if kind == "use":
            end = self.statement(at)
            self.use(at + 1, end, (), is_public, module)
            return end + 1
        if kind == "extern":
            return self.statement(at) + 1
        if kind == "fn":
            module.items[name] = Item("fn", is_public)
            at = self.until(at, ("{", ";"))
            return self.closing(at) + 1 if tokens[at] == "{" else at + 1
        if kind in ("const", "static"):
            module.items[name] = Item(kind, is_public)
            return self.statement(at) + 1
        if kind == "type":
            module.items[name] = Item(kind, is_public)
            return self.statement(at) + 1
        if kind in ("struct", "enum", "union"):
            return self.data(at, Item(kind, is_public), module)
        if kind == "trait":
            at = self.until(at + 2, ("{",))
            shut = self.closing(at)
            module.items[name] = Item(kind, is_public, self.inner(at + 1, shut, True))
            return shut + 1
        if kind == "impl":
            return self.impl(at + 1, module)
        assert name == "!", f"{self.file}: {' '.join(tokens[at : at + 8])}"
        at = at + 3 if kind == "macro_rules" else at + 2
        shut = self.closing(at)
        if kind != "macro_rules":
            # Rows of a type, in a form of its own, have its parts as any type has them.
            for place in range(at, shut):
                if tokens[place] == "pub" and tokens[place + 1] in ("struct", "enum"):
                    self.data(place + 1, Item(tokens[place + 1], True), module)
        if kind == "macro_rules":
            # A type that a macro makes of its table: which parts it has is not read.
            for place in range(at, shut):
                if tokens[place] == "pub" and tokens[place + 1] in ("struct", "enum") and tokens[place + 2] != "$":
                    module.items[tokens[place + 2]] = Item(tokens[place + 1], True)
        return shut + 2 if tokens[at] != "{" else shut + 1

    def data(self, at: int, item: Item, module: Module) -> int:
        """A struct or an enum."""
        tokens = self.tokens
        module.items[tokens[at + 1]] = item
        at = self.until(at + 2, ("{", ";", "(", "where"))
        if tokens[at] == "where":
            at = self.until(at + 1, ("{", ";"))
        if tokens[at] == ";":
            return at + 1
        shut = self.closing(at)
        for number, (place, is_public) in enumerate(self.parts(at + 1, shut)):
            if item.kind == "enum" or is_public:
                item.parts.add(f".{number}" if tokens[at] == "(" else f".{tokens[place]}")
        return shut + 1 if tokens[at] == "{" else self.statement(shut) + 1

    def impl(self, at: int, module: Module) -> int:
        """What an `impl` gives to a type; that of a trait gives nothing new."""
        tokens = self.tokens
        if tokens[at] == "<":
            depth = 0
            while True:
                depth += {"<": 1, ">": -1}.get(tokens[at], 0)
                at += 1
                if depth == 0:
                    break
        begin = at
        at = self.until(at, ("for", "where", "{"))
        is_of_trait = tokens[at] == "for"
        path: List[str] = []
        depth = 0
        for token in tokens[begin:at]:
            depth += {"<": 1, ">": -1}.get(token, 0)
            if depth == 0 and (token[0].isalpha() or token[0] == "_"):
                path.append(token)
        at = self.until(at if tokens[at] == "{" else at + 1, ("{",))
        shut = self.closing(at)
        if not is_of_trait:
            module.impls.append((tuple(path), self.inner(at + 1, shut, False)))
        return shut + 1

    def below(self, name: str) -> Path:
        """The file of a module that this one has."""
        folder = self.file.parent if self.is_front else self.file.with_suffix("")
        file = folder / f"{name}.rs"
        return file if file.exists() else folder / name / "mod.rs"


class Crate:
    """All modules of a crate."""

    def __init__(self, root: Path) -> None:
        self.modules: Dict[ModulePath, Module] = {}
        self.read_file(root, ())
        for module in self.modules.values():
            for path, parts in module.impls:
                place = self.resolve(module, path)
                assert place is not None, f"{'::'.join(module.path)}: impl {'::'.join(path)} is of no type that can be found"
                self.modules[place[0]].items[place[1]].parts |= parts

    def module(self, path: ModulePath) -> Module:
        """The module at a path, made where it is new."""
        return self.modules.setdefault(path, Module(path))

    def read_file(self, file: Path, path: ModulePath) -> None:
        """Reads a file, and those of the modules below it."""
        tokens = tokens_of(file.read_text())
        Reader(self, tokens, file, file.name in ("lib.rs", "mod.rs")).items(0, len(tokens), self.module(path))

    def module_at(self, start: Module, path: ModulePath, seen: Set[Tuple[ModulePath, ModulePath]]) -> Optional[Module]:
        """The module that a path names; None: it is of another crate."""
        here = start
        for number, word in enumerate(path):
            if word == "crate":
                here = self.modules[()]
            elif word == "super":
                here = self.modules[here.path[:-1]]
            elif word == "self":
                pass
            elif word in here.modules:
                here = self.modules[(*here.path, word)]
            elif word in here.names and (here.path, (word,)) not in seen:
                seen.add((here.path, (word,)))
                found = self.module_at(here, here.names[word][1], seen)
                if found is None:
                    return None
                here = found
            else:
                return None
        return here

    def resolve(self, start: Module, path: ModulePath, seen: Optional[Set[Tuple[ModulePath, ModulePath]]] = None) -> Optional[Place]:
        """Where the item is defined that a path names; None: in another crate."""
        seen = set() if seen is None else seen
        if not path or (start.path, path) in seen:
            return None
        seen.add((start.path, path))
        module = self.module_at(start, path[:-1], set())
        if module is None:
            return None
        name = path[-1]
        if name in module.items:
            return module.path, name
        if name in module.names:
            found = self.resolve(module, module.names[name][1], seen)
            if found is not None:
                return found
        for _, glob in module.globs:
            behind = self.module_at(module, glob, set())
            found = self.resolve(behind, (name,), seen) if behind is not None else None
            if found is not None:
                return found
        return None

    def shown(self) -> Dict[Place, ModulePath]:
        """What is public, and the shortest path by which it is reached."""
        found: Dict[Place, ModulePath] = {}
        walked: Set[Tuple[ModulePath, ModulePath]] = set()

        def show(place: Place, path: ModulePath) -> None:
            if place not in found or (len(path), path) < (len(found[place]), found[place]):
                found[place] = path

        def walk(module: Module, path: ModulePath) -> None:
            if (module.path, path) in walked:
                return
            walked.add((module.path, path))
            for name, item in module.items.items():
                if item.is_public:
                    show((module.path, name), (*path, name))
            for name, is_public in module.modules.items():
                if is_public:
                    walk(self.modules[(*module.path, name)], (*path, name))
            for name, (is_public, named) in module.names.items():
                if is_public:
                    place = self.resolve(module, named)
                    if place is not None:
                        show(place, (*path, name))
                    elif (below := self.module_at(module, named, set())) is not None:
                        walk(below, (*path, name))
            for is_public, named in module.globs:
                behind = self.module_at(module, named, set()) if is_public else None
                if behind is not None:
                    walk(behind, path)

        walk(self.modules[()], ())
        return found

    def hidden(self) -> List[str]:
        """What says that it is public and is reached by no path."""
        shown = self.shown()
        every = ((module, name, item) for module in self.modules.values() for name, item in module.items.items())
        return sorted(
            "::".join((*module.path, name)) for module, name, item in every if item.is_public and (module.path, name) not in shown
        )


@dataclass(frozen=True)
class Shown:
    """A public type or function."""

    name: str
    """A type as people call it, with its module where others are called the same; a function with its module."""
    path: ModulePath
    kind: str
    parts: Tuple[str, ...]


def surface(crate: Crate) -> List[Shown]:
    """What a crate shows."""
    shown = crate.shown()
    called: Dict[str, int] = {}
    for path in shown.values():
        called[path[-1]] = called.get(path[-1], 0) + 1
    found = []
    for (module, name), path in shown.items():
        item = crate.modules[module].items[name]
        full = path[-1] if called[path[-1]] == 1 and item.kind != "fn" else "::".join(path)
        found.append(Shown(full, path, item.kind, tuple(sorted(item.parts))))
    return sorted(found, key=lambda one: one.path)
