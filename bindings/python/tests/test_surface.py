"""What Rust can do, C and Python can do: no capability is lost at the border.

``bindings/surface.txt`` names, for every public type and function of the crate and every public part of a type, the functions of C that
stand for it, or the reason why there are none. What C has, this package calls, or that file says why not.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

import rust_surface
from devid import Limit, Profile, Tolerance, _abi

KINDS = {
    "by itself": "the library does it without being asked",
    "command": "for the command devid alone, which is written in Rust",
    "on the wire": "a form of what is sent; C passes it whole",
    "other way": "C has it by another door, which is named",
    "provider": "which implementation of the algorithms is in use",
    "Python has its own": "a thing of the language",
    "C alone": "gives C what is a thing of the language in Rust",
    "Rust alone": "gives Rust code its shape: for extensions in Rust, its types, its tests",
}
"""Why there may be nothing in C for a part of Rust, or nothing in Python for a function of C."""

FUNCTION = re.compile(r"\b(?:devid|DEVID)_\w+")


@dataclass(frozen=True)
class Row:
    """What the file says of one part."""

    functions: Tuple[str, ...] = ()
    by: str = ""
    kind: str = ""
    reason: str = ""
    of: str = ""
    """Behind a function of C: what in Rust it stands for."""


def row(says: str) -> Row:
    """One row, behind its name."""
    if says.startswith("of ") and not says.startswith("of - "):
        return Row(of=says[3:])
    says = says[3:] if says.startswith("of - ") else says
    if says.startswith("- "):
        kind, _, reason = says[2:].partition(": ")
        return Row(kind=kind, reason=reason)
    names, _, by = says.partition(" by ")
    return Row(functions=tuple(names.split(", ")), by=by)


@pytest.fixture(scope="module")
def rows(checkout: Path) -> Dict[str, Row]:
    """What the file says, by part."""
    found: Dict[str, Row] = {}
    for line in (checkout / "bindings" / "surface.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            part, _, says = line.partition(": ")
            assert part not in found and says.strip(), f"surface.txt: {line!r}"
            found[part] = row(says.strip())
    return found


@pytest.fixture(scope="module")
def crate(checkout: Path) -> rust_surface.Crate:
    """The Rust crate."""
    return rust_surface.Crate(checkout / "src" / "lib.rs")


@pytest.fixture(scope="module")
def rust(crate: rust_surface.Crate) -> List[rust_surface.Shown]:
    """Every public type and function; constants are names of values that types and functions are about."""
    return [one for one in rust_surface.surface(crate) if one.kind not in ("const", "static")]


@pytest.fixture(scope="module")
def face(checkout: Path) -> Dict[str, str]:
    """The source of every function and constant of C."""
    found: Dict[str, str] = {}
    for file in (checkout / "bindings" / "c" / "src").glob("*.rs"):
        text = re.sub(r"//[^\n]*", "", file.read_text())
        for head in re.finditer(r"^fn (devid_\w+)", text, re.M):
            found[head[1]] = text[head.start() : text.index("\n}\n", head.start())]
        for constant in re.finditer(r"\bDEVID_\w+\b", text):
            line = text[text.rfind("\n", 0, constant.start()) + 1 : text.find("\n", constant.end())]
            found[constant[0]] = found.get(constant[0], "") + line + "\n"
    return found


def rules(shown: rust_surface.Shown, rows: Dict[str, Row]) -> Iterator[Tuple[str, bool]]:
    """A type or function and its parts, each with whether a row speaks of it."""
    modules = ["::".join(shown.path[:length]) + "::*" for length in range(1, len(shown.path))]
    whole = rows.get(shown.name)
    is_left_out = any(module in rows for module in modules) if whole is None else bool(whole.kind)
    yield shown.name, whole is not None or is_left_out or bool(shown.parts)
    for part in shown.parts:
        # A new function of a type is a new thing to do; a field or a variant is data of what is there.
        is_covered = whole is not None and (shown.kind == "trait" or not part.endswith("()"))
        yield shown.name + part, shown.name + part in rows or is_left_out or is_covered


def test_every_part_of_rust_has_its_functions_or_a_reason(rust: List[rust_surface.Shown], rows: Dict[str, Row]) -> None:
    said = [rule for shown in rust for rule in rules(shown, rows)]
    unsaid = sorted(name for name, is_said in said if not is_said)
    assert not unsaid, f"say in bindings/surface.txt what stands for {', '.join(unsaid)}"
    modules = {"::".join(shown.path[:length]) + "::*" for shown in rust for length in range(1, len(shown.path))}
    there = {name for name, _ in said} | modules
    gone = sorted(part for part in set(rows) - there if not part.startswith("devid_"))
    assert not gone, f"bindings/surface.txt speaks of what is not there: {', '.join(gone)}"


def test_what_says_that_it_is_public_is(crate: rust_surface.Crate) -> None:
    hidden = crate.hidden()
    assert not hidden, f"nothing shows {', '.join(hidden)}: show it by `pub use`, or say `pub(crate)`"


def words(name: str) -> Set[str]:
    """The words of a name, by how they begin: `sign` and `signature` are one."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    return {word[:5] for word in re.split(r"\W|_", apart) if len(word) > 2}


