"""qcow images of version 1, written from "The QCOW Image Format" (Mark McLoughlin, 2008)."""

import struct

import deflate
from common import KIB, MIB, SECTOR, ceil_div, disk, noise, round_up, text

MAGIC = b"QFI\xfb"
COMPRESSED = 1 << 63

# Byte offsets of the header's fields.
VERSION, BACKING, NAME_LEN, SIZE, CLUSTER_BITS, L2_BITS, CRYPT, L1 = 4, 8, 16, 24, 32, 33, 36, 40


class Image:
    """Bytes with the places worth damaging."""

    def __init__(self):
        self.data = bytearray()
        self.l1 = 0
        self.l2 = {}  # L1 index -> byte of the table
        self.clusters = {}  # cluster number -> byte

    def put(self, offset, form, value):
        struct.pack_into(">" + form, self.data, offset, value)
        return self


def image(guest, bits=9, l2_bits=6, packed=(), stored=None, order=None, backing=None, size=None, align=True, l1_last=False, cut_last=False, mtime=0):
    """A disk in clusters of 2^bits bytes. `packed` says which of the `stored` clusters (those that are not zero by default) are compressed."""
    made = Image()
    cluster = 1 << bits
    size = len(guest) if size is None else size
    if stored is None:
        stored = [n for n in range(ceil_div(len(guest), cluster)) if any(guest[n * cluster:(n + 1) * cluster])]
    entries = ceil_div(size, cluster << l2_bits)
    name = (backing or "").encode()
    made.l1 = round_up(48 + len(name), 8)
    made.data = bytearray(made.l1 + (0 if l1_last else 8 * entries))
    made.data[48:48 + len(name)] = name
    l1 = [0] * entries
    tables = {}
    for number in order or stored:
        index, slot = number >> l2_bits, number & (1 << l2_bits) - 1
        if index not in tables:
            made.data += bytes(-len(made.data) % (cluster if align else 8))
            made.l2[index] = l1[index] = len(made.data)
            made.data += bytes(8 << l2_bits)
            tables[index] = True
        part = guest[number * cluster:(number + 1) * cluster]
        if number in packed:
            body = deflate.deflate(part.ljust(cluster, b"\0"))
            assert len(body) < cluster
            value = COMPRESSED | len(body) << 63 - bits | len(made.data)
        else:
            made.data += bytes(-len(made.data) % (cluster if align else 1))
            body = part if cut_last else part.ljust(cluster, b"\0")
            value = len(made.data)
        made.clusters[number] = len(made.data)
        made.data += body
        made.put(l1[index] + 8 * slot, "Q", value)
    if l1_last:
        made.data += bytes(-len(made.data) % 8)
        made.l1 = len(made.data)
        made.data += bytes(8 * entries)
    made.data[made.l1:made.l1 + 8 * entries] = struct.pack(f">{entries}Q", *l1)
    made.data[:48] = struct.pack(">4sIQIIQBBHIQ", MAGIC, 1, 48 if backing else 0, len(name), mtime, size, bits, l2_bits, 0, 0, made.l1)
    return made


def tiny():
    """Six clusters of 512 bytes and a bit, two of them zero."""
    return disk(6 * SECTOR + 400, [(100, text("qcow first", 300)), (2 * SECTOR, noise("qcow third", SECTOR)), (4 * SECTOR, text("qcow fifth", 2 * SECTOR)),
                                   (6 * SECTOR, text("qcow last", 400))])


