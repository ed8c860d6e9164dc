"""Compressed files: gzip (RFC 1952) and BGZF (SAM specification, section 4.1), xz (The .xz File Format 1.2.1), Zstandard
(RFC 8878) and its seekable format, bzip2.

All but bzip2 are made by hand; bzip2 comes from Python's own module, whose library has not changed its output in decades.
"""

import bz2
import hashlib
import struct
import zlib

import zstd
from common import KIB, MIB, disk, noise, text
from deflate import deflate, dynamic, gzip_file

GUEST = disk(6 * KIB, [(0, text("compressed", 1200)), (4 * KIB, noise("compressed", 700)), (5 * KIB + 900, text("end", 124))])
HALVES = GUEST[:3000], GUEST[3000:]


def blocks(guest, length=1500):
    return [guest[at:at + length] for at in range(0, len(guest), length)]


# gzip


def gzip_member(data, flags=0, extra=b""):
    """`extra`: what the flags announce."""
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(5) + b"\xff" + extra + dynamic(data) + struct.pack("<II", zlib.crc32(data), len(data))


def full_header(data):
    """Every optional field: an extra field, a name, a comment, and the CRC of the header."""
    head = b"\x1f\x8b\x08\x1e" + bytes(5) + b"\xff" + struct.pack("<H", 8) + b"XY\x04\0abcd" + b"disk.img\0" + b"a comment\0"
    body = dynamic(data) + struct.pack("<II", zlib.crc32(data), len(data))
    return head + struct.pack("<H", zlib.crc32(head) & 0xFFFF) + body


def bgzf_block(data):
    body = deflate(data)
    size = 18 + len(body) + 8
    head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H", 6) + b"BC\x02\0" + struct.pack("<H", size - 1)
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def bgzf(guest):
    return [bgzf_block(data) for data in blocks(guest)] + [bgzf_block(b"")]


# xz


def crc64(data):
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    return struct.pack("<Q", crc ^ 0xFFFFFFFFFFFFFFFF)


CHECKS = {
    0: lambda data: b"",
    1: lambda data: struct.pack("<I", zlib.crc32(data)),
    4: crc64,
    10: lambda data: hashlib.sha256(data).digest(),
}


def with_crc(data):
    return data + struct.pack("<I", zlib.crc32(data))


def padded(data):
    return data + bytes(-len(data) % 4)


