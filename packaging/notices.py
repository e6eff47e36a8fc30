#!/usr/bin/env python3
"""The licences of everything that is linked, and a list of it: THIRD-PARTY.md and devid.cdx.json (CycloneDX 1.5).

    notices.py FOLDER [--package devid-capi] [--features A,B]

Every crate must have a licence text in its package, or stand in BARE with a reason; a crate without either is an error.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TEXTS = re.compile(r"(licen[cs]e|copying|notice|unlicense)", re.I)
# Crates whose package holds no text, each with the words of its manifest. Of those Apache-2.0 is taken, whose text is ours too.
BARE = {"coap-message": "MIT OR Apache-2.0"}


def metadata(package: str, features: str | None) -> dict[str, Any]:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", str(manifest(package))]
    command += ["--filter-platform", "x86_64-unknown-linux-gnu"]
    if features is not None:
        command += ["--no-default-features", "--features", features]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # type: ignore[no-any-return]


def manifest(package: str) -> Path:
    folder = {"devid-capi": "bindings/c", "devid-cli": "cli", "devid-testca": "testca"}.get(package)
    if folder is None:
        raise SystemExit(f"notices: no package {package}: devid-capi, devid-cli and devid-testca are")
    return ROOT / folder / "Cargo.toml"


def linked(data: dict[str, Any], package: str) -> list[dict[str, Any]]:
    """What ends up in the package: its dependencies, without those of tests and of building alone."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    packages = {one["id"]: one for one in data["packages"]}
    start = next(one["id"] for one in data["packages"] if one["name"] == package and one["source"] is None)
    seen: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        for edge in nodes[here]["deps"]:
            is_macro = any("proc-macro" in target["kind"] for target in packages[edge["pkg"]]["targets"])
            if not is_macro and any(kind["kind"] is None for kind in edge["dep_kinds"]):
                todo.append(edge["pkg"])
    found = [packages[one] for one in seen if packages[one]["source"] is not None]
    return sorted(found, key=lambda one: (one["name"], one["version"]))


def texts(crate: dict[str, Any]) -> list[Path]:
    folder = Path(crate["manifest_path"]).parent
    named = [folder / crate["license_file"]] if crate.get("license_file") else []
    return sorted({*named, *(one for one in folder.iterdir() if one.is_file() and TEXTS.search(one.name))})


def bill(package: str, crates: list[dict[str, Any]], data: dict[str, Any]) -> dict[str, Any]:
    version = next(one["version"] for one in data["packages"] if one["name"] == package and one["source"] is None)
    names = "\n".join(f"{one['name']} {one['version']}" for one in crates)
    components = [
        {
            "type": "library",
            "name": one["name"],
            "version": one["version"],
            "purl": f"pkg:cargo/{one['name']}@{one['version']}",
            "bom-ref": f"{one['name']}@{one['version']}",
            "licenses": [{"expression": (one["license"] or "NOASSERTION").replace("/", " OR ")}],
        }
        for one in crates
    ]
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    refs = {one["id"]: f"{one['name']}@{one['version']}" for one in crates}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # The same for the same list: a release can be compared with a rebuilt one.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, package + version + names)}",
        "version": 1,
        "metadata": {"component": {"type": "library", "name": package, "version": version, "bom-ref": package}},
        "components": components,
        "dependencies": [
            {"ref": ref, "dependsOn": sorted({refs[d["pkg"]] for d in nodes[key]["deps"] if d["pkg"] in refs} - {ref})}
            for key, ref in sorted(refs.items(), key=lambda pair: pair[1])
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--package", default="devid-capi")
    parser.add_argument("--features")
    options = parser.parse_args()
    data = metadata(options.package, options.features)
    crates = linked(data, options.package)
    options.folder.mkdir(parents=True, exist_ok=True)
    missing, pages, known = [], [f"# What is in {options.package} besides its own\n"], {}
    for crate in crates:
        found = texts(crate)
        is_bare = not found and BARE.get(crate["name"]) == crate["license"]
        if is_bare:
            found = [ROOT / "LICENSE-APACHE"]
        if not found:
            missing.append(f"{crate['name']} {crate['version']} ({crate['license']})")
        pages.append(f"## {crate['name']} {crate['version']}\n\n{crate['license']}; {crate['repository'] or crate['name']}\n")
        if is_bare:
            pages.append("Its package holds no text; Apache-2.0 is taken.\n")
        for one in found:
            text = one.read_text(errors="replace").strip()
            # The same text again is named, not repeated.
            place = known.setdefault(re.sub(r"\s+", " ", text), f"{crate['name']} {crate['version']}, {one.name}")
            is_new = place.startswith(f"{crate['name']} {crate['version']},") and place.endswith(one.name)
            pages.append(f"```text\n{text}\n```\n" if is_new else f"{one.name}: the text that stands under {place}\n")
    (options.folder / "THIRD-PARTY.md").write_text("\n".join(pages))
    (options.folder / "devid.cdx.json").write_text(json.dumps(bill(options.package, crates, data), indent=1) + "\n")
    for name in missing:
        print(f"notices: no licence text in {name}", file=sys.stderr)
    if missing:
        return 1
    print(f"notices: {len(crates)} crates in {options.package}; {options.folder}/THIRD-PARTY.md, devid.cdx.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
