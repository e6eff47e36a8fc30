#!/bin/sh
# Fails unless each of the libraries that are there is for the machine and the C library that Rust's TARGET names.
#   machine.sh TARGET LIBRARY...
# Binutils of any machine read the headers of all; READELF names another program.
set -eu
target=${1:?usage: machine.sh TARGET LIBRARY...}
shift
readelf=${READELF:-readelf}
case $target in
x86_64*x32) wants="ELF32 little X86-64" ;;
x86_64-*) wants="ELF64 little X86-64" ;;
i?86-*) wants="ELF32 little Intel 80386" ;;
aarch64_be-*) wants="ELF64 big AArch64" ;;
aarch64-*) wants="ELF64 little AArch64" ;;
armeb*) wants="ELF32 big ARM" ;;
arm* | thumb*) wants="ELF32 little ARM" ;;
riscv32*) wants="ELF32 little RISC-V" ;;
riscv64*) wants="ELF64 little RISC-V" ;;
loongarch64-*) wants="ELF64 little LoongArch" ;;
powerpc64le-*) wants="ELF64 little PowerPC64" ;;
powerpc64-*) wants="ELF64 big PowerPC64" ;;
powerpc-*) wants="ELF32 big PowerPC" ;;
mips64el-* | mipsisa64r6el-*) wants="ELF64 little MIPS R3000" ;;
mips64-* | mipsisa64r6-*) wants="ELF64 big MIPS R3000" ;;
mipsel-* | mipsisa32r6el-*) wants="ELF32 little MIPS R3000" ;;
mips-* | mipsisa32r6-*) wants="ELF32 big MIPS R3000" ;;
s390x-*) wants="ELF64 big IBM S/390" ;;
sparc64-*) wants="ELF64 big Sparc v9" ;;
*)
    echo "install: what machine $target is cannot be told here; without TARGET the library is taken as it is" >&2
    exit 1
    ;;
esac
command -v "$readelf" > /dev/null || { echo "install: $readelf (binutils) is missing: whether the library is for $target cannot be told" >&2; exit 1; }

seen=
for library in "$@"; do
    [ -e "$library" ] || continue
    seen=1
    found=$(LC_ALL=C "$readelf" -h "$library" 2> /dev/null | awk '
        $1 == "Class:" { class = $2 }
        $1 == "Data:" { order = /little/ ? "little" : "big" }
        $1 == "Machine:" { sub(/^ *Machine: */, ""); sub(/^Advanced Micro Devices /, ""); print class, order, $0 }' | sort -u)
    [ "$found" = "$wants" ] || { echo "install: $library is for $(echo "${found:-no machine}" | paste -sd, -), not for $target ($wants)" >&2; exit 1; }
    case $library in *.so) ;; *) continue ;; esac
    # A shared library says whose C library it needs, and on ARM how numbers with a point are handed over.
    needs=$(LC_ALL=C "$readelf" -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    case $target in
    *-musl*) other=$(echo "$needs" | grep -x 'libc\.so\.6' || true) ;;
    *-gnu*) other=$(echo "$needs" | grep -xE 'libc\.so|libc\.musl-.*' || true) ;;
    *) other= ;;
    esac
    [ -z "$other" ] || { echo "install: $library needs $other, which is no C library of $target" >&2; exit 1; }
    flags=$(LC_ALL=C "$readelf" -h "$library" | sed -n 's/^ *Flags: *//p')
    case "$target: $flags" in
    arm*eabihf:*soft-float* | arm*eabi:*hard-float*)
        echo "install: $library is for another way of calling than $target ($flags)" >&2
        exit 1
        ;;
    esac
done
[ -n "$seen" ] || { echo "install: none of $* is there" >&2; exit 1; }
