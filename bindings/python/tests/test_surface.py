"""What Rust can do, C and Python can do: no capability is lost at the border.

``bindings/surface.txt`` names, for every public part of the Rust types that people use, the functions of C that stand for it, or
the reason why there are none. What C has, this package calls, or that file says why not.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

from devid import Limit, Profile, Tolerance, _abi

TYPES: Dict[str, Tuple[str, ...]] = {
    "client/config.rs": ("Config",),
    "client/way.rs": ("Client", "ServerOptions"),
    "client/install.rs": ("Destination",),
    "client/run.rs": ("Owner",),
    "client/offline.rs": ("RequestOptions",),
    "client/subject.rs": ("Subject",),
    "client/validator.rs": ("Validator", "Verdict"),
    "client/status.rs": ("StatusOptions", "StatusFetcher"),
    "client/renewal/mod.rs": ("Planner",),
    "client/renewal/policy.rs": ("Policy",),
    "client/renewal/perform.rs": ("Renewal", "Report"),
    "client/renewal/known.rs": ("Clock",),
    "client/renewal/plan.rs": ("Plan", "Step", "Reason", "Standing", "Alarm"),
    "cmp/operation.rs": ("Operation",),
    "cmp/options.rs": ("Options",),
    "cmp/saved.rs": ("SavedOperation",),
    "cmp/issued.rs": ("Issued",),
    "store/mod.rs": ("Store",),
    "store/identity.rs": ("Identity", "StoreOptions"),
    "transport/http_call.rs": ("HttpCall",),
    "transport/mod.rs": ("ExchangeLimits", "Reply", "Cancel"),
    "transport/tls/mod.rs": ("TlsConfig",),
    "transport/coap/mod.rs": ("CoapConfig",),
    "validation/trust.rs": ("TrustAnchors",),
    "validation/checks.rs": ("Checks",),
    "validation/revocation_policy.rs": ("RevocationPolicy",),
    "validation/peer.rs": ("PeerRequest", "PeerKey"),
    "validation/report.rs": ("Report", "Finding"),
    "crypto/pkcs11/mod.rs": ("TokenKey",),
    "error.rs": ("Facts",),
    "limits.rs": ("Limits", "PathBudget"),
}
"""Whose public parts are looked at, by the file under src/ that defines them; their functions may be in any file of its folder."""


def block(text: str, at: int) -> str:
    """What stands in the braces that open behind a place."""
    begin, depth = text.index("{", at), 0
    for position in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin + 1 : position]
    raise AssertionError("a brace that never closes")


def definition(text: str, name: str) -> Iterator[str]:
    """The public fields and variants of a type, or the functions of a trait, in the text that defines it."""
    found = re.search(rf"pub (struct|enum|trait) {name}\b[^;{{(]*\{{", text)
    if found:
        pattern = {"struct": r"^    pub (\w+):", "enum": r"^    (\w+)", "trait": r"^    fn (\w+)"}[found[1]]
        yield from (f"{name}.{part}" for part in re.findall(pattern, block(text, found.start()), re.M))


def functions(text: str, name: str) -> Iterator[str]:
    """The public functions a text gives to a type."""
    for found in re.finditer(rf"^impl(?:<[^>]*>)? {name}(?:<[^>]*>)? \{{", text, re.M):
        for part in re.findall(r"^    pub (?:const )?fn (\w+)", block(text, found.start()), re.M):
            yield f"{name}.{part}()"


@pytest.fixture(scope="module")
def rust(checkout: Path) -> Set[str]:
    """Every public part of those types."""
    texts = {
        path: re.sub(r"//[^\n]*", "", path.read_text().split("#[cfg(test)]\nmod tests")[0])
        for path in sorted((checkout / "src").rglob("*.rs"))
    }
    found: Set[str] = set()
    for defined, names in TYPES.items():
        home = checkout / "src" / defined
        for name in names:
            assert re.search(rf"pub (struct|enum|trait) {name}\b", texts[home]), f"{defined} has no {name} any more: see TYPES"
            found.update(definition(texts[home], name))
            for path, text in texts.items():
                if home.parent in path.parents:
                    found.update(functions(text, name))
    return found


@pytest.fixture(scope="module")
def rows(checkout: Path) -> Dict[str, str]:
    """What the file says, by part."""
    found: Dict[str, str] = {}
    for line in (checkout / "bindings" / "surface.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            part, _, says = line.partition(": ")
            assert part not in found and says.strip(), f"surface.txt: {line!r}"
            found[part] = says.strip()
    return found


def test_every_part_of_rust_has_its_functions_or_a_reason(rust: Set[str], rows: Dict[str, str]) -> None:
    unsaid = sorted(rust - set(rows))
    assert not unsaid, f"say in bindings/surface.txt what stands for {', '.join(unsaid)}"
    gone = sorted(part for part in set(rows) - rust if not part.startswith("devid_"))
    assert not gone, f"bindings/surface.txt speaks of what is not there: {', '.join(gone)}"


def test_what_stands_for_a_part_is_there(rows: Dict[str, str]) -> None:
    for part, says in rows.items():
        if says.startswith("- "):
            assert len(says) > 12, f"{part}: a reason is a sentence"
            continue
        for function in says.split(", "):
            name = function.split(" ")[0]
            assert name in _abi.FUNCTIONS or hasattr(_abi, name), f"{part}: there is no {name}"


def test_everything_that_c_can_this_package_can(checkout: Path, rows: Dict[str, str]) -> None:
    sources = checkout / "bindings" / "python" / "src" / "devid"
    files: List[Path] = [file for file in sources.glob("*.py") if file.name != "_abi.py"]
    used = set(re.findall(r"\bdevid_\w+", "".join(file.read_text() for file in files)))
    handles = set(re.findall(r'_type = "(devid_\w+)"', "".join(file.read_text() for file in files)))
    used |= {f"{handle}_free" for handle in handles}
    unused = sorted(name for name in _abi.FUNCTIONS if name not in used and name not in rows)
    assert not unused, f"call {', '.join(unused)}, or say in bindings/surface.txt why not"


def test_names_of_settings_are_those_of_the_library(checkout: Path) -> None:
    source = checkout / "src"
    limits = re.findall(r'^            "(\w+)" =>', (source / "limits.rs").read_text(), re.M)
    assert sorted(limits) == sorted(limit.value for limit in Limit)
    tolerances = re.findall(r"^    (\w+): (?:true|false), ", (source / "cmp" / "tolerance.rs").read_text(), re.M)
    assert sorted(tolerances) == sorted(tolerance.value for tolerance in Tolerance) and len(tolerances) > 10
    names = re.search(r"const NAMES[^=]*= &?\[(.*?)\]", (source / "cmp" / "profile.rs").read_text(), re.S)
    assert names is not None
    assert sorted(re.findall(r'"([^"]+)"', names[1])) == sorted(profile.value for profile in Profile)
