"""Writes what Python's tarfile makes of every odd archive: sources/odd_archives.tsv.

    python sources_odd_archives.py FOLDER_OF_ARCHIVES

Columns: file, name (bytes that are no UTF-8 as \\xNN; longer than 300 characters: its SHA-256), kind, size, SHA-256 of the content.
Contents above 1 MiB of size are not read. The last row of a file that tarfile gives up on
has the kind "error".
"""
import hashlib
import pathlib
import sys
import tarfile

KINDS = {b"1": "hardlink", b"2": "symlink", b"3": "char", b"4": "block", b"5": "directory", b"6": "fifo"}


def shown(name):
    out = []
    for char in name:
        code = ord(char)
        out.append(f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else char)
    if len(out) > 300:
        return "sha256:" + hashlib.sha256("".join(out).encode()).hexdigest()
    return "".join(out).replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def rows(path):
    try:
        with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as archive:
            while True:
                member = archive.next()
                if member is None:
                    return
                kind = "file" if member.isreg() else KINDS.get(member.type, "other")
                digest = "-"
                if kind == "file" and member.size <= 1 << 20:
                    position = archive.offset
                    try:
                        digest = hashlib.sha256(archive.extractfile(member).read()).hexdigest()
                    except Exception:
                        digest = "unreadable"
                    archive.offset = position
                yield [shown(member.name), kind, str(member.size), digest]
    except Exception as error:
        yield [type(error).__name__, "error", "0", "-"]


folder = pathlib.Path(sys.argv[1])
out = pathlib.Path(__file__).parent / "sources" / "odd_archives.tsv"
with out.open("w", encoding="utf-8", newline="\n") as to:
    for path in sorted(folder.iterdir()):
        if path.name == "survey.tsv":
            continue
        for row in rows(path):
            print(path.name, *row, sep="\t", file=to)
