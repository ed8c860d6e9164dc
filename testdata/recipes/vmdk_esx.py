"""What ESX writes: sparse extents of snapshots of both kinds, and descriptors of its own."""

import struct

from common import KIB, SECTOR, ceil_div, disk, noise, round_up, text

JUNK = b"\xcc"
COWD_GTES, SE_GTES, SE_GRAIN = 4096, 4096, 8


def cowd(size, parts, grain=1, entries=None, capacity=None, flags=3, unclean=0, version=1, gd=4):
    """A COWD extent of `size` guest bytes with `parts`: grain number -> bytes of a grain."""
    capacity = size // SECTOR if capacity is None else capacity
    tables = ceil_div(ceil_div(size // SECTOR, grain), COWD_GTES)
    entries = tables if entries is None else entries
    out = bytearray(struct.pack("<4s7I", b"COWD", version, flags, capacity, grain, gd, entries, 0).ljust(2048, b"\0"))
    struct.pack_into("<I", out, 1648, unclean)
    out += bytes(round_up(max(tables, 1) * 4, SECTOR))
    sectors = {}
    for number in sorted({part // COWD_GTES for part in parts}):
        at = len(out) // SECTOR
        struct.pack_into("<I", out, 4 * SECTOR + 4 * number, at)
        sectors[number] = at
        out += bytes(COWD_GTES * 4)
    for number, data in parts.items():
        struct.pack_into("<I", out, sectors[number // COWD_GTES] * SECTOR + number % COWD_GTES * 4, len(out) // SECTOR)
        assert len(data) == grain * SECTOR
        out += data
    struct.pack_into("<I", out, 28, len(out) // SECTOR)
    return out


def grain_entry(number):
    """A table entry that means grain `number`: its low 12 bits are on top."""
    return 3 << 60 | (number & 0xFFF) << 48 | number >> 12


def sesparse(size, parts, zeros=(), unmapped=(), journal=0, fields=()):
    """A seSparse extent with `parts`: grain number -> 4 KiB; tables lie in the file in another order than on the disk."""
    tables = ceil_div(size // SECTOR, SE_GRAIN * SE_GTES)
    used = sorted({number // SE_GTES for number in [*parts, *zeros, *unmapped]}, reverse=True)
    directory_size = round_up(tables * 8, SECTOR) // SECTOR
    tables_at = 4 + directory_size
    grains_at = tables_at + len(used) * 64
    header = bytearray(SECTOR)
    for offset, value in ((0, 0xCAFEBABE), (8, 0x200000001), (16, size // SECTOR), (24, SE_GRAIN), (32, 64), (40, 0),
                          (80, 1), (88, 1), (96, 2), (104, 2), (112, 2), (120, 2), (128, 4), (136, directory_size),
                          (144, tables_at), (152, len(used) * 64), (160, 0), (176, 0), (192, grains_at),
                          (200, len(parts) * SE_GRAIN), *fields):
        struct.pack_into("<Q", header, offset, value)
    volatile = struct.pack("<QQQQ", 0xCAFECAFE, len(used), 1, journal).ljust(SECTOR, b"\0")
    directory = bytearray(directory_size * SECTOR)
    body = bytearray(len(used) * 64 * SECTOR)

    def put(number, entry):
        struct.pack_into("<Q", body, used.index(number // SE_GTES) * 64 * SECTOR + number % SE_GTES * 8, entry)

    for index, number in enumerate(used):
        struct.pack_into("<Q", directory, 8 * number, 1 << 60 | index)
    grains = bytearray()
    for number, data in parts.items():
        put(number, grain_entry(len(grains) // (SE_GRAIN * SECTOR)))
        grains += data
    for number in zeros:
        put(number, 2 << 60)
    for number in unmapped:
        put(number, 1 << 60)
    return header + volatile + bytes(2 * SECTOR) + directory + body + grains


def grains_of(data, grain_len):
    return [data[at:at + grain_len] for at in range(0, len(data), grain_len)]


def overlay(base, parts, grain_len, zeros=()):
    """What a child shows over `base`."""
    guest = bytearray(base)
    for number in zeros:
        guest[number * grain_len:(number + 1) * grain_len] = bytes(grain_len)
    for number, data in parts.items():
        guest[number * grain_len:(number + 1) * grain_len] = data
    return bytes(guest[:len(base)])


def build(out, descriptor):
    size = 40 * KIB
    sectors = size // SECTOR
    base = disk(size, [(0, text("esx base", 9000)), (30 * KIB, noise("esx base", 5000))])
    out.companion("vmdk/valid/esx-flat.vmdk", base)
    ddb = ('ddb.thinProvisioned = "1"', 'ddb.encoding = "UTF-8"')
    out.content("vmdk/valid/esx.vmdk", "a disk of ESX: createType vmfs, an extent of type VMFS",
                descriptor([f'RW {sectors} VMFS "esx-flat.vmdk"'], "vmfs", cid="0172e8a4", more=ddb).encode(), base, gate=True)
    for kind in ("vmfsThin", "vmfsPreallocated", "vmfsEagerZeroedThick", "fullDevice", "partitionedDevice"):
        line = f'RW {sectors} FLAT "esx-flat.vmdk" 0' if kind.endswith("Device") else f'RW {sectors} VMFS "esx-flat.vmdk"'
        out.content(f"vmdk/valid/type-{kind}.vmdk", f"createType {kind}, whose data is in a file",
                    descriptor([line], kind).encode(), base, gate=True)

    sector_grains = {2: text("delta", SECTOR), 3: noise("delta", SECTOR), 70: noise("delta end", SECTOR)}
    out.companion("vmdk/valid/esx-000001-delta.vmdk", cowd(size, sector_grains))
    out.content("vmdk/valid/esx-000001.vmdk", "a snapshot of ESX: createType vmfsSparse, a COWD extent in grains of one sector",
                descriptor([f'RW {sectors} VMFSSPARSE "esx-000001-delta.vmdk"'], "vmfsSparse", cid="9ab16ab9", parent="0172e8a4",
                           hint="esx.vmdk").encode(), overlay(base, sector_grains, SECTOR), gate=True)
    wide = {1: noise("wide", 8 * SECTOR), 9: text("wide", 8 * SECTOR)}
    out.companion("vmdk/valid/esx-000002-delta.vmdk", cowd(size, wide, grain=8, unclean=1))
    first = overlay(base, sector_grains, SECTOR)
    out.content("vmdk/valid/esx-000002.vmdk", "a snapshot of a snapshot, in grains of 8 sectors",
                descriptor([f'RW {sectors} VMFSSPARSE "esx-000002-delta.vmdk"'], "vmfsSparse", cid="d9c73e0a", parent="9ab16ab9",
                           hint="esx-000001.vmdk").encode(), overlay(first, wide, 8 * SECTOR), gate=True)

    se = {0: noise("se", 4 * KIB), 7: text("se", 4 * KIB)}
    out.companion("vmdk/valid/esx-000003-sesparse.vmdk", sesparse(size, se, zeros=(1,), unmapped=(8,)))
    out.content("vmdk/valid/esx-000003.vmdk", "a snapshot of ESX: createType seSparse, with grains of zeros and unmapped ones",
                descriptor([f'RW {sectors} SESPARSE "esx-000003-sesparse.vmdk"'], "seSparse", cid="3729b687", parent="0172e8a4",
                           hint="esx.vmdk").encode(), overlay(base, se, 4 * KIB, (1, 8)), gate=True)
    moved = descriptor([f'RW {sectors} VMFSSPARSE "esx-000001-delta.vmdk"'], "vmfsSparse", cid="9ab16ab9", parent="0172e8a4",
                       hint="/vmfs/volumes/5f1e/vm/esx.vmdk")
    out.content("vmdk/valid/esx-moved.vmdk", "the parent's path is absolute, and the disk was moved: the file beside it has the CID",
                moved.encode(), overlay(base, sector_grains, SECTOR), gate=True)

    bad(out, descriptor)


def bad(out, descriptor):
    size = 40 * KIB
    sectors = size // SECTOR

    def refuse(name, case, extent, kind, *mentions, shelf="malformed", word="SESPARSE", create="seSparse", lines=sectors,
               head=False):
        # What is wrong in front needs nothing behind it.
        extent = extent[:5 * SECTOR] if head else extent
        out.companion(f"vmdk/{shelf}/{name}-extent.vmdk", extent)
        out.refused(f"vmdk/{shelf}/{name}.vmdk", case, descriptor([f'RW {lines} {word} "{name}-extent.vmdk"'], create).encode(),
                    kind, *mentions, gate=True)

    def refuse_cowd(name, case, extent, kind, *mentions, **more):
        refuse(name, case, extent, kind, *mentions, word="VMFSSPARSE", create="vmfsSparse", **more)

    one = {2: noise("bad", SECTOR)}
    whole = cowd(size, one)
    out.refused("vmdk/malformed/cowd.vmdk", "an ESX snapshot's extent without its descriptor, which alone names the parent",
                cowd(size, {}), "unsupported", "descriptor")
    refuse_cowd("cowd-grain-behind-file", "the file ends within a grain", whole[:-1], "out-of-bounds")
    refuse_cowd("cowd-table-cut", "the file ends within a grain table", whole[:5 * SECTOR + 100], "out-of-bounds")
    refuse_cowd("cowd-header-cut", "the file ends within the header", whole[:1000], "out-of-bounds")
    refuse_cowd("cowd-version", "version 2", cowd(size, one, version=2), "unsupported", "byte 4", head=True)
    refuse_cowd("cowd-capacity", "the extent line says more than the header", whole, "malformed", "byte 12", lines=sectors + 8)
    refuse_cowd("cowd-grain-size-zero", "grainSize 0", whole[:16] + bytes(4) + whole[20:], "malformed", "byte 16", head=True)
    refuse_cowd("cowd-directory-in-header", "gdOffset within the header", cowd(size, one, gd=3), "malformed", "byte 20",
                shelf="hostile", head=True)
    refuse_cowd("cowd-directory-small", "numGDEntries is less than the capacity needs", cowd(size, one, entries=0), "malformed",
                "byte 24", head=True)
    entry = bytearray(whole)
    struct.pack_into("<I", entry, 5 * SECTOR + 4 * 2, 1)
    refuse_cowd("cowd-grain-in-header", "an entry puts a grain into the header", entry, "malformed", shelf="hostile")
    refuse_cowd("cowd-capacity-huge", "2^32-1 sectors in a file of a few", cowd(size, one, capacity=(1 << 32) - 1, entries=(1 << 32) - 1),
                "out-of-bounds", shelf="hostile", lines=(1 << 32) - 1, head=True)

    se = {1: noise("bad", 4 * KIB)}
    out.refused("vmdk/malformed/sesparse.vmdk", "a space-efficient extent without its descriptor", sesparse(size, {}),
                "unsupported", "descriptor")
    refuse("sesparse-journal", "the journal has to be replayed first", sesparse(size, se, journal=1), "unsupported", "replay_journal", head=True)
    refuse("sesparse-version", "another version", sesparse(size, se, fields=((8, 1),)), "unsupported", "byte 8", head=True)
    refuse("sesparse-grain-size", "grains of 16 sectors, which nobody writes", sesparse(size, se, fields=((24, 16),)), "unsupported",
           "byte 24", head=True)
    refuse("sesparse-volatile-lost", "the volatile header lies behind the file", sesparse(size, se, fields=((80, 1 << 40),)),
           "out-of-bounds", "byte 80", head=True)
    refuse("sesparse-directory-behind-file", "the directory lies behind the file", sesparse(size, se, fields=((128, 1 << 40),)),
           "out-of-bounds", head=True)
    refuse("sesparse-tables-overflow", "grain_tables_offset near 2^64", sesparse(size, se, fields=((144, (1 << 64) - 1),)),
           "out-of-bounds", shelf="hostile", head=True)
    refuse("sesparse-capacity-huge", "2^63 sectors", sesparse(size, se, fields=((16, 1 << 63),)), "limit-exceeded", "byte 16",
           shelf="hostile", head=True)
    whole = sesparse(size, se)
    for name, offset, value, case in (
            ("directory-entry", 4 * SECTOR, 7, "a directory entry without the bits that every one has"),
            ("table-number", 4 * SECTOR, 1 << 60 | 5, "a directory entry that means a sixth table, where there is one"),
            ("entry-type", 5 * SECTOR + 8, 5 << 60, "a table entry of a type that does not exist")):
        extent = bytearray(whole)
        struct.pack_into("<Q", extent, offset, value)
        refuse(f"sesparse-{name}", case, extent, "malformed", head=offset < 5 * SECTOR)
    extent = bytearray(whole)
    struct.pack_into("<Q", extent, 5 * SECTOR + 8, grain_entry((1 << 60) - 1 & 0xFFFFFFFFFFFF))
    refuse("sesparse-grain-far", "a table entry that means the last grain there can be", extent, "out-of-bounds", shelf="hostile")
