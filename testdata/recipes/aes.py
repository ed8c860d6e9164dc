"""AES, encryption alone, written from FIPS 197; CBC, and XTS after IEEE 1619, of whole sectors."""

import struct


def _boxes():
    """The S-box of section 5.1.1, from inverses in the field."""
    box = [0] * 256
    p = q = 1
    while True:
        p ^= (p << 1 & 0xFF) ^ (0x1B if p & 0x80 else 0)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        q ^= 0x09 if q & 0x80 else 0
        turned = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4)
        box[p] = (turned ^ 0x63) & 0xFF
        if p == 1:
            break
    box[0] = 0x63
    return box


SBOX = _boxes()
# SubBytes and MixColumns of the first byte of a column; the tables of the others are rotations of it.
DOUBLED = [(value << 1 & 0xFF) ^ (0x1B if value & 0x80 else 0) for value in SBOX]
T0 = [double << 24 | value << 16 | value << 8 | (double ^ value) for double, value in zip(DOUBLED, SBOX)]
T1 = [(word >> 8 | word << 24) & 0xFFFFFFFF for word in T0]
T2 = [(word >> 16 | word << 16) & 0xFFFFFFFF for word in T0]
T3 = [(word >> 24 | word << 8) & 0xFFFFFFFF for word in T0]


class Aes:
    """AES with a key of 16, 24 or 32 bytes."""

    def __init__(self, key):
        count = len(key) // 4
        words = list(struct.unpack(f">{count}I", key))
        constant = 1
        for index in range(count, 4 * (count + 7)):
            word = words[-1]
            if index % count == 0:
                word = self._substitute((word << 8 | word >> 24) & 0xFFFFFFFF) ^ constant << 24
                constant = (constant << 1) ^ (0x11B if constant & 0x80 else 0)
            elif count > 6 and index % count == 4:
                word = self._substitute(word)
            words.append(words[index - count] ^ word)
        self.words = words

    @staticmethod
    def _substitute(word):
        return SBOX[word >> 24] << 24 | SBOX[word >> 16 & 255] << 16 | SBOX[word >> 8 & 255] << 8 | SBOX[word & 255]

    def encrypt(self, block):
        """One block of 16 bytes."""
        key = self.words
        a, b, c, d = (word ^ key[at] for at, word in enumerate(struct.unpack(">4I", block)))
        for at in range(4, len(key) - 4, 4):
            a, b, c, d = (
                T0[a >> 24] ^ T1[b >> 16 & 255] ^ T2[c >> 8 & 255] ^ T3[d & 255] ^ key[at],
                T0[b >> 24] ^ T1[c >> 16 & 255] ^ T2[d >> 8 & 255] ^ T3[a & 255] ^ key[at + 1],
                T0[c >> 24] ^ T1[d >> 16 & 255] ^ T2[a >> 8 & 255] ^ T3[b & 255] ^ key[at + 2],
                T0[d >> 24] ^ T1[a >> 16 & 255] ^ T2[b >> 8 & 255] ^ T3[c & 255] ^ key[at + 3])
        columns = ((a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c))
        last = (SBOX[p >> 24] << 24 | SBOX[q >> 16 & 255] << 16 | SBOX[r >> 8 & 255] << 8 | SBOX[s & 255] for p, q, r, s in columns)
        return struct.pack(">4I", *(word ^ key[len(key) - 4 + at] for at, word in enumerate(last)))


def xor(one, other):
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def number(sector):
    """The initial vector plain64: the number of the sector."""
    return struct.pack("<QQ", sector, 0)


def cbc(key, vector=number):
    """Encrypts whole sectors in CBC; `vector` makes an initial vector from the number of a sector."""
    cipher = Aes(key)

    def encrypt(data, first):
        out = bytearray()
        for sector in range(len(data) // 512):
            before = vector(first + sector)
            for at in range(512 * sector, 512 * sector + 512, 16):
                before = cipher.encrypt(xor(data[at:at + 16], before))
                out += before
        return bytes(out)
    return encrypt


def xts(key, vector=number):
    """Encrypts whole sectors in XTS."""
    cipher, tweaks = Aes(key[:len(key) // 2]), Aes(key[len(key) // 2:])

    def encrypt(data, first):
        out = bytearray()
        for sector in range(len(data) // 512):
            tweak = int.from_bytes(tweaks.encrypt(vector(first + sector)), "little")
            for at in range(512 * sector, 512 * sector + 512, 16):
                mask = tweak.to_bytes(16, "little")
                out += xor(cipher.encrypt(xor(data[at:at + 16], mask)), mask)
                tweak = tweak << 1 ^ (0x100000000000000000000000000000087 if tweak >> 127 else 0)
        return bytes(out)
    return encrypt


assert Aes(bytes(range(16))).encrypt(bytes.fromhex("00112233445566778899aabbccddeeff")).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
