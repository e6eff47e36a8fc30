#!/usr/bin/env bash
# What of the recipes can be looked at without their own tools: syntax, licence sums, versions, and that the paths in them exist.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "packaging: $*" >&2; exit 1; }
version=$(awk '$1 == "DEVID_VERSION_STRING" { print $2 }' bindings/c/constants.txt)
[ -e "packaging/yocto/recipes-support/devid/devid_$version.bb" ] || fail "the Yocto recipe is of another version than $version"
grep -q "^DEVID_VERSION = $version$" packaging/buildroot/devid/devid.mk || fail "Buildroot: another version than $version"
grep -q "^PKG_VERSION:=$version$" packaging/openwrt/devid/Makefile || fail "OpenWrt: another version than $version"
grep -q "\"version\": \"$version\"" packaging/vcpkg/devid/vcpkg.json || fail "vcpkg: another version than $version"
for name in APACHE MIT; do
    grep -q "$(md5sum < "LICENSE-$name" | cut -d' ' -f1)" packaging/yocto/recipes-support/devid/devid-licences.inc || fail "LICENSE-$name has another md5"
done
for script in packaging/*.sh scripts/*.sh packaging/openwrt/devid/files/devid.init packaging/debian/tests/tutorial packaging/debian/tests/units packaging/debian/devid.prerm bindings/c/*.sh; do
    sh -n "$script" 2> /dev/null || bash -n "$script" || fail "$script: syntax"
done
for recipe in packaging/conan/conanfile.py packaging/conan/test_package/conanfile.py; do
    python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$recipe" || fail "$recipe: syntax"
done
# GNU make reads the two makefiles as far as their own includes, which are not here.
printf 'cargo-package =\ninclude packaging/buildroot/devid/devid.mk\nall:\n\t@test -n "$(DEVID_CARGO_BUILD_OPTS)"\n' > build/recipe.mk
make --no-print-directory -f build/recipe.mk all || fail "Buildroot: make cannot read it"
# An include is there, or one that the recipe can do without until its own tool has written it.
for recipe in packaging/yocto/recipes-support/devid/*.bb; do
    for named in $(sed -n 's/^require //p' "$recipe"); do
        [ -e "packaging/yocto/recipes-support/devid/$named" ] || fail "$recipe requires $named, which is not there"
    done
done
# Each package that is built there is one of this workspace.
for package in $(grep -hoE -- '-p devid-[a-z]+' packaging/yocto/recipes-support/devid/*.bb packaging/buildroot/devid/devid.mk packaging/debian/rules | sort -u | cut -c4-); do
    grep -qr "^name = \"$package\"" --include=Cargo.toml cli testca bindings || fail "no package $package"
done
recipes=(packaging/yocto/recipes-support/devid/*.bb packaging/buildroot/devid/devid.mk packaging/openwrt/devid/Makefile packaging/conan/conanfile.py packaging/vcpkg/devid/portfile.cmake packaging/debian/rules)
# What they take from the tree is there,
for named in $(grep -hoE '(\$\{S\}|\$\(@D\))/[a-z][a-zA-Z0-9_./*-]*' "${recipes[@]}" | sed -E 's#^[^/]*/##' | grep -v '^target/' | sort -u) \
    $(grep -hoE 'sh bindings/[a-z/.]*|python3 [a-z]*/[a-z]*\.py|[ "](packaging|docs|scripts)/[a-z0-9_./-]*' "${recipes[@]}" | sed -E 's/^(sh|python3)//' | sort -u); do
    compgen -G "${named//\"/}" > /dev/null || fail "a recipe names $named, which is not in the tree"
done
[ -e packaging/openwrt/devid/files/devid.init ] || fail "OpenWrt: no files/devid.init"
# the features are those of the C face,
declared=$(sed -n '/^\[features\]/,/^\[[a-eg-z]/s/^\([a-z0-9-]*\) = .*/\1/p' bindings/c/Cargo.toml)
for feature in $(grep -hoE -- '--features "?(devid-capi/)?[a-z0-9,/-]+|= "crypto-rust[a-z0-9,-]*"' "${recipes[@]}" Makefile docs/book/src/cross.md docs/book/src/building.md | sed -E 's/^--features |^= //; s/"//g; s#devid-capi/##g' | tr , '\n' | grep -v / | sort -u); do
    [ "$feature" = default ] || grep -qx -- "$feature" <<< "$declared" || fail "no feature $feature in bindings/c/Cargo.toml"
