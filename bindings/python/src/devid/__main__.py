"""``python -m devid inspect [--json] FILE...``: shows what stands in messages, certificates, requests, CRLs, OCSP responses."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import Error
from .inspector import inspect, inspect_fields


def main() -> int:
    """The exit code: 1 if a file could not be read as PEM or DER."""
    parser = argparse.ArgumentParser(prog="python -m devid", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("inspect", help="show what stands in files; - is standard input")
    command.add_argument("--json", action="store_true", help="one line of JSON for each file")
    command.add_argument("files", nargs="+", metavar="FILE")
    options = parser.parse_args()
    code = 0
    for name in options.files:
        try:
            content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            print(json.dumps(inspect_fields(content)) if options.json else inspect(content), end="\n" if options.json else "")
        except (OSError, Error) as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
