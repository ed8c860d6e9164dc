"""Zstandard frames by hand (RFC 8878): raw and run-length blocks, which need no entropy coder.

The one block of type "compressed" is a recorded frame, see `TEXT_FRAME` in qcow2.py.
"""

import struct

MAGIC = 0xFD2FB528
M64 = (1 << 64) - 1
P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def raw(data):
    return 0, len(data), bytes(data)


def rle(byte, count):
    return 1, count, bytes([byte])


def _produced(block):
    kind, size, payload = block
    return payload if kind == 0 else payload * size


def frame(*blocks, single=True, window_log=17, checksum=False):
    """One frame. `single`: a segment of known size; otherwise a window descriptor and no size."""
    content = b"".join(_produced(block) for block in blocks)
    out = bytearray(struct.pack("<I", MAGIC))
    descriptor = 4 if checksum else 0
    if single:
        out.append(descriptor | 0x80 | 0x20)
        out += struct.pack("<I", len(content))
    else:
        out.append(descriptor)
        out.append((window_log - 10) << 3)
    for index, (kind, size, payload) in enumerate(blocks):
        last = index == len(blocks) - 1
        out += struct.pack("<I", last | kind << 1 | size << 3)[:3] + payload
    if checksum:
        out += struct.pack("<I", xxh64(content) & 0xFFFFFFFF)
    return bytes(out)


def _rotl(value, bits):
    return (value << bits | value >> (64 - bits)) & M64


def _round(acc, lane):
    return _rotl((acc + lane * P2) & M64, 31) * P1 & M64


def xxh64(data):
    """XXH64 with seed 0, the frame's content checksum."""
    pos = 0
    if len(data) >= 32:
        acc = [(P1 + P2) & M64, P2, 0, -P1 & M64]
        while pos + 32 <= len(data):
            for i, lane in enumerate(struct.unpack_from("<4Q", data, pos)):
                acc[i] = _round(acc[i], lane)
            pos += 32
        h = (_rotl(acc[0], 1) + _rotl(acc[1], 7) + _rotl(acc[2], 12) + _rotl(acc[3], 18)) & M64
        for lane in acc:
            h = ((h ^ _round(0, lane)) * P1 + P4) & M64
    else:
        h = P5
    h = (h + len(data)) & M64
    while pos + 8 <= len(data):
        h = (_rotl(h ^ _round(0, struct.unpack_from("<Q", data, pos)[0]), 27) * P1 + P4) & M64
        pos += 8
    if pos + 4 <= len(data):
        h = (_rotl(h ^ struct.unpack_from("<I", data, pos)[0] * P1 & M64, 23) * P2 + P3) & M64
        pos += 4
    for byte in data[pos:]:
        h = _rotl(h ^ byte * P5 & M64, 11) * P1 & M64
    h = (h ^ h >> 33) * P2 & M64
    h = (h ^ h >> 29) * P3 & M64
    return h ^ h >> 32