done
# Conan's portable build has all that the default has, but for what stands on AWS-LC,
portable=$(sed -n '/^default = \[/,/^\]/p' bindings/c/Cargo.toml | grep -oE '"[a-z0-9-]+"' | tr -d '"' | sed 's/crypto-awslc/crypto-rust/' | grep -vx tls | sort)
[ "$portable" = "$(sed -n 's/^ *all_of_rust = "\(.*\)"/\1/p' packaging/conan/conanfile.py | tr , '\n' | sort)" ] || fail "Conan: all_of_rust is not the default without AWS-LC: $(tr '\n' , <<< "$portable")"
# and where cargo does not read the tree's own settings, the recipe has them.
for recipe in packaging/yocto/recipes-support/devid/*.bb packaging/buildroot/devid/devid.mk packaging/openwrt/devid/Makefile; do
    for setting in $(sed -n '/^\[env\]/,$s/^\([A-Z_]*\) = "\(.*\)"/\1=\2/p' .cargo/config.toml); do
        tr -d ' "' < "$recipe" | grep -q "$setting" || fail "$recipe does not say $setting, as .cargo/config.toml does"
    done
done
# The machines that the book names are those for which C programs are tried.
tried=$(sed -n 's/^known=(\(.*\))/\1/p' scripts/cross_c.sh | tr ' ' '\n' | sort)
named=$(sed -n '/^| machine/,/^$/s/.*`\([a-z0-9_]*-unknown-linux-[a-z]*\)` |$/\1/p' docs/book/src/cross.md | sort)
[ "$tried" = "$named" ] || fail "docs/book/src/cross.md names other machines than scripts/cross_c.sh tries"
# No unit forbids what the tutorial does under it: an export below /etc, a key in a TPM.
for unit in packaging/systemd/*.service; do
    folder=$(sed -n 's/^folder = "\(.*\)"/\1/p' docs/book/src/tutorial.md | head -1)
    case $folder in /etc/*) ;; *) fail "the tutorial's export is no longer below /etc: check what the units allow" ;; esac
    if grep -qE '^ProtectSystem=(full|strict)' "$unit" && ! grep -q "^ReadWritePaths=.*$folder" "$unit"; then
        fail "$unit: ProtectSystem makes $folder read-only, where the tutorial exports to"
    fi
    grep -qE '^PrivateDevices=(yes|true|1|on)' "$unit" && fail "$unit: PrivateDevices hides /dev/tpmrm0, where keys may be"
    if grep -qE '^DevicePolicy=(closed|strict)' "$unit" && ! grep -q '^DeviceAllow=/dev/tpmrm0 rw' "$unit"; then
        fail "$unit: DevicePolicy without /dev/tpmrm0, where keys may be"
    fi
done
# vcpkg's port, static and shared, with what a build of the library has left, where there is one.
if command -v cmake > /dev/null && [ -e build/debug/libdevid.a ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for linkage in static dynamic; do
        cmake -D LINKAGE=$linkage -D "BUILT=$PWD/build/debug" -D "WORK=$work/$linkage" -P packaging/vcpkg/tried.cmake > "$work/out" 2>&1 \
            && cmake -S packaging/conan/test_package -B "$work/$linkage/tried" -D "CMAKE_PREFIX_PATH=$work/$linkage/packages" >> "$work/out" 2>&1 \
            && cmake --build "$work/$linkage/tried" >> "$work/out" 2>&1 && "$work/$linkage/tried/tried" >> "$work/out" 2>&1 \
            || { cat "$work/out" >&2; fail "vcpkg: the port ($linkage)"; }
    done
fi
if command -v systemd-analyze > /dev/null; then
    for unit in packaging/systemd/*; do
        systemd-analyze verify --man=no "$unit" 2>&1 | grep -v "is not executable\|Command /usr/bin/devid" | grep "packaging/systemd" && fail "$unit" || true
    done
fi
echo "packaging: recipes of version $version agree with the tree"
