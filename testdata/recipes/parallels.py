"""Parallels images, written from the document that QEMU publishes (docs/interop/parallels.rst)."""

import struct

from common import KIB, MIB, SECTOR, ceil_div, disk, noise, round_up, text

OLD, NEW = b"WithoutFreeSpace", b"WithouFreSpacExt"
OPEN, CLOSED = 0x746F6E59, 0x312E3276

# Byte offsets of the header's fields.
MAGIC, VERSION, TRACKS, ENTRIES, SECTORS, IN_USE, DATA, FLAGS, EXTENSION, BAT = 0, 16, 28, 32, 36, 44, 48, 52, 56, 64


class Image:
    """Bytes with the places worth damaging."""

    def __init__(self):
        self.data = bytearray()

    def put(self, offset, form, value):
        struct.pack_into("<" + form, self.data, offset, value)
        return self

    def entry(self, number, value):
        return self.put(BAT + 4 * number, "I", value)


def image(guest, tracks=2, magic=NEW, order=None, entries=None, sectors=None, in_use=CLOSED, data_off=None, first=None, hole=0, cut_last=False, extension=0):
    """A disk in clusters of `tracks` sectors. `first` is the sector of the first cluster, `hole` clusters behind it belong to nobody."""
    made = Image()
    size = tracks * SECTOR
    sectors = len(guest) // SECTOR if sectors is None else sectors
    entries = ceil_div(sectors, tracks) if entries is None else entries
    unit = 1 if magic == OLD else tracks
    if first is None:
        first = round_up(BAT + 4 * entries, SECTOR if magic == OLD else size) // SECTOR
    bat = [0] * entries
    made.data = bytearray(first * SECTOR + hole * size)
    if order is None:
        order = [n for n in range(ceil_div(len(guest), size)) if any(guest[n * size:(n + 1) * size])]
    for number in order:
        bat[number] = len(made.data) // SECTOR // unit
        part = guest[number * size:(number + 1) * size]
        made.data += part
        if not cut_last:
            made.data += bytes(size - len(part))
    struct.pack_into(f"<{entries}I", made.data, BAT, *bat)
    data_off = first if data_off is None else data_off
    struct.pack_into("<16sIIIIIQIIIQ", made.data, 0, magic, 2, 16, sectors // 512, tracks, entries, sectors, in_use, data_off, 0, extension)
    return made


def tiny():
    """Five clusters of 1 KiB and a sector: the first, the third and the last have data."""
    return disk(5 * KIB + SECTOR, [(100, text("parallels first", 700)), (2 * KIB, noise("parallels third", KIB)), (5 * KIB, noise("parallels last", SECTOR))])


def build(out):
    valid(out)
    bad(out)


def valid(out):
    def good(name, case, made, guest):
        out.content(f"parallels/valid/{name}.hds", case, made.data, guest)

    guest = tiny()
    good("clusters", "entries that count clusters", image(guest), guest)
    good("sectors", "the old magic: entries that count sectors", image(guest, magic=OLD, tracks=3), guest)
    old = image(guest, magic=OLD, data_off=0)
    good("sectors-rest", "the old magic, of whose number of sectors only the first half counts", old.put(SECTORS + 4, "I", 0xEEEEEEEE), guest)
    good("order", "clusters in another order than on the disk", image(guest, order=(5, 0, 2)), guest)
    good("hole", "two clusters of the file belong to nobody", image(guest, hole=2), guest)
    good("tracks-1", "clusters of one sector", image(guest, tracks=1), guest)
    good("tracks-3", "clusters of three sectors", image(guest, tracks=3), guest)
    good("tracks-63", "a cluster that is larger than the disk", image(guest, tracks=63), guest)
    good("bat-large", "the BAT has more entries than the disk has clusters", image(guest, entries=300), guest)
    good("cut-last", "the file ends where the disk does, within the last cluster", image(guest, cut_last=True), guest)
    good("in-use", "an image that was not closed", image(guest, in_use=OPEN), guest)
    good("never-open", "an image that was never opened", image(guest, in_use=0), guest)
    good("data-off-0", "nothing says where the first cluster is, and nothing has to", image(guest, data_off=0), guest)
    good("extension", "a format extension, which is not looked at", image(guest, hole=1, extension=2), guest)
    good("empty", "a disk of 64 MiB without a cluster", image(b"", tracks=2048, sectors=64 * MIB // SECTOR), bytes(64 * MIB))
    good("size-0", "a disk without a byte", image(b""), b"")


def bad(out):
    def refuse(name, case, made, kind, *mentions, shelf="malformed"):
        out.refused(f"parallels/{shelf}/{name}.hds", case, getattr(made, "data", made), kind, *mentions)

    guest = tiny()

    def one(**more):
        return image(guest, **more)

    def hostile(name, case, made, kind, *mentions):
        refuse(name, case, made, kind, *mentions, shelf="hostile")

    refuse("header-short", "the file ends within the header", one().data[:40], "out-of-bounds")
    refuse("version-1", "version 1", one().put(VERSION, "I", 1), "unsupported", "byte 16", "version")
    refuse("version-3", "version 3", one().put(VERSION, "I", 3), "unsupported", "version")
    refuse("entries-few", "a BAT with fewer entries than the disk has clusters", one().put(ENTRIES, "I", 5), "malformed", "byte 32", "bat_entries")
    refuse("bat-cut", "the file ends within the BAT", one(entries=300).data[:BAT + 40], "out-of-bounds", "bat_entries")
    refuse("cluster-behind-file", "a cluster behind the end of the file", one().entry(2, 100), "out-of-bounds", "byte 72", "BAT")
    refuse("cluster-cut", "the file ends within a cluster", one(order=(5, 0, 2)).data[:-100], "out-of-bounds", "byte 72")
    refuse("cluster-in-bat", "a cluster within the BAT", one(magic=OLD, entries=300).entry(2, 1), "malformed", "byte 72", "BAT")
    hostile("tracks-0", "clusters without a sector", one().put(TRACKS, "I", 0), "malformed", "byte 28", "tracks")
    hostile("tracks-513", "clusters whose bytes have more than 31 bits", one().put(TRACKS, "I", (2**31 - 1) // 513 + 1), "malformed", "tracks")
    hostile("tracks-max", "clusters of 2^32-1 sectors", one().put(TRACKS, "I", 2**32 - 1), "malformed", "tracks")
    hostile("entries-max", "2^32-1 entries", one().put(ENTRIES, "I", 2**32 - 1), "limit-exceeded", "byte 32", "bat_entries")
    hostile("entries-2-29", "entries for which no memory is spent", one().put(ENTRIES, "I", 2**29 - 1), "limit-exceeded", "bat_entries")
    hostile("entries-many", "more entries than the file has room for", one().put(ENTRIES, "I", 2**20), "out-of-bounds", "bat_entries")
    hostile("sectors-max", "2^64-1 sectors", one().put(SECTORS, "Q", 2**64 - 1), "limit-exceeded", "byte 36", "nb_sectors")
    hostile("sectors-55", "2^55 sectors, which are 2^64 bytes", one().put(SECTORS, "Q", 2**55), "limit-exceeded", "nb_sectors")
    hostile("entry-max", "a cluster at the end of all that an entry can name", one().entry(2, 2**32 - 1), "out-of-bounds", "byte 72")
    hostile("cluster-twice", "two entries that lead to the same cluster", one().entry(1, 1), "malformed", "BAT")
    hostile("cluster-overlaps", "clusters that share a sector", one(magic=OLD, tracks=3, hole=1).entry(1, 3), "malformed", "BAT")
    bomb = image(guest[:KIB], entries=4096, sectors=8192)
    for number in range(4096):
        bomb.entry(number, 17)
    hostile("bomb", "one cluster under all entries", bomb, "malformed", "BAT")
