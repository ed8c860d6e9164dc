"""qcow2 images, written from the "qcow2" interop document."""

import base64
import struct

import deflate
import zstd
from common import KIB, MIB, ceil_div, disk, noise, text

COPIED = 1 << 63
COMPRESSED = 1 << 62
ZERO = 1

# Byte offsets of the header's fields.
VERSION, BACKING_OFFSET, BACKING_SIZE, CLUSTER_BITS, SIZE, CRYPT = 4, 8, 16, 20, 24, 32
L1_SIZE, L1_OFFSET, REFTABLE_OFFSET, REFTABLE_CLUSTERS, SNAPSHOTS, SNAPSHOTS_OFFSET = 36, 40, 48, 56, 60, 64
INCOMPATIBLE, COMPATIBLE, AUTOCLEAR, REFCOUNT_ORDER, HEADER_LENGTH, COMPRESSION = 72, 80, 88, 96, 100, 104

DIRTY, CORRUPT, DATA_FILE, COMPRESSION_BIT, EXTENDED_L2 = 1, 2, 4, 8, 16
EXT_FORMAT, EXT_FEATURES, EXT_DATA_FILE = 0xE2792ACA, 0x6803F857, 0x44415441

# `text("zstd", 2048)` as the zstd program packs it (level 19, no checksum): the one block type that zstd.py does not write.
TEXT_FRAME = base64.b85decode(
    "D77#B0BD640G8N57J$zIkftn6BBn-U^BGvNA%U5iT+$vo0673U0Mo5PEM5END<!?wXuF6{f1X88iNU{=xSf;V_<ro?uLIy0OA<fV{7t&Ec#rL`"
    "`CKpC-{QPyCj<eviVYoJKE|Aahl>e@+1vSENezPM*baN<=SZu$I}dZ1;XTKsHJ0x^Bg|{{T7!A%MS6uzGWT0?o}hcS;~=tn&)f%I+=lBpl^Nw0"
    "i_YrfU^XOBqK+N&xv~Du;V_Du#mlLZ*b=f)tJ6EZdVOap5HQV`zrMOE;Uq=zI}YsFgwCjO3J7&gnx)*%2zj{MXL~~z3D>Ck`rIL%+vVC`7_N#L"
    "3<f-<*_1SZ`=~Lln~^4|v>QM~Af(h?2M{3R(S-~LItyfTsEP{9y%{{d3MG9B!S}De5wncRooFz4yOoPb6-L{bX;S)1z`>GBc`9cZu>$fj8T5XD"
    "+YWZjziLTPAy-S10sc;3Tpnp`t?vAaWTYm?B8()?t85B`<{(S^irq?h1F83wy4Tc0urdK7?0#=`EAG-p4@i%+ej6ElSa`orFu)6At@-;zn>QdT"
    "7`&9dyaAztBYL-otyi4|(dmJHy$9y?90Crb^&MCmbYft8$DcP0p2~Rl7API#M!29qhxJwtDMc;__OM`Vtq(jBN*3V%+^BF8ktg&nyqY|SaPcu`"
    "bQ|p?7~`8@V}F(#;*P2>+qS&|q90(EQM4GLSDlaOgs;|n$_fP^l<XFW9mj*9vFR`0R`+3-zTh%HxRd?!6jZJ5XcixBFQ3QnBa8?#5_tK^B|BkA"
    "NFg@G)(Acp5GP-rpeZo><Mjb>WZ<Sxrt|-Q<l{8TZJ2hmt@XB}+^3UPL5&hfVR9_-^r4?Pm!|||=>QrTEwPDIfnSEE#*cO#YIZ0pDr^lwjh<hi"
    "ws%*8IT9O%5pX>wy5bf^4(BL9_3U221O")


def feature(kind, bit, name):
    return struct.pack(">BB46s", kind, bit, name.encode())


KNOWN_FEATURES = b"".join((feature(0, 0, "dirty bit"), feature(0, 1, "corrupt bit"), feature(0, 2, "external data file"),
                           feature(1, 0, "lazy refcounts")))


