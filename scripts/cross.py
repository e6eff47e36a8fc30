#!/usr/bin/env python3
"""Writes build/cross/Cargo.toml: the package as it is, without the test dependencies that stand on AWS-LC, so that the portable
provider is tested on machines that AWS-LC would first have to be built for. The sources are links to the real ones. Prints the features
to test: all of the default but for what stands on AWS-LC."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "cross"
# What needs neither the test CA nor a second validator nor sockets with TLS.
TESTS = ["crypto_vectors", "enrolment", "offline", "paths", "revocation", "store"]


def main() -> None:
    manifest = (ROOT / "Cargo.toml").read_text()
    head, rest = manifest.split("[package]", 1)
    shared = head.split("[workspace.package]")[1]
    rest = rest.replace("autobenches = false\n", "autobenches = false\nautotests = false\nautoexamples = false\n", 1)
    rest = re.sub(r"^(devid-testca|rustls-webpki|rustls-pki-types) = .*\n", "", rest, flags=re.M)
    rest = re.sub(r"^\[\[(?:example|bench)\]\]\n(?:.+\n)+", "", rest, flags=re.M)
    tests = "".join(f'\n[[test]]\nname = "{name}"\npath = "{path(name)}"\n' for name in TESTS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "Cargo.toml").write_text(f"[workspace]\n\n[workspace.package]{shared}[package]{rest}{tests}")
    (FOLDER / "Cargo.lock").write_text((ROOT / "Cargo.lock").read_text())
    for name in ("src", "tests", "testca", "examples", "bindings"):
        link = FOLDER / name
        if (ROOT / name).exists() and not link.is_symlink():
            link.symlink_to(Path("../..") / name)
    listed = re.search(r"^default = \[(.*?)\]", manifest, re.M | re.S)
    assert listed
    default = re.findall(r'"([a-z0-9-]+)"', listed[1])
    print(",".join(["crypto-rust", *(name for name in default if name not in ("crypto-awslc", "tls"))]))


def path(name: str) -> str:
    return f"tests/{name}.rs" if (ROOT / "tests" / f"{name}.rs").exists() else f"tests/{name}/main.rs"


if __name__ == "__main__":
    main()