def integer(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def xz_block(data, check, dictionary=8, filter_id=0x21):
    """A block with its unpadded size. LZMA2 chunks that hold the bytes as they are; the dictionary is 2 or 3 to a power."""
    head = padded(b"\0\0" + integer(filter_id) + integer(1) + bytes([dictionary]))
    head = with_crc(bytes([len(head) // 4]) + head[1:])
    body = bytearray()
    for start in range(0, len(data), 65536):
        part = data[start:start + 65536]
        body += struct.pack(">BH", 1 if start == 0 else 2, len(part) - 1) + part
    body.append(0)
    hashed = CHECKS[check](data)
    return padded(head + body) + hashed, len(head) + len(body) + len(hashed)


def xz_stream(parts, check=4, **more):
    flags = struct.pack("BB", 0, check)
    made = [xz_block(part, check, **more) for part in parts]
    records = b"".join(integer(unpadded) + integer(len(part)) for part, (_, unpadded) in zip(parts, made))
    index = with_crc(padded(b"\0" + integer(len(parts)) + records))
    backward = struct.pack("<I", len(index) // 4 - 1) + flags
    footer = struct.pack("<I", zlib.crc32(backward)) + backward + b"YZ"
    return b"\xfd7zXZ\0" + flags + struct.pack("<I", zlib.crc32(flags)) + b"".join(data for data, _ in made) + index + footer


# Zstandard


def zstd_frame(data, **more):
    kinds = [zstd.raw(part) if part.strip(b"\0") else zstd.rle(0, len(part)) for part in blocks(data, 512)]
    return zstd.frame(*kinds, **more)


def skippable(data, kind=0):
    return struct.pack("<II", 0x184D2A50 + kind, len(data)) + data


def seekable(parts, sums=True, lie=0):
    frames = [zstd_frame(part) for part in parts]
    entries = b""
    for part, frame in zip(parts, frames):
        entries += struct.pack("<II", len(frame) + lie, len(part))
        if sums:
            entries += struct.pack("<I", zstd.xxh64(part) & 0xFFFFFFFF)
    footer = struct.pack("<IBI", len(parts), 0x80 if sums else 0, 0x8F92EAB1)
    return b"".join(frames) + skippable(entries + footer, 14)


def flipped(data, at, bits=0x10):
    data = bytearray(data)
    data[at] ^= bits
    return bytes(data)


def build(out):
    """Adds every file."""
    valid(out)
    malformed(out)
    hostile(out)


def valid(out):
    def add(name, case, data):
        out.content(f"compressed/valid/{name}", case, data, GUEST)

    add("one.gz", "a gzip member", gzip_file(GUEST))
    add("members.gz", "gzip members one behind the other", b"".join(gzip_member(half) for half in HALVES))
    add("fields.gz", "a gzip header with all that can be in it", full_header(GUEST))
    add("zeros-behind.gz", "zeros behind a gzip member, as tapes have them", gzip_file(GUEST) + bytes(1000))
    add("blocks.bgz", "BGZF: small gzip members that say how long they are", b"".join(bgzf(GUEST)))
    add("one.xz", "an xz stream of one block", xz_stream([GUEST]))
    add("blocks.xz", "an xz stream of several blocks, found by its index", xz_stream(blocks(GUEST), check=10))
    add("no-check.xz", "blocks of xz without a check", xz_stream(blocks(GUEST), check=0))
    add("streams.xz", "xz streams with padding between and behind", b"".join(xz_stream([half], check=1) + bytes(8) for half in HALVES))
    add("one.zst", "a zstd frame with a checksum", zstd_frame(GUEST, checksum=True))
    add("frames.zst", "zstd frames between skippable ones",
        skippable(b"first") + zstd_frame(HALVES[0], single=False) + skippable(b"", 15) + zstd_frame(HALVES[1], checksum=True))
    add("seekable.zst", "a zstd file with a seek table and its checksums", seekable(blocks(GUEST)))
    add("seekable-plain.zst", "a zstd file with a seek table without checksums", seekable(blocks(GUEST), sums=False))
    add("one.bz2", "a bzip2 stream", bz2.compress(GUEST, 1))
    add("streams.bz2", "bzip2 streams one behind the other", b"".join(bz2.compress(half, 9) for half in HALVES))


def malformed(out):
    def add(name, case, data, kind="malformed", *mentions):
        out.refused(f"compressed/malformed/{name}", case, data, kind, *mentions)

    gz, xz, zst, bz = gzip_file(GUEST), xz_stream([GUEST]), zstd_frame(GUEST, checksum=True), bz2.compress(GUEST, 1)
    add("wrong-crc.gz", "the CRC of a gzip member is another one", flipped(gz, -8), "malformed", "damaged")
    add("wrong-size.gz", "a gzip member says another length", flipped(gz, -4), "malformed", "damaged")
    add("reserved.gz", "a gzip header with a flag that nobody knows", flipped(gz, 3, 0x80))
    parts = bgzf(GUEST)
    parts[2] = flipped(parts[2], -7)
    add("wrong-crc.bgz", "a member of BGZF has another CRC", b"".join(parts), "malformed", "damaged")
    add("wrong-check.xz", "the check of a block is another one", flipped(xz, 12 + 12 + 3 + 5))
    add("wrong-check-of-block.xz", "the check of one of several blocks is another one",
        flipped(xz_stream(blocks(GUEST), check=10), 12 + 12 + 3 + 5))
    add("wrong-index.xz", "the index has other sizes than the blocks, and a right CRC", forged_index())
    add("filter.xz", "a filter that nobody knows", xz_stream([GUEST], filter_id=0x3F), "unsupported", "filter")
    add("wrong-checksum.zst", "the checksum of a frame is another one", flipped(zst, -1), "malformed", "damaged")
    table = seekable(blocks(GUEST))
    add("wrong-checksum-in-table.zst", "a checksum in the seek table is another one", flipped(table, len(table) - 9 - 1), "malformed", "Checksum")
    add("wrong-crc.bz2", "the CRC of a block is another one", flipped(bz, 10), "malformed", "damaged")
    for name, data in (("gz", gz), ("xz", xz), ("zst", zst), ("bz2", bz)):
        add(f"cut.{name}", "the file ends early", data[:-5], "out-of-bounds", "ends early")
        add(f"garbage-behind.{name}", "something else follows", data + b"garbage, and more of it", "malformed", "follows")


def forged_index():
    """An index that says that the first of two blocks holds four bytes more, and the second four less."""
    one, two = HALVES
    data = xz_stream([one, two], check=1)
    right = integer(len(one)), integer(len(two))
    wrong = integer(len(one) + 4), integer(len(two) - 4)
    _, first = xz_block(one, 1)
    _, second = xz_block(two, 1)

    def index(sizes):
        return with_crc(padded(b"\0" + integer(2) + integer(first) + sizes[0] + integer(second) + sizes[1]))

    assert data.count(index(right)) == 1
    return data.replace(index(right), index(wrong))


def hostile(out):
    huge = zstd.frame(*[zstd.rle(0, 128 * KIB)] * 512, single=False)
    out.content("compressed/hostile/bomb.zst", "64 MiB of zeros in 2 KiB", huge, bytes(64 * MIB))
    window = zstd.frame(zstd.raw(GUEST[:512]), single=False, window_log=31)
    out.refused("compressed/hostile/window.zst", "a window of 2 GiB for 512 bytes", window, "limit-exceeded", "128 MiB")
    out.refused("compressed/hostile/dictionary.xz", "a dictionary of 4 GiB for 512 bytes", xz_stream([GUEST[:512]], dictionary=40),
                "limit-exceeded", "128 MiB")
    out.content("compressed/hostile/seek-table-lies.zst", "a seek table that leads elsewhere: the frames count",
                seekable(blocks(GUEST), lie=4), GUEST)
    parts = bgzf(GUEST)
    parts[0] = parts[0][:-4] + struct.pack("<I", 65536)
    out.refused("compressed/hostile/size-lies.bgz", "a member of BGZF that says that it holds more", b"".join(parts), "malformed")
    many = zstd_frame(GUEST) + skippable(struct.pack("<IBI", 0xFFFFFFFF, 0, 0x8F92EAB1), 14)
    out.content("compressed/hostile/seek-table-huge.zst", "a seek table that says that it has 2^32 entries", many, GUEST)
