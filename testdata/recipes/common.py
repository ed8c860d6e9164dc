"""What every recipe needs: deterministic bytes, guest disks, and the collection of files with their expected outcome."""

import hashlib
import json
import pathlib

SECTOR = 512
KIB = 1024
MIB = 1024 * 1024
ROOT = pathlib.Path(__file__).resolve().parent.parent
FORMATS = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "parallels", "qcow", "luks", "iso", "ova", "compressed")
SHELVES = ("valid", "malformed", "hostile", "regression")
KINDS = ("malformed", "unsupported", "limit-exceeded", "out-of-bounds", "refused", "missing")

WORDS = (
    "the disk is a row of sectors and each sector has a place in a grain whose entry in a table says where the file "
    "keeps it or that nobody ever wrote there so a reader that follows the tables finds every byte again or says which "
    "one is lost because silence about a hole is worse than an error and a copy is only worth its weakest sector "
    "cluster offset header footer marker kernel service mount volume started stopped address network root user login"
).split()


def noise(seed, length):
    """Bytes that no encoder can shrink, the same on every machine."""
    out = bytearray()
    counter = 0
    while len(out) < length:
        out += hashlib.sha256(f"{seed}/{counter}".encode()).digest()
        counter += 1
    return bytes(out[:length])


def text(seed, length):
    """Readable lines that shrink well."""
    state = int.from_bytes(hashlib.sha256(f"text {seed}".encode()).digest()[:4], "big")
    out = []
    size = 0
    line = 0
    while size < length:
        words = []
        for _ in range(9):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            words.append(WORDS[(state >> 8) % len(WORDS)])
        line += 1
        out.append(f"{line:06} {seed}: {' '.join(words)}\n")
        size += len(out[-1])
    return "".join(out).encode()[:length]


def disk(size, pieces=()):
    """A guest disk of `size` bytes: zeros, with each `(offset, bytes)` written into it."""
    guest = bytearray(size)
    for offset, data in pieces:
        assert offset + len(data) <= size
        guest[offset:offset + len(data)] = data
    return bytes(guest)


def ceil_div(value, unit):
    return -(-value // unit)


def round_up(value, unit):
    return ceil_div(value, unit) * unit


class Collection:
    """The files of testdata/ and what a right reader makes of each."""

    def __init__(self):
        self.files = {}
        self.entries = []

    def companion(self, path, data):
        """A file that another one names: a base, an extent."""
        assert path not in self.files, path
        self.files[path] = bytes(data)

    def content(self, path, case, data, guest, gate=False, **more):
        """A file that reads as `guest`."""
        self._add(path, case, data, {
            "outcome": "content",
            "guest_size": len(guest),
            "guest_sha256": hashlib.sha256(guest).hexdigest(),
        }, gate, more)

    def refused(self, path, case, data, kind, *mentions, gate=False, **more):
        """A file that cannot be opened, or cannot be read to its end, and says so."""
        assert kind in KINDS, kind
        error = {"kind": kind}
        if mentions:
            error["mentions"] = list(mentions)
        self._add(path, case, data, {"outcome": "refused", "error": error}, gate, more)

    def _add(self, path, case, data, outcome, gate, more):
        form, shelf, _ = path.split("/")
        assert form in FORMATS and shelf in SHELVES, path
        assert not (shelf == "valid" and outcome["outcome"] == "refused"), path
        self.companion(path, data)
        entry = {"path": path, "format": form, "case": case, **outcome}
        if gate:
            entry["needs_gate"] = True
        entry.update(more)
        self.entries.append(entry)

    def manifest(self):
        entries = sorted(self.entries, key=lambda entry: entry["path"])
        return (json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode()
