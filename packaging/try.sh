#!/usr/bin/env bash
# Installs the packages in a fresh Debian 13 and goes through the tutorial there; where no such system can be made, in the one at
# hand, if it may be written to.
#   try.sh FOLDER-WITH-DEBS
set -euo pipefail
debs=$(cd "${1:?usage: try.sh FOLDER-WITH-DEBS}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
ls "$debs"/*.deb > /dev/null || { echo "try: no packages in $debs: make deb first" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "try: packages are installed as root" >&2; exit 1; }
root=${TRY_ROOT:-}
if [ -z "$root" ]; then
    command -v mmdebstrap > /dev/null || apt-get install -y --no-install-recommends mmdebstrap > /dev/null
    root=$(mktemp -d)
    trap 'rm -rf --one-file-system "$root"' EXIT
    echo "try: making a Debian 13 in $root"
    mmdebstrap --quiet --variant=minbase --include=gcc,g++,libc6-dev,make,pkg-config,cmake,python3,systemd trixie "$root"
fi
mkdir -p "$root/packages"
cp "$debs"/*.deb "$here/debian/tests/tutorial" "$here/debian/tests/units" "$root/packages/"
chroot "$root" sh -c 'cd /packages && dpkg -i ./*.deb > log 2>&1 || { cat log >&2; exit 1; }'
chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh /packages/tutorial
# Where units are none of the system's, what a package does with them cannot be seen.
if [ -e "$root/usr/bin/systemctl" ]; then
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh /packages/units
else
    echo "try: no systemctl here: what the package does with its units was not looked at"
fi
chroot "$root" sh -c 'dpkg -r devid devid-testca devid-doc python3-devid libdevid-dev libdevid0 > /dev/null && [ ! -e /usr/bin/devid ]'
rm -rf "$root/packages"
echo "try: installed, used and removed on $(. "$root/etc/os-release" && echo "$PRETTY_NAME")"
