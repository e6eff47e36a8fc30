"""The book's page for Python does what it says, as it stands there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import devid
from devid.testing import TestCa


def fences(page: Path, checkout: Path) -> str:
    """As packaging/guide.py takes them, by which wheels are tried."""
    return str(runpy.run_path(str(checkout / "packaging" / "guide.py"))["programs"](page))


def test_the_guide_does_what_it_says(checkout: Path, tmp_path: Path, devid_testca: TestCa) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_bytes(devid_testca.secret)
    page = checkout / "docs" / "book" / "src" / "python-guide.md"
    names = {"folder": tmp_path, "ca": devid_testca}
    exec(compile(fences(page, checkout), str(page), "exec"), names)
    assert (tmp_path / "tls" / "current" / "fullchain.pem").exists()


def test_a_page_that_is_wrong_is_told_by_its_line(checkout: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```python\nimport devid\n```\n\nWords.\n\n```python\ndevid.no_such_name\n```\n")
    with pytest.raises(AttributeError) as caught:
        exec(compile(fences(page, checkout), str(page), "exec"), {})
    assert caught.traceback[-1].lineno == 9


def test_every_class_of_errors_is_in_the_guide(checkout: Path) -> None:
    page = (checkout / "docs" / "book" / "src" / "python-guide.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+Error)` \| ([^|]*)\|", page, re.M))
    for kind in devid.Error.__subclasses__():
        assert kind.__name__ in rows or kind is devid.ApplicationError, kind
        for other in kind.__mro__[1:]:
            if other.__module__ == "builtins" and other not in (Exception, BaseException, object):
                assert other.__name__ in rows[kind.__name__], (kind, other)
