# Runs a device's program again and again, as after reboots, and carries the stick to the CA whenever it says so (exit status 3).
#   stick.sh PROGRAM MEMORY STICK        with the environment of with_testca.py
set -u
trips=0
while :; do
    code=0
    "$1" "$TESTCA_DIR" "$2" "$3" || code=$?
    [ $code = 3 ] || exit $code
    trips=$((trips + 1))
    [ $trips -le 20 ] || { echo "stick: the story does not end" >&2; exit 1; }
    python3 "$(dirname "$0")/carry.py" "$3" "$TESTCA_CMP" "$TESTCA_DIR" || exit 1
done