def valid(out):
    def good(name, case, made, guest, gate=False):
        out.content(f"qcow/valid/{name}.qcow", case, made.data, guest, gate=gate)

    guest = tiny()
    good("plain", "clusters of 512 bytes", image(guest), guest)
    good("compressed", "compressed clusters behind each other, and plain ones", image(guest, packed=(0, 4, 6)), guest)
    usual = disk(22 * KIB, [(100, text("qcow usual", 6000)), (12 * KIB, noise("qcow usual", 4 * KIB)), (16 * KIB, text("qcow usual", 6 * KIB))])
    good("cluster-4k", "clusters of 4 KiB, as QEMU writes them", image(usual, bits=12, l2_bits=9), usual)
    good("cluster-4k-compressed", "compressed clusters of 4 KiB", image(usual, bits=12, l2_bits=9, packed=(0, 1, 4, 5)), usual)
    tables = disk(65 * KIB, [(0, noise("qcow tables", 700)), (64 * KIB, noise("qcow tables", KIB))])
    good("tables", "three L2 tables, of which the second is not there", image(tables), tables)
    large = disk(70 * KIB, [(0, text("qcow large", 70 * KIB))])
    good("cluster-64k", "clusters of 64 KiB, both of them compressed", image(large, bits=16, l2_bits=9, packed=(0, 1), align=False), large)
    good("order", "clusters in another order than on the disk", image(guest, order=(6, 2, 5, 0, 4)), guest)
    good("unaligned", "tables and clusters at any byte", image(guest, packed=(0,), align=False), guest)
    good("l1-last", "the L1 table is at the end of the file", image(guest, l1_last=True), guest)
    good("cut-last", "the file ends where the disk does, within the last cluster", image(guest, cut_last=True), guest)
    good("empty", "a disk of 4 MiB without a cluster", image(b"", size=4 * MIB), bytes(4 * MIB))
    good("size-0", "a disk without a byte", image(b""), b"")
    odd = guest[:6 * SECTOR + 301]
    good("size-odd", "a disk that is no whole number of sectors", image(odd, packed=(0,)), odd)

    base = disk(2 * KIB, [(0, text("qcow base", 2 * KIB))])
    out.companion("qcow/valid/base.raw", base)
    out.content("qcow/valid/base.qcow", "the base of a chain", image(base, packed=(1, 2)).data, base)
    child = base[:SECTOR] + noise("qcow child", SECTOR) + base[2 * SECTOR:] + bytes(KIB)
    good("backing-qcow", "a qcow on a qcow, and larger than that", image(child, stored=(1,), backing="base.qcow", mtime=1000000000), child, gate=True)
    good("backing-raw", "a backing file that nothing claims is raw", image(child, stored=(1,), packed=(), backing="base.raw"), child, gate=True)