def test_what_stands_for_a_part_is_there_and_is_about_it(rows: Dict[str, Row], face: Dict[str, str]) -> None:
    for part, says in rows.items():
        for name in says.functions:
            assert name in _abi.FUNCTIONS or hasattr(_abi, name), f"{part}: there is no {name}"
        if not says.functions:
            continue
        source = "\n".join(face[name] for name in says.functions)
        if says.by:
            assert re.search(rf"\b{says.by}\b", source), f"{part}: no source of {', '.join(says.functions)} has the word {says.by}"
            continue
        own = part.rsplit(".", 1)[-1].rsplit("::", 1)[-1].rstrip("()")
        is_named = any(words(own) & words(name[len("devid_") :]) for name in says.functions)
        assert is_named or re.search(rf"\b{own}\b", source), (
            f"{part}: neither the names nor the sources of {', '.join(says.functions)} say that they are about it; if they are, "
            "name a word of their source that shows it: ... by WORD"
        )


def test_a_reason_is_one_of_a_few_kinds_and_names_what_is_there(rows: Dict[str, Row]) -> None:
    for part, says in rows.items():
        if says.of:
            assert part.startswith("devid_"), f"{part}: `of` stands behind a function of C"
            continue
        if says.functions:
            assert not part.startswith("devid_") and not part.endswith("::*"), f"{part}: only a reason can stand here"
            continue
        assert says.kind in KINDS, f"{part}: a reason is '- KIND: ...' with one of {', '.join(sorted(KINDS))}"
        assert len(says.reason.split()) >= 3, f"{part}: a reason is a sentence"
        named = FUNCTION.findall(says.reason)
        missing = [name for name in named if name not in _abi.FUNCTIONS and not name.startswith("DEVID_")]
        assert not missing, f"{part}: there is no {', '.join(missing)}"
        assert named or says.kind != "other way", f"{part}: which way is it?"


def test_what_c_can_rust_can(rust: List[rust_surface.Shown], rows: Dict[str, Row]) -> None:
    named = {name for says in rows.values() for name in says.functions}
    said = named | {name for name, says in rows.items() if name.startswith("devid_")}

    def is_counted(name: str) -> bool:
        return any(other.startswith(name[: -len("_count")]) for other in said - {name})

    of_its_kind = {n for n in _abi.FUNCTIONS if n.endswith("_free") or (n.endswith("_count") and is_counted(n))}
    unsaid = sorted(set(_abi.FUNCTIONS) - said - of_its_kind)
    assert not unsaid, f"say in bindings/surface.txt what Rust has for {', '.join(unsaid)}: `of TYPE.PART`, or why there is nothing"
    there = {name for shown in rust for name in (shown.name, *(shown.name + part for part in shown.parts))}
    gone = sorted(f"{name} of {says.of}" for name, says in rows.items() if says.of and says.of not in there)
    assert not gone, f"bindings/surface.txt names what Rust does not have: {', '.join(gone)}"
    twice = sorted(name for name, says in rows.items() if says.of and name in named)
    assert not twice, f"a row for Rust names them already: {', '.join(twice)}"
    free = {name[: -len("_free")] for name in _abi.FUNCTIONS if name.endswith("_free")}
    bare = sorted(name for name in free if not any(other.startswith(name + "_") for other in said))
    assert not bare, f"handles that no row is about: {', '.join(bare)}"


