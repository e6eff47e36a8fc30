#!/usr/bin/env bash
# The headers: are they what the generator writes, does every parameter have its documentation, and do they compile in every dialect
# of C and C++, each by itself and twice, all in one file in any order, and in a program of both languages?
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/left_out.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

${CARGO:-cargo} run --quiet --locked -p devid-header -- --check
python3 scripts/check_documentation.py

headers=$(cd include && find . -name '*.h' | sed 's|^\./||' | LC_ALL=C sort)
{
    for header in $headers $(echo "$headers" | tac); do printf '#include <%s>\n' "$header"; done
    printf 'int one(void);\nint one(void) { return DEVID_OK; }\n'
} > "$work/one.c"
cp "$work/one.c" "$work/one.cpp"
# Each by itself, first and twice: it brings what it needs, and gives what it declares.
for header in $headers; do
    declared=$(python3 - "$header" <<'PY'
import sys
sys.path.insert(0, "scripts")
import header
print(header.functions((header.INCLUDE / sys.argv[1]).read_text())[0].name)
PY
)
    printf '#include <%s>\n#include <%s>\nextern void *given;\nvoid *given = (void *)%s;\n' "$header" "$header" "$declared" > "$work/alone.c"
    gcc -std=c99 -Iinclude -Wall -Wextra -Werror -Wundef -c "$work/alone.c" -o "$work/alone.o"
done
warnings="-Iinclude -pedantic -Wall -Wextra -Werror -Wundef -c -o $work/one.o"
count=0
for compiler in gcc clang; do
    command -v "$compiler" > /dev/null || { left_out "$compiler is not installed: the header is not compiled with it"; continue; }
    for std in c89 c99 c11 c2x; do
        "$compiler" -std=$std $warnings -Wstrict-prototypes -Wmissing-prototypes "$work/one.c"
        count=$((count + 1))
    done
done
for compiler in g++ clang++; do
    command -v "$compiler" > /dev/null || { left_out "$compiler is not installed: the header is not compiled with it"; continue; }
    for std in c++98 c++11 c++20; do
        "$compiler" -std=$std $warnings "$work/one.cpp"
        count=$((count + 1))
    done
done
if command -v g++ > /dev/null; then
    printf '#include <devid.h>\n#include <devid.h>\nextern "C" int one(void);\nint main() { devid_error *e = 0; (void)e; return one(); }\n' > "$work/main.cpp"
    gcc -std=c89 -Iinclude -c "$work/one.c" -o "$work/c.o"
    g++ -std=c++98 -Iinclude "$work/main.cpp" "$work/c.o" -o "$work/both"
    "$work/both"
fi
echo "header: as generated, clean in $count dialects, documented, each by itself, in any order, and from C and C++ together"
