# Sourced. left_out REASON: says what is not tested here, also in the last lines of `make test` (DEVID_LEFT_OUT names the file that it
# reads). Where CI is set it fails: there a test is made or fails.
left_out() {
    echo "left out: $1 (scripts/setup.sh test installs what is missing)" >&2
    [ -z "${DEVID_LEFT_OUT:-}" ] || echo "left out: $1" >> "$DEVID_LEFT_OUT"
    [ -z "${CI:-}" ]
}
