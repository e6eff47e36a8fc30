#!/usr/bin/env python3
"""Where the bytes of a library are: by section, by crate, and what is compiled most often.

    python3 scripts/bytes.py LIBRARY [--most 40] [--crate NAME]

LIBRARY has its symbols still: built with CARGO_PROFILE_RELEASE_STRIP=none (or _SMALL_STRIP). Needs binutils.
"""

import argparse
import collections
import re
import subprocess
from pathlib import Path

# What the page of sizes tells apart, and the crates of each; what is named nowhere here is "other crates".
OURS = "our own code"
FACE = "the C functions"
UNWINDING = "tables for unwinding"
CONSTANTS = "constants, texts"
REST = "symbols, relocations, gaps"
GROUPS = {
    OURS: {"devid", "devid_core", "devid_awslc", "devid_capi", "der", "spki", "x509_cert", "const_oid", "base64ct"},
    FACE: set(),
    "cryptography": {
        "AWS-LC", "aws_lc_rs", "p256", "p384", "p521", "ecdsa", "elliptic_curve", "primeorder", "primefield", "crypto_bigint", "sec1", "rfc6979",
        "sha1", "sha2", "hmac", "hkdf", "pbkdf2", "aes", "cbc", "aes_gcm", "aes_kw", "ghash", "polyval", "ctr", "cipher", "digest", "block_buffer",
        "crypto_common", "getrandom", "rsa", "subtle", "zeroize", "universal_hash", "aead", "wnaf", "signature", "cpufeatures", "hybrid_array",
    },
    "HTTP, TLS": {"ureq", "ureq_proto", "http", "httparse", "rustls", "webpki", "rustls_pki_types", "bytes", "utf8", "percent_encoding"},
    "TOML, JSON": {"toml", "toml_parser", "toml_datetime", "serde", "serde_core", "serde_json", "serde_spanned", "winnow", "indexmap", "itoa", "zmij"},
    "standard library": {
        "std", "core", "alloc", "hashbrown", "gimli", "addr2line", "object", "miniz_oxide", "rustc_demangle", "panic_unwind", "compiler_builtins",
        "memchr", "adler2", "unwind", "std_detect",
    },
    "other crates": set(),
    UNWINDING: set(),
    CONSTANTS: set(),
    REST: set(),
}


def symbols(library):
    """Size and name of everything that has both, once for each address."""
    lines = subprocess.run(["nm", "-S", "-C", library], check=True, capture_output=True, text=True).stdout.splitlines()
    found = {}
    for line in lines:
        parts = line.split(" ", 3)
        if len(parts) == 4 and re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{16}", parts[1]):
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


def group_of(name):
    """The row of GROUPS that a symbol belongs to; `None` where its crate is none of theirs."""
    crate = crate_of(name).removeprefix("dropping: ")
    if re.match(r"devid_[a-z0-9_]+$|devid(?:\[[0-9a-f]+\])?::guard::", name):
        return FACE
    return next((group for group, crates in GROUPS.items() if crate in crates), None)


def groups(library, stripped):
    """How many bytes of the stripped file each row of GROUPS takes, of the same library with its symbols."""
    sections = {}
    for line in subprocess.run(["size", "-A", library], check=True, capture_output=True, text=True).stdout.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1].isdigit():
            sections[parts[0]] = int(parts[1])
    found = collections.Counter()
    loaded = sum(sections.get(name, 0) for name in (".text", ".rodata", ".data", ".data.rel.ro", ".tdata"))
    named = symbols(library)
    # What has no crate is written in C or assembly language: AWS-LC, where it is linked.
    without_crate = "cryptography" if any(name.startswith("aws_lc") for _, _, name in named) else "standard library"
    for size, kind, name in named:
        if kind in "tTwWrRdDvV":
            group = group_of(name)
            if group is None:
                group = without_crate if crate_of(name).startswith("C, ") else "other crates"
            found[group] += size
    found[UNWINDING] = sum(size for name, size in sections.items() if name.startswith((".eh_frame", ".gcc_except_table", ".ARM.ex")))
    found[CONSTANTS] = loaded - sum(found[group] for group in GROUPS if group not in (UNWINDING, CONSTANTS, REST))
    found[REST] = Path(stripped).stat().st_size - sum(found[group] for group in GROUPS if group != REST)
    return {group: found[group] for group in GROUPS}


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


if __name__ == "__main__":
    main()
