"""VHD images, written from Microsoft's "Virtual Hard Disk Image Format Specification" 1.0."""

import struct
import uuid

from common import KIB, MIB, SECTOR, ceil_div, disk, noise, round_up, text

FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
NOWHERE = (1 << 64) - 1
UNUSED = 0xFFFFFFFF
MAX_GEOMETRY = (65535, 16, 255)

# Byte offsets of the footer's and the header's fields.
VERSION, DATA_OFFSET, TIME, CREATOR, ORIGINAL, CURRENT, GEOMETRY, TYPE, SUM, UNIQUE, SAVED = 12, 16, 24, 28, 40, 48, 56, 60, 64, 68, 84
TABLE, HEADER_VERSION, ENTRIES, BLOCK, HEADER_SUM, PARENT_ID, PARENT_TIME, PARENT_NAME, LOCATORS = 16, 24, 28, 32, 36, 40, 56, 64, 576


def summed(data, at):
    """`data` with its checksum at `at`: the complement of the sum of all other bytes."""
    data = bytearray(data)
    data[at:at + 4] = bytes(4)
    struct.pack_into(">I", data, at, ~sum(data) & 0xFFFFFFFF)
    return bytes(data)


def identity(name):
    return uuid.uuid5(uuid.NAMESPACE_URL, f"vhd/{name}").bytes


def footer(kind, size, data_offset=None, creator=b"win ", version=0x000A0000, host=b"Wi2k", geometry=(1, 4, 17), unique="disk",
           features=2, stamp=700000000, saved=0, original=None, form=0x00010000):
    data_offset = (NOWHERE if kind == FIXED else SECTOR) if data_offset is None else data_offset
    packed = struct.pack(">8sIIQI4sI4sQQHBBII16sB", b"conectix", features, form, data_offset, stamp, creator, version, host,
                         size if original is None else original, size, *geometry, kind, 0, identity(unique), saved)
    return summed(packed.ljust(SECTOR, b"\0"), SUM)


def locator(code, data, at, space=None):
    return struct.pack(">4sIIIQ", code, round_up(len(data), SECTOR) if space is None else space, len(data), 0, at)


def header(table, entries, block, parent=bytes(16), name="", locators=(), stamp=0, version=0x00010000):
    packed = struct.pack(">8sQQIIII16sII", b"cxsparse", NOWHERE, table, version, entries, block, 0, parent, stamp, 0)
    packed += name.encode("utf-16-be").ljust(512, b"\0")
    packed += b"".join(locators).ljust(8 * 24, b"\0")
    return summed(packed.ljust(1024, b"\0"), HEADER_SUM)


def fixed(guest, **more):
    return bytes(guest) + footer(FIXED, len(guest), **more)


class Image:
    """Bytes with the places worth damaging."""

    def __init__(self):
        self.data = bytearray()
        self.blocks = {}  # block number -> byte of its bitmap
        self.header = 0
        self.table = 0
        self.end = 0  # byte of the footer at the end

    def put(self, offset, form, value):
        struct.pack_into(">" + form, self.data, offset, value)
        return self

    def poke(self, offset, data):
        self.data[offset:offset + len(data)] = data
        return self

    def sum_header(self):
        return self.poke(self.header, summed(self.data[self.header:self.header + 1024], HEADER_SUM))

    def header_field(self, offset, form, value):
        """A field of the header, with the checksum that belongs to it."""
        return self.put(self.header + offset, form, value).sum_header()

    def footer_field(self, offset, form, value, front=True, end=True):
        """A field of the footers, with the checksum that belongs to it."""
        for at in [0] * front + [self.end] * end:
            self.put(at + offset, form, value)
            self.poke(at, summed(self.data[at:at + SECTOR], SUM))
        return self

    def entry(self, number, value):
        return self.put(self.table + 4 * number, "I", value)


