"""Appliances and archives: DSP0243 "Open Virtualization Format Specification", and the ustar and pax formats of POSIX.1 with
what GNU tar made of them. The disks in them are raw."""

import hashlib
import struct

from common import SECTOR, disk, noise, text

GUEST = disk(2 * SECTOR, [(0, text("appliance", 300)), (700, noise("appliance", 324))])
HOLES = disk(13 * SECTOR, [(at * SECTOR, text(f"piece {at}", SECTOR)) for at in (0, 2, 3, 5, 7, 10)])
OVF = "http://schemas.dmtf.org/ovf/envelope/1"


def octal(value, length):
    return b"%0*o\0" % (length - 1, value)


def member(name, data=b"", kind=b"0", magic=b"ustar\x0000", size=None, prefix=b"", tail=b"", stored=None):
    """A header with its data and padding. `tail`: what is in the header from byte 345 on, for GNU's."""
    size = len(data) if size is None else size
    field = size if isinstance(size, bytes) else octal(size, 12)
    head = name.encode() if isinstance(name, str) else name
    head = head.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field + octal(0, 12) + b" " * 8 + kind
    head = head.ljust(257, b"\0") + magic
    head = head.ljust(345, b"\0") + (tail or prefix)
    head = bytearray(head.ljust(SECTOR, b"\0"))
    head[148:156] = b"%06o\0 " % sum(head)
    data = data if stored is None else stored
    return bytes(head) + data + bytes(-len(data) % SECTOR)


def gnu(name, data=b"", kind=b"0", **more):
    return member(name, data, kind, magic=b"ustar  \0", **more)


def archive(*members):
    return b"".join(members) + bytes(2 * SECTOR)


def pax(**records):
    out = b""
    for key, value in records.items():
        rest = b" %s=%s\n" % (key.replace("_", ".").encode(), value)
        length = len(rest) + 1
        while len(rest) + len(str(length)) != length:
            length = len(rest) + len(str(length))
        out += str(length).encode() + rest
    return out


def sparse(name, guest, pieces, extra=None):
    """A file with holes as GNU tar writes it. `extra`: the pieces as the map says them, if they are others."""
    said = list(pieces if extra is None else extra)
    data = b"".join(guest[at:at + length] for at, length in pieces)
    fields = [octal(at, 12) + octal(length, 12) for at, length in said]
    first, rest = fields[:4], fields[4:]
    tail = bytes(41) + b"".join(first).ljust(96, b"\0") + (b"\1" if rest else b"\0") + octal(len(guest), 12)
    more = b""
    while rest:
        block, rest = rest[:21], rest[21:]
        more += (b"".join(block).ljust(504, b"\0") + (b"\1" if rest else b"\0")).ljust(SECTOR, b"\0")
    return gnu(name, kind=b"S", size=len(data), tail=tail, stored=more + data)


def sparse_pax(name, guest, pieces, count=None, **more):
    """A file with holes as GNU tar's version 1.0 for pax has it: the map is text before the data."""
    said = "".join(f"{number}\n" for number in [len(pieces) if count is None else count] + [x for piece in pieces for x in piece])
    data = said.encode() + bytes(-len(said) % SECTOR) + b"".join(guest[at:at + length] for at, length in pieces)
    keys = {"GNU_sparse_major": b"1", "GNU_sparse_minor": b"0", "GNU_sparse_name": name.encode(), "GNU_sparse_realsize": b"%d" % len(guest), **more}
    return member("PaxHeaders/x", pax(**{key: value for key, value in keys.items() if value}), b"x"), member("GNUSparseFile.0/x", data)


def envelope(files, disks, system="<VirtualSystem ovf:id='vm'><Info/><Name>A machine</Name></VirtualSystem>"):
    return (f"<?xml version='1.0' encoding='UTF-8'?>\n<Envelope xmlns='{OVF}' xmlns:ovf='{OVF}'>\n"
            f"<References>{files}</References>\n<DiskSection><Info/>{disks}</DiskSection>\n{system}\n</Envelope>\n").encode()


def description(file="ovf:href='disk1.img'", drive="ovf:capacity='2' ovf:capacityAllocationUnits='byte * 2^9'"):
    return envelope(f"<File ovf:id='file1' {file}/>", f"<Disk ovf:diskId='disk1' ovf:fileRef='file1' {drive}/>")


def manifest(algorithm, **files):
    lines = (f"{algorithm.upper()}({name.replace('_', '.')})= {hashlib.new(algorithm, data).hexdigest()}\n" for name, data in files.items())
    return "".join(lines).encode()


