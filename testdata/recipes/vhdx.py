"""VHDX images, written from [MS-VHDX]."""

import functools
import struct
import uuid

import deflate
from common import KIB, MIB, ceil_div, disk, noise, round_up, text

LEAVE_ALLOCATED, HAS_PARENT = 1, 2
NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED, UNMAPPED_V095, FULL, PARTIAL = 0, 1, 2, 3, 5, 6, 7
IS_USER, IS_DISK, IS_REQUIRED = 1, 2, 4

BAT = "2dc27766-f623-4200-9d64-115e9bfd4a08"
METADATA = "8b7ca206-4790-4b9a-b8fe-575f050f886e"
PARAMETERS = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
SIZE = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
DISK_ID = "beca12ab-b2e6-4523-93ef-c309e000c746"
LOGICAL = "8141bf1d-a96f-4709-ba47-f233a8faab5f"
PHYSICAL = "cda348c7-445d-4471-9cc9-e9885251c556"
LOCATOR = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
VHDX_LOCATOR = "b04aefb7-d19e-4a81-b789-25b8e9445913"
NOBODY = "11111111-2222-3333-4444-555555555555"

FILE_GUID = "f0000000-aaaa-4bbb-8ccc-0123456789ab"
DATA_GUID = "d0000000-aaaa-4bbb-8ccc-0123456789ab"
DISK_GUID = "50000000-aaaa-4bbb-8ccc-0123456789ab"
LOG_GUID = "10000000-aaaa-4bbb-8ccc-0123456789ab"
HEADER_AT, REGIONS_AT = (64 * KIB, 128 * KIB), (192 * KIB, 256 * KIB)
LOG_AT, META_AT, BAT_AT, DATA_AT = MIB, 2 * MIB, 3 * MIB, 4 * MIB
# Where files end in which nothing is read behind the region tables, or the metadata.
TABLES_END, META_END = 320 * KIB, META_AT + 80 * KIB


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = _crc_table()


@functools.cache
def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def sealed(data):
    """`data` with the checksum over itself at byte 4."""
    data = bytearray(data)
    data[4:8] = bytes(4)
    data[4:8] = struct.pack("<I", crc32c(bytes(data)))
    return bytes(data)


def guid(value):
    return uuid.UUID(value).bytes_le


def header(sequence, log_guid=None, version=1, log_version=0, log_len=MIB, log_at=LOG_AT, data_guid=DATA_GUID):
    return sealed(struct.pack("<4sIQ16s16s16sHHIQ", b"head", 0, sequence, guid(FILE_GUID), guid(data_guid),
                              guid(log_guid) if log_guid else bytes(16), log_version, version, log_len, log_at)
                  .ljust(4096, b"\0"))


def regions(entries, count=None):
    body = b"".join(guid(ident) + struct.pack("<QII", at, length, required) for ident, at, length, required in entries)
    table = struct.pack("<4sIII", b"regi", 0, len(entries) if count is None else count, 0) + body
    return sealed(table.ljust(64 * KIB, b"\0"))


USUAL_REGIONS = ((BAT, BAT_AT, MIB, 1), (METADATA, META_AT, MIB, 1))


def metadata(items, count=None, signature=b"metadata", first=64 * KIB, gap=0):
    """The region for `(identifier, flags, content)`; a content that is a pair is `(offset, length)` as such."""
    table, body, at = b"", b"", first
    for ident, flags, content in items:
        if isinstance(content, tuple):
            offset, length = content
        else:
            offset, length = at, len(content)
            body = body.ljust(at - 64 * KIB, b"\0") + content
            at += round_up(length, 8) + gap
        table += guid(ident) + struct.pack("<IIII", offset, length, flags, 0)
    head = struct.pack("<8sHH20x", signature, 0, len(items) if count is None else count)
    return (head + table).ljust(64 * KIB, b"\0") + body


def locator(pairs, kind=VHDX_LOCATOR, count=None):
    texts, table = b"", b""
    start = 20 + 12 * len(pairs)
    for key, value in pairs:
        key, value = key.encode("utf-16-le"), value.encode("utf-16-le")
        table += struct.pack("<IIHH", start + len(texts), start + len(texts) + len(key), len(key), len(value))
        texts += key + value
    return guid(kind) + struct.pack("<HH", 0, len(pairs) if count is None else count) + table + texts


def linkage(data_guid=DATA_GUID):
    return ("parent_linkage", "{" + data_guid + "}")


