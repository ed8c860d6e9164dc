"""VMDK images, written from VMware's "Virtual Disk Format 5.0"."""

import re
import struct

import deflate
import vmdk_esx
from common import KIB, MIB, SECTOR, ceil_div, disk, noise, round_up, text
from fat import ami_disk

NEWLINE, REDUNDANT, ZEROED, COMPRESSED, MARKERS = 1, 2, 4, 1 << 16, 1 << 17
STREAM = NEWLINE | COMPRESSED | MARKERS
AT_END = (1 << 64) - 1
EOS, GRAIN_TABLE, GRAIN_DIRECTORY, FOOTER = 0, 1, 2, 3

# Byte offsets of the sparse extent header's fields.
MAGIC, VERSION, FLAGS, CAPACITY, GRAIN, DESC_OFFSET, DESC_SIZE = 0, 4, 8, 12, 20, 28, 36
GTES, RGD, GD, OVERHEAD, UNCLEAN, NEWLINES, ALGORITHM = 44, 48, 56, 64, 72, 73, 77


def sector(data, count=None):
    """`data` with zeros to a whole number of sectors."""
    size = round_up(len(data), SECTOR) if count is None else count * SECTOR
    assert len(data) <= size
    return bytes(data).ljust(size, b"\0")


def header(capacity, grain, desc_offset, desc_size, gtes, rgd, gd, overhead, version=1, flags=NEWLINE | REDUNDANT,
           unclean=0, algorithm=0):
    return sector(struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", version, flags, capacity, grain, desc_offset, desc_size, gtes,
                              rgd, gd, overhead, unclean, b"\n \r\n", algorithm))


def descriptor(extents, create="monolithicSparse", cid="fffffffe", parent="ffffffff", hint=None, more=()):
    lines = ["# Disk DescriptorFile", "version=1", f"CID={cid}", f"parentCID={parent}", f'createType="{create}"']
    if hint is not None:
        lines.append(f'parentFileNameHint="{hint}"')
    lines += ["", "# Extent description", *extents, "", "# The Disk Data Base", "#DDB", "",
              'ddb.virtualHWVersion = "4"', 'ddb.geometry.cylinders = "1"', 'ddb.geometry.heads = "16"',
              'ddb.geometry.sectors = "63"', 'ddb.adapterType = "ide"', *more]
    return "\n".join(lines) + "\n"


class Image:
    """Bytes with the places worth damaging."""

    def __init__(self):
        self.data = bytearray()
        self.grains = {}  # grain number -> sector
        self.tables = {}  # grain table number -> sector
        self.redundant = {}
        self.gd = 0
        self.rgd = 0

    def put(self, offset, form, value):
        struct.pack_into("<" + form, self.data, offset, value)
        return self

    def poke(self, offset, data):
        self.data[offset:offset + len(data)] = data
        return self

    def append(self, data):
        """Append, at a sector; the sector it went to."""
        self.data += bytes(-len(self.data) % SECTOR)
        at = len(self.data) // SECTOR
        self.data += data
        return at


def _cut(guest, grain):
    """Each grain that holds something, as number and bytes; the last may be short."""
    size = grain * SECTOR
    for number in range(ceil_div(len(guest), size)):
        part = guest[number * size:(number + 1) * size]
        if any(part):
            yield number, part