def build(out):
    """Adds every file."""
    valid(out)
    malformed(out)
    hostile(out)


def valid(out):
    def add(name, case, data, **more):
        out.content(f"ova/valid/{name}", case, data, GUEST, **more)

    ovf, drive = description(), member("disk1.img", GUEST)
    add("plain.ova", "a description and a disk", archive(member("vm.ovf", ovf), drive))
    add("disk-first.ova", "the description comes last, as in archives that were packed by hand", archive(drive, member("./vm.ovf", ovf)))
    for algorithm in ("sha1", "sha256", "sha512"):
        hashes = manifest(algorithm, vm_ovf=ovf, disk1_img=GUEST)
        add(f"{algorithm}.ova", f"hashes of {algorithm.upper()}",
            archive(member("vm.ovf", ovf), member("vm.mf", hashes), member("vm.cert", b"not looked at"), drive))
    chunked = description("ovf:href='disk1.img' ovf:chunkSize='400' ovf:size='1024'")
    chunks = [member(f"disk1.img.{i:09}", GUEST[at:at + 400]) for i, at in enumerate(range(0, len(GUEST), 400))]
    add("chunks.ova", "a disk in parts", archive(member("vm.ovf", chunked), *chunks))
    prefixed = (f"<o:Envelope xmlns:o='{OVF}'><o:References><o:File o:id='f' o:href='disk1.img'/></o:References><o:DiskSection>"
                f"<o:Disk o:diskId='d' o:fileRef='f' o:capacity='1024'/></o:DiskSection></o:Envelope>").encode()
    add("prefix.ova", "another prefix for the namespace", archive(member("vm.ovf", prefixed), drive))
    old = (b"<ovf:Envelope xmlns:ovf='http://www.vmware.com/schema/ovf/1/envelope' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
           b"ovf:version='0.9'><ovf:References><ovf:File ovf:id='f' ovf:href='disk1.img'/></ovf:References>"
           b"<ovf:Section xsi:type='ovf:DiskSection_Type'><ovf:Disk ovf:diskId='d' ovf:fileRef='f' ovf:capacity='1024'/></ovf:Section>"
           b"</ovf:Envelope>")
    add("edition-0.9.ova", "sections with a type, as edition 0.9 had them", archive(member("vm.ovf", old), drive))
    cd = envelope("<File ovf:id='1' ovf:href='cd.iso'/><File ovf:id='2' ovf:href='disk1.img'/>",
                  "<Disk ovf:diskId='a' ovf:fileRef='1' ovf:capacity='0' ovf:format='http://www.ecma-international.org/publications/"
                  "standards/Ecma-119.htm'/><Disk ovf:diskId='b' ovf:fileRef='2' ovf:capacity='1024'/><Disk ovf:diskId='c' ovf:capacity='99'/>")
    add("cd.ova", "a CD among the disks, as VirtualBox lists it, and a disk without content",
        archive(member("vm.ovf", cd), member("cd.iso", b"cd"), drive))
    escaped = description("ovf:href='a%20disk.img'")
    add("escaped.ova", "a name with a blank, which is a URL", archive(member("vm.ovf", escaped), member("a disk.img", GUEST)))
    long = "folder/" * 20 + "disk1.img"
    named = description(f"ovf:href='{long}'")
    add("long-name-gnu.ova", "a long name as GNU tar writes it",
        archive(gnu("vm.ovf", named), gnu("././@LongLink", long.encode() + b"\0", b"L"), gnu("cut", GUEST)))
    add("long-name-pax.ova", "a long name as POSIX has it",
        archive(member("vm.ovf", named), member("PaxHeaders/x", pax(path=long.encode(), mtime=b"1.5"), b"x"), member("cut", GUEST)))
    add("long-name-prefix.ova", "a long name in two fields",
        archive(member("vm.ovf", named), member(long[126:], GUEST, prefix=long[:125].encode())))
    add("base-256.ova", "a size in base 256", archive(gnu("vm.ovf", ovf), gnu("disk1.img", GUEST, size=b"\x80" + struct.pack(">IIBH", 0, 0, 0, len(GUEST)))))
    add("no-end.ova", "an archive without its end", member("vm.ovf", ovf) + member("disk1.img", GUEST))
    out.companion("ova/valid/folder.img", GUEST)
    out.companion("ova/valid/folder.mf", manifest("sha256", folder_ovf=description("ovf:href='folder.img'"), folder_img=GUEST))
    add("folder.ovf", "a description with its files beside it", description("ovf:href='folder.img'"), gate=True)
    add("disk-raw.tar", "the disk of Google's cloud, with a file beside it", archive(gnu("manifest.json", b"{}"), gnu("disk.raw", GUEST)))
    pieces = [(0, 512), (1024, 1024), (2560, 512), (3584, 512), (5120, 512), (len(HOLES), 0)]
    out.content("ova/valid/sparse-pax.tar", "a disk with holes, as tar -S --format=posix writes it", archive(*sparse_pax("disk.raw", HOLES, pieces)), HOLES)
    out.content("ova/valid/sparse.tar", "a disk with holes, as tar -S writes it", archive(sparse("disk.raw", HOLES, pieces)), HOLES)


