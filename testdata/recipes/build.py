#!/usr/bin/env python3
"""Writes every file of testdata/ and its manifest. With --check: writes nothing, fails where what is there differs."""

import sys

sys.dont_write_bytecode = True

import compressed
import iso
import luks
import ova
import parallels
import qcow
import qcow2
import raw
import vdi
import vhd
import vhdx
import vmdk
from common import FORMATS, ROOT, SHELVES, Collection


def main():
    out = Collection()
    for recipe in (vmdk, qcow2, raw, vhd, vhdx, vdi, parallels, qcow, luks, iso, ova, compressed):
        recipe.build(out)
    wanted = dict(out.files)
    wanted["manifest.json"] = out.manifest()
    for form in FORMATS:
        for shelf in SHELVES:
            if not any(path.startswith(f"{form}/{shelf}/") for path in wanted):
                wanted[f"{form}/{shelf}/.gitkeep"] = b""
    present = {path.relative_to(ROOT).as_posix() for form in FORMATS for path in (ROOT / form).rglob("*") if path.is_file()}
    # What a fuzzer found is kept by hand, not by a recipe.
    strays = {path for path in present - wanted.keys() if "/regression/" not in path}
    if sys.argv[1:] == ["--check"]:
        bad = [f"{path}: no recipe makes it" for path in sorted(strays)]
        for path, data in sorted(wanted.items()):
            file = ROOT / path
            if not file.is_file():
                bad.append(f"{path}: missing")
            elif file.read_bytes() != data:
                bad.append(f"{path}: differs from its recipe")
        print("\n".join(bad) if bad else f"{len(wanted)} files are what their recipes make")
        return 1 if bad else 0
    if sys.argv[1:]:
        print("usage: build.py [--check]", file=sys.stderr)
        return 2
    for path in sorted(strays):
        (ROOT / path).unlink()
    for path, data in sorted(wanted.items()):
        file = ROOT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    sizes = sum(map(len, wanted.values()))
    counts = {word: sum(entry["outcome"] == word for entry in out.entries) for word in ("content", "refused")}
    print(f"{len(wanted)} files, {sizes} bytes; {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
