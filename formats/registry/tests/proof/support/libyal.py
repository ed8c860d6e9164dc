"""Reads images with libvmdk, libqcow and libvhdi, and deflate streams with a decoder of zlib's.

One request a line, one answer a line; fields are separated by tabs.

  qcow PATH [PARENT]   the size and the SHA-256 of the guest bytes
  vmdk PATH            the same
  vhdi PATH [PARENT]   the same, of a VHD or VHDX
  inflate PATH WINDOW PLACES   places are host:length,host:length…; each is the start of a bare deflate stream. The SHA-256
                       of all they decode to, one behind the other, with a window of that many bits

An answer starts with "ok" or "error".
"""

import hashlib
import sys
import zlib

import pyqcow
import pyvhdi
import pyvmdk

CHUNK = 1 << 20
# zlib copies from what it has just given out where it can see it, whatever the window. Given small
# portions of room, it has to keep to the window.
PORTION = 128


def hash_of(media):
    """The size and hash of all bytes of an open image."""
    size = rest = media.get_media_size()
    digest = hashlib.sha256()
    while rest:
        part = media.read_buffer(min(CHUNK, rest))
        if not part:
            raise OSError(f"ends {rest} bytes early")
        digest.update(part)
        rest -= len(part)
    return f"{size}\t{digest.hexdigest()}"


def qcow(path, parent=None):
    """Reads a qcow2 image."""
    image, base = pyqcow.file(), pyqcow.file()
    image.open(path)
    try:
        if parent:
            base.open(parent)
            image.set_parent(base)
        return hash_of(image)
    finally:
        image.close()


def vmdk(path):
    """Reads a VMDK and its extents."""
    handle = pyvmdk.handle()
    handle.open(path)
    try:
        handle.open_extent_data_files()
        return hash_of(handle)
    finally:
        handle.close()


def vhdi(path, parent=None):
    """Reads a VHD or VHDX."""
    image, base = pyvhdi.file(), pyvhdi.file()
    image.open(path)
    try:
        if parent:
            base.open(parent)
            image.set_parent(base)
        return hash_of(image)
    finally:
        image.close()


def inflate(path, window, places):
    """Decodes streams with a window that is no larger than asked for."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for place in places.split(","):
            host, length = map(int, place.split(":"))
            file.seek(host)
            decoder = zlib.decompressobj(-int(window))
            rest = file.read(length)
            while not decoder.eof:
                part = decoder.decompress(rest, PORTION)
                rest = decoder.unconsumed_tail
                digest.update(part)
                if not part and not rest and not decoder.eof:
                    raise OSError(f"the stream at {host} is cut")
    return digest.hexdigest()


for line in sys.stdin:
    verb, *fields = line.rstrip("\n").split("\t")
    try:
        answer = {"qcow": qcow, "vmdk": vmdk, "vhdi": vhdi, "inflate": inflate}[verb](*fields)
        print("ok", answer, sep="\t", flush=True)
    except Exception as error:
        print("error", " ".join(str(error).split()), sep="\t", flush=True)
