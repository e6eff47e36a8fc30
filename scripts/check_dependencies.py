#!/usr/bin/env python3
"""Dependencies: every licence is on the list, every crate comes from the registry, exceptions carry a reason, and none of those that the
default build and its tests compile asks for a newer Rust than rust-version in Cargo.toml.

Advisories are checked by `cargo deny check advisories` (deny.toml) where the advisory database can be reached.
"""

import json
import subprocess
import sys

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC",
    "MIT", "MIT-0", "NCSA", "OpenSSL", "Unicode-3.0", "Unlicense", "Zlib",
}  # fmt: skip

# Crates whose licence needs a word: name, and why it is fine.
EXCEPTIONS = {
    "cbindgen": "MPL-2.0: a tool that writes the header; nothing of it is in what is shipped",
    "aws-lc-sys": "ISC AND (Apache-2.0 OR ISC) AND OpenSSL and permissive parts of AWS-LC; all texts are in the crate",
}


def terms(expression):
    """The licences of one alternative of an SPDX expression that are all allowed, or None."""
    text = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    tokens = text.split()
    position = 0

    def parse_or():
        nonlocal position
        good = parse_and()
        while position < len(tokens) and tokens[position] == "OR":
            position += 1
            other = parse_and()
            good = good or other
        return good

    def parse_and():
        nonlocal position
        good = parse_one()
        while position < len(tokens) and tokens[position] == "AND":
            position += 1
            other = parse_one()
            good = good and other
        return good

    def parse_one():
        nonlocal position
        if tokens[position] == "(":
            position += 1
            good = parse_or()
            position += 1
            return good
        name = tokens[position]
        position += 1
        if position + 1 < len(tokens) and tokens[position] == "WITH":
            name += f" WITH {tokens[position + 1]}"
            position += 2
        return name in ALLOWED

    return parse_or()


def compiled():
    """What the default build and its tests compile: name and version of each crate, here and on a device."""
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--workspace", "--edges=normal,build,dev", "--prefix=none", "--format={p}",
         "--features=devid/pkcs11,devid-capi/pkcs11"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return {tuple(line.split()[:2]) for line in tree.splitlines() if line}


def too_new(packages):
    """Crates that an old compiler refuses. What needs a newer one belongs behind a feature that is not among the default ones."""
    number = lambda text: tuple(int(part) for part in (text.split(".") + ["0"])[:2])  # noqa: E731
    stated = next(package["rust_version"] for package in packages if package["name"] == "devid")
    used = compiled()
    return [
        f"{package['name']} {package['version']} asks for Rust {package['rust_version']}, and {stated} is stated: an older version of it "
        f"(cargo update -p {package['name']} --precise ...), or a feature that is no default one"
        for package in packages
        if package["rust_version"] and (package["name"], "v" + package["version"]) in used
        and number(package["rust_version"]) > number(stated)
    ]  # fmt: skip


def main():
    output = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version=1", "--all-features"], check=True, capture_output=True, text=True
    ).stdout
    packages = json.loads(output)["packages"]
    problems = too_new(packages)
    for package in packages:
        where = f"{package['name']} {package['version']}"
        if package["source"] is None:
            continue
        if not package["source"].startswith("registry+"):
            problems.append(f"{where} does not come from the registry: {package['source']}")
        licence = package["license"] or ""
        if package["name"] not in EXCEPTIONS and not (licence and terms(licence)):
            problems.append(f"{where} has the licence \"{licence}\", which is not on the list")
    print("\n".join(problems), end="\n" if problems else "")
    print(f"dependencies: {len(packages)} packages, {len(problems)} problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
