#!/usr/bin/env python3
"""Compares the manifest with what qemu-img says of every file. Not part of the build; where it differs, README.md says why."""

import gzip
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*words):
    return subprocess.run(["timeout", "60", *words], capture_output=True, text=True, errors="replace")


def verdict(entry, folder):
    path = ROOT / entry["path"]
    form = entry["format"]
    if entry.get("packed") == "gzip":
        path = folder / "unpacked"
        path.write_bytes(gzip.decompress((ROOT / entry["path"]).read_bytes()))
    target = folder / "guest.raw"
    target.unlink(missing_ok=True)
    source = ["-f", form, str(path)]
    if "secret" in entry:
        source = ["--object", "secret,id=s,data=" + entry["secret"].replace(",", ",,"), "--image-opts",
                  f"driver={form},{'' if form == 'luks' else 'encrypt.'}key-secret=s,file.filename={path}"]
    done = run("qemu-img", "convert", "-O", "raw", *source, str(target))
    checked = ""
    if form == "qcow2" and "/valid/" in entry["path"]:
        check = run("qemu-img", "check", *source)
        if check.returncode:
            checked = " [check: " + (check.stdout + check.stderr).strip().splitlines()[0][:110] + "]"
    if done.returncode:
        return "refused" + checked, done.stderr.strip().splitlines()[-1][-150:] if done.stderr.strip() else f"exit {done.returncode}"
    if target.stat().st_size > 1 << 30:
        return "content" + checked, f"{target.stat().st_size} bytes"
    guest = target.read_bytes()
    size = entry.get("guest_size")
    if entry["outcome"] == "content":
        if hashlib.sha256(guest).hexdigest() == entry["guest_sha256"]:
            return "content" + checked, ""
        if len(guest) != size and hashlib.sha256(guest[:size].ljust(size, b"\0")).hexdigest() == entry["guest_sha256"]:
            return "content" + checked, f"padded: {len(guest)} bytes instead of {size}"
        return "other content" + checked, f"{len(guest)} bytes instead of {size}"
    return "content" + checked, f"{len(guest)} bytes"


def main():
    entries = json.loads((ROOT / "manifest.json").read_text())
    same = 0
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        for entry in entries:
            said, detail = verdict(entry, folder)
            if said == entry["outcome"] and (entry["outcome"] == "refused" or not detail):
                same += 1
                if "-v" in sys.argv:
                    print(f"same    {entry['path']}: {detail}")
            else:
                print(f"differs {entry['path']}: {entry['outcome']} here, {said} there. {detail}")
    finally:
        shutil.rmtree(folder)
    print(f"{same} of {len(entries)} the same")


if __name__ == "__main__":
    main()
