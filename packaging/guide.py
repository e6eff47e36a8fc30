#!/usr/bin/env python3
"""Does what the book's page for Python says, with the package and the test CA that this Python finds.

    guide.py PAGE
"""

import sys
import tempfile
from pathlib import Path

import devid
from devid.testing import TestCa


def programs(page: Path) -> str:
    """The programs of the page, one behind the other, each line where it stands in the page."""
    lines, is_inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            is_inside = line == "```python"
            line = ""
        lines.append(line if is_inside else "")
    return "\n".join(lines)


def main() -> None:
    page = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name, TestCa() as ca:
        folder = Path(name)
        secret = folder / "secret"
        secret.touch(0o600)
        secret.write_bytes(ca.secret)
        exec(compile(programs(page), str(page), "exec"), {"folder": folder, "ca": ca})
        assert (folder / "tls" / "current" / "fullchain.pem").exists()
    print(f"guide: devid {devid.__version__} of {Path(devid.__file__).parent}")


if __name__ == "__main__":
    main()
