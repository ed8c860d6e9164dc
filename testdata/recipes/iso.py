"""Images of testdata/iso: discs of ISO 9660, High Sierra and UDF, as ECMA-119, ECMA-167 and El Torito describe them."""

import struct

from common import noise, text

SECTOR = 2048
SYSTEM_AREA = 16 * SECTOR
DATE = b"2024050607080900\x04"


def both16(value):
    return struct.pack("<H", value) + struct.pack(">H", value)


def both32(value):
    return struct.pack("<I", value) + struct.pack(">I", value)


def chars(value, length, wide=False):
    raw = value.encode("utf-16-be" if wide else "ascii")
    fill = " ".encode("utf-16-be") if wide else b" "
    return (raw + fill * length)[:length]


def record(extent, length, name, system_use=b"", directory=False):
    """A directory record."""
    pad = b"\0" if len(name) % 2 == 0 else b""
    body = both32(extent) + both32(length) + bytes([124, 5, 6, 7, 8, 9, 4]) + bytes([2 if directory else 0, 0, 0]) + both16(1)
    body += bytes([len(name)]) + name + pad + system_use
    body += b"\0" * (len(body) % 2)
    return bytes([len(body) + 2, 0]) + body


def descriptor(kind, volume, blocks, root, *, wide=False, escapes=b"", version=1, block_size=SECTOR, flags=0):
    """A primary or supplementary volume descriptor."""
    out = bytearray(SECTOR)
    out[0] = kind
    out[1:6] = b"CD001"
    out[6] = version
    out[7] = flags
    out[8:40] = chars("LINUX", 32, wide)
    out[40:72] = chars(volume, 32, wide)
    out[80:88] = both32(blocks)
    out[88:88 + len(escapes)] = escapes
    out[120:124] = both16(1)
    out[124:128] = both16(1)
    out[128:132] = both16(block_size)
    out[132:140] = both32(10)
    out[140:144] = struct.pack("<I", root - 1)
    out[156:190] = record(root, SECTOR, b"\0", directory=True)
    out[190:318] = chars("SET", 128, wide)
    out[318:446] = chars("PUBLISHER", 128, wide)
    out[446:574] = chars("PREPARER", 128, wide)
    out[574:702] = chars("APPLICATION", 128, wide)
    for at in (702, 739, 776):
        out[at:at + 37] = chars("", 37)
    out[813:830] = DATE
    out[830:847] = DATE
    out[847:864] = out[864:881] = b"0" * 16 + b"\0"
    out[881] = 1
    return bytes(out)


def terminator():
    return b"\xffCD001\x01".ljust(SECTOR, b"\0")


def boot_record(catalog):
    out = bytearray(b"\0CD001\x01".ljust(SECTOR, b"\0"))
    out[7:30] = b"EL TORITO SPECIFICATION"
    out[71:75] = struct.pack("<I", catalog)
    return bytes(out)


def boot_catalog(bios, uefi):
    validation = bytearray(b"\x01\0\0\0" + b"IMGFMT".ljust(24, b"\0") + b"\0\0\x55\xaa")
    total = sum(struct.unpack("<16H", validation))
    validation[28:30] = struct.pack("<H", -total & 0xFFFF)
    default = struct.pack("<BBHBBHI20x", 0x88, 0, 0, 0, 0, 4, bios)
    section = struct.pack("<BBH28s", 0x91, 0xEF, 1, b"UEFI")
    entry = struct.pack("<BBHBBHI20x", 0x88, 0, 0, 0, 0, 8, uefi)
    return (bytes(validation) + default + section + entry).ljust(SECTOR, b"\0")


def rock_ridge(continuation):
    """System Use of the root directory: SP, PX, and in another sector ER."""
    px = b"PX\x2c\x01" + both32(0o40755) + both32(2) + both32(0) + both32(0) + both32(1)
    first = b"SP\x07\x01\xbe\xef\0" + px + b"CE\x1c\x01" + both32(continuation) + both32(8) + both32(8 + 10 + 3 + 3)
    return first, b"\0" * 8 + b"ER\x18\x01" + bytes([10, 3, 3, 1]) + b"RRIP_1991A" + b"abc" + b"def"


def directory(sector, system_use, files):
    out = record(sector, SECTOR, b"\0", system_use, True) + record(sector, SECTOR, b"\1", b"", True)
    for name, extent, data in files:
        out += record(extent, len(data), name)
    return out.ljust(SECTOR, b"\0")


def padded(data):
    return data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\0")


def full():
    """A disc with everything: Joliet, Rock Ridge, El Torito, an MBR and a GPT."""
    data = text("readme", 3000)
    # 16 primary, 17 boot, 18 Joliet, 19 end, 20 path tables, 21 root, 22 Joliet root, 23 continuation, 24 catalog, 25 file, 27 boot code
    blocks = 28
    first, more = rock_ridge(23)
    area = bytearray(SYSTEM_AREA)
    area[446:462] = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x17, b"\xfe\xff\xff", 0, blocks * 4)
    area[510:512] = b"\x55\xaa"
    area[512:520] = b"EFI PART"
    return bytes(area) + b"".join((
        descriptor(1, "FULL_DISC", blocks, 21),
        boot_record(24),
        descriptor(2, "Full disc \u00e4", blocks, 22, wide=True, escapes=b"%/E"),
        terminator(),
        struct.pack("<BBIH2x", 1, 0, 21, 1).ljust(SECTOR, b"\0"),
        directory(21, first, [(b"README.TXT;1", 25, data)]),
        directory(22, b"", [("Read me.txt".encode("utf-16-be"), 25, data)]),
        padded(more),
        boot_catalog(27, 27),
        padded(data),
        noise("boot", SECTOR),
    ))


