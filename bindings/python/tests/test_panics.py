"""An internal error of the library is an exception like any other: the process lives, and the handle can only be closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Bench

LIBRARY = os.environ.get("DEVID_PANIC_LIBRARY")

STORY = """
import sys
import devid

url, anchors, key_file = sys.argv[1:]
try:
    with devid.Config(url, enrolment_anchors=open(anchors, "rb").read()) as config:
        config.set_secret(b"4711", b"correct-horse")
        with devid.Client(config) as client, devid.Key.load(open(key_file, "rb").read()) as key:
            with client.enroll(key, "CN=device") as operation:
                try:
                    print("issued", operation.run().certificate)
                except devid.InternalError as error:
                    try:
                        operation.step(0)
                    except devid.Error as later:
                        print("then", later.name)
                    raise
except devid.Error as error:
    # Getters have no error to give: the call after them finds the handle poisoned.
    print("caught", error.name)
    sys.exit(error.name not in ("PANIC", "POISONED"))
"""


@pytest.mark.skipif(not LIBRARY, reason="DEVID_PANIC_LIBRARY names no library that panics on demand")
def test_panic_in_any_call_is_an_exception(bench: Bench) -> None:
    caught, poisoned = 0, 0
    with bench.serve(is_implicit=False) as server:
        for at in range(1, 41, 2):
            outcome = run(at, server.url, bench.material.root.certificate, bench.material.new_keys["P-256"])
            assert outcome.returncode == 0, f"call {at}: {outcome.returncode} {outcome.stderr}"
            assert "panicked at" not in outcome.stderr
            caught += "caught PANIC" in outcome.stdout
            poisoned += "then POISONED" in outcome.stdout
    assert caught >= 5 and poisoned >= 1


def run(at: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
    import devid

    source = str(Path(devid.__file__).resolve().parents[1])
    environment = {**os.environ, "DEVID_LIBRARY": str(LIBRARY), "DEVID_PANIC_AT": str(at), "PYTHONPATH": source}
    command = [sys.executable, "-c", STORY, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
