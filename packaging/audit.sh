#!/usr/bin/env bash
# What auditwheel finds in a wheel, beside what its name claims: it reads the symbols that are asked for, and answers 0 whatever the
# name says. A claim that is too old fails.
#   audit.sh WHEEL PLATFORM        manylinux_2_17_x86_64
set -euo pipefail
wheel=${1:?usage: audit.sh WHEEL PLATFORM}
platform=${2:?usage: audit.sh WHEEL PLATFORM}
name=$(basename "$wheel")
is_program=
case $name in devid_testca-*) is_program=1 ;; esac
said=$(auditwheel show "$wheel" 2>&1 | tr -s ' \n' ' ') || true
found=$(sed -n 's/.* platform tag: "\([a-z]*linux_[0-9]*_[0-9]*_[a-z0-9_]*\)".*/\1/p' <<< "$said")
if [ -z "$found" ]; then
    # One that is linked whole has nothing to be looked at.
    [ -n "$is_program" ] || { echo "wheels: auditwheel finds no platform for $name: $said" >&2; exit 1; }
    echo "wheels: $name, $(stat -c %s "$wheel") bytes: a program, no module"
    exit 0
fi
# manylinux 2 17 x86_64
read -r kind major minor machine <<< "$(sed 's/_/ /;s/_/ /;s/_/ /' <<< "$platform")"
read -r found_kind found_major found_minor found_machine <<< "$(sed 's/_/ /;s/_/ /;s/_/ /' <<< "$found")"
if [ "$kind $major $machine" != "$found_kind $found_major $found_machine" ] || [ "$found_minor" -gt "$minor" ]; then
    echo "wheels: $name claims $platform and is for $found, says auditwheel: $said" >&2
    exit 1
fi
echo "wheels: $name, $(stat -c %s "$wheel") bytes: $found by auditwheel"