def small(**more):
    """The smallest volume: descriptors alone."""
    return bytes(SYSTEM_AREA) + descriptor(1, "SMALL", 18, 17, **more) + terminator()


def high_sierra():
    out = bytearray(SECTOR)
    out[0:8] = both32(16)
    out[8] = 1
    out[9:14] = b"CDROM"
    out[14] = 1
    out[16:48] = chars("SYSTEM", 32)
    out[48:80] = chars("OLD_DISC", 32)
    out[88:96] = both32(20)
    out[128:132] = both16(1)
    out[132:136] = both16(1)
    out[136:140] = both16(SECTOR)
    out[180:184] = bytes([34, 0]) + struct.pack("<H", 18)
    end = (both32(17) + b"\xffCDROM\x01").ljust(SECTOR, b"\0")
    return noise("system area", SYSTEM_AREA) + bytes(out) + end + bytes(SECTOR) + padded(text("old", 1500))


def whole_sectors(data, mode):
    """Sectors as they are burnt; the correction codes are noise here."""
    out = b""
    for number in range(len(data) // SECTOR):
        address = number + 150
        bcd = [int(f"{part:02}", 16) for part in (address // 75 // 60, address // 75 % 60, address % 75)]
        user = data[number * SECTOR:(number + 1) * SECTOR]
        sector = b"\0" + b"\xff" * 10 + b"\0" + bytes(bcd) + bytes([mode])
        sector += (b"\0\0\x08\0" * 2 if mode == 2 else b"") + user
        out += sector + noise(f"codes {number}", 2352 - len(sector))
    return out


def crc(data):
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


def tagged(identifier, block, body, length=512):
    """A descriptor of ECMA-167 with its tag."""
    body = body.ljust(length - 16, b"\0")
    tag = bytearray(struct.pack("<HHBBHHHI", identifier, 3, 0, 0, 1, crc(body), len(body), block))
    tag[4] = sum(tag) & 0xFF
    return bytes(tag) + body


def dstring(value, length):
    raw = b"\x08" + value.encode("latin-1")
    return raw.ljust(length - 1, b"\0") + bytes([len(raw)])


def regid(name, suffix=b""):
    return (b"\0" + name.ljust(23, b"\0") + suffix).ljust(32, b"\0")


def udf(blocks):
    """A volume of UDF 2.01 with blocks of 512 bytes; its one partition goes up to the end."""
    block = 512
    out = bytearray(blocks * block)
    for index, name in enumerate((b"BEA01", b"NSR03", b"TEA01")):
        at = SYSTEM_AREA + index * SECTOR
        out[at:at + 7] = b"\0" + name + b"\1"

    def put(number, data):
        out[number * block:(number + 1) * block] = data

    primary = struct.pack("<II", 0, 0) + dstring("UDF volume", 32)
    primary = primary.ljust(372, b"\0") + regid(b"*imgfmt recipe")
    partition = struct.pack("<IHH", 1, 1, 0) + regid(b"+NSR03")
    partition = partition.ljust(172, b"\0") + struct.pack("<II", 257, blocks - 257)
    logical = struct.pack("<I", 2) + bytes(64) + dstring("Logical \u00e9", 128)
    logical += struct.pack("<I", block) + regid(b"*OSTA UDF Compliant", b"\x01\x02\x03")
    for number, identifier, body in ((100, 1, primary), (101, 5, partition), (102, 6, logical), (103, 8, b"")):
        put(number, tagged(identifier, number, body))
    put(256, tagged(2, 256, struct.pack("<IIII", 16 * block, 100, 16 * block, 100)))
    return bytes(out)


def build(out):
    """Adds every file."""
    disc = full()
    out.content("iso/valid/full.iso", "Joliet, Rock Ridge, El Torito, an MBR and a GPT", disc, disc)
    disc = high_sierra()
    out.content("iso/valid/high-sierra.iso", "the draft before ISO 9660, with noise in its system area", disc, disc)
    disc = small() + noise("data", 2 * SECTOR)
    disc = disc[:16 * SECTOR] + descriptor(1, "WHOLE", 20, 17) + disc[17 * SECTOR:]
    out.content("iso/valid/mode1.bin", "sectors of 2352 bytes in mode 1: the disk is what belongs to the user", whole_sectors(disc, 1), disc)
    disc = udf(264)
    out.content("iso/valid/udf-512.udf", "UDF without ISO 9660, blocks of 512 bytes", disc, disc)
    out.refused("iso/malformed/no-primary.iso", "only the end of the descriptors", bytes(SYSTEM_AREA) + terminator(), "malformed",
                "byte 32768", "primary volume descriptor")
    out.refused("iso/malformed/block-size-0.iso", "logical blocks of no bytes", small(block_size=0), "malformed",
                "byte 32896", "Logical Block Size")
    out.refused("iso/malformed/udf-cut.udf", "UDF that ends before its anchor", udf(264)[:SYSTEM_AREA + 3 * SECTOR], "out-of-bounds",
                "Anchor Volume Descriptor Pointer")
    disc = bytearray(small())
    disc[SYSTEM_AREA + 80:SYSTEM_AREA + 88] = both32(0xFFFFFFFF)
    out.refused("iso/hostile/space-size-max.iso", "a volume of 8 TiB in 36 KiB", bytes(disc), "out-of-bounds",
                "byte 32848", "Volume Space Size")
