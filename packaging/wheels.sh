#!/usr/bin/env bash
# Wheels that run on old systems, in build/wheels: compiled and linked by zig, against glibc 2.17 or musl 1.2, and looked over by auditwheel.
#   wheels.sh [TARGET...]        x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-musl
#   wheels.sh sdist              the sources, from which pip builds
# PROFILE=release; a target whose standard library cannot be had is left out, and the last line says how many were.
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
targets=("$@")
[ ${#targets[@]} -gt 0 ] || { targets=({x86_64,aarch64}-unknown-linux-{gnu,musl}); rm -f build/wheels/*.whl; }
profile=${PROFILE:-release}
venv=build/wheels-python
stamp=$venv/devid-tools-2
if [ ! -e "$stamp" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" || { echo "wheels: python3-venv is missing" >&2; exit 1; }
    "$venv/bin/pip" install --quiet --disable-pip-version-check cargo-zigbuild ziglang 'auditwheel>=6.5' 'setuptools>=70.1' wheel
    touch "$stamp"
fi
# Loaders of that age do not know packed relocations.
export DEVID_PACKED_RELOCATIONS=0
export PATH=$PWD/$venv/bin:$PATH CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/build/zig}
flags=${RUSTFLAGS:-}
glibc=2.17
mkdir -p build/wheels
left=()
for target in "${targets[@]}"; do
    machine=${target%%-*}
    # zig is told of glibc's version by a suffix. Of musl a shared library is made where it is not linked into everything, as in Alpine.
    case $target in
    *-gnu) triple=$target.$glibc platform=manylinux_${glibc//./_}_$machine RUSTFLAGS=$flags ;;
    *-musl) triple=$target platform=musllinux_1_2_$machine RUSTFLAGS="$flags -C target-feature=-crt-static" ;;
    *) echo "wheels: there is no platform of PyPI's for $target" >&2; exit 2 ;;
    esac
    export RUSTFLAGS
    has_library() { [ -d "$(rustc --print target-libdir --target "$target" 2> /dev/null)" ]; }
    has_library || { command -v rustup > /dev/null && rustup target add "$target" > build/rustup.log 2>&1; } || true
    has_library || { echo "wheels: $target is left out: no standard library of Rust for it (rustup target add $target)"; left+=("$target"); continue; }
    sh scripts/anywhere.sh cargo-zigbuild zigbuild --locked --profile "$profile" --target "$triple" -p devid-capi -p devid-testca \
        --features devid-capi/pkcs11
    rm -f build/wheels/*"$platform".whl
    built=$CARGO_TARGET_DIR/$target/$([ "$profile" = dev ] && echo debug || echo "$profile")
    sh bindings/c/machine.sh "$target" "$built/libdevid.so"
    python packaging/python.py wheels "$built/libdevid.so" "$built/devid-testca" build/wheels --platform "$platform"
    for wheel in build/wheels/*"$platform".whl; do
        bash packaging/audit.sh "$wheel" "$platform"
    done
    # A program that needs nothing is none of auditwheel's: what it needs is looked at here.
    needs=$(LC_ALL=C readelf -d "$built/devid-testca" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
    case $target in
    *-gnu)
        newest=$(LC_ALL=C readelf -V "$built/devid-testca" | grep -oE 'GLIBC_2\.[0-9]+' | sort -t. -k2 -n -u | tail -1)
        [ "${newest#GLIBC_2.}" -le "${glibc#2.}" ] || { echo "wheels: devid-testca asks for $newest" >&2; exit 1; }
        echo "wheels: devid-testca for $target needs ${needs}of $newest at most"
        ;;
    *)
        for name in $needs; do
            case $name in libc.so | libc.musl-*) ;; *) echo "wheels: devid-testca for $target needs $name" >&2; exit 1 ;; esac
        done
        echo "wheels: devid-testca for $target needs ${needs:-nothing}"
        ;;
    esac
done
echo "wheels: $((${#targets[@]} - ${#left[@]})) platforms, ${#left[@]} left out"
[ ${#left[@]} -lt ${#targets[@]} ]
