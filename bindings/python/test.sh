#!/usr/bin/env bash
# The tests of the Python package, against a library that is built already.
#   test.sh DIRECTORY-OF-LIBDEVID
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
library=$(cd "${1:?usage: test.sh DIRECTORY-OF-LIBDEVID}" && pwd)/libdevid.so
cd "$here/../.."
# pytest and mypy live in an environment of their own; the package itself needs nothing but Python.
venv=build/python
stamp=$venv/devid-tools-3
if [ ! -e "$stamp" ]; then
    mkdir -p build
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'pytest>=8,<10' 'mypy>=1.11,<3' 'setuptools>=70.1' wheel \
        'cryptography>=42' pyasn1-alt-modules==0.4.10
    touch "$stamp"
fi
cargo build --locked --quiet -p devid-testca
export DEVID_TESTCA=${CARGO_TARGET_DIR:-$PWD/target}/debug/devid-testca
# Generated PKIs with their verdicts, for the same questions through C.
export DEVID_WORLDS=$PWD/build/worlds
cargo test --locked --quiet -p devid --features devid/pkcs11 --test adversary worlds:: -- --ignored > build/worlds.log ||
    { cat build/worlds.log >&2; exit 1; }
# `make` builds this one as well: it panics in the call that DEVID_PANIC_AT counts to.
panic=$(dirname "$(dirname "$library")")/panic/libdevid.so
[ ! -e "$panic" ] || export DEVID_PANIC_LIBRARY=$panic
export DEVID_LIBRARY=$library PYTHONPATH=$here/src PYTHONDONTWRITEBYTECODE=1
python=$PWD/$venv/bin/python
cd bindings/python
"$python" -m mypy
"$python" -m mypy --strict --cache-dir .mypy_cache/tests tests ../../examples/python
(cd ../../interop && "$python" -m mypy --strict --cache-dir "$here/.mypy_cache/interop" ./*.py)
exec "$python" -m pytest -q -p no:cacheprovider tests ../../interop/tests
