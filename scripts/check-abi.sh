#!/usr/bin/env bash
# The built shared library against the header and the golden lists: symbols, constants, SONAME, versions.
#   check-abi.sh LIBRARY            checks
#   check-abi.sh --update           writes bindings/c/constants.txt anew
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "abi: $*" >&2; exit 1; }

# Constants: what a C compiler makes of the header.
python3 - > "$work/constants.c" <<'PY'
import sys
sys.path.insert(0, "scripts")
import header
for path in [header.INCLUDE / "devid.h"] + header.UNSTABLE:
    print(f"#include <{path.relative_to(header.INCLUDE)}>")
print('#include <stdio.h>\nint main(void) {')
for name in header.constants():
    if name.endswith("_STRING"):
        print(f'    printf("{name} %s\\n", {name});')
    else:
        print(f'    printf("{name} %ld\\n", (long)({name}));')
print('    return 0;\n}')
PY
gcc -std=c99 -Wall -Werror -Iinclude "$work/constants.c" -o "$work/constants"
"$work/constants" | LC_ALL=C sort > "$work/constants.txt"
if [ "${1:-}" = --update ]; then
    cp "$work/constants.txt" bindings/c/constants.txt
    exit 0
fi
library=${1:?usage: check-abi.sh LIBRARY | --update}
diff -u bindings/c/constants.txt "$work/constants.txt" || fail "constants differ from bindings/c/constants.txt (a value that was released never changes)"

# Codes: the table in the source, read without its compiler.
sed -nE 's/^ *[A-Za-z0-9]+ = (-[0-9_]+), "([A-Z0-9_]+)", .*/DEVID_E_\2 \1/p' src/codes.rs | tr -d _ | LC_ALL=C sort > "$work/codes"
grep '^DEVID_E_' "$work/constants.txt" | tr -d _ | LC_ALL=C sort > "$work/header-codes"
diff -u "$work/codes" "$work/header-codes" || fail "codes in the header differ from src/codes.rs"

# Symbols: library = header = golden list (= Python prototypes, once there are any).
readelf --dyn-syms -W "$library" | awk '$7 != "UND" && $5 == "GLOBAL" { print $8 }' | LC_ALL=C sort -u > "$work/symbols"
python3 scripts/header.py functions | sed -E 's/\(.*//; s/.*[ *]//' | LC_ALL=C sort > "$work/functions"
LC_ALL=C sort bindings/c/symbols.txt > "$work/golden"
diff -u "$work/functions" "$work/symbols" || fail "symbols of $library differ from the header"
diff -u "$work/golden" "$work/symbols" || fail "symbols of $library differ from bindings/c/symbols.txt"
if [ -f bindings/python/src/devid/_abi.py ]; then
    grep -oE '"devid_[a-z0-9_]+"' bindings/python/src/devid/_abi.py | tr -d '"' | LC_ALL=C sort -u > "$work/python"
    comm -23 "$work/functions" "$work/python" | grep . && fail "Python prototypes lack these functions"
fi

# SONAME and versions.
abi=$(awk '$1 == "DEVID_ABI_VERSION" { print $2 }' "$work/constants.txt")
soname=$(readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\].*/\1/p')
[ "$soname" = "libdevid.so.$abi" ] || fail "SONAME is '$soname', expected libdevid.so.$abi"
version=$(sed -n '/^\[workspace.package\]/,/^\[package\]/s/^version = "\(.*\)"/\1/p' Cargo.toml)
cat > "$work/versions.c" <<'C'
#include <devid.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    char text[32];
    sprintf(text, "%d.%d.%d", DEVID_VERSION_MAJOR, DEVID_VERSION_MINOR, DEVID_VERSION_PATCH);
    return argc != 2 || strcmp(argv[1], devid_version_string()) != 0 || strcmp(text, DEVID_VERSION_STRING) != 0
        || strcmp(argv[1], text) != 0 || devid_version_number() != DEVID_VERSION_NUMBER
        || DEVID_VERSION_NUMBER != ((DEVID_VERSION_MAJOR << 16) | (DEVID_VERSION_MINOR << 8) | DEVID_VERSION_PATCH)
        || devid_abi_version() != DEVID_ABI_VERSION;
}
C
gcc -std=c99 -Wall -Werror -Iinclude "$work/versions.c" "$library" -o "$work/versions"
folder=$(cd "$(dirname "$library")" && pwd)
ln -sf "$folder/$(basename "$library")" "$work/$soname"
LD_LIBRARY_PATH=$work "$work/versions" "$version" || fail "versions of Cargo.toml ($version), header and library differ"
echo "abi: $(wc -l < "$work/symbols") symbols, $(wc -l < "$work/constants.txt") constants, SONAME $soname, version $version"
