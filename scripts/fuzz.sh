#!/usr/bin/env bash
# Runs every fuzz target for a while: FUZZ_SECONDS each (default 60), or the targets named as arguments.
#   --short: 5 s each where cargo-fuzz is installed; else each target is fed with the seeds, as they are and damaged
#   (FUZZ_REPLAY=1: in any case).
# Corpora grow in fuzz/corpus/ (not committed). Seeds are fuzz/seeds/TARGET where there are any: choices of a target that makes
# its own messages, or texts; else messages made by others, tests/vectors/.
set -euo pipefail
seeds_of() { if [ -d "fuzz/seeds/$1" ]; then echo "fuzz/seeds/$1"; else echo tests/vectors; fi; }
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
is_short=
if [ "${1:-}" = --short ]; then
    is_short=1 seconds=${FUZZ_SECONDS:-5}
    shift
fi

# A target without fuzzer: the same program, fed by fuzz/replay.
if [ -n "$is_short" ] && { [ -n "${FUZZ_REPLAY:-}" ] || ! cargo fuzz --version > /dev/null 2>&1; }; then
    echo "fuzz: no fuzzer, the seeds are replayed"
    # The versions that the library is built with anyway: nothing is compiled twice.
    cp Cargo.lock fuzz/replay/Cargo.lock
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
    cargo build --quiet --manifest-path fuzz/replay/Cargo.toml --bins
    passed=0
    for path in fuzz/fuzz_targets/*.rs; do
        target=$(basename "$path" .rs)
        printf 'fuzz: %s: ' "$target"
        # Passwords are derived as often as a damaged file says, within limits.
        places=400
        # A target that makes and signs its own messages does more for each input than one that reads bytes.
        case $target in pkcs12) places=30 ;; engine | decisions | ra | tls) places=100 ;; esac
        FUZZ_PLACES=$places timeout 900 "$CARGO_TARGET_DIR/debug/$target" "$(seeds_of "$target")" > build/fuzz.log 2>&1 ||
            { tail -n 20 build/fuzz.log >&2; echo "fuzz: $target failed" >&2; exit 1; }
        tail -n 1 build/fuzz.log
        passed=$((passed + 1))
    done
    echo "$passed passed, 0 failed"
    exit 0
fi

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "installing cargo-fuzz"
    cargo install cargo-fuzz --locked --version 0.13.2
fi
# A stable compiler fuzzes without sanitizers: the library has no unsafe code below its C face, panics are what is looked for.
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"/\1/p' fuzz/Cargo.toml)

passed=0
for target in "${targets[@]}"; do
    corpus=fuzz/corpus/$target
    mkdir -p "$corpus"
    find "$(seeds_of "$target")" -type f -size -64k ! -name '*.md' -exec cp -n {} "$corpus/" \;
    echo "fuzz: $target for $seconds s"
    # An input that takes more than a second is a finding like a panic. The fuzzer's own status decides, not what is shown of it.
    status=0
    RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none "$target" "$corpus" -- -max_total_time="$seconds" -rss_limit_mb=2048 \
        -timeout=1 -report_slow_units=1 -print_final_stats=1 > build/fuzz.log 2>&1 || status=$?
    grep -E "panicked|ERROR|SUMMARY|stat::number_of_executed_units|artifact" build/fuzz.log || true
    if [ "$status" -ne 0 ] || [ -n "$(find fuzz/artifacts/"$target" -type f 2>/dev/null)" ]; then
        echo "fuzz: $target failed; the input is in fuzz/artifacts/$target"
        exit 1
    fi
    passed=$((passed + 1))
done
echo "$passed passed, 0 failed"
