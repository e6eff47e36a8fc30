"""The table for people and the JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cases import COMMANDS, PROTECTIONS, Case
from further import Conversation


@dataclass
class Result:
    """How a case went."""

    case: Case
    verdict: str
    """`pass`; `explained`: it cannot work, and did not; `fail`."""
    words: str = ""
    milliseconds: int = 0


COLUMNS: list[tuple[str, Callable[[Case], bool]]] = [
    ("certConf", lambda c: c.ending == "granted" and not c.is_implicit and not c.is_polled),
    ("+polled", lambda c: c.ending == "granted" and not c.is_implicit and c.is_polled),
    ("implicit", lambda c: c.ending == "granted" and c.is_implicit and not c.is_polled),
    ("+polled ", lambda c: c.ending == "granted" and c.is_implicit and c.is_polled),
    ("withMods", lambda c: c.ending == "grantedWithMods"),
    ("rejection", lambda c: c.ending == "rejection"),
    ("error", lambda c: c.ending == "error"),
    ("wrong cred.", lambda c: c.ending == "wrong credential"),
    ("late pkiConf", lambda c: c.ending == "delayed pkiConf"),
]
MARKS = {"pass": "ok", "fail": "FAIL"}


def table(results: list[Result]) -> str:
    """One grid for each pair of client and server; notes tell why something cannot work."""
    lines: list[str] = []
    notes: list[str] = []
    for pair in dict.fromkeys((r.case.client, r.case.server) for r in results):
        mine = [r for r in results if (r.case.client, r.case.server) == pair]
        lines += ["", f"{pair[0]} client, {pair[1]} server", ""]
        lines.append("  " + "".join([f"{'':<14}", *(f"{name.strip():<13}" for name, _ in COLUMNS)]).rstrip())
        for command in COMMANDS:
            for protection in [*PROTECTIONS, "PBMAC1"]:
                row = [r for r in mine if r.case.command == command and r.case.protection == protection]
                cells = [_cell([r for r in row if wanted(r.case)], notes) for _, wanted in COLUMNS]
                if row:
                    lines.append("  " + "".join([f"{command + ' ' + protection:<14}", *(f"{c:<13}" for c in cells)]).rstrip())
    lines += ["", *(f"({number}) {note}" for number, note in enumerate(notes, 1))]
    failures = [r for r in results if r.verdict == "fail"]
    lines += [f"FAIL {r.case.client} client, {r.case.server} server: {r.case.words}: {r.words}" for r in failures]
    counts = {verdict: sum(r.verdict == verdict for r in results) for verdict in ("pass", "explained", "fail")}
    lines.append(
        f"\n{len(results)} conversations: {counts['pass']} as they must be, {counts['explained']} that cannot work and say "
        f"why, {counts['fail']} failed"
    )
    return "\n".join(lines)


def _cell(results: list[Result], notes: list[str]) -> str:
    if not results:
        return "-"
    worst = min(results, key=lambda r: ("fail", "explained", "pass").index(r.verdict))
    if worst.verdict == "explained":
        if worst.words not in notes:
            notes.append(worst.words)
        return f"({notes.index(worst.words) + 1})"
    return MARKS[worst.verdict]


def write(
    path: Path, results: list[Result], more: list[tuple[Conversation, str, str]], about: dict[str, str]
) -> None:
    """Everything, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(r.case), "verdict": r.verdict, "words": r.words, "milliseconds": r.milliseconds} for r in results]
    others = [
        {"client": c.client, "server": c.server, "operation": c.operation, "verdict": verdict, "words": words}
        for c, verdict, words in more
    ]
    path.write_text(json.dumps({**about, "results": rows, "further": others}, indent=1) + "\n")
