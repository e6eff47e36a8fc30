"""The pytest fixture ``devid_testca``: in ``conftest.py``, ``pytest_plugins = ["devid.testing.plugin"]``; installed packages
need not even that."""

from __future__ import annotations

from typing import Iterator

import pytest

from . import TestCa


@pytest.fixture(scope="session")
def devid_testca_process() -> Iterator[TestCa]:
    """The one process behind ``devid_testca``."""
    with TestCa() as ca:
        yield ca


@pytest.fixture
def devid_testca(devid_testca_process: TestCa) -> TestCa:
    """A test CA that behaves well, whatever the test before asked of it."""
    devid_testca_process.reset()
    return devid_testca_process
