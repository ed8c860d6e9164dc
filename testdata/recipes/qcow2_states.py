"""qcow2 images with subclusters, data files, snapshots and bitmaps, written from the "qcow2" interop document."""

import hashlib
import struct

from common import KIB, MIB, noise, text
from qcow2 import COMPRESSED, COPIED, DATA_FILE, EXT_DATA_FILE, EXT_FORMAT, EXTENDED_L2, ZERO, Qcow2, _gzipped, adder, refuser

EXT_BITMAPS = 0x23852875
BITMAPS, RAW_DATA = 1, 2  # autoclear bits
IN_USE, AUTO, OPTIONAL = 1, 2, 4  # flags of a bitmap


class Extended(Qcow2):
    """An image with extended L2 entries: of 16 bytes, the last 8 for 32 subclusters."""

    ENTRY = 16

    def __init__(self, size, bits=14, incompatible=0, **more):
        super().__init__(size, bits=bits, incompatible=incompatible | EXTENDED_L2, **more)
        self.bitmaps = {}
        self.part = self.cluster // 32

    def parts(self, number, stored=(), zero=(), allocate=True, seed="part"):
        """A cluster of which some subclusters are stored, and some read as zeros."""
        self._table(number // self.per_table)
        at = self.alloc() if allocate else 0
        shown = bytearray(self.guest[number * self.cluster:(number + 1) * self.cluster].ljust(self.cluster, b"\0"))
        if at:
            # What is not said to be stored must not show.
            self.data[at:at + self.cluster] = b"\xdb" * self.cluster
        for index in stored:
            data = noise(f"{seed} {number} {index}", self.part)
            self.data[at + index * self.part:at + (index + 1) * self.part] = data
            shown[index * self.part:(index + 1) * self.part] = data
        for index in zero:
            shown[index * self.part:(index + 1) * self.part] = bytes(self.part)
        self._set(number, at | COPIED if at else 0, shown)
        self.bitmaps[number] = sum(1 << index for index in stored) | sum(1 << 32 + index for index in zero)
        return self

    def finish(self, refcounts=True):
        super().finish(refcounts)
        for number, bitmap in self.bitmaps.items():
            self.put(self.entry_at(number) + 8, "Q", bitmap)
        return self


def build(out):
    extended(out)
    data_files(out)
    snapshots(out)
    bitmaps(out)


def extended(out):
    add, refuse = adder(out), refuser(out)
    image = Extended(100 * KIB + 512)
    image.parts(0, stored=(0, 3, 4, 31), zero=(1, 30)).parts(6, stored=(0, 1, 2, 3, 4, 5, 6, 7, 8))
    image.finish()
    add("extended-l2", "extended L2 entries: subclusters that are stored, zero, and neither; the file ends with the disk", image,
        image.bytes()[:image.host_of(6) + 9 * 512])
    image = Extended(300 * KIB)
    image.parts(1, stored=range(32)).parts(2, stored=range(32)).parts(3, zero=range(32), allocate=False)
    image.parts(4, zero=range(5, 32)).parts(5).pack(7, text("extended packed", 16 * KIB)).parts(18, stored=(0, 1))
    image.finish()
    image.put(image.entry_at(2), "Q", image.l2[2] | ZERO)
    _gzipped(out, "extended-l2-whole", "whole clusters with extended L2 entries: stored, zero, compressed, and one with a cluster of which "
             "nothing is used; bit 0 of the entry is reserved", image)
    base = out.files["qcow2/valid/chain-base.raw"]
    image = Extended(70 * KIB, backing="chain-base.raw", below=base, extensions=[(EXT_FORMAT, b"raw")])
    image.parts(0, stored=(1, 2), zero=(0, 4)).parts(1, zero=(31,), allocate=False).parts(2, stored=(7,))
    _gzipped(out, "extended-l2-backing", "subclusters over a backing file, which shows through those that are neither stored nor zero",
             image.finish(), gate=True)

    def broken(raw, bitmap):
        image = Extended(64 * KIB).parts(0, stored=(0, 1)).finish()
        image.put(image.entry_at(0), "Q", image.l2[0] if raw is None else raw).put(image.entry_at(0) + 8, "Q", bitmap)
        return image, image.entry_at(0)

    image, at = broken(None, 3 | 2 << 32)
    refuse("extended-l2-both", "a subcluster that is both stored and zero", image.bytes()[:at + 16 * KIB + 1024], "malformed", f"byte {at + 8}")
    image, at = broken(0, 1)
    refuse("extended-l2-no-cluster", "a subcluster that is stored in no cluster", image.bytes()[:at + 16 * KIB], "malformed", f"byte {at + 8}")
    refuse("extended-l2-small", "extended L2 entries with clusters of 8 KiB", Extended(64 * KIB, bits=13).finish().bytes()[:512],
           "malformed", "byte 20")


def data_files(out):
    add, refuse = adder(out), refuser(out)

    def image(name, stored=(), raw=False, size=12 * KIB):
        image = Qcow2(size, incompatible=DATA_FILE, autoclear=RAW_DATA if raw else 0, extensions=[(EXT_DATA_FILE, name.encode())])
        for number, data in stored:
            image._set(number, number * 512 | COPIED, data)
        return image

    disk = noise("data file", 3000) + text("data file", 12 * KIB - 3000)
    out.companion("qcow2/valid/data-file.bin", disk)
    stored = [(number, disk[number * 512:][:512]) for number in (0, 1, 2, 7, 23)]
    first = image("data-file.bin", stored).zero(3)
    first.zero(4)
    first.l2[4] = 4 * 512 | COPIED | ZERO
    add("data-file", "an external data file: clusters at their own offsets, 0 among them; what no entry names does not show", first.finish(),
        gate=True)
    all_of_it = [(number, disk[number * 512:][:512]) for number in range(24)]
    add("data-file-raw", "a raw external data file: it is the disk", image("data-file.bin", all_of_it, raw=True).finish(), gate=True)
    add("data-file-unused", "an external data file, which is there, for an empty disk", image("data-file.bin").finish(), gate=True)
    refuse("data-file-missing", "the data file is not there", image("gone.bin", stored).finish(), "missing", "gone.bin", gate=True)
    out.companion("qcow2/malformed/short.bin", disk[:5000])
    refuse("data-file-short", "the data file ends before the disk does", image("short.bin", stored).finish(), "out-of-bounds", gate=True)
    other = image("short.bin", stored[:3])
    other.l2[1] = 2 * 512 | COPIED
    refuse("data-file-offset", "a cluster of a data file that is not at its own offset", other.finish(), "malformed", gate=True)
    packed = image("short.bin", stored[:3])
    packed.l2[1] = COMPRESSED | 1024
    refuse("data-file-compressed", "a compressed cluster in a data file", packed.finish(), "malformed", gate=True)


def facts(image):
    """What a snapshot reads as."""
    return {"guest_size": image.size, "guest_sha256": hashlib.sha256(image.guest).hexdigest()}


def resize(image, size):
    """Another disk size; the L1 table has room for it."""
    image.size = size
    image.guest = bytearray(image.guest[:size].ljust(size, b"\0"))


def snapshots(out):
    image = Qcow2(40 * KIB, l1_extra=2, refblocks=2)
    image.store(0, text("then", 512)).store(70, noise("then", 512)).pack(5, text("then packed", 512)).snapshot("1", "first")
    states = {"first": facts(image)}
    resize(image, 90 * KIB + 512)
    image.store(0, text("later", 512)).store(180, text("new", 512)).snapshot("7", "1")
    # An id goes before a name.
    states.update({"7": facts(image), "1": states["first"]})
    resize(image, 20 * KIB)
    image.l2 = {number: entry for number, entry in image.l2.items() if number < 40}
    image.store(3, noise("now", 512)).finish()
    out.content("qcow2/valid/snapshots-of-other-sizes.qcow2", "snapshots of larger disks than the one of now", image.bytes(),
                bytes(image.guest), snapshots=states)
    image = Qcow2(40 * KIB, version=2, refblocks=2)
    image.store(0, text("then", 512)).store(70, noise("then", 512)).pack(5, text("then packed", 512)).snapshot("one", "first", extra=False)
    states = {"one": facts(image), "first": facts(image)}
    image.store(0, text("later", 512)).store(33, text("new", 512)).finish()
    out.content("qcow2/valid/snapshots-v2.qcow2", "a snapshot that does not say how large the disk was: as large as now", image.bytes(),
                bytes(image.guest), snapshots=states)


def bitmap_entry(table, clusters, flags, granularity_bits, name, extra=b"", kind=1):
    """An entry of the bitmap directory."""
    entry = struct.pack(">QIIBBHI", table, clusters, flags, kind, granularity_bits, len(name), len(extra)) + extra + name.encode()
    return entry + bytes(-len(entry) % 8)


def put_bitmaps(image, entries):
    """Writes the directory and names it."""
    directory = b"".join(entries)
    at = image.alloc(-(-len(directory) // image.cluster))
    image.poke(at, directory)
    image.extensions.append((EXT_BITMAPS, struct.pack(">IIQQ", len(entries), 0, len(directory), at)))


def bitmaps(out):
    size = 7 * MIB + 700

    def image(autoclear=BITMAPS):
        return Qcow2(size, autoclear=autoclear).store(3, text("bitmaps", 512))

    def bits(image, *granules):
        at = image.alloc()
        for granule in granules:
            image.data[at + granule // 8] |= 1 << granule % 8
        return at

    def table(image, *entries):
        at = image.alloc()
        image.poke(at, struct.pack(f">{len(entries)}Q", *entries))
        return at

    first = image()
    fine = table(first, bits(first, 0, 1, 9, 4095), 1, 0, bits(first, 0, 2047, 2048, 2049))
    coarse = table(first, bits(first, 3, 111, 112))
    put_bitmaps(first, [
        bitmap_entry(fine, 4, AUTO, 9, "fine"),
        bitmap_entry(coarse, 1, OPTIONAL, 16, "coarse", extra=b"known to others"),
        bitmap_entry(table(first, 0), 1, AUTO | IN_USE, 16, "in use"),
        bitmap_entry(table(first, 0), 1, 0, 16, "extra", extra=b"known to others"),
        bitmap_entry(table(first, 0), 1, 0, 16, "kind", kind=2),
        bitmap_entry(table(first, 0), 1, 0, 10, "short"),
        bitmap_entry(table(first, 1 << 40), 1, 0, 16, "behind"),
        bitmap_entry(1 << 40, 1, 0, 16, "lost"),
    ])
    says = {
        "fine": {"granularity": 512, "enabled": True, "inconsistent": False, "dirty": [
            [0, 1024], [9 * 512, 10 * 512], [4095 * 512, 8192 * 512], [12288 * 512, 12289 * 512], [14335 * 512, size]]},
        "coarse": {"granularity": 65536, "enabled": False, "inconsistent": False, "dirty": [[3 * 65536, 4 * 65536], [111 * 65536, size]]},
        "in use": {"granularity": 65536, "enabled": True, "inconsistent": True, "dirty": []},
        "extra": {"granularity": 65536, "enabled": False, "inconsistent": False, "error": "unsupported"},
        "kind": {"granularity": 65536, "enabled": False, "inconsistent": False, "error": "unsupported"},
        "short": {"granularity": 1024, "enabled": False, "inconsistent": False, "error": "malformed"},
        "behind": {"granularity": 65536, "enabled": False, "inconsistent": False, "error": "out-of-bounds"},
        "lost": {"granularity": 65536, "enabled": False, "inconsistent": False, "error": "out-of-bounds"},
    }
    out.content("qcow2/valid/bitmaps.qcow2", "dirty bitmaps: bits in clusters, all ones, all zeros; and some that cannot be used",
                first.finish().bytes(), bytes(first.guest), bitmaps=says)
    stale = image(autoclear=0)
    put_bitmaps(stale, [bitmap_entry(table(stale, 1, 1, 1, 1), 4, AUTO, 9, "stale")])
    out.content("qcow2/valid/bitmaps-stale.qcow2", "a bitmaps extension without its autoclear bit: it means nothing",
                stale.finish().bytes(), bytes(stale.guest), bitmaps={})