def called(source: str) -> Set[str]:
    """The functions of C that a module of the package calls: as attributes, or by their name; what it says of them is no call."""
    tree = ast.parse(source)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: Set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            found.add(node.value)
            if f"{node.value}_free" in _abi.FUNCTIONS:
                found.add(f"{node.value}_free")
    return found


def test_everything_that_c_can_this_package_can(checkout: Path, rows: Dict[str, Row]) -> None:
    sources = checkout / "bindings" / "python" / "src" / "devid"
    used: Set[str] = set()
    for file in sources.glob("*.py"):
        if file.name != "_abi.py":
            used |= called(file.read_text())
    unused = sorted(name for name in _abi.FUNCTIONS if name not in used and name not in rows)
    assert not unused, f"call {', '.join(unused)}, or say in bindings/surface.txt why not"
    excused = {name for name, says in rows.items() if name.startswith("devid_") and not says.of and says.kind != "C alone"}
    needless = sorted(name for name in excused if name in used or name not in _abi.FUNCTIONS)
    assert not needless, f"bindings/surface.txt excuses what is called, or not there: {', '.join(needless)}"


def names_in(face: str, parameter: str) -> List[str]:
    """The names in quotes that the documentation of a parameter lists."""
    found = re.search(rf"@param {parameter}\s(.*?)(?=@|$)", face, re.S)
    return re.findall(r'"([^"]+)"', found[1]) if found else []


def test_names_of_settings_are_those_of_the_library(checkout: Path) -> None:
    source, c = checkout / "src", checkout / "bindings" / "c" / "src"
    documented = {
        head[2]: re.sub(r"\n/// *", " ", head[1])
        for file in sorted(c.glob("*.rs"))
        for head in re.finditer(r"((?:^///[^\n]*\n)+)#\[export[^\n]*\nfn (\w+)", file.read_text(), re.M)
    }
    rows = (source / "limits.rs").read_text().split("\nlimits! {\n", 1)[1].split("\n}\n", 1)[0]
    limits = re.findall(r"^        pub (\w+): \w+ = ", rows, re.M)
    assert sorted(limits) == sorted(limit.value for limit in Limit), "class Limit of config.py has other names"
    assert sorted(limits) == sorted(names_in(documented["devid_config_set_limit"], "name")), "see devid_config_set_limit()"

    table = re.findall(r"^    (\w+): (true|false), (?:true|false), ", (source / "cmp" / "tolerance.rs").read_text(), re.M)
    assert [name for name, _ in table] == [tolerance.value for tolerance in Tolerance], "run `make header`: it writes class Tolerance"
    said = documented["devid_config_set_tolerance"].split("On by default:")
    for text, is_on in zip(said, ("false", "true")):
        listed = re.findall(r'"(\w+)"', text)
        assert listed == [name for name, state in table if state == is_on], "the list of devid_config_set_tolerance() is another one"

    names = re.search(r"const NAMES[^=]*= &?\[(.*?)\]", (source / "cmp" / "profile.rs").read_text(), re.S)
    assert names is not None
    profiles = re.findall(r'"([^"]+)"', names[1])
    assert sorted(profiles) == sorted(profile.value for profile in Profile), "class Profile of config.py has other names"
    assert sorted(profiles) == sorted(names_in(documented["devid_config_set_profile"], "name")), "see devid_config_set_profile()"
    policies = re.search(r"const NAMES[^=]*= \[(.*?)\]", (source / "cmp" / "difference.rs").read_text(), re.S)
    assert policies is not None
    listed = names_in(documented["devid_config_set_acceptance"], "policy")
    assert listed == re.findall(r'"([^"]+)"', policies[1]), "see devid_config_set_acceptance()"