def malformed(out):
    def add(name, case, data, kind="malformed", *mentions, **more):
        out.refused(f"ova/malformed/{name}", case, data, kind, *mentions, **more)

    ovf, drive = description(), member("disk1.img", GUEST)
    good = archive(member("vm.ovf", ovf), drive)
    wrong = manifest("sha256", disk1_img=GUEST[1:])
    add("wrong-hash.ova", "the disk is not what the manifest says", archive(member("vm.ovf", ovf), member("vm.mf", wrong), drive),
        "malformed", "disk1.img", "SHA256")
    add("wrong-hash-of-description.ova", "the description is not what the manifest says",
        archive(member("vm.ovf", ovf), member("vm.mf", manifest("sha1", vm_ovf=b"")), drive), "malformed", "vm.ovf")
    add("algorithm.ova", "a hash that nobody knows", archive(member("vm.ovf", ovf), member("vm.mf", b"MD2(vm.ovf)= 00\n"), drive), "unsupported", "MD2")
    add("missing-disk.ova", "the disk is not there", archive(member("vm.ovf", ovf)), "missing", "disk1.img")
    add("missing-file.ova", "a disk refers to a file that is not listed",
        archive(member("vm.ovf", envelope("", "<Disk ovf:diskId='d' ovf:fileRef='f'/>")), drive), "malformed", "fileRef")
    add("missing-chunk.ova", "a part of the disk is not there",
        archive(member("vm.ovf", description("ovf:href='disk1.img' ovf:chunkSize='400' ovf:size='1024'")),
                member("disk1.img.000000000", GUEST[:400])), "malformed", "size")
    add("size.ova", "the description says another size", archive(member("vm.ovf", description("ovf:href='disk1.img' ovf:size='1023'")), drive),
        "malformed", "1023")
    child = description(drive="ovf:capacity='1024' ovf:parentRef='disk0'")
    add("parent.ova", "a disk that builds on another one", archive(member("vm.ovf", child), drive), "unsupported", "disk0")
    add("no-xml.ova", "the description is no XML", archive(member("vm.ovf", b"disk1.img\n"), drive), "malformed", "vm.ovf")
    add("open-element.ova", "the description ends early", archive(member("vm.ovf", ovf[:-20]), drive), "malformed", "vm.ovf")
    add("other-document.ova", "the description is another document", archive(member("vm.ovf", b"<html/>"), drive), "unsupported", "vm.ovf")
    add("no-utf-8.ova", "the description is in another encoding",
        archive(member("vm.ovf", ovf.decode().encode("utf-16")), drive), "malformed", "UTF-8")
    damaged = bytearray(good)
    damaged[len(member("vm.ovf", ovf)) + 3] ^= 1
    add("checksum.ova", "the checksum of a header is another one", bytes(damaged), "malformed", "chksum")
    add("cut.ova", "the archive ends within the disk", good[:-3 * SECTOR], "out-of-bounds", "size")
    add("link.ova", "a link in the place of the disk", archive(member("vm.ovf", ovf), member("disk1.img", kind=b"2")), "unsupported", "link")
    add("zeros-between.ova", "a block of zeros between members", member("vm.ovf", ovf) + bytes(SECTOR) + drive, "malformed", "zeros")
    add("number.ova", "a size that is no number", archive(member("vm.ovf", ovf), member("disk1.img", GUEST, size=b"0000006000x\0")), "malformed", "size")
    add("pax-dangling.ova", "a pax header about nothing", archive(member("vm.ovf", ovf), drive, member("x", pax(path=b"y"), b"x")), "malformed", "missing")
    add("pax-record.ova", "a pax record with another length", archive(member("vm.ovf", ovf), member("x", b"99 path=y\n", b"x"), drive), "malformed", "record")
    add("sparse-size.tar", "a sparse map that is shorter than the data", archive(sparse("disk.raw", HOLES, [(0, 1024)], extra=[(0, 512)])),
        "malformed", "sparse map")
    add("sparse-pax-map.tar", "a sparse map in text that never ends", archive(*sparse_pax("disk.raw", HOLES, [(0, 512)], count=999)), "malformed", "sparse map")
    add("sparse-pax-keys.tar", "a sparse file that does not say how long it is",
        archive(*sparse_pax("disk.raw", HOLES, [(0, 512)], GNU_sparse_realsize=b"")), "malformed", "GNU.sparse")
    add("sparse-pax-old.tar", "a sparse file of an older version",
        archive(*sparse_pax("disk.raw", HOLES, [(0, 512)], GNU_sparse_major=b"0", GNU_sparse_minor=b"1")), "unsupported", "GNU.sparse")
    add("sparse-back.tar", "a sparse map that goes back",
        archive(sparse("disk.raw", HOLES, [(0, 1024)], extra=[(512, 512), (0, 512)])), "malformed", "sparse map")


