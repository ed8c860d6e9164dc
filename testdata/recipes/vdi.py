"""VDI images, written from the declarations that VirtualBox publishes (VDICore.h), version 1.1."""

import struct
import uuid

from common import KIB, MIB, SECTOR, ceil_div, disk, noise, round_up, text

DYNAMIC, FIXED, UNDO, DIFFERENCING = 1, 2, 3, 4
FREE, ZERO = 0xFFFFFFFF, 0xFFFFFFFE
INFO = "<<< Oracle VM VirtualBox Disk Image >>>\n"

# Byte offsets of the header's fields.
SIGNATURE, VERSION, LENGTH, TYPE, MAP, DATA, SIZE, BLOCK, EXTRA, BLOCKS, CREATE, LINKAGE = 64, 68, 72, 76, 340, 344, 368, 376, 380, 384, 392, 424


def identity(name):
    return uuid.uuid5(uuid.NAMESPACE_URL, f"vdi/{name}").bytes_le


class Image:
    """Bytes with the places worth damaging."""

    def __init__(self):
        self.data = bytearray()
        self.map = 0
        self.first = 0  # byte of block 0 of the file

    def put(self, offset, form, value):
        struct.pack_into("<" + form, self.data, offset, value)
        return self

    def entry(self, number, value):
        return self.put(self.map + 4 * number, "I", value)


def image(guest, block=KIB, kind=DYNAMIC, order=None, zero=(), stored=None, extra=0, map_at=SECTOR, data_align=SECTOR, entries=None, size=None,
          unique="disk", parent=None, info=INFO, comment="", header_len=400, cut_last=False, hole=0):
    """A disk in blocks. `stored` says which ones are there (those that are not zero by default), `zero` which ones are said to be zero."""
    made = Image()
    size = len(guest) if size is None else size
    count = ceil_div(size, block)
    entries = count if entries is None else entries
    if stored is None:
        stored = range(count) if kind == FIXED else [n for n in range(ceil_div(len(guest), block)) if any(guest[n * block:(n + 1) * block])]
    made.map = map_at
    made.first = round_up(map_at + 4 * entries, data_align)
    table = [FREE] * entries
    for number in zero:
        table[number] = ZERO
    made.data = bytearray(made.first)
    for place, number in enumerate(order or stored):
        table[number] = place + hole
        at = made.first + (place + hole) * (extra + block)
        part = guest[number * block:(number + 1) * block]
        made.data += bytes(at - len(made.data)) + b"\xee" * extra + part
        if not cut_last:
            made.data += bytes(block - len(part))
    made.data[made.map:made.map + 4 * entries] = struct.pack(f"<{entries}I", *table)
    head = struct.pack("<64s4sIIII256sIIIIIIIQIIII16s16s16s16s", info.encode(), b"\x7f\x10\xda\xbe", 0x00010001, header_len, kind, 0, comment.encode(),
                       made.map, made.first, 0, 0, 0, SECTOR, 0, size, block, extra, entries, len(order or stored), identity(unique),
                       identity(f"{unique} modified"), identity(parent) if parent else bytes(16), identity(f"{parent} modified") if parent else bytes(16))
    made.data[:len(head)] = head
    return made


def tiny():
    """Five blocks of 1 KiB and a bit: the first, the third and the last have data."""
    return disk(5 * KIB + SECTOR, [(100, text("vdi first", 700)), (2 * KIB, noise("vdi third", KIB)), (5 * KIB, noise("vdi last", SECTOR))])


def valid(out):
    def good(name, case, made, guest, gate=False):
        out.content(f"vdi/valid/{name}.vdi", case, made.data, guest, gate=gate)

    guest = tiny()
    good("dynamic", "a dynamic disk with blocks that were never written", image(guest), guest)
    good("fixed", "a fixed disk has all of its blocks", image(guest, kind=FIXED), guest)
    good("zero", "blocks that are said to be zero, and one that was never written", image(guest, zero=(1, 3)), guest)
    good("order", "blocks in another order than on the disk", image(guest, order=(5, 0, 2)), guest)
    good("extra", "512 bytes that mean nothing in front of each block", image(guest, extra=SECTOR), guest)
    good("gap", "the first two blocks of the file belong to nobody", image(guest, hole=2), guest)
    good("block-512", "blocks of 512 bytes", image(guest, block=SECTOR), guest)
    good("block-16k", "a block of 16 KiB, larger than the disk", image(guest, block=16 * KIB), guest)
    good("map-large", "the map has more entries than the disk has blocks", image(guest, entries=300), guest)
    good("map-far", "map and data at whole MiB would waste space; at 4096 they do not", image(guest, map_at=4096, data_align=4096), guest)
    good("header-384", "a header without the last geometry", image(guest, header_len=384, map_at=456), guest)
    good("cut-last", "the file ends where the disk does, within the last block", image(guest, cut_last=True), guest)
    good("comment", "a comment, and the text of QEMU in front",
         image(guest, info="<<< QEMU VM Virtual Disk Image >>>\n", comment="Größe egal"), guest)
    good("info-none", "no text in front at all", image(guest, info=""), guest)
    good("empty", "a disk of 64 MiB without a block", image(b"", block=MIB, size=64 * MIB, stored=()), bytes(64 * MIB))
    good("size-0", "a disk without a byte", image(b""), b"")
    odd = guest[:5 * KIB + 300]
    good("size-odd", "a disk that is no whole number of sectors", image(odd), odd)

    base = disk(6 * KIB, [(0, text("vdi base", 6 * KIB))])
    out.content("vdi/valid/chain-base.vdi", "the base of a chain", image(base, unique="base").data, base)
    new = noise("vdi child", KIB)
    child = base[:KIB] + new + bytes(KIB) + base[3 * KIB:]
    made = image(child, kind=DIFFERENCING, stored=(1,), zero=(2,), unique="child", parent="base")
    good("chain-child", "a differencing disk: a block of its own, one that is zero, the rest the parent's", made, child, gate=True)
    last = child[:5 * KIB] + noise("vdi grandchild", KIB) + bytes(KIB)
    good("chain-grandchild", "a differencing disk on a differencing disk, and larger than that",
         image(last, kind=DIFFERENCING, stored=(5,), unique="grandchild", parent="child"), last, gate=True)


