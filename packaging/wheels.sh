#!/usr/bin/env bash
# Wheels that run on old systems, in build/wheels: built against glibc 2.17 by zig's C compiler, and looked over by auditwheel.
#   wheels.sh [TARGET [GLIBC [PROFILE]]]       x86_64-unknown-linux-gnu 2.17 release
#   wheels.sh sdist                            the sources, from which pip builds
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = sdist ]; then
    # A Python of its own: Debian's has no setuptools.
    venv=build/sdist-python
    [ -e "$venv/devid-tools-1" ] || {
        rm -rf "$venv"
        python3 -m venv "$venv" || { echo "sdist: python3-venv is missing" >&2; exit 1; }
        "$venv/bin/pip" install --quiet --disable-pip-version-check 'setuptools>=70.1' wheel
        touch "$venv/devid-tools-1"
    }
    exec "$venv/bin/python" packaging/python.py sdist build/wheels
fi
target=${1:-x86_64-unknown-linux-gnu}
glibc=${2:-2.17}
profile=${3:-release}
venv=build/wheels-python
stamp=$venv/devid-tools-1
if [ ! -e "$stamp" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check cargo-zigbuild ziglang auditwheel 'setuptools>=70.1' wheel
    touch "$stamp"
fi
# Loaders of that age do not know packed relocations.
export DEVID_PACKED_RELOCATIONS=0
export PATH=$PWD/$venv/bin:$PATH CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/build/zig}
nice -n 15 cargo-zigbuild zigbuild --locked --profile "$profile" --target "$target.$glibc" -p devid-capi -p devid-testca \
    --features devid-capi/pkcs11
built=$CARGO_TARGET_DIR/$target/$([ "$profile" = dev ] && echo debug || echo "$profile")
platform=manylinux_${glibc//./_}_${target%%-*}
rm -rf build/wheels
python packaging/python.py wheels "$built/libdevid.so" "$built/devid-testca" build/wheels --platform "$platform"
for wheel in build/wheels/*.whl; do
    # It reads the symbols that are asked for; a claim that is too old is an error.
    auditwheel show "$wheel" > build/wheels/audit.txt 2>&1 || grep -q "devid_testca" <<< "$wheel" || { cat build/wheels/audit.txt >&2; exit 1; }
    found=$(tr '\n' ' ' < build/wheels/audit.txt | grep -oE 'manylinux_[0-9]+_[0-9]+_[a-z0-9_]+' | head -1 || true)
    echo "wheels: $(basename "$wheel"): ${found:-a program, no module}"
done
# A program is no module for auditwheel: its symbols are looked at here.
newest=$(LC_ALL=C readelf -V "$built/devid-testca" | grep -oE 'GLIBC_2\.[0-9]+' | sort -t. -k2 -n -u | tail -1)
[ "${newest#GLIBC_2.}" -le "${glibc#2.}" ] || { echo "wheels: devid-testca asks for $newest" >&2; exit 1; }
echo "wheels: devid-testca asks for $newest at most"
