"""A disk that could be somebody's: an MBR, and one bootable FAT16 partition with a few files."""

import struct

from common import KIB, MIB, SECTOR, ceil_div, noise, text

START = 2048
SECTORS_PER_CLUSTER = 4
RESERVED, FATS, ROOT_ENTRIES = 1, 2, 512
STAMP = struct.pack("<HH", 12 << 11, (2024 - 1980) << 9 | 1 << 5 | 1)


def ami_disk():
    size = 64 * MIB
    disk = bytearray(size)
    sectors = size // SECTOR - START
    disk[:SECTOR] = _mbr(sectors)
    volume = _volume(sectors, [
        ("README  TXT", text("readme", 3 * KIB)),
        ("VMLINUZ    ", noise("kernel", 32 * KIB)),
        ("INITRD  IMG", noise("initrd", 12 * KIB) + bytes(200 * KIB) + text("initrd", 40 * KIB)),
        ("SYSLOG  TXT", text("syslog", 100 * KIB)),
        ("NUMBERS CSV", b"".join(b"%d,%d,%d\n" % (n, n * n, n * 7919 % 1000) for n in range(4000))),
        ("SWAP    BIN", bytes(300 * KIB) + noise("swap", 4 * KIB)),
    ])
    disk[START * SECTOR:] = volume
    return bytes(disk)


def _mbr(sectors):
    code = noise("boot code", 220).ljust(440, b"\0")
    entry = struct.pack("<B3sB3sII", 0x80, b"\x20\x21\x00", 0x06, b"\xfe\xff\xff", START, sectors)
    return code + struct.pack("<IH", 0x1A2B3C4D, 0) + entry + bytes(48) + b"\x55\xaa"


def _volume(sectors, files):
    root_sectors = ROOT_ENTRIES * 32 // SECTOR
    fat_sectors = ceil_div((sectors // SECTORS_PER_CLUSTER + 2) * 2, SECTOR)
    data = RESERVED + FATS * fat_sectors + root_sectors
    volume = bytearray(sectors * SECTOR)
    boot = b"\xeb\x3c\x90" + b"MSDOS5.0" + struct.pack(
        "<HBHBHHBHHHII", SECTOR, SECTORS_PER_CLUSTER, RESERVED, FATS, ROOT_ENTRIES, 0, 0xF8, fat_sectors, 63, 255, START, sectors)
    boot += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0x20240101, b"AMI        ", b"FAT16   ")
    volume[:len(boot)] = boot
    volume[510:512] = b"\x55\xaa"
    fat = [0xFFF8, 0xFFFF]
    root = bytearray(b"AMI        \x08" + bytes(10) + STAMP + bytes(6))
    cluster = SECTORS_PER_CLUSTER * SECTOR
    for name, content in files:
        first = len(fat)
        count = ceil_div(len(content), cluster)
        fat += list(range(first + 1, first + count)) + [0xFFFF]
        at = data * SECTOR + (first - 2) * cluster
        volume[at:at + len(content)] = content
        root += name.encode() + b"\x20" + bytes(10) + STAMP + struct.pack("<HI", first, len(content))
    table = struct.pack(f"<{len(fat)}H", *fat)
    for copy in range(FATS):
        at = (RESERVED + copy * fat_sectors) * SECTOR
        volume[at:at + len(table)] = table
    at = (RESERVED + FATS * fat_sectors) * SECTOR
    volume[at:at + len(root)] = root
    return volume
