"""Encrypted qcow2 images, written from the "qcow2" interop document and the "LUKS1 On-Disk Format Specification"."""

import hashlib
import struct

import aes
from common import KIB, ceil_div, noise, round_up, text
from qcow2 import COPIED, CRYPT, Qcow2

EXT_LUKS = 0x0537BE77
ACTIVE, INACTIVE = 0x00AC71F3, 0x0000DEAD
STRIPES = 4000
SECRET = "open sesame"

# Byte offsets in a LUKS header.
VERSION, CIPHER, MODE, HASH, PAYLOAD, KEY_BYTES, DIGEST_ITERATIONS, SLOTS = 6, 8, 40, 72, 104, 108, 164, 208
ITERATIONS, MATERIAL, STRIPES_AT = 4, 40, 44


class Encrypted(Qcow2):
    """An image whose plain clusters are encrypted by `encrypt(data, host, guest)`."""

    encrypt = None

    def store(self, number, data):
        self._table(number // self.per_table)
        at = self.alloc()
        stored = bytes(data).ljust(self.cluster, b"\0")
        self.poke(at, self.encrypt(stored, at, number * self.cluster))
        self._set(number, at | COPIED, data)
        return self

    def finish(self, method=2, **more):
        super().finish(**more)
        return self.put(CRYPT, "I", method)


class Luks:
    """A LUKS1 header with one key slot."""

    def __init__(self, key, mode, hash_name, slot=0, iterations=1000, secret=SECRET, material_at=4096):
        self.hash_name, self.key = hash_name, key
        self.cipher = self.sectors(key, mode)
        salt = noise("salt", 32)
        step = round_up(STRIPES * len(key), 4096)
        digest = hashlib.pbkdf2_hmac(hash_name, key, noise("digest salt", 32), iterations, 20)
        head = struct.pack(">6sH32s32s32sII20s32sI40s", b"LUKS\xba\xbe", 1, b"aes", mode.encode(), hash_name.encode(),
                           (material_at + 9 * step) // 512, len(key), digest, noise("digest salt", 32), iterations, b"8a1b9f2e-4c1d-4d6a-9d53-6f4e0d1c2b3a")
        for index in range(8):
            # The other slots would lie behind the one in use, which comes first.
            state, count, at = (ACTIVE, iterations, 0) if index == slot else (INACTIVE, 0, index + 1)
            head += struct.pack(">II32sII", state, count, salt, (material_at + at * step) // 512, STRIPES)
        slot_key = hashlib.pbkdf2_hmac(hash_name, secret.encode(), salt, iterations, len(key))
        material = self.split()
        material += bytes(-len(material) % 512)
        self.data = bytearray(head.ljust(material_at, b"\0") + self.sectors(slot_key, mode)(material, 0))

    def sectors(self, key, mode):
        """The cipher with a key."""
        mode, _, vector = mode.partition("-")
        if vector == "plain64":
            return {"xts": aes.xts, "cbc": aes.cbc}[mode](key)
        assert (mode, vector) == ("cbc", "essiv:sha256")
        numbers = aes.Aes(hashlib.sha256(key).digest())
        return aes.cbc(key, lambda sector: numbers.encrypt(aes.number(sector)))

    def split(self):
        """The stripes that the key is put back together from. Chapter "AF splitter"."""
        stripes = noise("stripes", (STRIPES - 1) * len(self.key))
        block = bytes(len(self.key))
        for at in range(0, len(stripes), len(self.key)):
            block = self.diffuse(aes.xor(block, stripes[at:at + len(self.key)]))
        return stripes + aes.xor(block, self.key)

    def diffuse(self, block):
        length = hashlib.new(self.hash_name).digest_size
        parts = (block[at:at + length] for at in range(0, len(block), length))
        hashed = (hashlib.new(self.hash_name, struct.pack(">I", index) + part).digest()[:len(part)] for index, part in enumerate(parts))
        return b"".join(hashed)


def luks_image(luks, size=40 * KIB, bits=12, said=None, **more):
    """An image with that LUKS header; `said` bytes of it are named in the extension."""
    image = Encrypted(size, bits=bits, extensions=[(EXT_LUKS, bytes(16))], **more)
    at = image.alloc(ceil_div(len(luks.data), image.cluster))
    image.poke(at, luks.data)
    image.extensions = [(EXT_LUKS, struct.pack(">QQ", at, len(luks.data) if said is None else said))]
    image.luks_at = at
    image.encrypt = lambda data, host, guest: luks.cipher(data, host // 512)
    return image


def build(out):
    valid(out)
    bad_header(out)
    bad_secret(out)


def valid(out):
    def add(name, case, image, secret=SECRET):
        out.content(f"qcow2/valid/{name}.qcow2", case, image.bytes(), bytes(image.guest), secret=secret)

    key = noise("master", 64)
    image = luks_image(Luks(key[:32], "xts-plain64", "sha256"))
    image.store(0, text("first", 4096)).store(1, noise("second", 4096)).zero(3).zero(4, allocated=True)
    image.pack(6, text("packed", 4096)).store(9, text("last", 4096))
    add("luks-xts", "LUKS, aes-128 in XTS; zero and compressed clusters are not encrypted", image.finish())
    image = luks_image(Luks(key[:16], "cbc-essiv:sha256", "sha1", slot=5), version=2)
    image.store(2, text("essiv", 4096)).store(1, noise("essiv", 4096))
    add("luks-cbc-essiv", "version 2 with LUKS, aes-128 in CBC with ESSIV; only the sixth key slot is active", image.finish())
    image = Encrypted(20 * KIB + 512)
    cipher = aes.cbc(SECRET.encode().ljust(16, b"\0"))
    image.encrypt = lambda data, host, guest: cipher(data, guest // 512)
    image.store(7, text("old", 512)).store(0, noise("old", 512)).store(40, text("end", 512)).zero(2)
    add("aes-legacy", "the old AES: the passphrase is the key, and guest sectors are numbered", image.finish(method=1))
    long = SECRET + ", a passphrase that is cut"
    image = Encrypted(4 * KIB)
    cipher16 = aes.cbc(long.encode()[:16])
    image.encrypt = lambda data, host, guest: cipher16(data, guest // 512)
    add("aes-legacy-long", "the old AES with a passphrase that is longer than its key", image.store(3, text("cut", 512)).finish(method=1), long)


def header():
    """A LUKS header whose key material nobody gets to see."""
    luks = Luks.__new__(Luks)
    head = struct.pack(">6sH32s32s32sII20s32sI40s", b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", 4040, 64, bytes(20),
                       bytes(32), 1000, b"8a1b9f2e-4c1d-4d6a-9d53-6f4e0d1c2b3a")
    for index in range(8):
        head += struct.pack(">II32sII", ACTIVE if index < 2 else INACTIVE, 1000, bytes(32), 8 + index * 504, STRIPES)
    luks.data = bytearray(head)
    luks.cipher = lambda data, first: data
    return luks


def small(luks, said):
    return luks_image(luks, 8 * KIB, 9, said)


def bad_header(out):
    def refuse(name, case, image, kind, *mentions, shelf="malformed"):
        image = image.store(1, text("nobody", 512)).finish()
        out.refused(f"qcow2/{shelf}/{name}.qcow2", case, image.bytes(), kind, *mentions, secret=SECRET)

    def poked(at, form, value, said=2068480):
        luks = header()
        struct.pack_into(">" + form, luks.data, at, value)
        return small(luks, said)

    def named(data):
        image = small(header(), 4096)
        image.extensions = [(EXT_LUKS, data(image.luks_at))]
        return image

    refuse("luks-magic", "no LUKS header where the extension says", poked(0, "I", 0), "malformed", "magic")
    refuse("luks-version-2", "version 2 of LUKS", poked(VERSION, "H", 2), "unsupported", "version")
    refuse("luks-cipher-unknown", "a cipher that does not exist", poked(CIPHER, "3s", b"des"), "unsupported", "des")
    refuse("luks-mode-unknown", "a cipher mode that is not known", poked(MODE, "3s", b"lrw"), "unsupported", "lrw")
    refuse("luks-hash-unknown", "a hash that is not known", poked(HASH, "6s", b"haval1"), "unsupported", "hash-spec")
    refuse("luks-key-odd", "a key of 63 bytes", poked(KEY_BYTES, "I", 63), "malformed")
    refuse("luks-key-bytes-max", "a key of 2^32-1 bytes", poked(KEY_BYTES, "I", 2**32 - 1), "malformed", shelf="hostile")
    refuse("luks-digest-iterations-0", "a digest of no iterations", poked(DIGEST_ITERATIONS, "I", 0), "malformed", "mk-digest-iter")
    refuse("luks-digest-iterations-max", "2^32-1 iterations to know the key by", poked(DIGEST_ITERATIONS, "I", 2**32 - 1),
           "limit-exceeded", "mk-digest-iter", shelf="hostile")
    refuse("luks-iterations-max", "2^32-1 iterations to try a passphrase", poked(SLOTS + ITERATIONS, "I", 2**32 - 1),
           "limit-exceeded", "iterations", shelf="hostile")
    refuse("luks-slot-state", "a key slot that is neither active nor inactive", poked(SLOTS, "I", 1), "malformed", "active")
    refuse("luks-stripes-1", "a key slot with one stripe", poked(SLOTS + STRIPES_AT, "I", 1), "malformed", "stripes")
    refuse("luks-stripes-max", "a key slot with 2^32-1 stripes", poked(SLOTS + STRIPES_AT, "I", 2**32 - 1), "malformed", "stripes", shelf="hostile")
    refuse("luks-slots-overlap", "two key slots with the same key material", poked(SLOTS + 48 + MATERIAL, "I", 9), "malformed", "key-material-offset")
    refuse("luks-slot-in-header", "key material within the header", poked(SLOTS + MATERIAL, "I", 1), "malformed", "key-material-offset")
    refuse("luks-slot-max", "key material at sector 2^32-1", poked(SLOTS + MATERIAL, "I", 2**32 - 1), "out-of-bounds", "key-material-offset", shelf="hostile")
    refuse("luks-area-short", "the extension says less than the key material takes", poked(VERSION, "H", 1, said=250000), "out-of-bounds", "key-material-offset")
    refuse("luks-material-behind-file", "key material behind the end of the file", poked(VERSION, "H", 1), "out-of-bounds")
    refuse("luks-extension-short", "an extension of 8 bytes", named(lambda at: struct.pack(">Q", at)), "malformed")
    refuse("luks-extension-unaligned", "a LUKS header at no cluster border", named(lambda at: struct.pack(">QQ", at + 8, 4096)), "malformed")
    refuse("luks-extension-in-header", "a LUKS header where the image's own is", named(lambda at: struct.pack(">QQ", 0, 4096)), "malformed")
    refuse("luks-extension-max", "a LUKS header at byte 2^64-4096", named(lambda at: struct.pack(">QQ", 2**64 - 4096, 4096)), "malformed", shelf="hostile")
    refuse("luks-behind-file", "a LUKS header behind the end of the file", named(lambda at: struct.pack(">QQ", 1 << 40, 4096)), "out-of-bounds")


def bad_secret(out):
    luks = header()
    for index in range(2):
        struct.pack_into(">I", luks.data, SLOTS + 48 * index, INACTIVE)
    image = small(luks, 4096).store(1, text("lost", 512)).finish()
    out.refused("qcow2/malformed/luks-no-slot.qcow2", "LUKS without an active key slot: no passphrase opens it", image.bytes(),
                "refused", "passphrase", secret=SECRET)
    out.refused("qcow2/malformed/luks-no-secret.qcow2", "LUKS, and no secret", image.bytes(), "refused", "encrypt.key-secret")
