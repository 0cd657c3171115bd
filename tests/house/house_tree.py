"""What the house tests share: the list of the repository's files, and C include lines."""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
C_SUFFIXES = (".c", ".h", ".inc", ".def")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def files(root):
    """Paths, relative to root, of all files that are or would be tracked, sorted."""
    if (root / ".git").exists():
        listed = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")
        paths = {pathlib.Path(name) for name in listed if name}
        return sorted(path for path in paths if (root / path).is_file())
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ("build", "__pycache__", ".git")]
        found += [(pathlib.Path(folder) / name).relative_to(root) for name in names]
    return sorted(found)


def write(root, path, text):
    """Makes a file of a bad tree for a self-test."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def read(root, path):
    """The text of a file, or None where it is not UTF-8."""
    try:
        return (root / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
