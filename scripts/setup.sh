#!/usr/bin/env bash
# Looks for the tools that a target needs; installs what is missing where that is possible without asking.
#   setup.sh build|test|docs|demo|interop
set -euo pipefail
cd "$(dirname "$0")/.."

rust=1.$(sed -nE 's/^rust-version = "1\.([0-9]+)"/\1/p' Cargo.toml)
where="Debian 13 has it (apt-get install cargo), Debian 12 as cargo-web; else https://rustup.rs"
command -v cargo > /dev/null || { echo "setup: cargo is missing; install Rust $rust or newer: $where" >&2; exit 1; }
found=$(rustc --version 2> /dev/null | sed -nE 's/^rustc 1\.([0-9]+).*/\1/p')
if [ -n "$found" ] && [ "$found" -lt "${rust#1.}" ]; then
    echo "setup: rustc is 1.$found, and this needs $rust or newer: $where" >&2
    exit 1
fi
missing=()
need() { command -v "$1" > /dev/null || missing+=("$2"); }
need gcc gcc
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
case ${1:-test} in
build) ;;
docs)
    python3 -c 'import markdown' 2> /dev/null || /usr/bin/python3 -c 'import markdown' 2> /dev/null || missing+=(python3-markdown)
    ;;
demo)
    need pkg-config pkg-config
    need python3 python3
    ;;
*)
    need pkg-config pkg-config
    need python3 python3
    need g++ g++
    need valgrind valgrind
    need openssl openssl
    need softhsm2-util softhsm2
    [ -e /usr/sbin/slapd ] || missing+=(slapd)
    # A second look at faults.
    need strace strace
    need readelf binutils
    need clang clang
    command -v nginx > /dev/null || [ -e /usr/sbin/nginx ] || missing+=(nginx-light)
    command -v systemd-analyze > /dev/null || missing+=(systemd)
    # Looks at the page that `devid --trace` writes.
    command -v chromium-headless-shell > /dev/null || command -v chromium > /dev/null || missing+=(chromium-headless-shell)
    command -v coap-client > /dev/null || command -v coap-client-notls > /dev/null || missing+=(libcoap3-bin)
    [ -e /usr/include/coap3/coap.h ] || missing+=(libcoap3-dev)
    # Writes the book's pages.
    python3 -c 'import markdown' 2> /dev/null || /usr/bin/python3 -c 'import markdown' 2> /dev/null || missing+=(python3-markdown)
    python3 -c 'import venv, ensurepip' 2> /dev/null || missing+=(python3-venv)
    [ -e /usr/include/openssl/cmp.h ] || missing+=(libssl-dev)
    if [ "${1:-test}" = interop ]; then
        need javac default-jdk-headless
        need perl perl
    fi
    ;;
esac
[ ${#missing[@]} -gt 0 ] || exit 0
command="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "setup: $command"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && $command; } > build/setup.log 2>&1 || { tail -n 20 build/setup.log >&2; exit 1; }
else
    echo "setup: missing: ${missing[*]}. On Debian: sudo $command" >&2
    exit 1
fi
