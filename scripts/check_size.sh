#!/usr/bin/env bash
# Libraries stay within their budgets, which stand beside the aims in scripts/sizes.py.
#   check_size.sh [SET...]   builds the sets (minutes each; by default `small`) and compares
# A budget is what a library may have at most. Whoever raises one says why in the commit.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- small
exec python3 scripts/sizes.py --check "$@"