def bad(out):
    def refuse(name, case, made, kind, *mentions, shelf="malformed", gate=False):
        out.refused(f"vdi/{shelf}/{name}.vdi", case, getattr(made, "data", made), kind, *mentions, gate=gate)

    guest = tiny()

    def one(**more):
        return image(guest, **more)

    refuse("version-0", "version 0.2, from before VirtualBox was published", one().put(VERSION, "I", 2), "unsupported", "byte 68", "u32Version")
    refuse("version-2", "version 2.0", one().put(VERSION, "I", 0x20000), "unsupported", "u32Version")
    refuse("type-0", "type 0", one().put(TYPE, "I", 0), "malformed", "byte 76", "u32Type")
    refuse("type-undo", "an undo image", one().put(TYPE, "I", UNDO), "unsupported", "undo")
    refuse("type-5", "type 5", one().put(TYPE, "I", 5), "malformed", "u32Type")
    refuse("header-short", "cbHeader 383", one().put(LENGTH, "I", 383), "malformed", "cbHeader")
    refuse("header-cut", "the file ends within the header", bytes(one().data[:300]), "out-of-bounds")
    for size in (0, 3, 256, 768, 3 << 20):
        refuse(f"block-{size}", f"cbBlock {size}", one().put(BLOCK, "I", size), "malformed", "cbBlock", shelf="hostile" if size == 0 else "malformed")
    refuse("blocks-few", "the map has fewer entries than the disk has blocks", one().put(BLOCKS, "I", 5), "malformed", "cBlocks")
    refuse("map-in-header", "the map lies in the header", one().put(MAP, "I", 300), "malformed", "offBlocks")
    refuse("data-in-map", "the data begins within the map", one().put(DATA, "I", 530), "malformed", "offData")
    refuse("map-cut", "the file ends within the map", bytes(one().data[:SECTOR + 10]), "out-of-bounds", "cBlocks")
    made = one()
    refuse("block-cut", "the file ends within its last block", bytes(made.data[:made.first + 2 * KIB + 100]), "out-of-bounds", "block 5")
    refuse("block-behind-file", "an entry points behind the file", one().entry(1, 7), "out-of-bounds", "block 1")
    refuse("link", "a dynamic image that names a parent", one(parent="base"), "malformed", "uuidLinkage")

    def hostile(name, case, made, kind, *mentions, gate=False):
        refuse(name, case, made, kind, *mentions, shelf="hostile", gate=gate)

    hostile("entry-max", "an entry of 2^32-3", one().entry(1, ZERO - 1), "out-of-bounds", "block 1")
    hostile("block-twice", "two entries name the same block", one().entry(1, 0), "malformed", "more than once")
    bomb = image(guest, size=256 * KIB)
    for number in range(256):
        bomb.entry(number, 0)
    hostile("bomb", "all 256 entries name the same block: a small file that is a large disk", bomb, "malformed", "more than once")
    hostile("blocks-max", "a map of 2^32-1 entries in a small file", one().put(BLOCKS, "I", 0xFFFFFFFF).put(DATA, "I", 0xFFFFFFFF), "malformed", "offData")
    hostile("blocks-2-29", "a map of 2^29 entries, whose length would pass 31 bits", one().put(BLOCKS, "I", 1 << 29).put(DATA, "I", 0xFFFFFFFF),
            "out-of-bounds", "cBlocks")
    hostile("size-max", "cbDisk 2^64-1", one().put(SIZE, "Q", (1 << 64) - 1), "limit-exceeded", "cbDisk")
    hostile("size-63", "cbDisk 2^63-1 in blocks of 2 GiB", one().put(SIZE, "Q", (1 << 63) - 1).put(BLOCK, "I", 1 << 31), "malformed", "cBlocks")
    hostile("extra-max", "cbBlockExtra 2^32-1", one().put(EXTRA, "I", 0xFFFFFFFF), "out-of-bounds")
    hostile("header-max", "cbHeader 2^32-1", one().put(LENGTH, "I", 0xFFFFFFFF), "malformed", "offBlocks")
    hostile("parent-missing", "no file beside has the parent's identity", one(kind=DIFFERENCING, unique="lost", parent="gone"), "missing", "uuid", gate=True)
    hostile("parent-none", "a differencing disk that says nothing of its parent", one(kind=DIFFERENCING, unique="orphan"), "missing", gate=True)
    hostile("parent-itself", "the parent is the image itself", one(kind=DIFFERENCING, unique="myself", parent="myself"), "missing", gate=True)
    hostile("parent-loop-a", "two disks are each other's parent", one(kind=DIFFERENCING, unique="loop a", parent="loop b"), "malformed", gate=True)
    hostile("parent-loop-b", "two disks are each other's parent", one(kind=DIFFERENCING, unique="loop b", parent="loop a"), "malformed", gate=True)


def build(out):
    """Adds every file."""
    valid(out)
    bad(out)