def items(size, block=MIB, flags=0, logical=512, physical=4096, parent=None):
    found = [
        (PARAMETERS, IS_REQUIRED, struct.pack("<II", block, flags | (HAS_PARENT if parent else 0))),
        (SIZE, IS_DISK | IS_REQUIRED, struct.pack("<Q", size)),
        (DISK_ID, IS_DISK | IS_REQUIRED, guid(DISK_GUID)),
        (LOGICAL, IS_DISK | IS_REQUIRED, struct.pack("<I", logical)),
        (PHYSICAL, IS_DISK | IS_REQUIRED, struct.pack("<I", physical)),
    ]
    if parent:
        found.append((LOCATOR, IS_REQUIRED, parent))
    return found


class Vhdx:
    """A file in the making, and its guest disk."""

    def __init__(self, guest, block=MIB, sector=512, parent=None, data_at=DATA_AT, **more):
        self.guest, self.block, self.sector, self.parent = bytearray(guest), block, sector, parent
        self.data = bytearray(data_at)
        self.put(0, b"vhdxfile" + "testdata".encode("utf-16-le"))
        self.put(HEADER_AT[0], header(7)).put(HEADER_AT[1], header(8))
        for at in REGIONS_AT:
            self.put(at, regions(USUAL_REGIONS))
        self.put(META_AT, metadata(items(len(guest), block, logical=sector, parent=parent, **more)))
        self.ratio = (sector << 23) // block

    def put(self, at, data):
        if at + len(data) > len(self.data):
            self.data += bytes(at + len(data) - len(self.data))
        self.data[at:at + len(data)] = data
        return self

    def entry_at(self, index):
        return BAT_AT + 8 * index

    def entry(self, index, state, offset=0):
        return self.put(self.entry_at(index), struct.pack("<Q", offset | state))

    def store(self, block, data=None, state=FULL, whole=True):
        """Stores block number `block` at the end of the file."""
        start = block * self.block
        data = bytes(self.guest[start:start + self.block]) if data is None else data
        at = round_up(len(self.data), MIB)
        self.put(at, data.ljust(self.block, b"\0") if whole else data)
        self.entry(block, state, at)
        return at

    def store_all(self, order=None, whole=False):
        blocks = ceil_div(len(self.guest), self.block)
        for block in order or range(blocks):
            if any(self.guest[block * self.block:(block + 1) * self.block]):
                # Of the last block there is what belongs to the disk.
                self.store(block, whole=whole or block < blocks - 1)
        return self

    def partial(self, block, sectors, data):
        """Stores a block of which only `sectors`, ranges of sector numbers within it, are its own."""
        at = self.store(block, data, PARTIAL)
        if not hasattr(self, "bitmap"):
            self.bitmap = len(self.data)
            self.put(self.bitmap, bytes(MIB)).entry(self.ratio, FULL, self.bitmap)
        base = block * self.block // self.sector
        for run in sectors:
            for number in run:
                self.data[self.bitmap + (base + number) // 8] |= 1 << (base + number) % 8
        return at

    def log(self, entries, at=0, log_guid=LOG_GUID, length=MIB):
        """Puts entries into the log, from its byte `at` on and around its end, and names it in the headers."""
        for entry in entries:
            for start in range(0, len(entry), 4096):
                self.put(LOG_AT + at % length, entry[start:start + 4096])
                at += 4096
        self.put(HEADER_AT[0], header(7, log_guid, log_len=length)).put(HEADER_AT[1], header(8, log_guid, log_len=length))
        return self

    def finish(self, length=None):
        return bytes(self.data if length is None else self.data[:length])


def log_entry(sequence, changes, tail=0, flushed=META_AT, last=META_AT, log_guid=LOG_GUID, seal=True):
    """An entry of the log; a change is `(offset, 4096 bytes)` or, for zeros, `(offset, length)`."""
    descriptors, sectors = b"", b""
    for at, data in changes:
        if isinstance(data, int):
            descriptors += struct.pack("<4sIQQQ", b"zero", 0, data, at, sequence)
        else:
            assert len(data) == 4096
            descriptors += struct.pack("<4s4s8sQQ", b"desc", data[4092:], data[:8], at, sequence)
            sectors += struct.pack("<4sI4084sI", b"data", sequence >> 32, data[8:4092], sequence & 0xFFFFFFFF)
    front = round_up(64 + len(descriptors), 4096)
    entry = struct.pack("<4sIIIQII16sQQ", b"loge", 0, front + len(sectors), tail, sequence, len(changes), 0,
                        guid(log_guid), flushed, last)
    entry = (entry + descriptors).ljust(front, b"\0") + sectors
    return sealed(entry) if seal else entry


def small():
    """Three blocks of 1 MiB, the last one short and the only one that is stored."""
    size = 2 * MIB + 20 * KIB
    return disk(size, [(2 * MIB, text("vhdx", 200)), (size - 100, text("tail", 100))])


def pair():
    """The same, and the first block is stored too."""
    return disk(2 * MIB, [(0, text("first", 200)), (700 * KIB, noise("vhdx", 60))]) + small()[2 * MIB:]


def sample(**more):
    return Vhdx(small(), **more).store_all()


def build(out):
    valid(out)
    valid_log(out)
    valid_differencing(out)
    bad_header(out)
    bad_regions(out)
    bad_metadata(out)
    bad_table(out)
    bad_log(out)
    bad_differencing(out)
    hostile(out)


def packed(out, shelf, name, case, image, *outcome, **more):
    path = f"vhdx/{shelf}/{name}.vhdx.gz"
    data = deflate.gzip_file(image if isinstance(image, bytes) else image.finish())
    if isinstance(outcome[0], (bytes, bytearray)):
        out.content(path, case, data, bytes(outcome[0]), packed="gzip", **more)
    else:
        out.refused(path, case, data, *outcome, packed="gzip", **more)


def valid(out):
    def add(name, case, image, guest=None):
        packed(out, "valid", name, case, image, small() if guest is None else guest)

    add("dynamic", "blocks of 1 MiB, the middle one not present, the last one longer than the disk", Vhdx(pair()).store_all(whole=True), pair())
    add("blocks-shuffled", "blocks lie in the file in another order than on the disk", Vhdx(pair()).store_all((2, 0)), pair())
    image = Vhdx(pair(), block=2 * MIB)
    image.store(0)
    image.store(1, whole=False)
    add("last-block-short", "the file ends inside the last block, behind the last byte of the disk", image, pair())
    image = Vhdx(small(), flags=LEAVE_ALLOCATED)
    for block in range(3):
        image.store(block)
    add("fixed", "LeaveBlocksAllocated: every block is stored", image)
    guest = disk(MIB + 12 * KIB, [(4096, text("4k", 500)), (MIB + 8 * KIB, text("last", 4096))])
    add("sector-4096", "logical sectors of 4096 bytes", Vhdx(guest, sector=4096).store_all(), guest)
    image = sample(physical=512)
    add("physical-512", "physical sectors of 512 bytes", image)
    guest = disk(6 * MIB, [(0, text("states", 900))])
    image = Vhdx(guest).store_all()
    for block, state in enumerate((UNDEFINED, ZERO, UNMAPPED, UNMAPPED_V095, NOT_PRESENT), start=1):
        image.entry(block, state, DATA_AT)
    add("states", "every state that is not stored, each with an offset that means nothing", image, guest)
    image = Vhdx(bytes(3 * MIB))
    add("empty", "nothing is stored, and the file ends with its tables", image, bytes(3 * MIB))
    add("size-zero", "a disk of no bytes", Vhdx(b""), b"")
    add("entry-reserved-bits", "reserved bits of an entry are set",
        sample().put(BAT_AT + 16, struct.pack("<Q", DATA_AT | FULL | 0xFFFF8)))

    image = sample().put(HEADER_AT[0], header(3)).put(HEADER_AT[1] + 100, b"damage")
    add("header-2-damaged", "the newer header is damaged, the older one counts", image)
    add("header-1-damaged", "the first header is damaged", sample().put(HEADER_AT[0], bytes(4096)))
    add("header-1-newer", "the first header is the newer one; the second names a log that is none",
        sample().put(HEADER_AT[0], header(9)).put(HEADER_AT[1], header(8, LOG_GUID)))
    add("headers-equal", "both headers have the same number and are the same, as disk2vhd writes them",
        sample().put(HEADER_AT[0], header(1)).put(HEADER_AT[1], header(1)))
    add("log-version-without-log", "a log version that nobody knows, but no log",
        sample().put(HEADER_AT[1], header(9, log_version=3)))
    add("region-table-1-damaged", "the first region table is damaged, the second one counts",
        sample().put(REGIONS_AT[0] + 20, b"damage"))
    not_required = [(ident, at, length, 0) for ident, at, length, _ in USUAL_REGIONS]
    add("regions-not-required", "no region is marked as required, as QEMU writes them",
        sample().put(REGIONS_AT[0], regions(not_required)))
    add("region-unknown", "an unknown region that is not required, and the others in another order",
        sample().put(REGIONS_AT[0], regions([(NOBODY, 64 * MIB, 2 * MIB, 0), *reversed(USUAL_REGIONS)])))
    shuffled = [*reversed(items(len(small()))), (NOBODY, IS_DISK, b"nobody knows"), (SIZE, IS_USER, b"user"),
                (NOBODY, IS_USER, (0, 0))]
    add("items-shuffled", "items in another order, with gaps, an unknown one, one of a user, and an empty one",
        sample().put(META_AT, metadata(shuffled, gap=1000, first=70 * KIB)))
    few = [item for item in items(len(small())) if item[0] not in (DISK_ID, PHYSICAL)]
    add("items-few", "neither a disk identifier nor a physical sector size: nothing hangs on them",
        sample().put(META_AT, metadata(few)))


def valid_log(out):
    def add(name, case, image, guest=None):
        packed(out, "valid", f"log-{name}", case, image, small() if guest is None else guest)

    def table(image):
        """The first sector of the table as it shall be, and the image without it."""
        sector = bytes(image.data[BAT_AT:BAT_AT + 4096])
        image.put(BAT_AT, bytes(4096))
        return sector

    image = sample()
    add("entries-of-nobody", "the headers name no log: what lies in its place does not count",
        image.put(LOG_AT, log_entry(5, [(BAT_AT, bytes(4096))])))
    image = sample()
    right = table(image)
    end = len(image.data)
    add("table", "the log has the first sector of the block allocation table",
        image.log([log_entry(5, [(BAT_AT, right)], flushed=end, last=end)]))
    image = sample()
    right = table(image)
    wrong = bytes(range(256)) * 16
    image.log([log_entry(5, [(BAT_AT, wrong)]), log_entry(6, [(BAT_AT, 4096), (META_AT + MIB // 2, wrong)]),
               log_entry(7, [(BAT_AT, right)])])
    add("three-entries", "three entries replace one sector: by something, by zeros, by what counts", image)
    image = sample()
    right = table(image)
    image.log([log_entry(5, [(BAT_AT, wrong)], tail=MIB - 8192), log_entry(6, [(BAT_AT, right)], tail=MIB - 8192)],
              at=MIB - 8192)
    add("around-the-end", "the sequence begins at the end of the log and goes on at its start", image)
    image = sample()
    right = table(image)
    tail = MIB - 4096
    image.log([log_entry(1 << 40, [(BAT_AT, right)], tail=tail)], at=tail)
    add("entry-around-the-end", "an entry begins in the last sector of the log, and its data is in the first", image)
    image = sample()
    right = table(image)
    image.log([log_entry(90, [(BAT_AT, right)], tail=64 * KIB)], at=64 * KIB)
    image.log([log_entry(80, [(BAT_AT, wrong)]), log_entry(81, [(BAT_AT, wrong)])])
    add("older-sequence", "two sequences: the one that ends with the greater number counts", image)
    image = sample()
    right = table(image)
    torn = bytearray(log_entry(6, [(BAT_AT, wrong)]))
    torn[5000] ^= 1
    add("torn", "the last entry was not written to its end; the one before it counts",
        image.log([log_entry(5, [(BAT_AT, right)]), bytes(torn)]))
    image = sample()
    right = table(image)
    stale = log_entry(4, [(BAT_AT, wrong)], log_guid=NOBODY)
    add("other-guid", "an entry of another log follows and does not count",
        image.log([log_entry(5, [(BAT_AT, right)]), stale]))
    image = sample()
    right = table(image)
    image.log([log_entry(3, [(BAT_AT, wrong)]), log_entry(4, [(BAT_AT, wrong)]),
               log_entry(5, [(BAT_AT, right)], tail=2 * 8192)])
    add("tail-moved", "the sequence begins with the last entry, by its tail; those before are done", image)
    guest = bytearray(small())
    sector, far = text("in the log", 4096), text("behind the end", 4096)
    guest[2 * MIB + 8192:2 * MIB + 12288] = sector
    guest[MIB:2 * MIB] = bytes(MIB)
    guest[MIB + 4096:MIB + 8192] = far
    image = sample()
    end = 5 * MIB
    image.put(end - 1, b"\0")
    grown = bytearray(image.data[BAT_AT:BAT_AT + 4096])
    grown[8:16] = struct.pack("<Q", end | FULL)
    image.log([log_entry(5, [(DATA_AT + 8192, sector), (BAT_AT, bytes(grown)), (end + 4096, far)],
                         flushed=end, last=end + MIB)])
    add("grows", "a sector of a block, and a block behind the end of the file, which LastFileOffset makes longer", image, guest)
    guest = bytearray(small())
    guest[2 * MIB:2 * MIB + 8192] = bytes(8192)
    image = sample()
    add("zeros", "a zero descriptor over the first sectors of a block", image.log([log_entry(5, [(DATA_AT, 8192)])]), guest)
    image = sample()
    right = bytes(image.data[META_AT:META_AT + 4096])
    changes = [(META_AT, 4096)] + [(META_AT + MIB // 4 + 4096 * n, bytes([n]) * 4096) for n in range(130)] + [(META_AT, right)]
    image.put(META_AT, bytes(range(256)) * 16)
    add("many-descriptors", "descriptors fill more than a sector; the last one has the metadata table",
        image.log([log_entry(5, changes)]))


def child(parent, guest, **more):
    return Vhdx(guest, parent=parent, **more)


def valid_differencing(out):
    base = disk(3 * MIB, [(0, b"the base. " * (20 * KIB)), (MIB, text("base", 500)), (3 * MIB - 300, text("end", 300))])
    path = "vhdx/valid/diff-base.vhdx.gz"
    out.content(path, "what the differencing disks build on", deflate.gzip_file(Vhdx(base).store_all().finish()), base,
                packed="gzip")

    def add(name, case, image, guest, **more):
        packed(out, "valid", f"diff-{name}", case, image, guest, gate=True, **more)

    where = locator([linkage(), ("relative_path", ".\\diff-base.vhdx")])
    guest = bytearray(base)
    guest[MIB:2 * MIB] = bytes(MIB)
    guest[2 * MIB:2 * MIB + 900] = text("child", 900)
    image = child(where, guest)
    image.entry(1, ZERO)
    image.store(2)
    add("whole-blocks", "one block is the parent's, one is zero, one is stored", image, guest)
    guest = bytearray(base)
    own = bytearray(b"stored, and seen or not;" * (MIB // 24 + 1))[:MIB]
    sectors = (range(3, 10), range(64, 65), range(1000, 2048))
    for run in sectors:
        guest[run.start * 512:run.stop * 512] = own[run.start * 512:run.stop * 512]
    guest[2 * MIB:2 * MIB + 512] = text("one", 512)
    image = child(where, guest)
    image.partial(0, sectors, bytes(own))
    image.partial(2, (range(0, 1),), text("one", 512))
    add("sectors", "blocks that are partly stored: a bitmap says which sectors", image, guest)
    guest = bytearray(base)
    for block in range(3):
        guest[block * MIB:(block + 1) * MIB] = bytes(MIB)
    image = child(where, guest)
    for block, state in enumerate((UNDEFINED, UNMAPPED, UNMAPPED_V095)):
        image.entry(block, state)
    add("discarded", "what was discarded is not the parent's: it is zero", image, guest)
    guest = base + bytes(MIB) + text("longer", 512)
    image = child(where, guest)
    image.store(4)
    add("longer", "a child that is longer than its parent: zeros follow", image, guest)
    guest = base[:2 * MIB + 512]
    add("shorter", "a child that is shorter than its parent", child(where, guest), guest)
    pairs = [("absolute_win32_path", "C:\\elsewhere\\diff-base.vhdx"), linkage(),
             ("volume_path", "\\\\?\\Volume{26A21BDA-A627-11D7-9931-806E6F6E6963}\\elsewhere\\diff-base.vhdx")]
    add("absolute-name", "no relative path: the file beside the child that has the name", child(locator(pairs), base), base)


def bad_header(out):
    def add(name, case, image, *outcome):
        packed(out, "malformed", name, case, image, *outcome)

    add("signature", "the file type identifier is another", sample().put(7, b"E").finish(TABLES_END), "malformed", "Signature")
    broken = sample().put(HEADER_AT[0] + 9, b"x").put(HEADER_AT[1] + 9, b"x")
    add("headers-damaged", "both headers are damaged", broken.finish(TABLES_END), "malformed", "byte 65540", "Checksum")
    image = sample().put(HEADER_AT[0], header(1, version=2)).put(HEADER_AT[1], header(2, version=2))
    add("version-two", "version 2 of the format", image.finish(TABLES_END), "unsupported", "Version")
    image = sample().put(HEADER_AT[0], header(1)).put(HEADER_AT[1], header(1, data_guid=NOBODY))
    add("headers-differ", "equally new headers that differ", image.finish(TABLES_END), "malformed", "SequenceNumber")
    image = sample().put(HEADER_AT[0], bytes(4)).put(HEADER_AT[1], header(2, log_at=5000))
    add("log-unaligned", "the log is not at whole MiB", image.finish(TABLES_END), "malformed")
    for length in (4, 70 * KIB, 200 * KIB, META_AT + 100, META_AT + 64 * KIB + 3):
        add(f"cut-{length}", "the file ends early", sample().finish(length), "out-of-bounds")


def bad_regions(out):
    def add(name, case, entries, *outcome, count=None):
        image = sample()
        for at in REGIONS_AT:
            image.put(at, regions(entries, count))
        packed(out, "malformed", f"region-{name}", case, image.finish(META_END), *outcome)

    bat, meta = USUAL_REGIONS
    add("tables-damaged", "both region tables are damaged", [(BAT, 5, 5, 5), meta], "malformed", "FileOffset")
    add("count", "more entries than a table has", USUAL_REGIONS, "malformed", "EntryCount", count=2048)
    add("unknown-required", "an unknown region that is required", [bat, meta, (NOBODY, 64 * MIB, MIB, 1)], "unsupported", NOBODY)
    add("bat-missing", "no block allocation table", [meta], "malformed", "block allocation table")
    add("metadata-missing", "no metadata", [bat], "malformed", "metadata")
    add("twice", "a region is named twice", [bat, meta, (BAT, 64 * MIB, MIB, 1)], "malformed", "twice")
    add("in-headers", "a region lies in the header section", [bat, (METADATA, 0, MIB, 1)], "malformed", "FileOffset")
    add("overlap", "two regions overlap", [bat, (METADATA, META_AT, 2 * MIB, 1)], "malformed", "overlap")
    add("over-log", "a region lies where the log is", [bat, (METADATA, LOG_AT, MIB, 1)], "malformed", "overlap")
    add("behind-file", "the metadata lies behind the end of the file", [bat, (METADATA, 1 << 40, MIB, 1)], "out-of-bounds")
    add("bat-behind-file", "the table lies behind the end of the file", [(BAT, 1 << 40, MIB, 1), meta], "out-of-bounds")


def bad_metadata(out):
    def add(name, case, found, *outcome, **more):
        packed(out, "malformed", f"metadata-{name}", case, sample().put(META_AT, metadata(found, **more)).finish(META_END), *outcome)

    usual = items(len(small()))
    without = lambda ident: [item for item in usual if item[0] != ident]  # noqa: E731
    add("signature", "the metadata table has another signature", usual, "malformed", "Signature", signature=b"metadatA")
    add("count", "more items than a table has", usual, "malformed", "EntryCount", count=2048)
    add("twice", "an item is there twice", [*usual, usual[1]], "malformed", "twice")
    add("unknown-required", "an unknown item that is required", [*usual, (NOBODY, IS_REQUIRED, b"?")], "unsupported", NOBODY)
    add("offset-in-table", "an item lies in the table", [*without(SIZE), (SIZE, 6, (100, 8))], "malformed", "Offset")
    add("offset-behind", "an item lies behind the region", [*without(SIZE), (SIZE, 6, (MIB - 4, 8))], "malformed", "Offset")
    add("length", "the size has seven bytes", [*without(SIZE), (SIZE, 6, (64 * KIB, 7))], "malformed", "Length")
    for ident, word in ((PARAMETERS, "File Parameters"), (SIZE, "Virtual Disk Size"), (LOGICAL, "Logical Sector Size")):
        add(f"no-{word.split()[0].lower()}", f"the item {word} is missing", without(ident), "malformed", word)
    for block in (0, 3 * MIB, 512 * MIB):
        add(f"block-{block}", f"blocks of {block} bytes", items(len(small()), block=block), "malformed", "BlockSize")
    add("sector-520", "sectors of 520 bytes", items(len(small()), logical=520), "malformed", "LogicalSectorSize")
    add("size-odd", "the disk is no whole number of sectors", items(len(small()) + 1), "malformed", "VirtualDiskSize")
    add("size-4096", "the disk is no whole number of its sectors", items(4096 * 5 + 512, logical=4096), "malformed", "VirtualDiskSize")
    add("size-max", "a disk of 2^64 - 512 bytes", items((1 << 64) - 512), "malformed", "VirtualDiskSize")
    add("table-short", "the block allocation table has more entries than its region", items(1 << 40), "malformed", "entries")


def bad_table(out):
    def add(name, case, image, *outcome):
        packed(out, "malformed", name, case, image, *outcome)

    def entry(state, offset, at=BAT_AT, data=b""):
        return sample().put(at, data).entry(0, state, offset).finish(DATA_AT)

    add("state-four", "a block in a state that means nothing", entry(4, DATA_AT), "malformed", f"byte {BAT_AT}", "State")
    add("partial-without-parent", "a block that is partly stored, of a disk without a parent", entry(PARTIAL, DATA_AT), "malformed", "State")
    add("block-behind-file", "a block behind the end of the file", entry(FULL, 1 << 50), "out-of-bounds", f"byte {BAT_AT}")
    add("block-offset-max", "a block at the last MiB that an entry can name", entry(FULL, 0xFFFFFFFFFFF00000), "out-of-bounds")
    add("block-cut", "the file ends inside a block that is not the last", Vhdx(pair()).store_all((2, 0)).finish(6 * MIB - 512),
        "out-of-bounds")
    add("last-block-cut", "the file ends before the last byte of the disk", sample().finish(DATA_AT + 20 * KIB - 1), "out-of-bounds")
    for name, at in (("headers", 0), ("log", LOG_AT), ("table", BAT_AT)):
        add(f"block-in-{name}", f"a block lies in the {name}", entry(FULL, at), "malformed", "FileOffsetMB")
    add("block-in-unknown-region", "a block lies in a region that nobody knows",
        entry(FULL, DATA_AT, REGIONS_AT[0], regions([*USUAL_REGIONS, (NOBODY, DATA_AT, MIB, 0)])), "malformed", "FileOffsetMB")


def bad_log(out):
    def add(name, case, image, *outcome, shelf="malformed"):
        packed(out, shelf, f"log-{name}", case, image, *outcome)

    whole = [(BAT_AT, bytes(4096))]
    add("empty", "the headers name a log, and there is no entry", sample().log([]).finish(META_AT), "malformed", "LogGuid")
    damaged = bytearray(log_entry(5, whole))
    damaged[8191] ^= 1
    add("checksum", "the only entry is damaged", sample().log([bytes(damaged)]).finish(META_AT), "malformed", "LogGuid")
    add("guid", "the only entry is of another log", sample().log([log_entry(5, whole, log_guid=NOBODY)]).finish(META_AT), "malformed")
    add("tail-nowhere", "the entry's sequence begins where no entry is",
        sample().log([log_entry(5, whole, tail=64 * KIB)]).finish(META_AT), "malformed")
    add("gap", "a number is missing from the sequence",
        sample().log([log_entry(5, whole, tail=4096), log_entry(7, whole)]).finish(META_AT), "malformed")
    entry = bytearray(log_entry(5, whole))
    entry[64 + 24] ^= 1
    add("descriptor-sequence", "a descriptor has another number than its entry", sample().log([sealed(entry)]).finish(META_AT), "malformed")
    entry = bytearray(log_entry(5, whole))
    entry[8188] ^= 1
    add("sector-sequence", "a data sector has another number than its entry", sample().log([sealed(entry)]).finish(META_AT), "malformed")
    entry = bytearray(log_entry(5, whole))
    entry[64:68] = b"what"
    add("descriptor-unknown", "a descriptor of a kind that nobody knows", sample().log([sealed(entry)]).finish(META_AT), "malformed")
    add("change-unaligned", "a descriptor names no sector", sample().log([log_entry(5, [(BAT_AT + 512, bytes(4096))])]).finish(META_AT), "malformed")
    image = sample()
    end = len(image.data)
    image.log([log_entry(5, whole, flushed=end, last=end)])
    add("file-cut", "the file is shorter than it was when the log was written", image.finish(end - MIB), "out-of-bounds",
        "FlushedFileOffset")
    image = sample().log([log_entry(5, whole)])
    image.put(HEADER_AT[0], header(7, LOG_GUID, log_version=1)).put(HEADER_AT[1], header(8, LOG_GUID, log_version=1))
    add("version", "version 1 of the log", image.finish(META_AT), "unsupported", "LogVersion")
    add("cut", "the file ends inside the log", sample().log([log_entry(5, whole)]).finish(LOG_AT + 9000), "out-of-bounds")


def bad_differencing(out):
    def add(name, case, parent, *outcome, found=None, **more):
        image = child(parent, small())
        if found is not None:
            image.put(META_AT, metadata(found))
        end = BAT_AT + 40 * KIB if more else META_END
        packed(out, "malformed", f"parent-{name}", case, image.finish(end), *outcome, **more)

    usual = items(len(small()), parent=b"?")
    add("no-locator", "the parent is nowhere named", b"?", "malformed", "Parent Locator", found=usual[:-1])
    add("locator-short", "a parent locator of one byte", b"?", "malformed", "parent locator")
    add("locator-type", "a parent of another kind", locator([linkage()], kind=NOBODY), "unsupported", "LocatorType")
    add("no-linkage", "the locator does not say which file the parent is", locator([("relative_path", "x")]), "malformed", "parent_linkage")
    add("linkage-text", "the parent's identifier is none", locator([("parent_linkage", "{x}")]), "malformed", "parent_linkage")
    twice = [linkage(), ("relative_path", "one.vhdx"), ("relative_path", "other.vhdx")]
    add("key-twice", "two names under one key", locator(twice), "malformed", "relative_path")
    add("count", "more pairs than the locator has", locator([linkage()], count=9000), "malformed", "KeyValueCount")
    add("missing", "the parent is not there", locator([linkage(), ("relative_path", "nowhere.vhdx")]), "missing", "nowhere.vhdx",
        gate=True)
    image = child(locator([linkage(NOBODY), ("relative_path", ".\\..\\valid\\diff-base.vhdx")]), small())
    packed(out, "malformed", "parent-denied", "the parent may not be opened", image.finish(BAT_AT + 40 * KIB), "refused")
    image = child(locator([linkage(), ("relative_path", "base.vhdx")]), small())
    image.store(2, state=PARTIAL, whole=False)
    path = "vhdx/malformed/base.vhdx.gz"
    out.companion(path, deflate.gzip_file(Vhdx(bytes(2 * MIB)).finish()))
    packed(out, "malformed", "bitmap-missing", "a block that is partly stored, and no sector bitmap", image, "malformed", "State", gate=True)
    image = child(locator([linkage(), ("relative_path", "base.vhdx")]), small())
    image.store(2, state=PARTIAL, whole=False)
    image.entry(image.ratio, FULL, 1 << 40)
    packed(out, "malformed", "bitmap-behind-file", "a sector bitmap behind the end of the file", image, "out-of-bounds", gate=True)
    image = child(locator([linkage(NOBODY), ("relative_path", "base.vhdx")]), small())
    packed(out, "malformed", "parent-changed", "the parent is another file than the child was made for", image.finish(BAT_AT + 40 * KIB),
           "malformed", "DataWriteGuid", gate=True)


def hostile(out):
    def add(name, case, image, *outcome, **more):
        packed(out, "hostile", name, case, image, *outcome, **more)

    for name, path in (("absolute", "\\etc\\passwd"), ("drive", "C:\\etc\\passwd"), ("share", "\\\\server\\share\\disk.vhdx")):
        image = child(locator([linkage(), ("absolute_win32_path", path)]), small())
        add(f"parent-{name}", f"the parent is said to be {path}", image.finish(BAT_AT + 40 * KIB), "refused", gate=True)
    image = child(locator([linkage(), ("relative_path", "..\\..\\..\\..\\..\\..\\etc\\passwd")]), small())
    add("parent-climbing", "the parent's name leads out of the folder", image.finish(BAT_AT + 40 * KIB), "refused", gate=True)
    image = child(locator([linkage(), ("relative_path", "json:{\"driver\":\"file\"}")]), small())
    add("parent-json", "the parent's name looks like more than a name", image.finish(BAT_AT + 40 * KIB), "missing", gate=True)
    pairs = locator([linkage()] + [("", "")] * 65534)
    start = len(pairs)
    pairs = bytearray(pairs)
    for index in range(1, 65535):
        struct.pack_into("<IIHH", pairs, 20 + 12 * index, start, start, 60000, 60000)
    image = child(bytes(pairs) + b"a\0" * 30000, small())
    add("parent-pairs", "65534 keys and values that share their bytes: 8 GiB of text", image.finish(), "limit-exceeded")

    sectors = MIB // 4096
    front = b"".join(struct.pack("<4sIIIQII16sQQ", b"loge", 0, MIB, 0, number + 1, 0, 0, guid(LOG_GUID), MIB, MIB)
                     .ljust(4096, b"\0") for number in range(sectors))
    add("log-overlapping", "every sector of the log begins an entry as long as the log",
        sample().log([front]).finish(BAT_AT + 40 * KIB), "limit-exceeded")
    zeros = [log_entry(5, [((1 << 63) - 4096, 1 << 63)])]
    image = sample().log(zeros)
    add("log-zeros-everywhere", "a zero descriptor over 2^63 bytes, nearly all of them behind the file", image, small())
    image = sample().log([log_entry(5, [(BAT_AT, bytes(image.data[BAT_AT:BAT_AT + 4096])), (0xFFFFFFFFFFFFF000, bytes(4096))])])
    add("log-end-of-numbers", "a sector at the end of all numbers", image.finish(BAT_AT + 40 * KIB), "malformed")
    image = sample().put(HEADER_AT[0], header(7, LOG_GUID, log_len=0xFFF00000, log_at=1 << 30))
    image.put(HEADER_AT[1], header(8, LOG_GUID, log_len=0xFFF00000, log_at=1 << 30))
    add("log-huge", "a log of 4 GiB that is not there", image.finish(BAT_AT + 40 * KIB), "limit-exceeded", "LogLength")
    image = Vhdx(bytes(0))
    image.put(META_AT, metadata(items(64 << 40)))
    for at in REGIONS_AT:
        image.put(at, regions([(BAT, BAT_AT, 1 << 30, 1), (METADATA, META_AT, MIB, 1)]))
    add("table-half-gigabyte", "a disk of 64 TiB whose table of 512 MiB is not there", image.finish(), "out-of-bounds")
