#!/usr/bin/env python3
"""Starts devid-testca, runs a command with its places in the environment, stops it again. Exits as the command does.

    with_testca.py TESTCA MATERIAL-FOLDER [--KNOB...] -- COMMAND...

The command finds TESTCA_DIR, TESTCA_CMP, TESTCA_OCSP, TESTCA_CRL, TESTCA_CONTROL in its environment, with --ra TESTCA_RA, and with
--tls TESTCA_HTTPS.
"""

import json
import os
import subprocess
import sys


def main():
    end = sys.argv.index("--")
    testca, folder, knobs, command = sys.argv[1], sys.argv[2], sys.argv[3:end], sys.argv[end + 1:]
    # The CA ends when its standard input closes: also if this script dies.
    ca = subprocess.Popen([testca, "--dir", folder, "--until-stdin-closes", *knobs],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = ca.stdout.readline()
        if not line:
            sys.exit(f"with_testca: {testca} did not start")
        ready = json.loads(line)
        names = {"TESTCA_DIR": "dir", "TESTCA_CMP": "cmp", "TESTCA_OCSP": "ocsp", "TESTCA_CRL": "crl", "TESTCA_CONTROL": "control"}
        names.update({name: key for name, key in (("TESTCA_RA", "ra"), ("TESTCA_HTTPS", "https")) if key in ready})
        environment = dict(os.environ, **{name: ready[key] for name, key in names.items()})
        return subprocess.run(command, env=environment).returncode
    finally:
        ca.stdin.close()
        ca.wait(10)


if __name__ == "__main__":
    sys.exit(main())
