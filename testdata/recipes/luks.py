"""LUKS containers, written from the "LUKS1 On-Disk Format Specification" 1.2.3."""

import struct

from common import KIB, SECTOR, disk, noise, text
from qcow2_crypto import DIGEST_ITERATIONS, HASH, ITERATIONS, Luks, MATERIAL, MODE, PAYLOAD, SECRET, SLOTS, STRIPES_AT, VERSION, header


def container(luks, guest, payload=None):
    """A container with that header whose disk begins at byte `payload`, by default where the key material ends."""
    data = bytearray(luks.data)
    payload = len(data) if payload is None else payload
    data += bytes(payload - len(data))
    struct.pack_into(">I", data, PAYLOAD, payload // SECTOR)
    return data + luks.cipher(guest, 0)


def tiny():
    return disk(9 * KIB + SECTOR, [(100, text("luks first", 700)), (4 * KIB, noise("luks middle", KIB)), (9 * KIB, text("luks last", SECTOR))])


def build(out):
    valid(out)
    bad(out)


def valid(out):
    guest, key = tiny(), noise("luks master", 64)

    def good(name, case, data, guest=guest):
        out.content(f"luks/valid/{name}.luks", case, data, guest, secret=SECRET)

    good("xts", "aes-128 in XTS", container(Luks(key[:32], "xts-plain64", "sha256"), guest))
    good("cbc-essiv", "aes-128 in CBC with ESSIV; only the sixth key slot is active", container(Luks(key[:16], "cbc-essiv:sha256", "sha1", slot=5), guest))
    good("payload-far", "a disk that begins far behind the key material", container(Luks(key[:16], "cbc-plain64", "sha512"), guest, 256 * KIB))
    good("size-0", "a container without a disk", container(Luks(key[:16], "cbc-plain64", "sha256"), b""), b"")
    cut = container(Luks(key[:16], "cbc-plain64", "sha256"), guest)
    good("sector-cut", "a file that ends within a sector: the disk ends before it", cut[:-100], guest[:-SECTOR])


def bad(out):
    def refuse(name, case, data, kind, *mentions, shelf="malformed", secret=SECRET):
        out.refused(f"luks/{shelf}/{name}.luks", case, data, kind, *mentions, secret=secret)

    def poked(at, form, value):
        luks = header()
        struct.pack_into(">" + form, luks.data, at, value)
        return luks.data.ljust(8 * KIB, b"\0")

    key = noise("luks master", 16)
    whole = container(Luks(key, "cbc-plain64", "sha256"), tiny())
    refuse("header-cut", "a file that ends within the header", whole[:300], "out-of-bounds")
    refuse("material-cut", "a file that ends within the key material", whole[:20 * KIB], "out-of-bounds", "key-material-offset")
    refuse("secret-wrong", "a passphrase that opens no key slot", whole, "refused", "passphrase", secret="open barley")
    refuse("version-2", "version 2 of LUKS", poked(VERSION, "H", 2), "unsupported", "version")
    refuse("version-3", "a version that there is not", poked(VERSION, "H", 3), "unsupported", "version")
    refuse("mode-unknown", "a cipher mode that is not known", poked(MODE, "3s", b"lrw"), "unsupported", "lrw")
    refuse("hash-unknown", "a hash that is not known", poked(HASH, "6s", b"haval1"), "unsupported", "hash-spec")

    def payload(sector):
        data = bytearray(whole)
        struct.pack_into(">I", data, PAYLOAD, sector)
        return data

    refuse("payload-0", "a header whose disk is in another file", payload(0), "unsupported", "payload-offset")
    refuse("payload-in-header", "a disk that begins within the header", payload(1), "malformed", "payload-offset")
    refuse("payload-in-material", "a disk that begins within the key material", payload(20), "out-of-bounds", "key-material-offset")
    refuse("payload-max", "a disk that begins at sector 2^32-1", payload(2**32 - 1), "out-of-bounds", "payload-offset", shelf="hostile")
    for name, at, mention in (("digest-iterations-max", DIGEST_ITERATIONS, "mk-digest-iter"), ("iterations-max", SLOTS + ITERATIONS, "iterations")):
        refuse(name, "2^32-1 iterations", poked(at, "I", 2**32 - 1), "limit-exceeded", mention, shelf="hostile")
    refuse("stripes-max", "a key slot with 2^32-1 stripes", poked(SLOTS + STRIPES_AT, "I", 2**32 - 1), "malformed", "stripes", shelf="hostile")
    refuse("slot-max", "key material at sector 2^32-1", poked(SLOTS + MATERIAL, "I", 2**32 - 1), "out-of-bounds", "key-material-offset", shelf="hostile")
