#!/usr/bin/env python3
"""Where the bytes of a library are: by section, by crate, and what is compiled most often.

    python3 scripts/bytes.py LIBRARY [--most 40] [--crate NAME]

LIBRARY has its symbols still: built with CARGO_PROFILE_RELEASE_STRIP=none (or _SMALL_STRIP). Needs binutils.
"""

import argparse
import collections
import re
import subprocess


def symbols(library):
    """Size and name of everything that has both, once for each address."""
    lines = subprocess.run(["nm", "-S", "-C", library], check=True, capture_output=True, text=True).stdout.splitlines()
    found = {}
    for line in lines:
        parts = line.split(" ", 3)
        if len(parts) == 4 and re.fullmatch(r"[0-9a-f]{16}", parts[1]):
            found.setdefault(parts[0], (int(parts[1], 16), parts[2], parts[3]))
    return list(found.values())


def crate_of(name):
    """The crate that a Rust symbol belongs to: of the type where a trait is implemented for one."""
    if name.startswith("aws_lc"):
        return "AWS-LC"
    path = re.match(r"<*(?:&|mut |dyn |\*const |\*mut |\(|\[)*([A-Za-z_][A-Za-z0-9_]*)(?:\[[0-9a-f]+\])?::", name)
    if path is None:
        return "C, assembly language, data"
    inner = re.match(r"core(?:\[[0-9a-f]+\])?::ptr::drop_(?:in_place|glue)(?:::)?<(.*)>", name)
    return "dropping: " + crate_of(inner[1]) if inner else path[1]


def without_parameters(name):
    """The name of a generic function without what it is generic over, and without the hash."""
    name = re.sub(r"::h[0-9a-f]{16}(?:\.llvm\.\d+)?$", "", name)
    name = re.sub(r"\[[0-9a-f]{8,16}\]", "", name)
    while (shorter := re.sub(r"(?<=\w|:)<[^<>]*>", "<>", name)) != name and "<>" not in name.replace(shorter, ""):
        name = shorter
        if name.count("<>") > 60:
            break
    return name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--most", type=int, default=40, help="rows of each table")
    parser.add_argument("--crate", help="the largest symbols of this crate alone")
    options = parser.parse_args()
    all_symbols = symbols(options.library)
    if options.crate:
        own = [s for s in all_symbols if crate_of(s[2]) == options.crate]
        for size, _, name in sorted(own, reverse=True)[: options.most]:
            print(f"{size:9,} {name}")
        return
    print("## Sections\n")
    for line in subprocess.run(["size", "-A", options.library], check=True, capture_output=True, text=True).stdout.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1].isdigit() and int(parts[1]) > 2000:
            print(f"{int(parts[1]):9,} {parts[0]}")
    crates, functions = collections.Counter(), collections.defaultdict(list)
    for size, _, name in all_symbols:
        crates[crate_of(name)] += size
        functions[without_parameters(name)].append(size)
    print("\n## Crates\n")
    for crate, size in crates.most_common(options.most):
        print(f"{size:9,} {crate}")
    print("\n## Compiled more than once: bytes, times, what\n")
    several = sorted(((sum(sizes), len(sizes), name) for name, sizes in functions.items() if len(sizes) > 1), reverse=True)
    for size, times, name in several[: options.most]:
        print(f"{size:9,} {times:5} {name[:140]}")
    print("\n## The largest\n")
    for size, _, name in sorted(all_symbols, reverse=True)[: options.most]:
        print(f"{size:9,} {name[:140]}")


main()
