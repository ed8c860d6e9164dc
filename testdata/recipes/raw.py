"""Raw images: the file is the disk, whatever it holds and however long it is."""

import struct

from common import KIB, MIB, disk, noise, text


def build(out):
    for name, case, guest in (
            ("one-byte", "one byte", b"\x5a"),
            ("sector-and-one", "513 bytes: no multiple of a sector", text("sector", 513)),
            ("odd-end", "16 KiB and 3 bytes, data only at both ends",
             disk(16 * KIB + 3, [(0, text("start", 700)), (16 * KIB - 2, noise("end", 5))])),
            ("all-zero", "zeros only", bytes(8 * KIB)),
            ("empty", "an empty file is a disk of no bytes", b""),
            ("short-mbr", "510 bytes: shorter than a boot sector", noise("short", 510))):
        out.content(f"raw/valid/{name}.raw", case, guest, guest)
    # Named as raw by the caller, these are raw. Probed, they are at least ambiguous.
    lure = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, MIB).ljust(2048, b"\0")
    out.content("raw/hostile/qcow2-magic.raw", "a guest wrote the start of a qcow2 header into its raw disk: opened as raw, it is data",
                lure, lure)
    lure = b'# Disk DescriptorFile\nversion=1\nCID=fffffffe\ncreateType="monolithicFlat"\nRW 1 FLAT "/etc/hostname" 0\n'.ljust(2048, b"\0")
    out.content("raw/hostile/vmdk-descriptor.raw", "a guest wrote a VMDK descriptor into its raw disk: opened as raw, it is data",
                lure, lure)
    # A disk in parts of any length; each part but the first is a companion of the first.
    guest = text("parts", 5000)
    out.content("raw/valid/parts.raw.001", "a disk in three files, of which the second is empty", guest[:1300], guest, gate=True)
    out.companion("raw/valid/parts.raw.002", b"")
    out.companion("raw/valid/parts.raw.003", guest[1300:])
    out.refused("raw/malformed/gap.raw.001", "the second of three parts is missing", guest[:512], "missing",
                "gap.raw.002", gate=True)
    out.companion("raw/malformed/gap.raw.003", guest[512:1024])
