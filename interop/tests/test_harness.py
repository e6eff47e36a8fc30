"""The harness itself: it must see what is wrong, and not believe its own excuses."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import further
import jvm
import report
import run
from cases import (
    OUR_CA,
    RA_ADDING,
    RA_FORWARDING,
    RA_REPLACING,
    Case,
    Obstacle,
    conversations,
    conversations_through_an_ra,
    obstacle,
)
from clients import _explain, _sent
from outcome import Outcome, complaint

GOOD = Case("OpenSSL 4.0.3", "C", "ir", "P-256")
ISSUED = Outcome(certificate=b"certificate", pki_status=0, sent=["ir", "certConf"])


def judged(case: Case, outcome: Outcome, late: bool = False) -> str:
    return complaint(case, outcome, b"certificate", "key is on the list", late)


def test_conversation_as_it_must_be_brings_no_complaint() -> None:
    assert judged(GOOD, ISSUED) == ""
    polled = replace(GOOD, is_polled=True, is_implicit=True)
    assert judged(polled, replace(ISSUED, sent=["ir", "pollReq", "pollReq"])) == ""
    late = replace(GOOD, is_polled=True)
    assert judged(late, replace(ISSUED, sent=["ir", "pollReq", "pollReq", "certConf", "pollReq", "pollReq"]), True) == ""


@pytest.mark.parametrize(
    "outcome",
    [
        replace(ISSUED, certificate=b"another"),
        replace(ISSUED, certificate=None),
        replace(ISSUED, pki_status=1),
        replace(ISSUED, sent=["ir"]),
        replace(ISSUED, sent=["ir", "pollReq", "certConf"]),
        replace(ISSUED, error="REJECTED"),
    ],
)
def test_anything_else_brings_one(outcome: Outcome) -> None:
    assert judged(GOOD, outcome)


def test_rejection_must_arrive_whole() -> None:
    case = replace(GOOD, ending="rejection")
    whole = Outcome(
        error="REJECTED", pki_status=2, fail_info=512, texts=["key is on the list"], is_authenticated=True, sent=["ir"]
    )
    assert judged(case, whole) == ""
    for partial in (
        replace(whole, fail_info=0),
        replace(whole, texts=[]),
        replace(whole, is_authenticated=False),
        replace(whole, pki_status=None),
        replace(whole, error="TIMEOUT"),
        replace(whole, error=None, certificate=b"certificate"),
        replace(whole, sent=["ir", "certConf"]),
    ):
        assert judged(case, partial)


def test_excuse_counts_only_while_it_is_true() -> None:
    excuse = Obstacle("the peer cannot", "cannot do that")
    assert run.Task(GOOD, excuse, lambda _: "failed: cannot do that")().verdict == "explained"
    assert run.Task(GOOD, excuse, lambda _: "")().verdict == "fail"
    assert run.Task(GOOD, excuse, lambda _: "the library crashed")().verdict == "fail"
    assert run.Task(GOOD, None, lambda _: "")().verdict == "pass"


def test_harness_that_breaks_in_one_conversation_calls_it_a_failure() -> None:
    def breaks(_: Case) -> str:
        raise OSError("no port left")

    result = run.Task(GOOD, None, breaks)()
    assert result.verdict == "fail" and "no port left" in result.words


def test_matrix_is_whole() -> None:
    cases = list(conversations("OpenSSL 4.0.3", "C"))
    assert len(cases) == len(set(cases)) == 3 * 4 * 8 + 1
    assert len(list(conversations(OUR_CA, "OpenSSL 4.0.3"))) == 3 * 4 * 9
    excused = [c for c in cases if obstacle(c, (4, 0, 3), None)]
    assert {(c.command, c.protection) for c in excused} == {("kur", "PBM"), ("ir", "PBMAC1")}


def test_matrix_through_an_ra_is_whole_and_says_what_that_ra_cannot() -> None:
    cases = list(conversations_through_an_ra(RA_ADDING, "C"))
    assert len(cases) == len(set(cases)) == (2 * 5 + 3) * 7
    excused = {(c.protection, c.is_polled) for c in cases if obstacle(c, None, None)}
    assert excused == {(p, True) for p in ("RSA", "P-256", "Ed25519", "PBM", "PBMAC1")} | {("PBMAC1", False)}
    replacing = [c for c in conversations_through_an_ra(RA_REPLACING, "C") if obstacle(c, None, None)]
    assert {c.command for c in replacing if c.protection != "PBMAC1"} == {"kur"}


def test_library_with_another_digest_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm, "_cache", lambda: tmp_path)
    (tmp_path / "peer.jar").write_bytes(b"library")
    assert jvm._jar("a/peer.jar", hashlib.sha256(b"library").hexdigest()) == tmp_path / "peer.jar"
    with pytest.raises(SystemExit, match="digest"):
        jvm._jar("a/peer.jar", hashlib.sha256(b"another").hexdigest())


def test_excuse_of_a_further_conversation_counts_only_while_it_is_true() -> None:
    def fails(words: str) -> further.Conversation:
        def converse() -> None:
            raise RuntimeError(words)

        return further.Conversation("Python", RA_FORWARDING, "p10cr", converse)

    assert fails("CertReqId must be 0")()[0] == "explained"
    assert fails("the library crashed")()[0] == "fail"
    works = further.Conversation("Python", RA_FORWARDING, "p10cr", lambda: None)
    assert works()[0] == "fail" and further.Conversation("Python", RA_FORWARDING, "rr", lambda: None)() == ("pass", "")
    assert "FAIL" in further.table([(works, *works())]) and "1 failed" in further.table([(works, *works())])


def test_table_shows_failures_and_reasons() -> None:
    results = [
        report.Result(GOOD, "pass"),
        report.Result(replace(GOOD, ending="error"), "fail", "it went wrong"),
        report.Result(replace(GOOD, command="kur", protection="PBM"), "explained", "the peer cannot"),
    ]
    text = report.table(results)
    assert "FAIL C client, OpenSSL 4.0.3 server" in text and "it went wrong" in text
    assert "(1) the peer cannot" in text and "1 as they must be" in text and "1 failed" in text


def test_words_of_openssl_are_understood() -> None:
    log = (
        "CMP info: sending KUR\nCMP info: received KUP\n"
        'CMP error: received error:PKIStatus: rejection; PKIFailureInfo: badAlg, badPOP; StatusString: "no"\n'
    )
    outcome = Outcome()
    _explain(outcome, log)
    assert _sent(log) == ["kur"]
    assert (outcome.error, outcome.pki_status, outcome.fail_info) == ("REJECTED", 2, 1 | 512)
    assert any('"no"' in text for text in outcome.texts)
