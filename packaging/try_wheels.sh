#!/usr/bin/env bash
# Uses the wheels of build/wheels as far as this machine can: the one for it as a stranger does, by pip in a fresh environment without an
# index, and the programs of the book's page for Python; that for glibc on aarch64 by Debian's Python under qemu's user mode; those for
# musl, of which Debian has no Python, by a C program that enrols with the library inside.
#   try_wheels.sh [FOLDER]       build/wheels
# What cannot be tried is told with what is missing for it; the last line says how many were tried.
set -euo pipefail
cd "$(dirname "$0")/.."
wheels=$(cd "${1:-build/wheels}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset DEVID_LIBRARY DEVID_TESTCA PYTHONPATH LD_LIBRARY_PATH
export PYTHONDONTWRITEBYTECODE=1
host=$(uname -m)
tried=0
of() { compgen -G "$wheels/$1-*_$2.whl" | head -n 1; }
skip() { echo "try-wheels: $1 is left out: $2"; }

# The wheel for this machine.
own=$(compgen -G "$wheels/devid-*manylinux*_$host.whl" | head -n 1 || true)
[ -n "$own" ] || { echo "try-wheels: no wheel for $host in $wheels: make wheels first" >&2; exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-index --find-links "$wheels" devid devid-testca
testca=$work/venv/bin/devid-testca
(cd "$work" && "$work/venv/bin/python" -I "$OLDPWD/packaging/guide.py" "$OLDPWD/docs/book/src/python-guide.md")
echo "try-wheels: $(basename "$own"): installed by pip, the programs of the book's page"
tried=$((tried + 1))

# Another machine's files, laid out but not installed: nothing of it is run but what is tried.
root_of() {
    local machine=$1
    command -v mmdebstrap > /dev/null || { [ "$(id -u)" = 0 ] && apt-get install -y --no-install-recommends mmdebstrap > /dev/null 2>&1; } || true
    command -v mmdebstrap > /dev/null || return 1
    [ -d "$work/$machine" ] || mmdebstrap --quiet --variant=extract --architectures="$machine" --include=python3-minimal,libpython3-stdlib,musl bookworm "$work/$machine" \
        > "$work/root.log" 2>&1
}
emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
wheel=$(compgen -G "$wheels/devid-*manylinux*_aarch64.whl" | head -n 1 || true)
if [ "$host" = aarch64 ] || [ -z "$wheel" ]; then
    :
elif [ -z "$emulator" ] || ! root_of arm64; then
    skip "$(basename "$wheel")" "it takes qemu-user-static and mmdebstrap"
else
    python3 -m zipfile -e "$wheel" "$work/open"
    (cd "$work" && DEVID_TESTCA=$testca PYTHONPATH=$work/open PYTHONHOME=$work/arm64/usr "$emulator" -L "$work/arm64" "$work/arm64/usr/bin/python3" \
        "$OLDPWD/packaging/guide.py" "$OLDPWD/docs/book/src/python-guide.md")
    mkdir "$work/ca-wheel"
    python3 -m zipfile -e "$(of devid_testca aarch64 | grep manylinux)" "$work/ca-wheel"
    "$emulator" -L "$work/arm64" "$work"/ca-wheel/*.data/scripts/devid-testca --help > /dev/null
    echo "try-wheels: $(basename "$wheel"): the programs of the book's page, by $("$emulator" -L "$work/arm64" "$work/arm64/usr/bin/python3" --version) under qemu"
    tried=$((tried + 1))
fi

# musl: the loader is the library.
for wheel in "$wheels"/devid-*musllinux*.whl; do
    [ -e "$wheel" ] || continue
    machine=${wheel##*musllinux_?_?_} machine=${machine%.whl}
    zig=${ZIG:-build/wheels-python/bin/python}
    "$zig" -m ziglang version > /dev/null 2>&1 || { skip "$(basename "$wheel")" "it takes ziglang, from PyPI"; continue; }
    rm -rf "$work/open"
    python3 -m zipfile -e "$wheel" "$work/open"
    "$zig" -m ziglang cc -target "$machine-linux-musl" -dynamic -std=c99 -Iinclude examples/c/enroll.c "$work/open/devid/libdevid.so" -o "$work/enroll-$machine" \
        -Wl,-rpath,"$work/open/devid"
    run=
    if [ "$machine" = "$host" ]; then
        [ -e "/lib/ld-musl-$machine.so.1" ] || { [ "$(id -u)" = 0 ] && apt-get install -y --no-install-recommends musl > /dev/null 2>&1; } || true
        [ -e "/lib/ld-musl-$machine.so.1" ] || { skip "$(basename "$wheel")" "it takes /lib/ld-musl-$machine.so.1 (Debian: musl)"; continue; }
    else
        [ "$machine" = aarch64 ] && [ -n "$emulator" ] && root_of arm64 || { skip "$(basename "$wheel")" "it takes qemu-user-static and mmdebstrap"; continue; }
        run="$emulator -L $work/arm64"
    fi
    mkdir -p "$work/story-$machine"
    RUN=$run PROGRAM=$work/enroll-$machine WORK=$work/story-$machine python3 scripts/with_testca.py "$testca" "$work/story-$machine/ca" -- sh -ec '
        cd "$WORK"
        $RUN "$PROGRAM" "$TESTCA_CMP" "$(cat "$TESTCA_DIR/reference.txt")" "$(cat "$TESTCA_DIR/secret.txt")" "$TESTCA_DIR/root.pem" CN=router-7 memory | grep "^CN=router-7, serial"
        ! $RUN "$PROGRAM" "$TESTCA_CMP" "$(cat "$TESTCA_DIR/reference.txt")" wrong "$TESTCA_DIR/root.pem" CN=router-7 memory-2 2> /dev/null'
    echo "try-wheels: $(basename "$wheel"): a C program of musl's enrols with the library inside${run:+, under qemu}"
    tried=$((tried + 1))
done
echo "try-wheels: $tried of $(compgen -G "$wheels/devid-*.whl" | wc -l) wheels tried"