class Qcow2:
    """One image under construction, and beside it the guest disk it shall read as.

    Host clusters: header, refcount table, refcount blocks, L1 table, then L2 tables and data in the order of the calls.
    """

    ENTRY = 8  # bytes of an L2 entry

    def __init__(self, size, bits=9, version=3, order=4, header_length=None, incompatible=0, compatible=0, autoclear=0,
                 compression=0, extensions=(), backing=None, below=b"", l1_extra=0, refblocks=1, late_l2=False,
                 end_extensions=True):
        self.size, self.bits, self.version, self.order = size, bits, version, order
        self.cluster = 1 << bits
        self.header_length = header_length or (112 if version == 3 else 72)
        self.incompatible, self.compatible, self.autoclear = incompatible, compatible, autoclear
        self.compression = compression
        self.extensions, self.backing, self.end_extensions = list(extensions), backing, end_extensions
        self.late_l2 = late_l2
        self.guest = bytearray(below[:size].ljust(size, b"\0"))
        self.data = bytearray()
        self.refs = {}
        self.l2 = {}  # guest cluster -> entry
        self.tables = {}  # L1 index -> host offset of the L2 table
        self.l1_flags = {}
        self.per_table = self.cluster // self.ENTRY
        self.l1_size = ceil_div(ceil_div(size, self.cluster), self.per_table) + l1_extra
        self.packed_end = None
        self.snapshots = []
        self.alloc()
        self.reftable = self.alloc()
        self.refblocks = [self.alloc() for _ in range(refblocks)]
        self.l1 = self.alloc(ceil_div(self.l1_size * 8, self.cluster)) if self.l1_size else 0

    def alloc(self, count=1):
        at = len(self.data)
        self.data += bytes(count * self.cluster)
        for index in range(count):
            self.refs[at // self.cluster + index] = 1
        return at

    def _table(self, index):
        if index not in self.tables:
            self.tables[index] = self.alloc()

    def _set(self, number, entry, shown):
        if not self.late_l2:
            self._table(number // self.per_table)
        old = self.l2.get(number, 0)
        if old and not old & COMPRESSED:
            host = (old & 0x00FFFFFFFFFFFE00) // self.cluster
            if host:
                self.refs[host] -= 1
        self.l2[number] = entry
        at = number * self.cluster
        room = self.guest[at:at + self.cluster]
        self.guest[at:at + self.cluster] = bytes(shown[:len(room)]).ljust(len(room), b"\0")

    def store(self, number, data):
        """A plain cluster."""
        if not self.late_l2:
            self._table(number // self.per_table)
        at = self.alloc()
        self.data[at:at + len(data)] = data
        self._set(number, at | COPIED, data)
        return self

    def zero(self, number, allocated=False, junk=b"not to be read"):
        """A cluster of zeros, with or without a host cluster behind it."""
        entry = ZERO
        if allocated:
            if not self.late_l2:
                self._table(number // self.per_table)
            at = self.alloc()
            self.data[at:at + len(junk)] = junk
            entry |= at | COPIED
        self._set(number, entry, b"")
        return self

    def pack(self, number, data, packed=None, fresh=False):
        """A compressed cluster, right behind the one before; `fresh`: in a host cluster of its own."""
        data = bytes(data).ljust(self.cluster, b"\0")
        packed = deflate.deflate(data) if packed is None else packed
        if not self.late_l2:
            self._table(number // self.per_table)
        at = self.packed_end
        if at is None or fresh or at > len(self.data) or len(self.data) - at >= self.cluster:
            at = len(self.data)
        while len(self.data) < at + len(packed):
            self.refs[len(self.data) // self.cluster] = 0
            self.data += bytes(self.cluster)
        self.data[at:at + len(packed)] = packed
        self.packed_end = at + len(packed)
        for host in range(at // self.cluster, (self.packed_end - 1) // self.cluster + 1):
            self.refs[host] += 1
        self._set(number, self.compressed_entry(at, len(packed)), data)
        return self

    def compressed_entry(self, at, length):
        shift = 62 - (self.bits - 8)
        sectors = ceil_div((at & 511) + length, 512) - 1
        assert at < 1 << min(shift, 56) and sectors < 1 << (62 - shift)
        return COMPRESSED | sectors << shift | at

    def snapshot(self, ident, name, extra=True):
        """Freeze the mapping: an L1 and L2 tables of its own, the data shared. Without `extra`, its size is not said."""
        entries = {}
        for number, entry in self.l2.items():
            if entry & COPIED:
                host = (entry & 0x00FFFFFFFFFFFE00) // self.cluster
                self.refs[host] += 1
                self.l2[number] = entry & ~COPIED
            elif entry & COMPRESSED:
                shift = 62 - (self.bits - 8)
                first = (entry & (1 << shift) - 1) // 512
                last = first + ((entry & ~COMPRESSED) >> shift)
                for host in range(first * 512 // self.cluster, last * 512 // self.cluster + 1):
                    self.refs[host] += 1
            entries[number] = self.l2[number]
        l1 = self.alloc(max(ceil_div(self.l1_size * 8, self.cluster), 1))
        for index in sorted({number // self.per_table for number in entries}):
            table = self.alloc()
            struct.pack_into(">Q", self.data, l1 + 8 * index, table)
            for number, entry in entries.items():
                if number // self.per_table == index:
                    struct.pack_into(">Q", self.data, table + 8 * (number % self.per_table), entry)
        record = struct.pack(">QIHHIIQII", l1, self.l1_size, len(ident), len(name), 1700000000, 0, 0, 0, 16 if extra else 0)
        record += (struct.pack(">QQ", 0, self.size) if extra else b"") + ident.encode() + name.encode()
        self.snapshots.append(record + bytes(-len(record) % 8))
        return self

    def put(self, offset, form, value):
        struct.pack_into(">" + form, self.data, offset, value)
        return self

    def poke(self, offset, data):
        self.data[offset:offset + len(data)] = data
        return self

    def entry_at(self, number):
        """Where the L2 entry of a guest cluster lies."""
        return self.tables[number // self.per_table] + self.ENTRY * (number % self.per_table)

    def host_of(self, number):
        return self.l2[number] & 0x00FFFFFFFFFFFE00

    def finish(self, refcounts=True):
        for index in sorted({number // self.per_table for number in self.l2}):
            self._table(index)
        snapshots_at = 0
        if self.snapshots:
            joined = b"".join(self.snapshots)
            snapshots_at = self.alloc(ceil_div(len(joined), self.cluster))
            self.poke(snapshots_at, joined)
        for index, at in self.tables.items():
            self.put(self.l1 + 8 * index, "Q", at | COPIED)
        for number, entry in self.l2.items():
            self.put(self.entry_at(number), "Q", entry)
        if refcounts:
            self._refcounts()
        self._header(snapshots_at)
        return self

    def _refcounts(self):
        width = 1 << self.order
        per_block = self.cluster * 8 // width
        assert len(self.data) // self.cluster <= per_block * len(self.refblocks), "more refcount blocks needed"
        for index, at in enumerate(self.refblocks):
            self.put(self.reftable + 8 * index, "Q", at)
        for host, count in self.refs.items():
            assert 0 <= count < 1 << width
            at = self.refblocks[host // per_block]
            bit = host % per_block * width
            if width < 8:
                self.data[at + bit // 8] |= count << bit % 8
            else:
                self.poke(at + bit // 8, count.to_bytes(width // 8, "big"))

    def _header(self, snapshots_at):
        head = bytearray(struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", self.version, 0, 0, self.bits, self.size, 0, self.l1_size,
                                     self.l1, self.reftable, 1, len(self.snapshots), snapshots_at))
        if self.version >= 3:
            head += struct.pack(">QQQII", self.incompatible, self.compatible, self.autoclear, self.order, self.header_length)
            head += bytes([self.compression]) + bytes(7)
            del head[self.header_length:]
            head += b"\xa5" * (self.header_length - len(head))
        for kind, data in self.extensions:
            head += struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)
        if self.end_extensions:
            head += bytes(8)
        if self.backing is not None:
            struct.pack_into(">QI", head, BACKING_OFFSET, len(head), len(self.backing))
            head += self.backing.encode()
        assert len(head) <= self.cluster, "header does not fit its cluster"
        self.data[:len(head)] = head

    def bytes(self):
        return bytes(self.data)


def sample(**more):
    """A little of everything in an image of 512-byte clusters."""
    image = Qcow2(100 * KIB, **more)
    image.store(0, text("first", 512)).store(3, noise("third", 512)).store(2, text("second", 512))
    image.pack(5, text("fifth", 512)).pack(6, b"\x11" * 512)
    image.store(199, noise("last", 512))
    if image.version >= 3:
        image.zero(7).zero(8, allocated=True)
    return image


def plain(**more):
    """One cluster in use: for files whose header is the point."""
    return Qcow2(64 * KIB, **more).store(1, text("plain", 512))


def build(out):
    valid_header(out)
    valid_map(out)
    valid_compressed(out)
    valid_backing(out)
    bad_header(out)
    bad_map(out)
    bad_compressed(out)
    bad_references(out)
    qcow2_states.build(out)
    qcow2_crypto.build(out)


def adder(out):
    def add(name, case, image, data=None, gate=False):
        out.content(f"qcow2/valid/{name}.qcow2", case, image.bytes() if data is None else data, bytes(image.guest), gate)
    return add


def valid_header(out):
    add = adder(out)
    add("v2", "version 2: header of 72 bytes, 16-bit refcounts", sample(version=2).finish())
    add("v3", "version 3 with a header of 112 bytes", sample().finish())
    add("v3-header-104", "version 3 with a header of 104 bytes: no compression type field", sample(header_length=104).finish())
    add("v3-header-extended", "a header of 144 bytes, the 32 behind the known fields unknown", sample(header_length=144).finish())
    for order in range(7):
        image = Qcow2(64 * KIB, order=order, refblocks=2 if order == 6 else 1)
        image.store(1, text(f"order {order}", 512)).zero(2).pack(70, b"packed" * 80).store(127, noise(f"order {order}", 512))
        add(f"refcount-order-{order}", f"refcounts of {1 << order} bits", image.finish())
    add("extension-unknown", "an unknown header extension, its length no multiple of 8",
        sample(extensions=[(0x12345678, b"thirteen byte")]).finish())
    add("feature-names", "a feature name table",
        Qcow2(100 * KIB, extensions=[(EXT_FEATURES, KNOWN_FEATURES)]).store(1, text("names", 512)).finish())
    add("compatible-unknown", "unknown compatible feature bits", sample(compatible=1 << 63 | 2).finish())
    add("autoclear-unknown", "unknown autoclear feature bits", sample(autoclear=1 << 62).finish())
    add("lazy-refcounts", "lazy refcounts, cleanly closed", sample(compatible=1).finish())
    add("dirty", "lazy refcounts and the dirty bit: no refcount was ever written, the mapping is whole",
        sample(compatible=1, incompatible=DIRTY).finish(refcounts=False))
    add("corrupt", "the corrupt bit forbids writing, not reading", sample(incompatible=CORRUPT).finish())
    add("size-zero", "a disk of no bytes", Qcow2(0).finish())
    add("size-odd", "a virtual size that is no multiple of the cluster, nor of 512",
        Qcow2(70001).store(0, text("odd", 512)).store(136, noise("odd", 512)).finish())
    add("size-no-cluster-multiple", "a virtual size that is a multiple of 512, not of the cluster",
        Qcow2(2048 * 3 + 1536, bits=11).store(0, text("odd", 2048)).store(3, noise("odd", 2048)).finish())
    add("l1-larger", "an L1 table with more entries than the disk needs", sample(l1_extra=40).finish())
    image = sample(l1_extra=1)
    image.snapshot("1", "before")
    image.store(0, noise("changed", 512)).store(150, text("new", 512))
    add("snapshot", "an internal snapshot that shares data clusters; the active state differs", image.finish())
    image = Qcow2(64 * KIB, bits=12)
    image.store(2, text("twelve", 4096)).pack(3, text("twelve packed", 4096)).zero(4).store(15, noise("twelve", 4096))
    add("cluster-4k", "clusters of 4 KiB", image.finish())
    image = Qcow2(4 * MIB, bits=16, late_l2=True)
    far = noise("far", 1000)
    far = disk(64 * KIB, [(5000, far), (5000 + 32 * KIB, far)])
    image.pack(1, text("sixteen packed", 65536)).pack(5, far, deflate.fixed(far)).zero(2).store(63, text("sixteen", 3000))
    _gzipped(out, "cluster-64k", "clusters of 64 KiB, one of which copies from exactly 32 KiB back; the file ends inside its last L2 table",
             image.finish(), image.entry_at(63) + 8)
    image = Qcow2(40 * MIB, bits=21, late_l2=True)
    image.pack(3, text("twenty-one", 5000)).zero(4).store(19, noise("twenty-one", 2000))
    _gzipped(out, "cluster-2m", "clusters of 2 MiB; the file ends inside its last L2 table", image.finish(), image.entry_at(19) + 8)


def _gzipped(out, name, case, image, length=None, gate=False):
    """A file whose clusters are too large to keep as they are: the manifest says "packed"."""
    out.content(f"qcow2/valid/{name}.qcow2.gz", case, deflate.gzip_file(image.bytes()[:length]), bytes(image.guest), gate, packed="gzip")


def valid_map(out):
    add = adder(out)
    image = Qcow2(3 * MIB // 2)
    for number in (0, 63, 64, 1000, 3071):
        image.store(number, noise(f"map {number}", 512))
    add("map-many-tables", "several L2 tables, most L1 entries 0", image.finish())
    add("map-empty", "nothing is allocated: the whole disk is zeros", Qcow2(8 * MIB).finish())
    image = Qcow2(32 * KIB)
    image.store(0, text("a", 512)).zero(1).zero(2, allocated=True, junk=noise("junk", 512)).store(3, text("d", 512))
    add("map-zero-clusters", "zero clusters with and without a host cluster, which holds junk", image.finish())
    image = sample().finish()
    image.put(image.l1, "Q", image.tables[0] | COPIED | 0x1FF | 0x7F << 56)
    add("map-l1-reserved-bits", "reserved bits are set in an L1 entry", image)
    image = sample().finish()
    image.put(image.entry_at(0), "Q", image.l2[0] | 0x1FE | 0x3F << 56)
    add("map-l2-reserved-bits", "reserved bits are set in an L2 entry", image)
    image = sample().finish()
    image.put(image.entry_at(0), "Q", image.l2[0] & ~COPIED)
    add("map-copied-clear", "the COPIED bit is clear although the refcount is 1", image)
    image = Qcow2(32 * KIB, late_l2=True).store(2, text("late", 512)).store(9, noise("late", 512)).finish()
    add("map-l2-cut", "the file ends behind the last entry in use of its last L2 table", image,
        image.bytes()[:image.entry_at(9) + 8])
    image = Qcow2(20 * KIB + 512, bits=10).store(3, text("tail", 1024)).store(20, noise("tail", 512)).finish()
    add("map-data-short-tail", "the last data cluster is stored up to the end of the disk", image,
        image.bytes()[:image.host_of(20) + 512])


def valid_compressed(out):
    add = adder(out)
    image = Qcow2(64 * KIB, bits=11)
    for number in range(6):
        image.pack(number, text(f"shared {number}", 2048))
    add("compressed-shared-sector", "compressed clusters that share sectors and cross host cluster borders", image.finish())
    image = Qcow2(16 * KIB, bits=11).pack(0, text("one", 2048)).pack(3, text("two", 2048)).finish()
    add("compressed-cut-at-eof", "the file ends with the last compressed byte, inside a sector", image, image.bytes()[:image.packed_end])
    image = Qcow2(16 * KIB, bits=11)
    image.pack(1, noise("stored", 2048), deflate.stored(noise("stored", 2048))).pack(2, b"z" * 2048)
    add("compressed-larger", "a compressed cluster that is longer than a cluster", image.finish())
    near = noise("window", 600)
    data = (near + text("between", 6500) + near).ljust(8 * KIB, b".")
    image = Qcow2(64 * KIB, bits=13).pack(1, data, deflate.fixed(data)).finish()
    add("compressed-8k-window", "deflate copies from 7 KiB back: a window of 4 KiB is not enough", image, image.bytes()[:image.packed_end])
    image = Qcow2(16 * KIB, bits=11)
    whole = text("longer", 2048)
    image.pack(0, whole, deflate.dynamic(whole + text("rest", 300)))
    add("compressed-stream-longer", "the deflate stream goes on behind the cluster: its first 2048 bytes count", image.finish())
    image = Qcow2(64 * KIB, bits=11)
    for number, encode in ((0, deflate.stored), (1, deflate.fixed), (2, deflate.dynamic)):
        part = text(f"block {number}", 2048)
        part = part if number else part[:1500] + bytes(548)
        image.pack(number, part, encode(part))
    add("compressed-block-types", "deflate blocks of each type", image.finish())
    image = Qcow2(8 * KIB)
    image.pack(0, noise("small", 400) + bytes(112)).pack(1, b"a" * 512).pack(15, text("small", 512))
    add("compressed-512", "compressed clusters of 512 bytes: one bit counts sectors", image.finish())
    image = Qcow2(16 * KIB + 1024, bits=11).pack(4, text("last", 1024)).finish()
    add("compressed-last-cluster", "the disk ends inside a compressed cluster", image)

    def zstd_image(**more):
        return Qcow2(64 * KIB, bits=11, compression=1, incompatible=COMPRESSION_BIT, **more)

    image = zstd_image()
    image.pack(0, b"\x37" * 2048, zstd.frame(zstd.rle(0x37, 2048)))
    part = text("zstd raw", 1000)
    image.pack(1, part + bytes(1048), zstd.frame(zstd.raw(part), zstd.rle(0, 1048)))
    image.pack(2, part + bytes(1048), zstd.frame(zstd.raw(part), zstd.rle(0, 1048), single=False, window_log=12))
    image.pack(15, text("zstd", 2048), TEXT_FRAME)
    add("zstd", "zstd: run-length, raw and compressed blocks, with and without a content size", image.finish())
    image = zstd_image()
    image.pack(3, part + b"\x99" * 1048, zstd.frame(zstd.raw(part), zstd.rle(0x99, 48)) + zstd.frame(zstd.rle(0x99, 1000), single=False))
    image.pack(4, b"\x01" * 2048, zstd.frame(zstd.rle(1, 2048)))
    add("zstd-two-frames", "two zstd frames make one cluster; another cluster's frame follows in the same sector", image.finish())
    image = zstd_image()
    image.pack(3, part + b"\x42" * 1048, zstd.frame(zstd.raw(part), zstd.rle(0x42, 1048), checksum=True))
    add("zstd-checksum", "a zstd frame with a content checksum", image.finish())
    image = zstd_image().pack(0, part + bytes(1048), zstd.frame(zstd.raw(part), zstd.rle(0, 1048))).finish()
    add("zstd-cut-at-eof", "the file ends with the last byte of a zstd frame", image, image.bytes()[:image.packed_end])


def valid_backing(out):
    add = adder(out)
    base = disk(36 * KIB + 77, [(0, text("base", 3000)), (29 * KIB, noise("base", 7 * KIB + 77))])
    out.companion("qcow2/valid/chain-base.raw", base)
    raw = (EXT_FORMAT, b"raw")
    qcow2 = (EXT_FORMAT, b"qcow2")

    def overlay(size=100 * KIB, **more):
        image = Qcow2(size, **{"backing": "chain-base.raw", "below": base, "extensions": [raw], **more})
        image.store(1, noise("overlay", 512))
        if image.version >= 3:
            image.zero(2).zero(59, allocated=True)
        return image

    middle = overlay().finish()
    add("backing-raw", "a raw backing file, shorter than the disk and no multiple of a sector; zero clusters hide it", middle, gate=True)
    add("backing-v2", "version 2 with a raw backing file", overlay(version=2).finish(), gate=True)
    add("backing-longer", "a backing file longer than the disk", overlay(size=31 * KIB).finish(), gate=True)
    below = bytes(middle.guest)
    top = Qcow2(100 * KIB, backing="backing-raw.qcow2", below=below, extensions=[qcow2])
    top.store(0, text("top", 512)).pack(4, text("top packed", 512)).zero(110)
    add("backing-three-layers", "three layers: qcow2 over qcow2 over raw", top.finish(), gate=True)
    top = Qcow2(150 * KIB, backing="backing-raw.qcow2", below=below, extensions=[qcow2], bits=11)
    top.store(1, text("top", 2048)).store(74, text("far", 2048))
    add("backing-other-cluster-size", "the layers have clusters of different sizes, the lower one is shorter", top.finish(), gate=True)
    top = Qcow2(100 * KIB, backing="backing-raw.qcow2", below=below).store(9, text("nine", 512)).finish()
    add("backing-format-absent", "no backing format extension: the qcow2 file below is told by its header", top, gate=True)
    out.companion("qcow2/valid/chain base.raw", base[:5000])
    top = Qcow2(70 * KIB, backing="chain base.raw", below=base[:5000], extensions=[raw, (0xABCDEF01, b"x")]).store(9, text("nine", 512)).finish()
    add("backing-name-with-space", "a backing file name with a space, behind an unknown extension", top, gate=True)
    top = overlay(end_extensions=False).finish()
    add("backing-extensions-unterminated", "the header extensions end where the backing file name starts, without an end mark", top, gate=True)


def refuser(out):
    def refuse(name, case, image, kind, *mentions, shelf="malformed", gate=False):
        data = image.bytes() if isinstance(image, Qcow2) else bytes(image)
        out.refused(f"qcow2/{shelf}/{name}.qcow2", case, data, kind, *mentions, gate=gate)
    return refuse


def bad_header(out):
    refuse = refuser(out)

    def poked(*pokes, **more):
        image = plain(**more).finish()
        for offset, form, value in pokes:
            image.put(offset, form, value)
        return image

    for bits in (0, 8, 22, 64):
        refuse(f"cluster-bits-{bits}", f"cluster_bits {bits}", poked((CLUSTER_BITS, "I", bits)), "malformed", "byte 20", "cluster_bits")
    refuse("cluster-bits-max", "cluster_bits 2^32-1", poked((CLUSTER_BITS, "I", 0xFFFFFFFF)), "malformed", "byte 20", shelf="hostile")
    for version in (0, 1, 4):
        refuse(f"version-{version}", f"version {version}", poked((VERSION, "I", version)), "unsupported", "byte 4")
    refuse("incompatible-bit-5", "incompatible bit 5, named by no feature name table", poked((INCOMPATIBLE, "Q", 1 << 5)), "unsupported",
           "byte 72")
    refuse("incompatible-bit-63", "incompatible bit 63", poked((INCOMPATIBLE, "Q", 1 << 63)), "unsupported", "byte 72")
    named = Qcow2(100 * KIB, incompatible=1 << 17, extensions=[(EXT_FEATURES, feature(0, 17, "time travel"))]).finish()
    refuse("incompatible-bit-named", "incompatible bit 17, which the feature name table calls 'time travel'", named, "unsupported",
           "time travel")
    refuse("header-length-107", "header_length 107 is no multiple of 8", poked((HEADER_LENGTH, "I", 107)), "malformed", "byte 100")
    refuse("header-length-96", "header_length 96 does not reach its own field", poked((HEADER_LENGTH, "I", 96)), "malformed", "byte 100")
    refuse("header-length-0", "header_length 0", poked((HEADER_LENGTH, "I", 0)), "malformed", "byte 100")
    refuse("header-length-520", "header_length 520 passes the cluster", poked((HEADER_LENGTH, "I", 520)), "malformed", "byte 100")
    refuse("header-length-max", "header_length 2^32-8", poked((HEADER_LENGTH, "I", 0xFFFFFFF8)), "malformed", "byte 100", shelf="hostile")
    refuse("header-cut", "the file ends inside the header", plain().finish().bytes()[:60], "out-of-bounds")
    refuse("header-only", "the file ends behind the first cluster", plain().finish().bytes()[:512], "out-of-bounds")
    refuse("l1-unaligned", "the L1 table is not at a cluster border", poked((L1_OFFSET, "Q", 1000)), "malformed", "byte 40")
    refuse("l1-behind-file", "the L1 table lies behind the end of the file", poked((L1_OFFSET, "Q", 1 << 30)), "out-of-bounds", "byte 40")
    refuse("l1-offset-max", "the L1 offset is 2^64-512", poked((L1_OFFSET, "Q", (1 << 64) - 512)), "out-of-bounds", "byte 40",
           shelf="hostile")
    refuse("l1-too-small", "l1_size covers only a part of the disk", poked((L1_SIZE, "I", 1)), "malformed", "byte 36")
    refuse("l1-size-max", "l1_size 2^32-1", poked((L1_SIZE, "I", 0xFFFFFFFF)), "limit-exceeded", "byte 36", shelf="hostile")
    refuse("size-huge", "a virtual size of 2^63", poked((SIZE, "Q", 1 << 63)), "limit-exceeded", shelf="hostile")
    refuse("size-max", "a virtual size of 2^64-1", poked((SIZE, "Q", (1 << 64) - 1)), "limit-exceeded", shelf="hostile")
    refuse("size-beyond-l1", "a virtual size of 1 TiB that the L1 table does not cover", poked((SIZE, "Q", 1 << 40)), "malformed", "byte 36",
           shelf="hostile")
    refuse("refcount-order-7", "refcount_order 7", poked((REFCOUNT_ORDER, "I", 7)), "malformed", "byte 96")
    refuse("refcount-order-max", "refcount_order 2^32-1", poked((REFCOUNT_ORDER, "I", 0xFFFFFFFF)), "malformed", "byte 96", shelf="hostile")
    refuse("refcount-table-unaligned", "the refcount table is not at a cluster border", poked((REFTABLE_OFFSET, "Q", 520)), "malformed",
           "byte 48")
    refuse("snapshots-many", "65537 snapshots", poked((SNAPSHOTS, "I", 65537), (SNAPSHOTS_OFFSET, "Q", 512)), "limit-exceeded", "byte 60",
           shelf="hostile")
    refuse("snapshots-max", "2^32-1 snapshots", poked((SNAPSHOTS, "I", 0xFFFFFFFF), (SNAPSHOTS_OFFSET, "Q", 512)), "limit-exceeded",
           "byte 60", shelf="hostile")
    refuse("compression-type-2", "compression type 2", poked((COMPRESSION, "B", 2), (INCOMPATIBLE, "Q", COMPRESSION_BIT)), "unsupported",
           "byte 104")
    refuse("compression-bit-alone", "incompatible bit 3 with compression type 0", poked((INCOMPATIBLE, "Q", COMPRESSION_BIT)), "malformed")
    refuse("compression-bit-short-header", "incompatible bit 3 with a header too short for the compression type",
           poked((INCOMPATIBLE, "Q", COMPRESSION_BIT), header_length=104), "malformed")
    refuse("compression-type-alone", "compression type 1 without incompatible bit 3", poked((COMPRESSION, "B", 1)), "malformed")
    refuse("crypt-aes", "AES encryption, and no secret", poked((CRYPT, "I", 1)), "refused", "encrypt.key-secret")
    refuse("crypt-luks", "LUKS encryption without the extension that names its header", poked((CRYPT, "I", 2)), "malformed", "byte 32")
    refuse("crypt-three", "encryption method 3 does not exist", poked((CRYPT, "I", 3)), "unsupported", "byte 32")
    image = plain(extensions=[(0x12345678, b"eight by")]).finish()
    refuse("extension-overruns", "a header extension is longer than the rest of the cluster", image.put(116, "I", 4000), "malformed")
    image = plain(extensions=[(0x12345678, b"eight by")]).finish()
    refuse("extension-length-max", "a header extension of 2^32-1 bytes", image.put(116, "I", 0xFFFFFFFF), "malformed", shelf="hostile")


def bad_map(out):
    refuse = refuser(out)

    def two(**more):
        return Qcow2(64 * KIB, **{"bits": 10, **more}).store(1, text("one", 1024)).store(2, noise("two", 1024))

    image = two().finish()
    refuse("l2-behind-file", "an L2 table lies behind the end of the file", image.put(image.l1, "Q", 1 << 30 | COPIED), "out-of-bounds")
    image = two().finish()
    refuse("l2-offset-max", "an L2 table at 2^56-1024", image.put(image.l1, "Q", (1 << 56) - 1024), "out-of-bounds", shelf="hostile")
    image = two().finish()
    refuse("l2-unaligned", "an L2 table is not at a cluster border", image.put(image.l1, "Q", image.tables[0] + 512), "malformed")
    image = two().finish()
    refuse("data-behind-file", "a data cluster lies behind the end of the file", image.put(image.entry_at(2), "Q", 1 << 30 | COPIED),
           "out-of-bounds")
    image = two().finish()
    refuse("data-offset-max", "a data cluster at 2^56-1024", image.put(image.entry_at(2), "Q", (1 << 56) - 1024), "out-of-bounds",
           shelf="hostile")
    image = two().finish()
    refuse("data-unaligned", "a data cluster is not at a cluster border", image.put(image.entry_at(2), "Q", image.host_of(2) + 512), "malformed")
    image = two().finish()
    refuse("data-cut", "the file ends inside a data cluster", image.bytes()[:image.host_of(2) + 700], "out-of-bounds")
    image = two(version=2).finish()
    refuse("zero-flag-v2", "the zero flag of an L2 entry in version 2", image.put(image.entry_at(2), "Q", image.l2[2] | ZERO), "malformed")


def bad_compressed(out):
    refuse = refuser(out)
    part = text("packed", 2048)

    def packed(data, **more):
        return Qcow2(64 * KIB, **{"bits": 11, **more}).pack(1, part, data)

    good = deflate.dynamic(part)
    refuse("compressed-block-type", "the deflate stream uses the reserved block type", packed(b"\x07" + good[1:]).finish(), "malformed")
    refuse("compressed-distance", "a deflate match reaches in front of the cluster", packed(b"\x03\x02\x00" + bytes(200)).finish(), "malformed")
    refuse("compressed-zlib-header", "the stream has a zlib header, which qcow2 does not know", packed(deflate.zlib_stream(part)).finish(),
           "malformed")
    refuse("compressed-short", "the deflate stream ends after half a cluster", packed(deflate.dynamic(part[:1024])).finish(), "malformed")
    image = packed(good).finish()
    refuse("compressed-behind-file", "a compressed cluster starts behind the end of the file",
           image.put(image.entry_at(1), "Q", image.compressed_entry(1 << 30, 1000)), "out-of-bounds")
    image = packed(good).finish()
    refuse("compressed-offset-max", "a compressed cluster at the largest offset the entry can hold",
           image.put(image.entry_at(1), "Q", COMPRESSED | (1 << 58) - 1), "out-of-bounds", shelf="hostile")
    image = packed(good).finish()
    refuse("compressed-cut", "the file ends inside the deflate stream", image.bytes()[:image.packed_end - 100], "malformed")
    image = packed(good).finish()
    refuse("compressed-sectors-few", "the entry counts fewer sectors than the deflate stream has",
           image.put(image.entry_at(1), "Q", image.compressed_entry(image.packed_end - len(good), 400)), "malformed")
    bomb = Qcow2(4 * MIB, bits=11, refblocks=2).pack(0, b"\x2a" * 2048)
    for number in range(1, 2048):
        bomb._set(number, bomb.l2[0], b"\x2a" * 2048)
    bomb.finish()
    out.content("qcow2/hostile/compressed-bomb.qcow2", "every L2 entry names the same compressed cluster, whose refcount is 1: "
                "readable, though a check has to find it", bomb.bytes(), bytes(bomb.guest))

    def zstd_bad(name, case, data, shelf="malformed"):
        refuse(name, case, packed(data, compression=1, incompatible=COMPRESSION_BIT).finish(), "malformed", shelf=shelf)

    zstd_bad("zstd-magic", "no zstd magic: the cluster is deflate", good)
    zstd_bad("zstd-short", "the zstd frame holds half a cluster", zstd.frame(zstd.raw(part[:1000]), zstd.rle(0, 24)))
    zstd_bad("zstd-block-reserved", "a zstd block of the reserved type", zstd.frame(zstd.raw(part[:1000]), (3, 1048, b"\0")))
    zstd_bad("zstd-checksum-wrong", "the frame's content checksum is wrong",
             zstd.frame(zstd.raw(part[:1000]), zstd.rle(0, 1048), checksum=True)[:-4] + b"\0\0\0\0")
    zstd_bad("zstd-window-huge", "the frame asks for a window of 2^41 bytes",
             zstd.frame(zstd.raw(part[:1000]), zstd.rle(0, 1048), single=False, window_log=41), shelf="hostile")


def bad_references(out):
    refuse = refuser(out)

    def over(name, format=b"raw", **more):
        extensions = [(EXT_FORMAT, format)] if format else []
        return Qcow2(64 * KIB, **{"backing": name, "extensions": extensions, **more}).store(1, text("over", 512)).finish()

    def hostile(name, case, image, kind, *mentions):
        refuse(name, case, image, kind, *mentions, shelf="hostile", gate=True)

    hostile("backing-itself", "the backing file is the image itself", over("backing-itself.qcow2", b"qcow2"), "malformed")
    hostile("backing-loop-a", "two images are each other's backing file", over("backing-loop-b.qcow2", b"qcow2"), "malformed")
    hostile("backing-loop-b", "two images are each other's backing file", over("backing-loop-a.qcow2", b"qcow2"), "malformed")
    hostile("backing-absolute", "an absolute backing path", over("/etc/hostname"), "refused", "/etc/hostname")
    hostile("backing-climbing", "a backing path that leaves the folder (the file is there)", over("../valid/chain-base.raw"), "refused",
            "../valid/chain-base.raw")
    hostile("backing-json", "a backing name with a json: prefix is a file name, and there is no such file",
            over('json:{"driver":"file","filename":"hostname"}'), "missing")
    hostile("backing-nbd", "a backing name with an nbd: prefix is a file name, and there is no such file",
            over("nbd:192.0.2.1:10809"), "missing")
    refuse("backing-missing", "the backing file is not there", over("gone.raw"), "missing", "gone.raw", gate=True)
    out.companion("qcow2/malformed/short.raw", text("short", 5000))
    refuse("backing-format-unknown", "the backing format is one that does not exist", over("short.raw", b"squaredisk"), "unsupported",
           gate=True)
    refuse("backing-format-wrong", "the backing format says qcow2, the file is not one", over("short.raw", b"qcow2"), "malformed", gate=True)
    image = Qcow2(64 * KIB, bits=12).finish()
    image.put(BACKING_OFFSET, "Q", 512).put(BACKING_SIZE, "I", 1024).poke(512, b"a" * 1024)
    refuse("backing-name-1024", "a backing name of 1024 bytes", image, "malformed", "byte 16")
    image = Qcow2(64 * KIB).finish()
    refuse("backing-name-max", "a backing name of 2^32-1 bytes", image.put(BACKING_OFFSET, "Q", 200).put(BACKING_SIZE, "I", 0xFFFFFFFF),
           "malformed", "byte 16", shelf="hostile")
    image = Qcow2(64 * KIB).finish()
    refuse("backing-name-outside", "the backing name lies behind the first cluster",
           image.put(BACKING_OFFSET, "Q", 600).put(BACKING_SIZE, "I", 8), "malformed", "byte 8")
    image = Qcow2(64 * KIB).finish()
    refuse("backing-name-crosses", "the backing name starts in the first cluster and ends behind it",
           image.put(BACKING_OFFSET, "Q", 500).put(BACKING_SIZE, "I", 40), "malformed")
    image = Qcow2(64 * KIB).finish()
    refuse("backing-offset-max", "the backing name at 2^64-1", image.put(BACKING_OFFSET, "Q", (1 << 64) - 1).put(BACKING_SIZE, "I", 8),
           "malformed", "byte 8", shelf="hostile")
    def data_file(name):
        return Qcow2(64 * KIB, incompatible=DATA_FILE, extensions=[(EXT_DATA_FILE, name)]).finish()

    hostile("data-file", "an external data file at an absolute path", data_file(b"/etc/hostname"), "refused", "/etc/hostname")
    hostile("data-file-climbing", "a data file outside of the folder (the file is there)", data_file(b"../valid/chain-base.raw"), "refused",
            "../valid/chain-base.raw")
    hostile("data-file-json", "an external data file with a json: name: a file name, and there is no such file",
            data_file(b'json:{"driver":"file","filename":"/etc/hostname"}'), "missing")
    hostile("data-file-unnamed", "incompatible bit 2 without a name", Qcow2(64 * KIB, incompatible=DATA_FILE).finish(), "malformed", "byte 72")
    harmless = Qcow2(64 * KIB, extensions=[(EXT_DATA_FILE, b"/etc/hostname")]).store(1, text("inside", 512)).finish()
    out.content("qcow2/hostile/data-file-extension-alone.qcow2", "the extension of a data file without incompatible bit 2: it means nothing, "
                "and is never followed", harmless.bytes(), bytes(harmless.guest))


import qcow2_crypto  # noqa: E402, it builds on the above
import qcow2_states  # noqa: E402, the same
