#!/usr/bin/env python3
"""What a firmware takes of flash (code, constants, initial values) and of memory that is set aside (the heap among it).

    size.py NAME FIRMWARE
"""

import struct
import sys
from pathlib import Path

RAM = 0x20000000
LOADED = 1


def sizes(elf):
    """Flash and memory by the program headers of a 32-bit little-endian ELF file."""
    start, = struct.unpack_from("<I", elf, 28)
    length, count = struct.unpack_from("<HH", elf, 42)
    flash = memory = 0
    for index in range(count):
        kind, _, address, _, in_file, in_memory = struct.unpack_from("<6I", elf, start + index * length)
        if kind == LOADED:
            flash += in_file
            memory += in_memory if address >= RAM else 0
    return flash, memory


def main():
    name, path = sys.argv[1:]
    elf = Path(path).read_bytes()
    if elf[:6] != b"\x7fELF\x01\x01":
        sys.exit(f"size: {path} is no firmware")
    flash, memory = sizes(elf)
    print(f"{name}: flash {flash} bytes, set aside in RAM {memory}")


if __name__ == "__main__":
    main()