def blocks(guest, block=KIB, kind=DYNAMIC, order=None, entries=None, gap=0, header_at=SECTOR, table_at=None, table_last=False, bits=None,
           junk=b"", old=False, size=None, parent=None, name="", names=(), cut_last=False, end=True, align=SECTOR, **more):
    """A disk with a table. `bits` says for block numbers which sectors are stored (all by default); the others hold `junk`.

    `names` are pairs of platform code and data.
    """
    image = Image()
    size = len(guest) if size is None else size
    count = ceil_div(size, block)
    entries = count if entries is None else entries
    bits = bits or {}
    used = [n for n in range(ceil_div(len(guest), block)) if any(guest[n * block:(n + 1) * block]) or n in bits]
    image.header = header_at
    at = header_at + 1024
    image.table = at if table_at is None else table_at
    at = round_up(image.table + 4 * entries, SECTOR)
    places = []
    for _, data in names:
        places.append(at)
        at += round_up(len(data), SECTOR)
    table_len = 4 * entries
    if table_last:
        at = header_at + 1024
    image.data = bytearray(at)
    for place, (_, data) in zip(places, names):
        image.poke(place, data)
    bitmap_len = round_up(ceil_div(block // SECTOR, 8), SECTOR)
    table = [UNUSED] * entries
    for number in order or used:
        image.data += bytes(gap)
        image.data += bytes(-(len(image.data) + bitmap_len) % align)
        part = guest[number * block:(number + 1) * block].ljust(block, b"\0")
        stored = bits.get(number, range(block // SECTOR))
        bitmap = bytearray(bitmap_len)
        for sector in stored:
            bitmap[sector // 8] |= 0x80 >> sector % 8
        if junk:
            fill = (junk * ceil_div(block, len(junk)))[:block]
            part = b"".join((part if s in stored else fill)[s * SECTOR:(s + 1) * SECTOR] for s in range(block // SECTOR))
        image.blocks[number] = len(image.data)
        table[number] = len(image.data) // SECTOR
        image.data += bitmap + part
    if cut_last:
        del image.data[-(count * block - size) // SECTOR * SECTOR or len(image.data):]
    if table_last:
        image.table = len(image.data)
        image.data += b"\xff" * round_up(table_len, SECTOR)
    image.poke(image.table, struct.pack(f">{entries}I", *table))
    locators = [locator(code, data, place) for place, (code, data) in zip(places, names)]
    image.poke(header_at, header(image.table, entries, block, identity(parent) if parent else bytes(16), name, locators))
    last = footer(kind, size, header_at, **more)
    image.poke(0, last)
    image.end = len(image.data)
    if end:
        image.data += last[:511] if old else last
    return image


def child(guest, parent, names=(), name="", **more):
    return blocks(guest, kind=DIFFERENCING, parent=parent, names=names, name=name, **{"unique": f"child of {parent}", **more})


def relative(path):
    return b"W2ru", path.encode("utf-16-le")


def absolute(path):
    return b"W2ku", path.encode("utf-16-le")


def tiny():
    """Three sectors, the one between empty."""
    return disk(3 * SECTOR, [(0, text("tiny", 300)), (3 * SECTOR - 300, noise("tiny", 300))])


def small():
    """Four blocks of 1 KiB out of eight."""
    return disk(8 * KIB, [(0, text("boot", 300)), (KIB, noise("full", KIB)), (3 * KIB + 100, text("odd", 600)), (8 * KIB - 300, noise("end", 300))])


def valid_fixed(out):
    def add(name, case, data, guest):
        out.content(f"vhd/valid/{name}.vhd", case, data, guest)

    guest = tiny()
    add("fixed", "a fixed disk: its bytes and a footer", fixed(guest), guest)
    add("fixed-511", "a fixed disk whose footer has 511 bytes (before Virtual PC 2004)", fixed(guest)[:-1], guest)
    add("fixed-empty", "a fixed disk of no bytes: the footer alone", fixed(b""), b"")
    odd = guest[:1000]
    add("fixed-odd", "a fixed disk of 1000 bytes, which are no whole sectors", fixed(odd), odd)
    add("fixed-longer-file", "the file has more bytes before its footer than the disk", guest + footer(FIXED, 1200), guest[:1200])
    add("fixed-sum-wrong", "the footer's checksum is wrong, and the length of the file bears out what it says",
        bytes(guest) + footer(FIXED, len(guest))[:SUM] + b"\0\0\0\1" + footer(FIXED, len(guest))[SUM + 4:], guest)
    front = disk(3 * SECTOR, [(0, b"conectix and what a guest may write"), (800, text("guest", 300))])
    add("fixed-front-cookie", "the guest's first bytes are those of a footer, which it is not", fixed(front), front)
    add("fixed-saved-state", "Saved State is 1", fixed(guest, saved=1), guest)
    add("fixed-minor-version", "File Format Version 1.7", fixed(guest, form=0x00010007), guest)
    # 1 cylinder of 2 heads with 2 sectors each is what Virtual PC sees; 5 sectors are what the file has.
    more = disk(5 * SECTOR, [(0, text("geometry", 700)), (3 * SECTOR, noise("geometry", 1024))])
    for creator, cut in ((b"vpc ", True), (b"qemu", True), (b"win ", False), (b"qem2", False), (b"vbox", False), (b"tap\0", False), (b"what", False)):
        name = creator.decode().strip(" \0")
        add(f"fixed-creator-{name}", f"creator {name}: the {'geometry' if cut else 'size'} says how large the disk is",
            fixed(more, creator=creator, geometry=(1, 2, 2)), more[:4 * SECTOR] if cut else more)
    add("fixed-creator-vpc-largest", "creator vpc and the largest geometry, which says nothing: the size counts",
        fixed(more, creator=b"vpc ", geometry=MAX_GEOMETRY), more)
    add("fixed-original-size", "Original Size differs: it means nothing", fixed(guest, original=7), guest)


def valid_dynamic(out):
    def add(name, case, image, guest):
        out.content(f"vhd/valid/{name}.vhd", case, getattr(image, "data", image), guest)

    guest = small()
    for size, name in ((512, "512"), (1024, "1k"), (4 * KIB, "4k"), (16 * KIB, "16k")):
        add(f"dynamic-block-{name}", f"blocks of {size} bytes", blocks(guest, block=size), guest)
    add("dynamic-empty", "1 GiB in blocks of 2 MiB, none of them there", blocks(b"", block=2 * MIB, size=64 * MIB), bytes(64 * MIB))
    add("dynamic-nothing", "a disk of no bytes: no block, no table", blocks(b""), b"")
    add("dynamic-unordered", "the blocks lie in the file in descending order", blocks(guest, order=(7, 3, 1, 0)), guest)
    add("dynamic-gaps", "sectors that belong to nothing lie before every block", blocks(guest, gap=2 * SECTOR), guest)
    add("dynamic-aligned", "the data of every block starts at a multiple of 2048", blocks(guest, align=2048), guest)
    add("dynamic-header-far", "the header lies at byte 2048", blocks(guest, header_at=2048), guest)
    add("dynamic-table-8192", "the table lies at byte 8192 (Windows)", blocks(tiny(), block=SECTOR, table_at=8192), tiny())
    add("dynamic-table-odd", "the table starts within a sector", blocks(guest, table_at=1540), guest)
    add("dynamic-table-last", "the table lies behind the blocks", blocks(guest, table_last=True), guest)
    add("dynamic-more-entries", "the table has more entries than the disk has blocks", blocks(guest, entries=200), guest)
    odd = guest[:7 * KIB + 900]
    add("dynamic-odd", "the disk ends within a block, and within a sector", blocks(odd), odd)
    short = disk(13 * SECTOR, [(0, text("short", 600)), (12 * SECTOR, noise("short", 512))])
    add("dynamic-last-short", "the last block is stored as far as the disk goes", blocks(short, cut_last=True), short)
    holes = disk(8 * KIB, [(0, noise("kept", 8 * KIB))])
    seen = disk(8 * KIB, [(0, holes[:SECTOR]), (3 * SECTOR, holes[3 * SECTOR:5 * SECTOR]), (4 * KIB + 7 * SECTOR, holes[-SECTOR:])])
    add("dynamic-bits-clear", "sectors whose bit is clear were never written: they are zero, whatever the block holds there",
        blocks(holes, block=4 * KIB, bits={0: (0, 3, 4), 1: (7,)}, junk=b"never written"), seen)
    add("dynamic-bits-none", "a block without a single bit set is zero", blocks(holes, block=4 * KIB, bits={0: (), 1: ()}, junk=b"no"), bytes(8 * KIB))

    add("dynamic-511", "the footer at the end has 511 bytes, the copy in front 512", blocks(guest, old=True), guest)
    add("dynamic-front-damaged", "the copy of the footer in front has a wrong size and checksum: the one at the end counts",
        blocks(guest).poke(CURRENT + 6, b"\x01"), guest)
    add("dynamic-front-missing", "the first sector is zero: the footer at the end counts", blocks(guest).poke(0, bytes(SECTOR)), guest)
    image = blocks(guest)
    add("dynamic-end-damaged", "the footer at the end is damaged: its copy in front counts", image.poke(image.end + CURRENT, b"\xee"), guest)
    add("dynamic-end-missing", "the file ends behind its last block: the copy in front counts", blocks(guest, end=False), guest)
    image = blocks(guest)
    add("dynamic-sums-wrong", "both footers have the same wrong checksum, and agree",
        image.put(SUM, "I", 5).put(image.end + SUM, "I", 5), guest)
    add("dynamic-stamps-differ", "the footers differ in their time stamps, which do not matter",
        blocks(guest).footer_field(TIME, "I", 5, end=False), guest)
    add("dynamic-saved-state", "Saved State is 1", blocks(guest, saved=1), guest)
    add("dynamic-xen", "as XenServer writes it: creator tap, no host", blocks(guest, creator=b"tap\0", host=bytes(4), version=0x00010003), guest)
    cut = disk(5 * SECTOR, [(0, text("geometry", 700)), (3 * SECTOR, noise("geometry", 1024))])
    add("dynamic-creator-vpc", "creator vpc: the geometry says how large the disk is, and the last sectors do not show",
        blocks(cut, creator=b"vpc ", geometry=(1, 2, 2)), cut[:4 * SECTOR])


def over(below, above, stored, block=KIB):
    """What a child shows: `above` where block numbers have sectors stored, else `below`."""
    guest = bytearray(below[:len(above)].ljust(len(above), b"\0"))
    for number, sectors in stored.items():
        for sector in sectors:
            at = number * block + sector * SECTOR
            guest[at:at + SECTOR] = above[at:at + SECTOR]
    return bytes(guest)


def valid_chain(out):
    def add(name, case, image, guest):
        out.content(f"vhd/valid/{name}.vhd", case, image.data, guest, gate=True)

    base = small()
    out.content("vhd/valid/chain-base.vhd", "a dynamic disk that others build on", blocks(base, unique="base").data, base)
    above = noise("above", 8 * KIB)
    stored = {0: (1,), 2: range(2), 7: (0,)}
    shown = over(base, above, stored)
    changed = disk(8 * KIB, [(n * KIB, above[n * KIB:(n + 1) * KIB]) for n in stored])

    def one(**more):
        return child(changed, "base", **{"bits": stored, "junk": b"the child's own", **more})

    add("chain-relative", "a child whose W2ru locator names its parent: clear bits are the parent's, whatever the block holds there",
        one(names=[relative(r".\chain-base.vhd")], unique="middle"), shown)
    add("chain-absolute", "a child that names its parent by the path that it had on Windows: it is looked for beside the child",
        one(names=[absolute(r"C:\disks\old\chain-base.vhd")]), shown)
    add("chain-name", "a child that names its parent in Parent Unicode Name alone", one(name=r"D:\chain-base.vhd"), shown)
    add("chain-mac", "a child that names its parent by a URL", one(names=[(b"MacX", b"file://localhost/disks/chain%2dbase.vhd")]), shown)
    add("chain-second-name", "the first names lead nowhere, the last one does",
        one(names=[relative(r"..\gone\base.vhd"), absolute(r"\\host\share\chain-base.vhd")], name="other.vhd"), shown)
    add("chain-identity", "a child that names nothing: the parent is the file beside it with the right Unique Id", one(), shown)
    add("chain-stamp", "Parent Time Stamp means nothing", one(names=[relative("chain-base.vhd")]).header_field(PARENT_TIME, "I", 77), shown)
    image = one(names=[relative("chain-base.vhd"), absolute("C:\\x.vhd")])
    image.put(image.header + LOCATORS + 24 + 16, "Q", 1 << 40)
    add("chain-locator-lost", "a locator that points behind the file names nothing; another one does", image.sum_header(), shown)
    add("chain-empty", "a child without a block is its parent", child(bytes(8 * KIB), "base", names=[relative("chain-base.vhd")]), base)
    grown = disk(10 * KIB, [(9 * KIB, text("grown", 800))])
    add("chain-grown", "a child that is larger than its parent: behind the parent there are zeros",
        child(grown, "base", names=[relative("chain-base.vhd")]), over(base, grown, {9: range(2)}))
    add("chain-shrunk", "a child that is smaller than its parent", child(bytes(5 * SECTOR), "base", names=[relative("chain-base.vhd")]), base[:5 * SECTOR])
    top = disk(8 * KIB, [(3 * KIB, text("top", KIB))])
    add("chain-three", "a child of a child", child(top, "middle", names=[relative("chain-relative.vhd")]), over(shown, top, {3: range(2)}))
    below = tiny()
    out.companion("vhd/valid/chain-fixed-base.vhd", fixed(below, unique="fixed base"))
    over_fixed = disk(3 * SECTOR, [(KIB, text("over fixed", SECTOR))])
    add("chain-fixed", "a child of a fixed disk", child(over_fixed, "fixed base", names=[relative("chain-fixed-base.vhd")]),
        over(below, over_fixed, {1: range(1)}))
    out.companion("vhd/valid/chain-nameless-base.vhd", fixed(below, unique="nobody")[:-SECTOR] + summed(
        footer(FIXED, len(below))[:UNIQUE] + bytes(SECTOR - UNIQUE), SUM))
    add("chain-null", "neither parent nor child say who they are (Bochs)",
        child(over_fixed, None, names=[relative("chain-nameless-base.vhd")]), over(below, over_fixed, {1: range(1)}))


def bad_footer(out):
    def refuse(name, case, data, kind, *mentions, shelf="malformed"):
        out.refused(f"vhd/{shelf}/{name}.vhd", case, getattr(data, "data", data), kind, *mentions)

    guest = tiny()
    refuse("empty", "a file of no bytes", b"", "malformed")
    refuse("no-footer", "a fixed disk without its footer", guest, "malformed")
    refuse("footer-cut", "a fixed disk whose footer is cut", fixed(guest)[:-100], "malformed")
    refuse("footer-not-last", "four sectors of zeros follow the footer of a fixed disk", fixed(guest) + bytes(4 * SECTOR), "malformed")
    refuse("fixed-front-only", "the footer of a fixed disk in front of it", footer(FIXED, len(guest)) + guest, "out-of-bounds")
    refuse("fixed-short", "a fixed disk of more bytes than lie before its footer", guest[:-SECTOR] + footer(FIXED, len(guest)), "out-of-bounds",
           "Current Size")
    refuse("fixed-geometry-short", "creator vpc, and a geometry of more bytes than there are", fixed(guest, creator=b"vpc ", geometry=(9, 4, 17)),
           "out-of-bounds", "force_size_calc")
    wrong = bytearray(guest + footer(FIXED, len(guest) - SECTOR))
    wrong[-SECTOR + SUM] ^= 1
    refuse("fixed-sum-wrong", "the checksum is wrong, and the length of the file does not bear out the size", wrong, "malformed", "Checksum")
    refuse("version-two", "File Format Version 2.0", fixed(guest, form=0x00020000), "unsupported", "File Format Version")
    for kind in (0, 1, 5, 6, 0xFFFFFFFF):
        refuse(f"type-{kind}", f"Disk Type {kind}", guest + footer(kind, len(guest)), "unsupported", "Disk Type")
    image = blocks(guest, block=SECTOR)
    refuse("sum-wrong-alone", "the only footer has a wrong checksum, and nothing bears it out",
           blocks(guest, block=SECTOR, end=False).put(SUM, "I", 1), "malformed", "byte 64")
    refuse("sums-wrong-differ", "both footers have wrong checksums, and differ", image.put(SUM, "I", 1).put(image.end + CURRENT + 4, "I", 9), "malformed")
    refuse("copies-differ", "the footer and its copy are both whole and say different sizes: this is two disks",
           blocks(guest, block=SECTOR).footer_field(CURRENT, "Q", 2048, end=False), "malformed", "footer=", shelf="hostile")
    image = blocks(guest, block=SECTOR)
    refuse("polyglot", "a dynamic disk in front, whose last sector is the footer of a fixed disk",
           bytes(image.data[:-SECTOR]) + footer(FIXED, image.end), "malformed", shelf="hostile")
    refuse("size-max", "Current Size 2^64-1", guest + footer(FIXED, (1 << 64) - 1), "limit-exceeded", "Current Size", shelf="hostile")
    refuse("size-2041g", "Current Size 2041 GiB", guest + footer(FIXED, 2041 << 30), "limit-exceeded", "2040 GiB", shelf="hostile")


def bad_table(out):
    def refuse(name, case, image, kind, *mentions, shelf="malformed"):
        out.refused(f"vhd/{shelf}/{name}.vhd", case, getattr(image, "data", image), kind, *mentions)

    guest = tiny()

    def one(**more):
        return blocks(guest, block=SECTOR, **more)

    refuse("header-cookie", "the header's cookie is wrong", one().header_field(0, "B", 0x43), "malformed", "byte 512", "Cookie")
    refuse("header-version", "Header Version 2.0", one().header_field(HEADER_VERSION, "I", 0x20000), "unsupported", "Header Version")
    refuse("header-sum", "one bit of the header has flipped", one().put(SECTOR + 900, "B", 1), "malformed", "byte 548", "Checksum")
    refuse("header-behind-file", "Data Offset leads behind the file", one().footer_field(DATA_OFFSET, "Q", 1 << 30), "out-of-bounds", "Data Offset")
    refuse("header-offset-max", "Data Offset 2^64-1 in a dynamic disk", one().footer_field(DATA_OFFSET, "Q", NOWHERE), "out-of-bounds", "Data Offset",
           shelf="hostile")
    refuse("header-cut", "the file ends within the header", bytes(one().data[:1000]), "out-of-bounds")
    for size in (0, 3, 256, 768, 3 << 20):
        refuse(f"block-{size}", f"Block Size {size}", one().header_field(BLOCK, "I", size), "malformed", "Block Size",
               shelf="hostile" if size == 0 else "malformed")
    refuse("entries-few", "the table has fewer entries than the disk has blocks", one().header_field(ENTRIES, "I", 2), "malformed", "Max Table Entries")
    refuse("table-behind-file", "Table Offset leads behind the file", one().header_field(TABLE, "Q", 1 << 30), "out-of-bounds", "Table Offset")
    refuse("table-cut", "the file ends within the table", bytes(one().data[:1536 + 10]), "out-of-bounds", "Table Offset")
    refuse("table-offset-max", "Table Offset 2^64-4", one().header_field(TABLE, "Q", NOWHERE - 3), "out-of-bounds", "Table Offset", shelf="hostile")
    refuse("entries-max", "a table of 2^32-1 entries in a small file", one().header_field(ENTRIES, "I", UNUSED), "out-of-bounds", "Table Offset",
           shelf="hostile")
    refuse("entries-2-30", "a table of 2^30+1 entries, whose length would pass 32 bits", one().header_field(ENTRIES, "I", 0x40000001), "out-of-bounds",
           shelf="hostile")
    huge = one().footer_field(CURRENT, "Q", 2040 << 30).header_field(BLOCK, "I", SECTOR).header_field(ENTRIES, "I", UNUSED)
    refuse("blocks-4g", "2040 GiB in blocks of 512 bytes", huge, "limit-exceeded", "Max Table Entries", shelf="hostile")

    image = one()
    refuse("block-cut", "the file ends within its last block", bytes(image.data[:image.blocks[2] + SECTOR + SECTOR - 200]), "out-of-bounds")
    refuse("bitmap-cut", "the file ends within the bitmap of its last block", bytes(image.data[:image.blocks[2] + 100]), "out-of-bounds")
    refuse("block-behind-file", "an entry points behind the file", one().entry(1, 0x00FFFFFF), "out-of-bounds")
    image = one()
    refuse("block-over-footer", "a block lies over the footer at the end: its last sector is the footer's",
           image.entry(2, image.blocks[2] // SECTOR + 1).poke(image.blocks[2] + SECTOR, b"\xff"), "out-of-bounds")

    def hostile(name, case, image, kind="malformed", *mentions):
        refuse(name, case, image, kind, *mentions, shelf="hostile")

    hostile("entry-max", "an entry of 2^32-2", one().entry(1, UNUSED - 1), "out-of-bounds")
    hostile("entry-zero", "an entry of 0, where the footer's copy is", one().entry(1, 0), "malformed", "byte 1540", "entry 1")
    hostile("entry-header", "an entry points at the header", one().entry(1, 1))
    hostile("entry-table", "an entry points at the table", one().entry(1, 3))
    image = one()
    hostile("block-twice", "two entries name the same block", image.entry(1, image.blocks[2] // SECTOR), "malformed", "over each other")
    image = one()
    hostile("block-overlap", "two blocks share one sector", image.entry(1, image.blocks[2] // SECTOR + 1), "malformed", "over each other")
    bomb = blocks(tiny(), block=SECTOR, size=128 * KIB)
    for number in range(256):
        bomb.entry(number, bomb.blocks[0] // SECTOR)
    hostile("bomb", "all 256 entries name the same block: a small file that is a large disk", bomb, "malformed", "over each other")


def bad_chain(out):
    def hostile(name, case, image, kind, *mentions):
        out.refused(f"vhd/hostile/{name}.vhd", case, image.data, kind, *mentions, gate=True)

    guest = tiny()

    def one(parent="gone", **more):
        return child(guest, parent, block=SECTOR, bits={0: (0,)}, **more)

    hostile("parent-missing", "the parent is not there", one(names=[relative(r".\gone.vhd")]), "missing", "gone.vhd")
    hostile("parent-identity-missing", "the parent is known by its Unique Id alone, and no file beside has it", one(), "missing")
    hostile("parent-unknown", "a differencing disk that says nothing of its parent", child(guest, None, block=SECTOR, bits={0: (0,)}), "missing")
    hostile("parent-absolute", "the parent's name is an absolute path that may not be opened", one(names=[absolute("/etc/hostname")]), "refused",
            "/etc/hostname")
    hostile("parent-climbing", "the parent's name leaves the folder (the file is there)", one("base", names=[relative(r"..\valid\chain-base.vhd")]),
            "refused", "chain-base.vhd")
    hostile("parent-json", "a name with a json: prefix is a file name, and there is no such file",
            one(name='json:{"driver":"file","filename":"hostname"}'), "missing")
    hostile("parent-itself", "the parent is the image itself",
            child(guest, "child of myself", bits={0: (0,)}, unique="child of myself", names=[relative("parent-itself.vhd")]), "malformed")
    hostile("parent-loop-a", "two disks are each other's parent", one("loop b", unique="loop a", names=[relative("parent-loop-b.vhd")]), "malformed")
    hostile("parent-loop-b", "two disks are each other's parent", one("loop a", unique="loop b", names=[relative("parent-loop-a.vhd")]), "malformed")
    out.companion("vhd/hostile/parent-stranger.vhd", fixed(guest, unique="stranger"))
    hostile("parent-changed", "the parent is there, but has another Unique Id: it is another disk", one(names=[relative("parent-stranger.vhd")]),
            "malformed", "unique id")
    out.companion("vhd/hostile/parent-raw-base.vhd", guest)
    hostile("parent-raw", "the parent is no VHD", one(names=[relative("parent-raw-base.vhd")]), "malformed")
    image = one(names=[relative("gone.vhd")])
    image.put(image.header + LOCATORS + 8, "I", 0xFFFFFFFF)
    hostile("locator-long", "a locator of 4 GiB names nothing", image.sum_header(), "missing")


def build(out):
    """Adds every file."""
    valid_fixed(out)
    valid_dynamic(out)
    valid_chain(out)
    bad_footer(out)
    bad_table(out)
    bad_chain(out)
