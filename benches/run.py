#!/usr/bin/env python3
"""`make bench`: builds what is measured, measures it beside its rivals, writes docs/performance.md.

    run.py [--short] [--no-build] [--output FILE]

--short takes a sixth of the rounds, leaves out the CRL of a million entries,
and takes OpenSSL 4.0.3 only if it is built already; its page goes to build/bench/performance.md. --no-build measures what
was built before. Ends with 1 where a figure is more than twice its aim.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import instructions
import page

ROOT = Path(__file__).resolve().parent.parent
BENCHES = ROOT / "benches"
WORK = ROOT / "build" / "bench"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
CC = os.environ.get("CC", "cc")
CARGO = [os.environ.get("CARGO", "cargo")]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--short", action="store_true")
    arguments.add_argument("--no-build", action="store_true")
    arguments.add_argument("--output", type=Path)
    settings = arguments.parse_args()
    if settings.no_build:
        CARGO[:] = ["true"]
    WORK.mkdir(parents=True, exist_ok=True)

    rivals = openssl_versions(settings.short)
    run([*CARGO, "build", "--release", "-p", "devid-bench"])
    objects = [shared_object(name, source) for name, source in rivals]
    heap = compile_c("heap.so", ["-O2", "-fPIC", "-shared"], [BENCHES / "heap.c"])
    began = os.getloadavg()[0]
    results: dict = {"short": settings.short, "processes": processes(rivals, objects, settings.short)}
    for part in ("enrol", "validation", "crl", "scale"):
        results[part] = measured(part, objects, settings.short)
    results["heap"] = measured("heap", objects, settings.short, {"LD_PRELOAD": str(heap)})
    # What has been measured is kept if the rest fails.
    (WORK / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    validate = compile_c("validate", ["-O2", f"-I{ROOT}/include"], [BENCHES / "validate.c"], shared_library())
    results["instructions"] = instructions.measure(WORK, program(objects[-1:]), validate, WORK / "ca")

    results["load"] = began, os.getloadavg()[0]
    (WORK / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    output = settings.output or (WORK / "performance.md" if settings.short else ROOT / "docs" / "performance.md")
    text, far = page.render(results, ROOT)
    output.write_text(text)
    print(text)
    print(f"written: {output}")
    if far:
        sys.exit("bench: " + "\nbench: ".join(far))


def openssl_versions(short: bool) -> list[tuple[str, Path | None]]:
    """Name and build tree (None: the system's); the last one plays the server."""
    versions: list[tuple[str, Path | None]] = [("OpenSSL 3.0", None)]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devid"
    tree = cache / "openssl-4.0.3-src"
    if not (tree / "apps" / "openssl").exists() and not short:
        # The interop tests know how it is built, and keep it at the same place.
        sys.path.insert(0, str(ROOT / "interop"))
        import peers

        peers.built()
    if (tree / "libcrypto.a").exists():
        versions.append(("OpenSSL 4.0.3", tree))
    else:
        print("bench: OpenSSL 4.0.3 is not built; only the system's is measured", file=sys.stderr)
    return versions


def shared_object(name: str, tree: Path | None) -> str:
    """libcrypto's side of the measurements: NAME=FILE for the bench program."""
    flags = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-deprecated-declarations"]
    libraries = ["-Wl,--exclude-libs,ALL", "-Wl,-Bsymbolic"]
    if tree is None:
        libraries += ["-lcrypto"]
    else:
        flags += [f"-I{tree}/include"]
        libraries += [str(tree / "libcrypto.a"), "-ldl", "-lpthread"]
    sources = sorted((BENCHES / "openssl").glob("*.c"))
    made = compile_c(re.sub(r"[^a-z0-9.]+", "-", name.lower()) + ".so", flags, sources, libraries)
    return f"{name}={made}"


def compile_c(name: str, flags: list[str], sources: list[Path], libraries: list[str] = []) -> Path:
    out = WORK / name
    run([CC, *flags, "-o", str(out), *map(str, sources), *libraries])
    return out


def program(objects: list[str]) -> list[str]:
    command = [str(TARGET / "release" / "devid-bench")]
    for made in objects:
        command += ["--openssl", made]
    return command


def measured(part: str, objects: list[str], short: bool, environment: dict[str, str] | None = None) -> dict:
    command = program(objects) + (["--short"] if short else []) + [part]
    environment = {**os.environ, **(environment or {})}
    outcome = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return json.loads(outcome.stdout)


def processes(rivals: list[tuple[str, Path | None]], objects: list[str], short: bool) -> list[dict]:
    """Whole processes against the same CA behind HTTP: ours, and `openssl cmp` of each version."""
    measure = compile_c("measure", ["-O2", "-Wall", "-Wextra"], [BENCHES / "measure.c"])
    library = TARGET / "release"
    flags = ["-O2", "-Wall", "-Wextra", f"-I{ROOT}/include"]
    ours = {}
    if (ROOT / "include" / "devid.h").exists():
        source = [BENCHES / "process.c"]
        run([*CARGO, "build", "--release", "-p", "devid-capi"])
        ours["devid, C program with libdevid.so"] = compile_c("process-shared", flags, source, shared_library())
        ours["devid, C program with libdevid.a"] = compile_c(
            "process-static", flags, source, ["-Wl,--gc-sections", str(library / "libdevid.a"), *NATIVE_LIBRARIES]
        )
    directory = WORK / "ca"
    directory.mkdir(exist_ok=True)
    server = subprocess.Popen(program(objects) + ["serve", str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None and server.stdout is not None
    rows = []
    try:
        ports = dict(server.stdout.readline().split() for _ in range(2))
        for protection in ("signature", "mac"):
            commands = {name: [str(made), protection, ports[protection], str(directory)] for name, made in ours.items()}
            for name, tree in rivals:
                binary = "openssl" if tree is None else str(tree / "apps" / "openssl")
                commands[f"{name}, openssl cmp"] = openssl_cmp(binary, protection, ports[protection], directory)
            rounds = 10 if short else 40
            line = [str(measure), str(rounds)]
            for number, command in enumerate(commands.values()):
                line += (["--"] if number else []) + command
            # Nothing is read from configuration files of the machine.
            environment = {**os.environ, "OPENSSL_CONF": "/dev/null"}
            outcome = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, env=environment)
            figures = [list(map(int, row.split())) for row in outcome.stdout.splitlines()]
            for name, (cpu, wall, resident) in zip(commands, figures):
                rows.append({"protection": protection, "program": name, "cpu_us": cpu, "wall_us": wall, "peak_kib": resident})
                print(f"process {protection} {name}: CPU {cpu} us, wall {wall} us, {resident} KiB", file=sys.stderr)
    finally:
        server.stdin.close()
        server.wait()
    return rows


def shared_library() -> list[str]:
    """How a C program is linked to libdevid.so, which is looked for by its SONAME, as installing gives it."""
    library = TARGET / "release" / "libdevid.so"
    dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True)
    soname = re.search(r"SONAME.*\[(.*)\]", dynamic.stdout)
    link = WORK / (soname[1] if soname else library.name)
    link.unlink(missing_ok=True)
    link.symlink_to(library)
    return [f"-L{library.parent}", f"-Wl,-rpath,{WORK}", "-ldevid"]


def openssl_cmp(binary: str, protection: str, port: str, directory: Path) -> list[str]:
    command = [binary, "cmp", "-cmd", "ir", "-server", f"127.0.0.1:{port}", "-path", "pkix/", "-newkey"]
    command += [str(directory / "new-key.pem"), "-subject", "/O=devid bench/CN=Device 4711", "-verbosity", "2"]
    command += ["-trusted", str(directory / "root.pem"), "-out_trusted", str(directory / "root.pem")]
    command += ["-certout", str(directory / "openssl-certificate.pem")]
    if protection == "mac":
        return command + ["-ref", "4711", "-secret", "pass:a shared secret", "-mac", "hmacWithSHA256"]
    return command + ["-cert", str(directory / "device.pem"), "-key", str(directory / "device-key.pem")]


# What `rustc --print native-static-libs` says for glibc.
NATIVE_LIBRARIES = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"]


def run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
