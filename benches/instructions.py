"""Instructions, counted by callgrind: they do not move with the load of a machine as times do."""

import re
import subprocess
import sys
from pathlib import Path

# Runs of two lengths are compared, so that starting, loading and what is made once are not in the figures.
FEW, MANY = 2, 12


def measure(work: Path, bench: list[str], validate: Path, directory: Path) -> list[dict]:
    """`bench` is the program devid-bench with its rivals, `validate` the C program of that name, `directory` what `serve` wrote."""
    rows = []
    for protection in ("signature", "MAC"):
        figures = {
            what: per_round(lambda count: Profile(work, [*bench, "enrol-times", protection, what, str(count)]).without_rivals())
            for what in ("devid", "cryptography")
        }
        rows.append({"what": f"enrolment, P-256, {protection}", "all": figures["devid"], "cryptography": figures["cryptography"]})
    files = [str(directory / name) for name in ("root.pem", "issuing.pem", "crls.pem", "peer.der")]
    profiles = {count: Profile(work, [str(validate), *files, str(count)]) for count in (FEW, MANY)}
    for function in ("devid_cert_parse", "devid_validate"):
        rows.append({"what": f"{function}()", "all": per_round(lambda count: profiles[count].inclusive(function))})
    for row in rows:
        print(f"instructions: {row}", file=sys.stderr)
    return rows


def per_round(cost_of) -> int:
    return (cost_of(MANY) - cost_of(FEW)) // (MANY - FEW)


class Profile:
    """One run under callgrind."""

    def __init__(self, work: Path, command: list[str]) -> None:
        out = work / "callgrind.out"
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", *command]
        subprocess.run(valgrind, check=True, stdout=subprocess.DEVNULL)
        self.total = 0
        # Caller's object, callee's object, callee, cost with what it calls.
        self.calls: list[tuple[str, str, str, int]] = []
        names: dict[tuple[str, str], str] = {}
        here = {"ob": "", "cob": "", "cfn": ""}
        is_call = False
        for line in out.read_text(errors="replace").splitlines():
            named = re.match(r"(ob|cob|cfn)=\((\d+)\)(?: (.*))?$", line)
            if named:
                kind, number, name = named.groups()
                space = "fn" if kind == "cfn" else "ob"
                if name is not None:
                    names[space, number] = name
                here[kind] = names.get((space, number), "")
            elif line.startswith("fn=("):
                number, name = re.match(r"fn=\((\d+)\)(?: (.*))?$", line).groups()
                if name is not None:
                    names["fn", number] = name
            elif line.startswith("calls="):
                is_call = True
            elif is_call:
                cost = int(line.split()[1])
                self.calls.append((here["ob"], here["cob"] or here["ob"], here["cfn"], cost))
                here["cob"], is_call = "", False
            elif line.startswith("totals:"):
                self.total = int(line.split()[1])

    def inclusive(self, function: str) -> int:
        """What calls of a function cost with all that it calls."""
        return sum(cost for caller, callee, name, cost in self.calls if name == function and caller != callee)

    def without_rivals(self) -> int:
        """All but what devid-bench had the shared objects with libcrypto do: they are the server."""
        theirs = sum(cost for caller, callee, _, cost in self.calls if caller.endswith("/devid-bench") and "/openssl-" in callee)
        return self.total - theirs
