"""Generated PKIs whose verdicts the Rust tests have found, asked through the C interface: every door answers the same, and what
a peer adds makes nobody valid."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

import devid
from left_out import left_out

World = Dict[str, Any]


def worlds() -> Iterator[World]:
    path = os.environ.get("DEVID_WORLDS")
    if not path:
        left_out("DEVID_WORLDS names no file: test.sh writes it")
        return
    for line in Path(path).read_text().splitlines():
        yield json.loads(line)


def octets(texts: List[str]) -> List[bytes]:
    return [bytes.fromhex(text) for text in texts]


def validator(world: World, added: bool = False, status: bool = True) -> devid.Validator:
    trust = devid.Trust()
    for anchor in octets(world["anchors"]):
        trust.add(anchor)
    checks = devid.Validator(
        trust, purposes=None, any_name=True, revocation=devid.Revocation[world["mode"].split("_")[0]], prefer=devid.Prefer.OCSP
    )
    sources = ([world["added"]] if added else []) + ([world] if status else [])
    for source in sources:
        for crl in octets(source["crls"]):
            checks.add_crls(crl)
        for response in octets(source["ocsp"]):
            checks.add_ocsp(response)
    return checks


def sent(world: World) -> List[devid.Certificate]:
    return [devid.Certificate.parse(der) for der in octets(world["sent"])]


def verdict(checks: devid.Validator, world: World) -> bool:
    return checks.examine(sent(world), world["at"]).is_valid


def nobody(url: str, request: Any, max_len: int) -> bytes:
    raise ConnectionError("nobody answers")


def test_every_door_of_the_c_interface_gives_the_verdict_of_the_rust_one() -> None:
    seen: Dict[str, int] = {}
    for world in worlds():
        expected, seed = world["code"], world["seed"]
        seen[str(expected)] = seen.get(str(expected), 0) + 1
        first, *others = sent(world)
        checks = validator(world)
        for other in others:
            checks.add_intermediates(other)
        # One certificate, with helpers of the device's own; then all as the peer has sent them.
        report = checks.examine(first, world["at"])
        assert report.is_valid == (expected is None), (seed, report)
        if expected is not None:
            assert any(getattr(found.code, "name", "") == expected for found in report.findings), (seed, report)
        assert verdict(validator(world), world) == (expected is None), seed
        try:
            validator(world).validate(sent(world), world["at"]).public_key(world["at"])
            is_open = True
        except devid.Error:
            is_open = False
        assert is_open == (expected is None), seed
        with devid.Fetcher(fetch=nobody) as fetcher:
            for _ in range(2):
                found = fetcher.examine(validator(world), sent(world), world["at"])
                assert found.is_valid == (expected is None), seed
    assert not seen or {"None", "REVOKED"} <= set(seen), seen


def test_what_a_peer_adds_makes_nobody_valid_and_memory_forgets_nothing(tmp_path: Path) -> None:
    for world in worlds():
        is_valid, seed = world["code"] is None, world["seed"]
        if world["code"] != "REVOKED":
            # A genuine good word is news about somebody of whom nothing is known; a forged one is none.
            world["added"]["ocsp"] = world["added"]["ocsp"][:1]
        if not is_valid:
            assert not verdict(validator(world, added=True), world), seed
        if world["code"] != "REVOKED":
            continue
        # One process has seen it; another has the same device memory, and what the peer brings.
        with devid.Store(tmp_path / f"memory-{seed}") as store:
            checks = validator(world)
            checks.set_store(store)
            assert not verdict(checks, world), seed
        with devid.Store(tmp_path / f"memory-{seed}") as store:
            checks = validator(world, added=True, status=False)
            checks.set_store(store)
            assert not verdict(checks, world), seed