def hostile(out):
    def add(name, case, data, kind, *mentions, **more):
        out.refused(f"ova/hostile/{name}", case, data, kind, *mentions, **more)

    ovf, drive = description(), member("disk1.img", GUEST)
    for name, href in (("up", "../disk1.img"), ("root", "/etc/hostname"), ("url", "http://169.254.169.254/disk1.img"), ("file-url", "file:///etc/hostname"),
                       ("escaped-up", "%2e%2e/disk1.img"), ("within", "a/../../disk1.img")):
        leading = description(f"ovf:href='{href}'")
        add(f"href-{name}.ova", f"a disk that is said to be {href}", archive(member("vm.ovf", leading), drive), "refused", "href")
        out.refused(f"ova/hostile/href-{name}.ovf", f"a disk beside a description that is said to be {href}", leading, "refused", "href", gate=True)
    laughs = b"<!DOCTYPE e [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>" + ovf.replace(b"vm'", b"&c;'")
    add("laughs.ova", "entities that grow", archive(member("vm.ovf", laughs), drive), "unsupported", "document type")
    deep = ovf.replace(b"<Info/>", b"<a>" * 100 + b"</a>" * 100)
    add("deep.ova", "elements within elements", archive(member("vm.ovf", deep), drive), "limit-exceeded", "depth")
    two = description("ovf:href='disk1.img' href='other.img'")
    add("href-twice.ova", "two names for one file, in two namespaces", archive(member("vm.ovf", two), drive), "malformed", "href")
    add("two-descriptions.ova", "two descriptions", archive(member("vm.ovf", ovf), member("other.ovf", ovf), drive), "malformed", "other.ovf")
    add("name-twice.ova", "two disks of one name", archive(member("vm.ovf", ovf), drive, member("./disk1.img", GUEST[::-1])), "malformed", "twice")
    add("pax-size.ova", "a pax header that shifts what follows",
        archive(member("vm.ovf", ovf), member("x", pax(size=b"512"), b"x"), drive), "malformed", "size")
    add("pax-twice.ova", "a pax key with two values",
        archive(member("vm.ovf", ovf), member("x", pax(path=b"a") + pax(path=b"b"), b"x"), drive), "malformed", "twice")
    add("pax-global.ova", "a name for every member", archive(member("g", pax(path=b"disk1.img"), b"g"), member("vm.ovf", ovf), drive), "unsupported", "global")
    add("huge-name.ova", "a name of 8 GiB", archive(member("vm.ovf", ovf), gnu("././@LongLink", kind=b"L", size=b"77777777777\0"), drive),
        "limit-exceeded", "size")
    add("huge-size.ova", "a size beyond 2^64", archive(member("vm.ovf", ovf), gnu("disk1.img", GUEST, size=b"\xbf" + b"\xff" * 11)), "malformed", "size")
    add("sparse-unpadded.tar", "a piece that ends within a block, behind which readers find the next one in two places",
        archive(sparse("disk.raw", HOLES, [(0, 300), (1024, 212)])), "malformed", "sparse map")
    endless = bytearray(sparse("disk.raw", HOLES, [(at, 1) for at in range(0, 2048, 64)]))
    add("sparse-endless.tar", "a sparse map that goes on into the data", bytes(endless[:482] + b"\1" + endless[483:504 + 512] + b"\1" + endless[505 + 512:]),
        "malformed")