def sparse(guest, grain=16, gtes=512, version=1, flags=NEWLINE | REDUNDANT, desc=None, desc_sectors=2, rgd=None,
           unaligned=False, tail=b"\xee", order=None, zeroed=(), keep_empty_tables=True, grains_first=False, capacity=None,
           unclean=0, extent="disk.vmdk", embedded=True):
    """A hosted sparse extent: header, descriptor, redundant directory and tables, directory and tables, grains.

    `tail` fills the last grain behind the end of the disk; None stores only what is left.
    """
    assert len(guest) % SECTOR == 0
    length = len(guest) // SECTOR
    capacity = length if capacity is None else capacity
    rgd = bool(flags & REDUNDANT) if rgd is None else rgd
    if desc is None:
        desc = descriptor([f'RW {length} SPARSE "{extent}"'])
    parts = dict(_cut(guest, grain))
    grain_count = ceil_div(capacity, grain)
    table_count = ceil_div(grain_count, gtes)
    table_sectors = ceil_div(gtes * 4, SECTOR)
    directory_sectors = ceil_div(table_count * 4, SECTOR)
    used = [t for t in range(table_count)
            if keep_empty_tables or any(n // gtes == t for n in list(parts) + list(zeroed))]

    image = Image()
    body = bytearray()

    def place_grains(at):
        for number in order or sorted(parts):
            data = parts[number]
            if len(data) < grain * SECTOR and tail is not None:
                data = data.ljust(grain * SECTOR, tail)
            image.grains[number] = at + len(body) // SECTOR
            body.extend(sector(data))

    at = 1
    if grains_first:
        place_grains(at)
        at += len(body) // SECTOR
    desc_at = at if embedded else 0
    if embedded:
        at += desc_sectors

    def place_tables(at, tables):
        directory = at
        at += directory_sectors
        for t in used:
            tables[t] = at
            at += table_sectors
        return directory, at

    if rgd:
        image.rgd, at = place_tables(at, image.redundant)
    image.gd, at = place_tables(at, image.tables)
    overhead = 1 if grains_first else at if unaligned else round_up(at, grain)
    if not grains_first:
        place_grains(overhead)
    entries = [0] * (table_count * gtes)
    for number in zeroed:
        entries[number] = 1
    for number, where in image.grains.items():
        entries[number] = where

    out = image.data
    out += header(capacity, grain, desc_at, desc_sectors if embedded else 0, gtes, image.rgd, image.gd, overhead, version,
                  flags, unclean)
    if grains_first:
        out += body
    if embedded:
        out += sector(desc.encode(), desc_sectors)
    for tables in ([image.redundant] if rgd else []) + [image.tables]:
        out += sector(b"".join(struct.pack("<I", tables.get(t, 0)) for t in range(table_count)))
        for t in used:
            out += sector(struct.pack(f"<{gtes}I", *entries[t * gtes:(t + 1) * gtes]))
    if not grains_first:
        out += bytes(overhead * SECTOR - len(out))
        out += body
        if tail is None and len(guest) % (grain * SECTOR):
            assert not order
            del out[image.grains[max(image.grains)] * SECTOR + len(parts[max(parts)]):]
    return image


def marker(sectors, kind):
    return sector(struct.pack("<QII", sectors, 0, kind))


def grain_record(lba, packed):
    return sector(struct.pack("<QI", lba, len(packed)) + packed)


def stream(guest, grain=16, gtes=512, version=3, flags=STREAM, layout="footer", desc=None, desc_sectors=2, overhead=None,
           end_of_stream=True, padding=0, encode=deflate.zlib_stream, record=grain_record, last="padded", order=None,
           zeroed=(), capacity=None, footer=(), extent="generated-stream.vmdk", algorithm=1):
    """A stream-optimized extent: compressed grains, each behind its marker.

    `layout`: where the grain directory is: "footer" (as VMware writes it), "end" (without a footer), "front".
    `footer`: pokes `(offset, form, value)` that make the footer differ from the header.
    """
    assert len(guest) % SECTOR == 0
    length = len(guest) // SECTOR
    capacity = length if capacity is None else capacity
    if desc is None:
        desc = descriptor([f'RW {length} SPARSE "{extent}"'], "streamOptimized")
    parts = dict(_cut(guest, grain))
    grain_count = ceil_div(capacity, grain)
    table_count = ceil_div(grain_count, gtes)
    table_sectors = ceil_div(gtes * 4, SECTOR)
    directory_sectors = ceil_div(table_count * 4, SECTOR)
    sequence = list(order or sorted(parts))
    used = sorted({n // gtes for n in sequence + list(zeroed)})

    image = Image()
    out = image.data
    out += bytes(SECTOR) + sector(desc.encode(), desc_sectors)
    if layout == "front":
        image.gd = image.append(bytes(directory_sectors * SECTOR))
        for t in used:
            image.tables[t] = image.append(bytes(table_sectors * SECTOR))
    if overhead is None:
        overhead = round_up(len(out) // SECTOR, grain)
    out += bytes(overhead * SECTOR - len(out))
    entries = [0] * (table_count * gtes)
    for number in zeroed:
        entries[number] = 1

    def table(t):
        return sector(struct.pack(f"<{gtes}I", *entries[t * gtes:(t + 1) * gtes]))

    for index, number in enumerate(sequence):
        data = parts[number]
        if last == "padded":
            data = data.ljust(grain * SECTOR, b"\0")
        at = image.append(record(number * grain, encode(data)))
        image.grains[number] = entries[number] = at
        t = number // gtes
        done = t not in {n // gtes for n in sequence[index + 1:]}
        if layout == "footer" and done:
            image.append(marker(table_sectors, GRAIN_TABLE))
            image.tables[t] = image.append(table(t))
    for t in used:
        if layout != "front" and t not in image.tables:
            image.append(marker(table_sectors, GRAIN_TABLE))
            image.tables[t] = image.append(table(t))
    directory = sector(b"".join(struct.pack("<I", image.tables.get(t, 0)) for t in range(table_count)))
    if layout == "front":
        image.poke(image.gd * SECTOR, directory)
        for t in used:
            image.poke(image.tables[t] * SECTOR, table(t))
    else:
        image.append(marker(directory_sectors, GRAIN_DIRECTORY))
        image.gd = image.append(directory)

    def head(gd):
        return header(capacity, grain, 1, desc_sectors, gtes, 0, gd, overhead, version, flags, 0, algorithm)

    if layout == "footer":
        image.append(marker(1, FOOTER))
        foot = bytearray(head(image.gd))
        for offset, form, value in footer:
            struct.pack_into("<" + form, foot, offset, value)
        image.append(foot)
    if end_of_stream and flags & MARKERS:
        image.append(marker(0, EOS))
    image.poke(0, head(AT_END if layout == "footer" else image.gd))
    out += bytes(padding)
    return image


def small():
    """256 KiB, two grains of which hold something: for files whose damage is the point."""
    return disk(256 * KIB, [(0, text("first", 3000)), (8 * KIB * 5 + 700, text("second", 3300))])


def tiny():
    """64 KiB, one grain of 4 KiB in use: for files whose header is the point."""
    return disk(64 * KIB, [(4 * KIB, text("tiny", 3000))])


def medium():
    """5 MiB over two grain tables, data at the edges of both."""
    return disk(5 * MIB, [(0, noise("mbr", 512)), (4 * MIB - 700, text("edge", 1400)),
                          (5 * MIB - 512, noise("end", 512))])


def build(out):
    valid_sparse(out)
    valid_stream(out)
    valid_descriptor(out)
    valid_delta(out)
    bad_header(out)
    bad_tables(out)
    bad_stream(out)
    bad_descriptor(out)
    vmdk_esx.build(out, descriptor)
    loose(out)


def valid_sparse(out):
    def add(name, case, image, guest):
        out.content(f"vmdk/valid/{name}.vmdk", case, image.data, guest)

    guest = medium()
    add("sparse-v1", "monolithicSparse, version 1, both grain directories, two grain tables", sparse(guest), guest)
    add("sparse-grains-shuffled", "grains lie in the file in another order than on the disk",
        sparse(small(), order=(5, 0)), small())
    add("sparse-empty-grain-table", "a grain directory entry of 0 in both directories: its grain table is unallocated",
        sparse(small() + bytes(8 * MIB), grain=8, keep_empty_tables=False), small() + bytes(8 * MIB))
    add("sparse-empty", "no grain is allocated: the whole disk is zeros", sparse(bytes(3 * MIB)), bytes(3 * MIB))

    zeroed = sparse(small(), version=2, flags=NEWLINE | REDUNDANT | ZEROED, zeroed=(1, 2, 31))
    add("sparse-v2-zeroed-grains", "version 2 with flag bit 2: a grain table entry of 1 is a grain of zeros", zeroed, small())
    zeroed = sparse(small(), version=1, flags=NEWLINE | REDUNDANT | ZEROED, grain=8, zeroed=(1, 31))
    add("sparse-v1-zeroed-flag", "version 1 with flag bit 2: the flag decides, entry 1 is a grain of zeros", zeroed, small())
    for version in (1, 2, 3):
        image = sparse(small(), version=version, flags=NEWLINE, grain=8, grains_first=True)
        assert image.grains[0] == 1
        add(f"sparse-v{version}-grain-at-sector-1",
            f"version {version} without flag bit 2: a grain table entry of 1 is the grain at sector 1 of the file", image, small())
    add("sparse-v3", "version 3, not compressed", sparse(small(), grain=8, version=3), small())

    image = sparse(guest)
    image.poke(image.gd * SECTOR, bytes(SECTOR))
    add("sparse-gd-zeroed", "the grain directory is all zeros, the redundant one (flag bit 1) is whole", image, guest)
    image = sparse(small())
    image.put(image.gd * SECTOR, "I", 0x7FFFFFF0)
    add("sparse-gd-out-of-range", "the grain directory points behind the file, the redundant one (flag bit 1) is whole", image, small())
    image = sparse(small()).put(GD, "Q", 1 << 40)
    add("sparse-gd-offset-lost", "gdOffset points behind the file, the redundant directory (flag bit 1) is whole", image, small())
    image = sparse(small(), grain=8, flags=NEWLINE)
    add("sparse-no-redundant", "rgdOffset 0 and no flag bit 1: there is one grain directory only", image, small())
    image = sparse(small(), grain=8, flags=NEWLINE, rgd=True)
    image.poke(image.rgd * SECTOR, b"\xff" * SECTOR)
    add("sparse-redundant-unused", "rgdOffset is set but flag bit 1 is not: the (broken) redundant directory does not count",
        image, small())

    for grain, size in ((8, 2 * MIB + 20 * KIB), (128, 3 * MIB)):
        guest = disk(size, [(size - 5000, noise(f"grain {grain}", 5000))])
        add(f"sparse-grain-{grain}", f"grains of {grain} sectors", sparse(guest, grain=grain, unaligned=grain > 16), guest)
    guest = disk(5 * MIB + 2560, [(5 * MIB, text("tail", 2560))])
    add("sparse-grain-2048", "grains of 2048 sectors; the only one is the last, of which the file stores the five sectors left",
        sparse(guest, grain=2048, tail=None, unaligned=True), guest)
    for gtes in (128, 4096):
        guest = disk(3 * MIB, [(5000, text("gtes", 3000)), (3 * MIB - 5000, text("gtes2", 5000))])
        add(f"sparse-gtes-{gtes}", f"grain tables of {gtes} entries", sparse(guest, grain=8, gtes=gtes, flags=NEWLINE), guest)
    guest = disk(1003 * SECTOR, [(0, text("odd", 600)), (1003 * SECTOR - 3000, noise("odd", 3000))])
    add("sparse-odd-capacity", "the capacity is no multiple of the grain; the last grain is whole, junk behind the end of the disk",
        sparse(guest), guest)
    add("sparse-short-last-grain", "the capacity is no multiple of the grain; the file ends where the disk ends",
        sparse(guest, tail=None), guest)
    add("sparse-capacity-rounded", "the header rounds the capacity up to a grain (VirtualBox); the extent line has the true size",
        sparse(guest, capacity=1008, tail=b"\0"), guest)

    guest = tiny()
    for name, extent, case in (
            ("absolute", "/etc/hostname", "an absolute path"), ("empty", "", "an empty string"),
            ("other", "another-disk.vmdk", "another file"), ("url", "nbd://192.0.2.1/disk", "an address")):
        add(f"sparse-extent-name-{name}", f"the embedded descriptor's extent name is {case}: it is this file, and never followed",
            sparse(guest, grain=8, extent=extent), guest)
    add("sparse-unaligned-overhead", "the grains start right behind the tables, not at a multiple of the grain",
        sparse(guest, unaligned=True), guest)
    add("sparse-unclean", "uncleanShutdown is 1: the disk was in use when its host stopped", sparse(guest, grain=8, unclean=1), guest)
    add("sparse-newline-unchecked", "flag bit 0 is clear, so the newline bytes mean nothing",
        sparse(guest, grain=8, flags=REDUNDANT).poke(NEWLINES, b"\0\0\0\0"), guest)
    crlf = descriptor([f'RW {len(guest) // SECTOR} SPARSE "disk.vmdk"']).replace("\n", "\r\n")
    add("sparse-descriptor-crlf", "the embedded descriptor has CRLF line ends", sparse(guest, grain=8, desc=crlf), guest)
    full = descriptor([f'RW {len(guest) // SECTOR} SPARSE "disk.vmdk"'])
    full += "#" * (2 * SECTOR - len(full))
    add("sparse-descriptor-full", "the embedded descriptor fills its sectors to the last byte: no zero ends it",
        sparse(guest, grain=8, desc=full), guest)
    null = descriptor([f'RW {len(guest) // SECTOR} SPARSE "disk.vmdk"'],
                      more=('ddb.uuid.parent="00000000-0000-0000-0000-000000000000"',))
    add("sparse-null-parent-uuid", "ddb.uuid.parent is the null UUID (VirtualBox): there is no parent",
        sparse(guest, grain=8, desc=null), guest)


def valid_stream(out):
    def add(name, case, image, guest):
        out.content(f"vmdk/valid/{name}.vmdk", case, image.data, guest)

    guest = medium()
    add("stream-gd-front", "streamOptimized with the grain directory and tables in front of the grains, no footer (qemu)",
        stream(guest, layout="front", end_of_stream=False), guest)
    add("stream-footer", "streamOptimized as VMware writes it: gdOffset 2^64-1, markers, tables behind their grains, footer, "
        "end of stream", stream(guest), guest)
    add("stream-two-tables", "footer form over three grain tables, the middle one empty with a directory entry of 0",
        stream(medium() + bytes(4 * MIB) + small(), layout="footer"), medium() + bytes(4 * MIB) + small())
    guest = small()
    add("stream-padding-sector", "one sector of zeros behind the end of stream", stream(guest, padding=SECTOR), guest)
    add("stream-padding-64k", "64 KiB of zeros behind the end of stream", stream(guest, overhead=3, padding=64 * KIB), guest)
    add("stream-no-eos", "footer form whose file ends with the footer: the end-of-stream marker is missing, no data is",
        stream(guest, end_of_stream=False), guest)
    add("stream-gd-end", "the header's gdOffset names the directory at the end of the file, there is no footer (vmdktool)",
        stream(guest, layout="end"), guest)
    add("stream-empty", "footer form without a single grain", stream(bytes(MIB)), bytes(MIB))
    add("stream-unaligned-overhead", "the grains start right behind the descriptor", stream(guest, overhead=3), guest)
    add("stream-version-1", "compressed grains with markers under header version 1", stream(guest, version=1), guest)

    odd = disk(1003 * SECTOR, [(0, text("odd", 600)), (1003 * SECTOR - 5000, text("odd end", 5000))])
    add("stream-short-last-grain", "the capacity is no multiple of the grain; the last grain inflates to what is left (open-vmdk)",
        stream(odd, last="short"), odd)
    add("stream-padded-last-grain", "the capacity is no multiple of the grain; the last grain inflates to a whole one",
        stream(odd), odd)
    add("stream-capacity-rounded", "the header rounds the capacity up to a grain (VirtualBox); the extent line has the true size",
        stream(odd, capacity=1008), odd)
    add("stream-no-markers", "compressed grains without flag bit 17: a table entry points at the zlib stream itself",
        stream(guest, flags=NEWLINE | COMPRESSED, layout="end", record=lambda lba, packed: sector(packed)), guest)
    add("stream-zeroed-grains", "flag bit 2 on compressed grains: a table entry of 1 is a grain of zeros",
        stream(guest, flags=STREAM | ZEROED, zeroed=(1, 30)), guest)
    add("stream-unordered", "the grains lie in the file in descending order",
        stream(guest, order=(5, 0), layout="end"), guest)

    raw = disk(64 * KIB, [(0, noise("raw", 8 * KIB)), (16 * KIB, noise("raw2", 8 * KIB))])
    add("stream-incompressible", "grains stored by deflate, so that their records are longer than a grain",
        stream(raw, encode=lambda data: deflate.zlib_stream(data, deflate.stored(data))), raw)
    add("stream-fixed-huffman", "deflate blocks with the fixed codes",
        stream(guest, encode=lambda data: deflate.zlib_stream(data, deflate.fixed(data))), guest)
    far = noise("far", 1000)
    far = disk(128 * KIB, [(64 * KIB, far), (96 * KIB, far)])
    add("stream-far-distances", "a grain that copies from exactly 32 KiB back",
        stream(far, grain=128, overhead=3, encode=lambda data: deflate.zlib_stream(data, deflate.fixed(data))), far)
    wide = disk(3 * MIB + 3 * SECTOR, [(MIB, text("wide", 20000)), (3 * MIB, text("wide end", 3 * SECTOR))])
    add("stream-grain-2048", "compressed grains of 2048 sectors, a short one at the end", stream(wide, grain=2048, last="short", overhead=3), wide)
    add("stream-grain-8", "compressed grains of 8 sectors", stream(guest, grain=8), guest)
    bare = descriptor([f'RDONLY {len(guest) // SECTOR} SPARSE "generated-stream.vmdk"'], "streamOptimized")
    bare = bare.replace('"streamOptimized"', "streamOptimized")
    add("stream-unquoted-type", "createType without quotes and an RDONLY extent line (OVF Tool)", stream(guest, desc=bare), guest)

    ami = ami_disk()
    image = stream(ami, grain=128, desc_sectors=1, overhead=128, desc=descriptor(
        [f'RDONLY {len(ami) // SECTOR} SPARSE "generated-stream.vmdk"'], "streamOptimized", cid="5eed0a31"))
    add("ami", "a 64 MiB disk with an MBR and a FAT16 file system, streamOptimized as VMware writes it", image, ami)


def flat(name, size):
    return disk(size, [(0, text(name, 1000)), (size - 700, noise(name, 700))])


def valid_descriptor(out):
    def add(name, case, desc, guest):
        data = desc if isinstance(desc, bytes) else desc.encode()
        out.content(f"vmdk/valid/{name}.vmdk", case, data, guest, gate=True)

    def beside(name, data):
        out.companion(f"vmdk/valid/{name}", data)

    one = flat("one", 20 * SECTOR)
    two = flat("two", 7 * SECTOR)
    beside("one-flat.vmdk", one)
    beside("two-flat.vmdk", two)
    line = 'RW 20 FLAT "one-flat.vmdk" 0'
    plain = descriptor([line], "monolithicFlat")
    add("flat", "monolithicFlat: a descriptor and one flat extent", plain, one)
    first, second = small(), medium()[:2 * MIB + 5 * SECTOR]
    beside("split-s001.vmdk", sparse(first, grain=8, embedded=False).data)
    beside("split-s002.vmdk", sparse(second, grain=8, embedded=False).data)
    add("split-sparse", "twoGbMaxExtentSparse: two sparse extents without descriptors of their own", descriptor(
        [f'RW {len(first) // SECTOR} SPARSE "split-s001.vmdk"', f'RW {len(second) // SECTOR} SPARSE "split-s002.vmdk"'],
        "twoGbMaxExtentSparse"), first + second)
    both = [line, 'RW 7 FLAT "two-flat.vmdk" 0']
    add("split-flat", "twoGbMaxExtentFlat: several flat extents, one of them twice",
        descriptor(both + [line], "twoGbMaxExtentFlat"), one + two + one)
    add("flat-zero-between", "ZERO extents between and behind flat ones", descriptor(
        [both[0], "RW 100 ZERO", both[1], "RW 3 ZERO"], "twoGbMaxExtentFlat"), one + bytes(100 * SECTOR) + two + bytes(3 * SECTOR))
    add("custom-mixed", "createType custom: flat, zero and sparse extents in one disk", descriptor(
        [both[1], "RW 9 ZERO", f'RW {len(first) // SECTOR} SPARSE "split-s001.vmdk"'], "custom"), two + bytes(9 * SECTOR) + first)
    add("vmfs-flat", "createType vmfs: a VMFS extent without an offset (ESXi)",
        descriptor(['RW 20 VMFS "one-flat.vmdk"'], "vmfs"), one)
    beside("flat with spaces.vmdk", two)
    add("flat-name-with-spaces", "an extent name with spaces",
        descriptor(['RW 7 FLAT "flat with spaces.vmdk" 0'], "monolithicFlat"), two)
    add("flat-offset", "flat extents that start inside their file: offsets 5 and 2 in sectors", descriptor(
        ['RW 10 FLAT "one-flat.vmdk" 5', 'RW 4 FLAT "two-flat.vmdk" 2'], "twoGbMaxExtentFlat"),
        one[5 * SECTOR:15 * SECTOR] + two[2 * SECTOR:6 * SECTOR])
    add("flat-longer-file", "the extent file is longer than the extent: the rest is not part of the disk",
        descriptor(['RW 3 FLAT "two-flat.vmdk" 0'], "monolithicFlat"), two[:3 * SECTOR])
    add("flat-readonly", "an RDONLY extent is part of the disk like any other",
        descriptor([both[0], 'RDONLY 7 FLAT "two-flat.vmdk" 0'], "twoGbMaxExtentFlat"), one + two)
    add("descriptor-crlf", "CRLF line ends", plain.replace("\n", "\r\n"), one)
    pair = descriptor(both, "twoGbMaxExtentFlat")
    add("descriptor-blank-line", "a blank line right before the first extent line, and one between the two",
        pair.replace("# Extent description\n", "# Extent description\n\n").replace("\nRW 7", "\n\nRW 7"), one + two)
    add("descriptor-trailing-blanks", "blanks at the end of every line", plain.replace("\n", "  \n"), one)
    add("descriptor-comments", "comments between the keys and between the extent lines",
        pair.replace("\nCID", "\n# a comment\nCID").replace("\nRW 7", "\n# another\nRW 7"), one + two)
    add("descriptor-encoding-first", "encoding= stands before CID", plain.replace("\nCID", '\nencoding="UTF-8"\nCID'), one)
    add("descriptor-encoding-before-version", "encoding= stands before version",
        plain.replace("\nversion", '\nencoding="UTF-8"\nversion'), one)
    add("descriptor-spaced-keys", "blanks around every =", re.sub(r" *= *", " = ", plain), one)
    add("descriptor-bom", "a UTF-8 byte order mark in front", b"\xef\xbb\xbf" + plain.encode(), one)
    add("descriptor-no-first-line", "no '# Disk DescriptorFile' line: version= comes first",
        plain.removeprefix("# Disk DescriptorFile\n"), one)
    add("descriptor-version-2", "version=2", plain.replace("version=1", "version=2"), one)
    add("descriptor-no-last-newline", "the last line is the extent's and does not end",
        plain[:plain.index(line) + len(line)], one)
    add("descriptor-zero-padded", "zeros behind the text, as in an embedded descriptor", plain.encode() + bytes(700), one)
    add("descriptor-no-ddb", "no disk data base at all", plain[:plain.index("\n\n# The Disk")] + "\n", one)


def valid_delta(out):
    base = small()
    parent = descriptor([f'RW {len(base) // SECTOR} SPARSE "delta-base.vmdk"'], cid="0badcafe")
    out.content("vmdk/valid/delta-base.vmdk", "the parent of delta-child.vmdk, a disk of its own", sparse(base, grain=8, desc=parent).data, base)
    size = len(base)
    change = disk(size, [(16 * KIB, text("change", 3000))])
    top = bytearray(base)
    top[16 * KIB:24 * KIB] = change[16 * KIB:24 * KIB]
    top[0:8 * KIB] = bytes(8 * KIB)
    child = descriptor([f'RW {size // SECTOR} SPARSE "delta-child.vmdk"'], cid="12345678", parent="0badcafe", hint="delta-base.vmdk")
    out.content("vmdk/valid/delta-child.vmdk", "a child: unallocated grains are the parent's, a zeroed grain hides the parent's",
                sparse(change, grain=8, version=2, flags=NEWLINE | REDUNDANT | ZEROED, zeroed=(0,), desc=child).data, bytes(top), gate=True)
    leaf = bytearray(top)
    leaf[200 * KIB:208 * KIB] = text("leaf", 8 * KIB)
    extra = disk(size, [(200 * KIB, text("leaf", 8 * KIB))])
    grandchild = descriptor([f'RW {size // SECTOR} SPARSE "delta-grandchild.vmdk"'], cid="9abcdef0", parent="12345678",
                            hint="delta-child.vmdk")
    out.content("vmdk/valid/delta-grandchild.vmdk", "three layers", sparse(extra, grain=8, desc=grandchild).data, bytes(leaf), gate=True)


def bad_header(out):
    def refuse(name, case, image, kind, *mentions, shelf="malformed"):
        data = image.data if isinstance(image, Image) else image
        out.refused(f"vmdk/{shelf}/{name}.vmdk", case, data, kind, *mentions)

    def one(**more):
        return sparse(tiny(), grain=8, flags=NEWLINE, **more)

    refuse("capacity-huge", "a capacity of 0xFFFFFFFF0001 sectors: its grain directory would take gigabytes",
           one().put(CAPACITY, "Q", 0xFFFFFFFF0001), "limit-exceeded", shelf="hostile")
    refuse("capacity-max", "a capacity of 2^64-1 sectors: more bytes than can be counted",
           one().put(CAPACITY, "Q", (1 << 64) - 1), "limit-exceeded", shelf="hostile")
    refuse("capacity-zero-descriptor-decides", "capacity 0, and an embedded descriptor that names another file: it shall not decide",
           sparse(tiny(), grain=8, flags=NEWLINE, desc=descriptor(['RW 20 FLAT "/etc/hostname" 0'], "monolithicFlat")).put(CAPACITY, "Q", 0),
           "malformed", "byte 12", shelf="hostile")
    refuse("capacity-zero", "capacity 0, the descriptor names the file itself", one().put(CAPACITY, "Q", 0), "malformed", "byte 12")
    refuse("grain-size-zero", "grainSize 0", one().put(GRAIN, "Q", 0), "malformed", "byte 20")
    refuse("grain-size-three", "grainSize 3 is no power of two", one().put(GRAIN, "Q", 3), "malformed", "byte 20")
    refuse("grain-size-huge", "grainSize of 2 GiB", one().put(GRAIN, "Q", 1 << 22), "limit-exceeded", "byte 20", shelf="hostile")
    refuse("grain-size-max", "grainSize 2^63", one().put(GRAIN, "Q", 1 << 63), "limit-exceeded", "byte 20", shelf="hostile")
    refuse("gtes-zero", "numGTEsPerGT 0", one().put(GTES, "I", 0), "malformed", "byte 44")
    refuse("gtes-8192", "numGTEsPerGT 8192, more than any producer writes", one().put(GTES, "I", 8192), "limit-exceeded", "byte 44",
           shelf="hostile")
    refuse("gtes-max", "numGTEsPerGT 2^32-1", one().put(GTES, "I", 0xFFFFFFFF), "limit-exceeded", "byte 44", shelf="hostile")
    refuse("descriptor-behind-file", "descriptorOffset behind the end of the file", one().put(DESC_OFFSET, "Q", 1 << 30),
           "out-of-bounds", "byte 28")
    refuse("descriptor-overflow", "descriptorOffset * 512 passes 2^64", one().put(DESC_OFFSET, "Q", 1 << 60), "out-of-bounds",
           "byte 28", shelf="hostile")
    refuse("descriptor-size-huge", "descriptorSize of 2^40 sectors", one().put(DESC_SIZE, "Q", 1 << 40), "limit-exceeded",
           shelf="hostile")
    refuse("gd-behind-file", "gdOffset behind the end of the file, and no redundant directory", one().put(GD, "Q", 1 << 30),
           "out-of-bounds", "byte 56")
    refuse("gd-overflow", "gdOffset * 512 passes 2^64", one().put(GD, "Q", 1 << 60), "out-of-bounds", "byte 56", shelf="hostile")
    refuse("gd-zero", "gdOffset 0: the header is no grain directory", one().put(GD, "Q", 0), "malformed", "byte 56")
    refuse("version-zero", "version 0", one().put(VERSION, "I", 0), "unsupported", "byte 4")
    refuse("version-four", "version 4", one().put(VERSION, "I", 4), "unsupported", "byte 4")
    refuse("algorithm-two", "compressAlgorithm 2", stream(small(), layout="end", algorithm=2), "unsupported", "byte 77")
    refuse("newlines-unix", "the newline bytes have lost their carriage return", one().poke(NEWLINES, b"\n \n\n"), "malformed")
    refuse("newlines-ascii-transfer", "the whole file went through a text-mode transfer: every LF is now CRLF",
           bytes(one().data).replace(b"\n", b"\r\n"), "malformed")
    refuse("header-cut", "the file ends inside the header", bytes(one().data[:300]), "out-of-bounds")
    refuse("header-only", "the file ends behind the header", bytes(one().data[:SECTOR]), "out-of-bounds")


def bad_tables(out):
    def refuse(name, case, data, kind, shelf="malformed"):
        out.refused(f"vmdk/{shelf}/{name}.vmdk", case, data, kind)

    guest = small()

    def one():
        return sparse(guest, grain=8, flags=NEWLINE)

    image = one()
    refuse("grain-cut", "the file ends inside its last grain", image.data[:-3 * SECTOR], "out-of-bounds")
    image.put(image.tables[0] * SECTOR + 4 * 10, "I", 0x00FFFFFF)
    refuse("grain-behind-file", "a grain table entry points behind the end of the file", image.data, "out-of-bounds")
    image = one()
    image.put(image.tables[0] * SECTOR + 4 * 10, "I", 0xFFFFFFFF)
    refuse("grain-entry-max", "a grain table entry of 2^32-1", image.data, "out-of-bounds", "hostile")
    image = one()
    image.put(image.tables[0] * SECTOR + 4 * 3, "I", image.gd)
    refuse("grain-over-metadata", "a grain table entry points at the grain directory, below the overhead", image.data, "malformed", "hostile")
    image = one()
    image.put(image.tables[0] * SECTOR + 4 * 3, "I", 1)
    refuse("grain-over-descriptor", "a grain table entry of 1 without flag bit 2 points at the descriptor, below the overhead",
           image.data, "malformed", "hostile")
    image = one()
    image.put(image.gd * SECTOR, "I", 0x00FFFFFF)
    refuse("table-behind-file", "a grain directory entry points behind the end of the file, and there is no redundant one",
           image.data, "out-of-bounds")
    image = one()
    refuse("table-cut", "the file ends inside its grain table", image.data[:image.tables[0] * SECTOR + 600], "out-of-bounds")
    image = sparse(guest, grain=8)
    for directory in (image.gd, image.rgd):
        image.put(directory * SECTOR, "I", 0x00FFFFFF)
    refuse("both-tables-lost", "both directories point behind the end of the file", image.data, "out-of-bounds")


def bad_stream(out):
    def refuse(name, case, data, kind="malformed", shelf="malformed"):
        out.refused(f"vmdk/{shelf}/{name}.vmdk", case, data, kind)

    guest = small()

    def one(**more):
        return stream(guest, **{"grain": 8, "overhead": 3, **more})

    def broken(damage, **more):
        """The second grain's record, damaged."""
        def record(lba, packed):
            if lba == 0:
                return grain_record(lba, packed)
            return damage(lba, packed)
        return one(record=record, **more).data

    refuse("stream-lba-wrong", "a grain marker names another sector than the table entry that points at it",
           broken(lambda lba, packed: grain_record(lba + 8, packed)))
    refuse("stream-size-huge", "a grain marker's size is 2^31-1",
           broken(lambda lba, packed: sector(struct.pack("<QI", lba, 0x7FFFFFFF) + packed)), shelf="hostile")
    refuse("stream-size-beyond-grain", "a grain marker's size is four grains: no deflate stream of a grain is that long",
           broken(lambda lba, packed: sector(struct.pack("<QI", lba, 16 * KIB) + packed + noise("beyond", 16 * KIB))))
    refuse("stream-size-short", "a grain marker's size ends inside the zlib stream",
           broken(lambda lba, packed: sector(struct.pack("<QI", lba, len(packed) // 2) + packed)))
    refuse("stream-size-zero", "a table entry points at a marker of size 0",
           broken(lambda lba, packed: sector(struct.pack("<QI", lba, 0) + packed)))
    refuse("stream-deflate-corrupt", "the deflate stream uses a reserved block type",
           broken(lambda lba, packed: grain_record(lba, packed[:2] + b"\x07" + packed[3:])))
    refuse("stream-deflate-bit", "one bit of the deflate stream has flipped",
           broken(lambda lba, packed: grain_record(lba, packed[:600] + bytes([packed[600] ^ 0x10]) + packed[601:])))
    refuse("stream-adler-wrong", "the Adler-32 is not that of the grain",
           broken(lambda lba, packed: grain_record(lba, packed[:-1] + bytes([packed[-1] ^ 1]))))
    refuse("stream-zlib-header", "the zlib header names a preset dictionary",
           broken(lambda lba, packed: grain_record(lba, b"\x78\xbb" + packed[2:])))
    refuse("stream-inflates-short", "a grain that is not the last inflates to half a grain",
           broken(lambda lba, packed: grain_record(lba, deflate.zlib_stream(text("half", 2 * KIB)))))
    refuse("stream-inflates-long", "a grain inflates to two grains",
           broken(lambda lba, packed: grain_record(lba, deflate.zlib_stream(text("twice", 8 * KIB)))))
    refuse("stream-bomb", "a grain inflates to 1 MiB",
           broken(lambda lba, packed: grain_record(lba, deflate.zlib_stream(bytes(MIB)))), shelf="hostile")
    refuse("stream-footer-capacity", "the footer's capacity differs from the header's",
           one(footer=[(CAPACITY, "Q", 1024)]).data, shelf="hostile")
    refuse("stream-footer-grain", "the footer's grainSize differs from the header's",
           one(footer=[(GRAIN, "Q", 64)]).data, shelf="hostile")
    refuse("stream-footer-gd", "the footer's gdOffset is 2^64-1 too",
           one(footer=[(GD, "Q", AT_END)]).data)
    refuse("stream-footer-magic", "the footer has no magic", one(footer=[(MAGIC, "I", 0)]).data)
    image = one()
    last = image.grains[max(image.grains)]
    refuse("stream-cut-in-grain", "the file ends inside a compressed grain: no footer", image.data[:last * SECTOR + 300])
    refuse("stream-cut-in-table", "the file ends inside a grain table: no footer", image.data[:image.tables[0] * SECTOR + 300])
    refuse("stream-cut-before-footer", "the file ends behind the grain directory: no footer", image.data[:image.gd * SECTOR + SECTOR])
    image = one(layout="front", overhead=None)
    refuse("stream-front-cut", "grain directory in front, the file ends inside a compressed grain",
           image.data[:image.grains[max(image.grains)] * SECTOR + 300], "out-of-bounds")


def bad_descriptor(out):
    def refuse(name, case, desc, kind, *mentions, shelf="malformed"):
        data = desc if isinstance(desc, (bytes, bytearray)) else desc.encode()
        out.refused(f"vmdk/{shelf}/{name}.vmdk", case, data, kind, *mentions, gate=True)

    short = flat("short", 10 * SECTOR)
    for shelf in ("malformed", "hostile"):
        out.companion(f"vmdk/{shelf}/short-flat.vmdk", short)

    def one(line, create="monolithicFlat", **more):
        return descriptor([line], create, **more)

    refuse("flat-short", "the extent file is shorter than the extent", one('RW 20 FLAT "short-flat.vmdk" 0'), "out-of-bounds",
           "short-flat.vmdk")
    refuse("flat-offset-behind-file", "the extent starts behind the end of its file", one('RW 2 FLAT "short-flat.vmdk" 10'),
           "out-of-bounds", "short-flat.vmdk")
    refuse("flat-missing", "the extent file is not there", one('RW 20 FLAT "gone-flat.vmdk" 0'), "missing", "gone-flat.vmdk")
    refuse("extent-not-sparse", "a SPARSE extent line names a file that is not one", one('RW 10 SPARSE "short-flat.vmdk"',
           "twoGbMaxExtentSparse"), "malformed")
    out.content("vmdk/malformed/line-s001.vmdk", "a sparse extent without a descriptor, opened for itself",
                sparse(tiny(), grain=8, embedded=False).data, tiny())
    refuse("extent-line-longer", "the extent line is longer than the sparse extent's capacity",
           one('RW 1024 SPARSE "line-s001.vmdk"', "twoGbMaxExtentSparse"), "malformed")
    refuse("extent-none", "a descriptor without an extent line", one("# nothing here"), "malformed")
    refuse("extent-type-unknown", "an extent of type VMFSRDM", one('RW 10 VMFSRDM "short-flat.vmdk"', "vmfsRawDeviceMap"), "unsupported")
    refuse("extent-type-nonsense", "an extent of a type that does not exist", one('RW 10 ROUND "short-flat.vmdk"'), "malformed")
    refuse("extent-no-access", "a NOACCESS extent is part of the disk, and may not be read",
           descriptor(['RW 10 FLAT "short-flat.vmdk" 0', 'NOACCESS 5 FLAT "short-flat.vmdk" 0'], "twoGbMaxExtentFlat"), "unsupported")
    refuse("extent-size-missing", "an extent line without a size", one('RW FLAT "short-flat.vmdk" 0'), "malformed")
    refuse("extent-quote-open", "an extent name whose quote does not close", one('RW 10 FLAT "short-flat.vmdk 0'), "malformed")

    def hostile(name, case, desc, kind, *mentions):
        refuse(name, case, desc, kind, *mentions, shelf="hostile")

    hostile("extent-absolute", "an absolute extent path", one('RW 1 FLAT "/etc/hostname" 0'), "refused", "/etc/hostname")
    hostile("extent-climbing", "an extent path that leaves the folder (the file is there)",
            one('RW 20 FLAT "../valid/one-flat.vmdk" 0'), "refused", "../valid/one-flat.vmdk")
    hostile("extent-climbing-late", "an extent path that leaves the folder behind a harmless start",
            one('RW 20 FLAT "./../hostile/../valid/one-flat.vmdk" 0'), "refused")
    hostile("extent-json", "an extent name with a json: prefix is a file name, and there is no such file",
            one("RW 1 FLAT \"json:{'driver':'file','filename':'hostname'}\" 0"), "missing")
    hostile("extent-nbd", "an extent name with an nbd: prefix is a file name, and there is no such file",
            one('RW 1 FLAT "nbd:192.0.2.1:10809" 0'), "missing")
    hostile("extent-itself", "a SPARSE extent line that names the descriptor itself",
            one('RW 10 SPARSE "extent-itself.vmdk"', "twoGbMaxExtentSparse"), "malformed")
    hostile("extent-size-max", "an extent of 2^64-1 sectors", one('RW 18446744073709551615 FLAT "short-flat.vmdk" 0'), "limit-exceeded")
    hostile("extent-size-overflow", "a size that does not fit 64 bits", one('RW 99999999999999999999999 FLAT "short-flat.vmdk" 0'),
            "malformed")
    hostile("extent-offset-max", "an extent offset of 2^64-1 sectors", one('RW 1 FLAT "short-flat.vmdk" 18446744073709551615'),
            "out-of-bounds")
    hostile("extents-overflow", "extents whose sizes add up to more than 2^64 bytes", descriptor(
        ["RW 18014398509481984 ZERO"] * 3, "custom"), "limit-exceeded")

    guest = tiny()
    length = len(guest) // SECTOR
    line = f'RW {length} SPARSE "x.vmdk"'

    def child(**more):
        return sparse(guest, grain=8, desc=descriptor([line], **more)).data

    hostile("parent-without-hint", "parentCID is set, but nothing names the parent", child(parent="0badcafe"), "missing")
    hostile("parent-missing", "the parent is not there", child(parent="0badcafe", hint="gone.vmdk"), "missing", "gone.vmdk")
    hostile("parent-absolute", "the parent's path is absolute", child(parent="0badcafe", hint="/etc/hostname"), "refused", "/etc/hostname")
    hostile("parent-uuid-only", "parentCID is ffffffff, only ddb.uuid.parent tells of a parent (VirtualBox): the child alone is not the disk",
            child(more=('ddb.uuid.image="aaaaaaaa-0000-4000-8000-000000000001"',
                        'ddb.uuid.parent="bbbbbbbb-0000-4000-8000-000000000002"')), "missing")
    hostile("parent-itself", "the parent is the image itself", child(cid="0badcafe", parent="0badcafe", hint="parent-itself.vmdk"),
            "malformed")
    out.companion("vmdk/hostile/parent-stranger.vmdk", sparse(guest, grain=8, desc=descriptor([line], cid="11111111")).data)
    hostile("parent-cid-differs", "the parent is there, but its CID is not the child's parentCID: it has changed since",
            child(parent="0badcafe", hint="parent-stranger.vmdk"), "malformed")


def loose(out):
    """Names of other hosts, and parents that are known by an identity alone."""
    guest = tiny()
    length = len(guest) // SECTOR
    out.companion("vmdk/valid/\u30c7\u30a3\u30b9\u30af-flat.vmdk", guest)
    text_of = descriptor([f'RW {length} FLAT "\u30c7\u30a3\u30b9\u30af-flat.vmdk" 0'], "monolithicFlat")
    text_of = text_of.replace("version=1\n", 'version=1\nencoding="Shift_JIS"\n')
    out.content("vmdk/valid/descriptor-shift-jis.vmdk", "the descriptor is in Shift_JIS, the file's name on this host in UTF-8",
                text_of.encode("shift_jis"), guest, gate=True)
    line = f'RW {length} SPARSE "x.vmdk"'
    parent = "bbbbbbbb-0000-4000-8000-00000000000a"
    base = disk(len(guest), [(0, text("vbox base", 9000))])
    out.content("vmdk/valid/vbox-base.vmdk", "a disk of VirtualBox, with its identity in the disk data base",
                sparse(base, grain=8, desc=descriptor([line], more=(f'ddb.uuid.image="{parent}"',))).data, base)
    child = sparse(guest, grain=8, desc=descriptor([line], more=(f'ddb.uuid.parent="{parent.upper()}"',))).data
    shown = bytearray(base)
    for number, part in _cut(guest, 8):
        shown[number * 4 * KIB:number * 4 * KIB + len(part)] = part
    out.content("vmdk/valid/vbox-child.vmdk", "a snapshot of VirtualBox: the parent is the file beside it that has the UUID",
                child, bytes(shown), gate=True)