def bad(out):
    def refuse(name, case, made, kind, *mentions, shelf="malformed", gate=False):
        out.refused(f"qcow/{shelf}/{name}.qcow", case, getattr(made, "data", made), kind, *mentions, gate=gate)

    guest = tiny()

    def one(**more):
        return image(guest, **more)

    for bits in (0, 8, 17, 63, 255):
        refuse(f"cluster-bits-{bits}", f"cluster_bits {bits}", one().put(CLUSTER_BITS, "B", bits), "malformed", "byte 32", "cluster_bits",
               shelf="hostile" if bits > 60 else "malformed")
    for bits in (0, 5, 14, 255):
        refuse(f"l2-bits-{bits}", f"l2_bits {bits}", one().put(L2_BITS, "B", bits), "malformed", "byte 33", "l2_bits",
               shelf="hostile" if bits > 60 else "malformed")
    refuse("aes", "an image that is encrypted with AES", one().put(CRYPT, "I", 1), "unsupported", "byte 36", "AES")
    refuse("crypt-2", "crypt_method 2", one().put(CRYPT, "I", 2), "unsupported", "crypt_method")
    refuse("header-cut", "the file ends within the header", bytes(one().data[:40]), "out-of-bounds")
    refuse("l1-cut", "the file ends within the L1 table", bytes(one().data[:50]), "out-of-bounds", "l1_table_offset")
    refuse("l1-in-header", "the L1 table lies in the header", one().put(L1, "Q", 8), "malformed", "l1_table_offset")
    made = one()
    refuse("l2-cut", "the file ends within an L2 table", bytes(made.data[:made.l2[0] + 100]), "out-of-bounds", "L2 table offset")
    made = one()
    refuse("cluster-cut", "the file ends within its last cluster", bytes(made.data[:made.clusters[6] + 100]), "out-of-bounds")
    made = one(packed=(6,))
    refuse("stream-cut", "the file ends within its last stream", bytes(made.data[:-3]), "out-of-bounds")
    made = one(packed=(0,))
    refuse("stream-damaged", "a stream that begins with a block of no type", made.put(made.clusters[0], "B", 0xFF), "malformed", "deflate")
    made = one(packed=(0,))
    refuse("stream-empty", "a compressed cluster of 0 bytes", made.put(made.l2[0], "Q", COMPRESSED | made.clusters[0]), "malformed", "0 bytes")
    made = one(packed=(0,))
    refuse("stream-short", "a compressed cluster that is said to have one byte", made.put(made.l2[0], "Q", COMPRESSED | 1 << 54 | made.clusters[0]), "malformed")
    refuse("backing-name-0", "the name of the backing file has no bytes", one(backing="base.raw").put(NAME_LEN, "I", 0), "malformed", "backing_file_size")
    refuse("backing-name-nul", "the name of the backing file has a zero byte", one(backing="a\0b"), "malformed", "NUL")

    def hostile(name, case, made, kind, *mentions, gate=False):
        refuse(name, case, made, kind, *mentions, shelf="hostile", gate=gate)

    hostile("size-max", "size 2^64-1", one().put(SIZE, "Q", (1 << 64) - 1), "limit-exceeded", "size")
    hostile("size-63", "size 2^63-1: an L1 table that no file has", one().put(SIZE, "Q", (1 << 63) - 1), "out-of-bounds", "l1_table_offset")
    hostile("l1-offset-max", "l1_table_offset 2^64-8", one().put(L1, "Q", (1 << 64) - 8), "out-of-bounds", "l1_table_offset")
    made = one()
    hostile("l2-offset-max", "an L1 entry of 2^64-8", made.put(made.l1, "Q", (1 << 64) - 8), "out-of-bounds", "L2 table offset")
    made = one()
    hostile("cluster-offset-max", "an L2 entry of 2^63-1", made.put(made.l2[0], "Q", (1 << 63) - 1), "out-of-bounds")
    made = one()
    hostile("stream-offset-max", "a compressed cluster at the last byte that there can be", made.put(made.l2[0], "Q", (1 << 64) - 1), "out-of-bounds")
    hostile("backing-name-1024", "the name of the backing file has 1024 bytes", one(backing="b" * 1024), "malformed", "backing_file_size")
    hostile("backing-name-max", "backing_file_size 2^32-1", one(backing="base.raw").put(NAME_LEN, "I", 0xFFFFFFFF), "malformed", "backing_file_size")
    hostile("backing-offset-max", "backing_file_offset 2^64-1", one(backing="base.raw").put(BACKING, "Q", (1 << 64) - 1), "out-of-bounds")
    hostile("backing-in-header", "the name of the backing file lies in the header", one(backing="base.raw").put(BACKING, "Q", 4), "malformed",
            "backing_file_offset")
    hostile("backing-missing", "the backing file is not there", one(backing="gone.raw"), "missing", "gone.raw", gate=True)
    hostile("backing-absolute", "the backing file is an absolute path that may not be opened", one(backing="/etc/hostname"), "refused", "/etc/hostname", gate=True)
    hostile("backing-climbing", "the backing file leaves the folder (it is there)", one(backing="../valid/base.raw"), "refused", "base.raw", gate=True)
    hostile("backing-json", "a name with a json: prefix is a file name, and there is no such file",
            one(backing='json:{"driver":"file","filename":"hostname"}'), "missing", gate=True)
    hostile("backing-itself", "the backing file is the image itself", one(backing="backing-itself.qcow"), "malformed", gate=True)


def build(out):
    """Adds every file."""
    valid(out)
    bad(out)
