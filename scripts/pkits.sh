#!/usr/bin/env bash
# Runs NIST PKITS (405 certificates, 173 CRLs), fetched once from the Python package that carries it.
set -euo pipefail
cd "$(dirname "$0")/.."

package="cryptography-vectors==50.0.2"
data=build/pkits/cryptography_vectors/x509/PKITS_data
if [ ! -d "$data" ]; then
    mkdir -p build/pkits
    python3 -m pip download --quiet --no-deps --dest build/pkits "$package"
    python3 -m zipfile -e build/pkits/*.whl build/pkits
    rm -f build/pkits/*.whl
fi
DEVID_PKITS="$PWD/$data" ${CARGO:-cargo} test --locked -p devid --test conformance pkits
