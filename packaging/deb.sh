#!/usr/bin/env bash
# Packages for Debian in build/deb, from the tree as it is committed, with its crates beside it.
#   deb.sh [BUILT]      BUILT: a folder with libdevid.so, libdevid.a, devid and devid-testca: nothing is compiled, to try the packaging
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
built=${1:+$(cd "$1" && pwd)}
need=()
command -v dpkg-buildpackage > /dev/null || need+=(dpkg-dev)
command -v dh > /dev/null || need+=(debhelper)
command -v lintian > /dev/null || need+=(lintian)
# The book is written with Debian's Python, or with the first one.
python3 -c 'import markdown' 2> /dev/null || /usr/bin/python3 -c 'import markdown' 2> /dev/null || need+=(python3-markdown)
[ -n "$built" ] || command -v cmake > /dev/null || need+=(cmake)
if [ ${#need[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || { echo "deb: missing: ${need[*]}" >&2; exit 1; }
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y --no-install-recommends "${need[@]}"; } > build/setup.log 2>&1 || { tail -n 20 build/setup.log >&2; exit 1; }
fi
version=$(awk '$1 == "DEVID_VERSION_STRING" { print $2 }' bindings/c/constants.txt)
out=${DEB_OUT:-build/deb}
rm -rf "$out"
tree=$out/devid-$version
mkdir -p "$tree"
git archive HEAD | tar x -C "$tree"
cp -r packaging/debian "$tree/debian"
# Whoever gives the packages away puts an address there.
mail=${DEBEMAIL:-devid@localhost}
sed -i "s/devid@localhost/$mail/" "$tree/debian/control"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
cat > "$tree/debian/changelog" <<CHANGELOG
devid ($version) unstable; urgency=medium

  * See CHANGELOG.md.

 -- devid maintainers <$mail>  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
if [ -z "$built" ]; then
    mkdir -p "$tree/.cargo"
    # Said quietly it would not say what to put into the settings.
    (cd "$tree" && cargo vendor --locked vendor >> .cargo/config.toml 2> ../vendor.log) || { tail "$out/vendor.log" >&2; exit 1; }
    python3 packaging/copyright.py "$tree/vendor" >> "$tree/debian/copyright"
fi
cd "$tree"
# What is built elsewhere needs no compiler here, and a compiler that is no package of Debian's is one all the same.
run=${built:+env QUICK=1}
unchecked=${built:+-d}
if [ -z "$built" ] && ! dpkg-checkbuilddeps 2> /dev/null; then
    command -v cargo > /dev/null || { dpkg-checkbuilddeps; exit 1; }
    echo "deb: not all that debian/control names is installed as packages; built with $(rustc --version)"
    unchecked=-d
fi
BUILT=${built:-$PWD/target/release} $run dpkg-buildpackage -us -uc -b $unchecked > ../build.log 2>&1 || { tail -n 40 ../build.log >&2; exit 1; }
cd ..
quiet=initial-upload-closes-no-bugs
[ -n "${DEBEMAIL:-}" ] || quiet=$quiet,bogus-mail-host,bogus-mail-host-in-debian-changelog
lintian --allow-root --fail-on error --suppress-tags "$quiet" ./*.changes || { echo "deb: lintian objects" >&2; exit 1; }
ls -l ./*.deb | awk '{ print "deb: " $NF ", " $5 " bytes" }'
