"""A small deflate encoder (RFC 1951) with the wrappers zlib (RFC 1950) and gzip (RFC 1952).

The standard library's encoder gives other bytes with another zlib build; this one gives the same everywhere, and can be told
which block type and which window to use. What it writes is inflated again with the standard library before anyone gets it.
"""

import heapq
import struct
import zlib

LENGTH_BASE = (3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258)
LENGTH_EXTRA = (0,) * 8 + (1,) * 4 + (2,) * 4 + (3,) * 4 + (4,) * 4 + (5,) * 4 + (0,)
DIST_BASE = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
             8193, 12289, 16385, 24577)
DIST_EXTRA = (0, 0, 0, 0) + tuple(n // 2 for n in range(2, 28))
CODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
END = 256


class _Bits:
    def __init__(self):
        self.out = bytearray()
        self.acc = 0
        self.count = 0

    def put(self, value, width):
        self.acc |= value << self.count
        self.count += width
        while self.count >= 8:
            self.out.append(self.acc & 0xFF)
            self.acc >>= 8
            self.count -= 8

    def align(self):
        if self.count:
            self.put(0, 8 - self.count)


def _symbol(value, bases):
    low = 0
    for index, base in enumerate(bases):
        if base > value:
            break
        low = index
    return low


_LENGTH_SYMBOL = [0] * 3 + [_symbol(n, LENGTH_BASE) for n in range(3, 259)]


def _tokens(data, window):
    """Literals as ints, matches as (length, distance); greedy, with short chains."""
    data = bytes(data)
    table = {}
    out = []
    pos = 0
    end = len(data)
    while pos < end:
        best = 0
        dist = 0
        key = data[pos:pos + 3]
        if pos and data[pos - 1:pos + 2] == key:
            best, dist = min(258, end - pos), 1
            while data[pos:pos + best] != data[pos - 1:pos + best - 1]:
                best = best // 2 if best > 16 else best - 1
        elif len(key) == 3:
            chain = table.get(key)
            if chain is None:
                table[key] = [pos]
            else:
                limit = min(258, end - pos)
                for cand in reversed(chain):
                    if pos - cand > window:
                        break
                    size = 3
                    while size < limit and data[cand + size] == data[pos + size]:
                        size += 1
                    if size > best:
                        best, dist = size, pos - cand
                        if size == limit:
                            break
                chain.append(pos)
                if len(chain) > 8:
                    del chain[0]
        if best >= 4 or (best == 3 and dist < 4096):
            out.append((best, dist))
            for inner in range(pos + 1, min(pos + min(best, 12), end - 2)):
                table.setdefault(data[inner:inner + 3], []).append(inner)
            pos += best
        else:
            out.append(data[pos])
            pos += 1
    return out


def _lengths(freqs, longest):
    """Huffman code lengths, none over `longest`."""
    used = [s for s, f in enumerate(freqs) if f]
    if len(used) == 1:
        return [1 if s == used[0] else 0 for s in range(len(freqs))]
    weights = list(freqs)
    while True:
        heap = [(weights[s], s, (s,)) for s in used]
        heapq.heapify(heap)
        depth = [0] * len(freqs)
        while len(heap) > 1:
            a = heapq.heappop(heap)
            b = heapq.heappop(heap)
            for s in a[2] + b[2]:
                depth[s] += 1
            heapq.heappush(heap, (a[0] + b[0], min(a[1], b[1]), a[2] + b[2]))
        if max(depth) <= longest:
            return depth
        weights = [(w + 1) // 2 if w else 0 for w in weights]


def _codes(lengths):
    """Canonical codes, bit-reversed because deflate sends a code from its top bit."""
    code = 0
    out = {}
    for width in range(1, 16):
        for symbol, length in enumerate(lengths):
            if length == width:
                out[symbol] = (int(f"{code:0{width}b}"[::-1], 2), width)
                code += 1
        code <<= 1
    return out


def _body(bits, tokens, lit, dst):
    for token in tokens:
        if isinstance(token, int):
            bits.put(*lit[token])
        else:
            length, distance = token
            symbol = _LENGTH_SYMBOL[length]
            bits.put(*lit[257 + symbol])
            bits.put(length - LENGTH_BASE[symbol], LENGTH_EXTRA[symbol])
            symbol = _symbol(distance, DIST_BASE)
            bits.put(*dst[symbol])
            bits.put(distance - DIST_BASE[symbol], DIST_EXTRA[symbol])
    bits.put(*lit[END])


def _checked(body, data):
    inflater = zlib.decompressobj(-15)
    assert inflater.decompress(bytes(body)) == bytes(data) and inflater.eof and not inflater.unused_data
    return bytes(body)


def stored(data):
    """Blocks of type 0: the bytes as they are."""
    out = bytearray()
    for start in range(0, max(len(data), 1), 65535):
        part = data[start:start + 65535]
        last = start + 65535 >= len(data)
        out += struct.pack("<BHH", last, len(part), len(part) ^ 0xFFFF) + part
    return _checked(out, data)


def fixed(data, window=32768):
    """One block of type 1: the fixed Huffman codes."""
    bits = _Bits()
    bits.put(0b011, 3)
    lit = _codes([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)
    _body(bits, _tokens(data, window), lit, _codes([5] * 30))
    bits.align()
    return _checked(bits.out, data)


def dynamic(data, window=32768):
    """One block of type 2: its own Huffman codes."""
    tokens = _tokens(data, window)
    lit_freq = [0] * 286
    dist_freq = [0] * 30
    lit_freq[END] = 1
    for token in tokens:
        if isinstance(token, int):
            lit_freq[token] += 1
        else:
            lit_freq[257 + _LENGTH_SYMBOL[token[0]]] += 1
            dist_freq[_symbol(token[1], DIST_BASE)] += 1
    if not any(dist_freq):
        dist_freq[0] = 1
    lit_len = _lengths(lit_freq, 15)
    dist_len = _lengths(dist_freq, 15)
    while len(lit_len) > 257 and not lit_len[-1]:
        lit_len.pop()
    while len(dist_len) > 1 and not dist_len[-1]:
        dist_len.pop()

    runs = []
    both = lit_len + dist_len
    pos = 0
    while pos < len(both):
        run = 1
        while pos + run < len(both) and both[pos + run] == both[pos]:
            run += 1
        if both[pos] == 0 and run >= 3:
            run = min(run, 138)
            runs.append((17, run - 3, 3) if run <= 10 else (18, run - 11, 7))
        elif run >= 4:
            run = min(run, 7)
            runs.append((both[pos], 0, 0))
            runs.append((16, run - 4, 2))
        else:
            run = 1
            runs.append((both[pos], 0, 0))
        pos += run
    code_freq = [0] * 19
    for symbol, _, _ in runs:
        code_freq[symbol] += 1
    code_len = _lengths(code_freq, 7)
    count = 19
    while count > 4 and not code_len[CODE_ORDER[count - 1]]:
        count -= 1

    bits = _Bits()
    bits.put(0b101, 3)
    bits.put(len(lit_len) - 257, 5)
    bits.put(len(dist_len) - 1, 5)
    bits.put(count - 4, 4)
    for symbol in CODE_ORDER[:count]:
        bits.put(code_len[symbol], 3)
    code = _codes(code_len)
    for symbol, extra, width in runs:
        bits.put(*code[symbol])
        bits.put(extra, width)
    _body(bits, tokens, _codes(lit_len), _codes(dist_len))
    bits.align()
    return _checked(bits.out, data)


def deflate(data):
    """The shorter of a dynamic block and stored ones."""
    return min(dynamic(data), stored(data), key=len)


def zlib_stream(data, body=None):
    """RFC 1950: two bytes of header, the deflate body, Adler-32."""
    return b"\x78\x9c" + (deflate(data) if body is None else body) + struct.pack(">I", zlib.adler32(data))


def gzip_file(data):
    """RFC 1952, without name and time."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + dynamic(data) + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
