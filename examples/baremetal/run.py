#!/usr/bin/env python3
"""Runs the firmware on an emulated Cortex-M4 against devid-testca on this machine, and fails unless all goes as it must.

    run.py FIRMWARE TESTCA [--report FILE]

Each run is a board that is switched on: it asks for its parameters over a serial line, which is a socket here, and has this script
carry its messages to the CA by HTTP. What it says comes by semihosting, and so does its exit status.
"""

import base64
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

MACHINE = ["-machine", "mps2-an386", "-cpu", "cortex-m4", "-display", "none", "-monitor", "none", "-parallel", "none"]
NOTHING = 0xFFFFFFFF
SECONDS = 300


def der(path):
    """The bytes of a file, which is in PEM or DER."""
    content = Path(path).read_bytes()
    block = re.search(rb"-----BEGIN [^-]+-----(.*?)-----END", content, re.S)
    return base64.b64decode(block[1]) if block else content


class Ca:
    """The test CA as a process of its own, which ends when its standard input closes."""

    def __init__(self, program, folder):
        self.folder = Path(folder)
        self.process = subprocess.Popen([program, "--dir", folder, "--until-stdin-closes"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"baremetal: {program} did not start")
        self.places = json.loads(line)

    def knobs(self, lines):
        self.post(self.places["control"], "\n".join(["reset", *lines]).encode(), "text/plain")

    def answer(self, message):
        return self.post(self.places["cmp"], message, "application/pkixcmp")

    @staticmethod
    def post(url, body, kind):
        request = urllib.request.Request(url, data=body, headers={"Content-Type": kind})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            return error.read()

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


def parameters(ca, task, changes):
    """What the board would have in its flash, and the time."""
    folder = ca.folder
    values = {
        "task": task.encode(),
        "time": str(int(time.time())).encode(),
        "seed": os.urandom(32),
        "reference": (folder / "reference.txt").read_bytes().strip(),
        "secret": (folder / "secret.txt").read_bytes().strip(),
        "root": der(folder / "root.pem"),
        "issuing": der(folder / "issuing.pem"),
        "issuing.crl": der(folder / "issuing.crl"),
        "root.crl": der(folder / "root.crl"),
        "peer": der(folder / "peer-good.pem"),
        "idevid": der(folder / "idevid.pem"),
        "idevid-key": der(folder / "idevid.key"),
        "supplier": der(folder / "supplier.pem"),
    }
    return values | changes(folder)


def serve(line, values, ca, sent):
    """Answers the board until it is gone."""
    def take(count):
        data = b""
        while len(data) < count:
            piece = line.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    try:
        while True:
            kind, length = struct.unpack(">cI", take(5))
            content = take(length)
            if kind == b"G":
                answer = values.get(content.decode())
            else:
                sent.append(content)
                answer = ca.answer(content)
            line.sendall(struct.pack(">I", NOTHING) if answer is None else struct.pack(">I", len(answer)) + answer)
    except (EOFError, ConnectionError):
        pass


def board(firmware, values, ca, folder):
    """One run: exit status, what the board said, how many messages it sent."""
    place = os.path.join(folder, "line")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(1)
    listener.settimeout(30)
    sent = []
    emulator = subprocess.Popen(
        ["qemu-system-arm", *MACHINE, "-semihosting-config", "enable=on,target=native",
         "-chardev", f"socket,id=line,path={place}", "-serial", "chardev:line", "-kernel", firmware],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line, _ = listener.accept()
        line.settimeout(SECONDS)
        serve(line, values, ca, sent)
        said = emulator.communicate(timeout=SECONDS)[0]
    finally:
        emulator.kill()
        emulator.wait()
        listener.close()
        os.unlink(place)
    return emulator.returncode, said, len(sent)


def nothing(_folder):
    return {}


# Name, task, knobs of the CA, changed parameters, what the board must say, how many messages it sends.
CASES = [
    ("enrols by a shared secret", "mac", [], nothing, "good: ", 2),
    ("enrols by its supplier's certificate", "signature", [], nothing, "good: ", 2),
    ("validates a chain with its CRLs", "validate", [], nothing, "good: ", 0),
    ("a wrong secret", "mac", [], lambda _: {"secret": b"another one"}, "refused: ", 1),
    ("an answer under another secret: the board refuses", "mac", ["wrong-secret=true"], nothing, "refused: ", 1),
    ("an answer with a changed signature: the board refuses", "signature", ["broken-protection=true"], nothing, "refused: ", 1),
    ("an answer by a stranger: the board refuses", "signature", ["signer=stranger"], nothing, "refused: ", 1),
    ("a certificate for another key: the board refuses it, and says so to the CA", "mac", ["wrong-key=true"], nothing, "refused: ", 2),
    ("a revoked peer", "validate", [], lambda folder: {"peer": der(folder / "peer-revoked.pem")}, "refused: REVOKED", 0),
    ("a peer without a CRL of its CA", "validate", [], lambda folder: {"issuing.crl": der(folder / "root.crl")}, "refused: REVOCATION_UNKNOWN", 0),
]


def main():
    firmware, testca = sys.argv[1:3]
    worst = {}
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        ca = Ca(testca, os.path.join(folder, "ca"))
        try:
            for name, task, knobs, changes, must_say, messages in CASES:
                ca.knobs(knobs)
                status, said, sent = board(firmware, parameters(ca, task, changes), ca, folder)
                figures = re.search(r"heap (\d+) stack (\d+) of (\d+)", said)
                is_right = (status == 0) == must_say.startswith("good") and must_say in said and sent == messages and figures
                print(f"{'ok  ' if is_right else 'FAIL'} {name}: {said.strip().splitlines()[-1] if said.strip() else 'nothing said'}")
                if not is_right:
                    failed += 1
                    print(f"     exit status {status}, {sent} messages\n{said}")
                elif must_say.startswith("good"):
                    worst[task] = tuple(map(int, figures.groups()))
        finally:
            ca.end()
    for task, (heap, stack, room) in worst.items():
        print(f"{task}: heap {heap} bytes, stack {stack} bytes (of {room}), together {heap + stack}")
    if failed:
        sys.exit(f"baremetal: {failed} of {len(CASES)} went wrong")
    print(f"baremetal: {len(CASES)} runs as they must be")


if __name__ == "__main__":
    main()
