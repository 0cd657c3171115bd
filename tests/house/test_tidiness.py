"""House rules about files: names, lengths, format, the top level, words that do not belong."""

import ast
import json
import re
import statistics
import subprocess

import pytest

import house_tree

TOP_LEVEL = {
    "server", "core", "schema", "clients", "tests", "docs", "CMakeLists.txt", "README.md",
    "CMakePresets.json", "setup", "demo", ".ci", ".clang-format", ".clang-tidy", ".gitattributes",
    ".gitignore",
}
CODE_SUFFIXES = {".c", ".h", ".inc", ".def", ".py", ".sh", ".js", ".css", ".cmake", ".sql"}
# Names that tools dictate, and `run`, which every folder with one thing to run may have.
SHARED_NAMES = {"CMakeLists.txt", "README.md", "run", "index.html", "__init__.py", ".gitignore"}
LINE_LIMIT = 600
EXPLANATION = re.compile(r"one file because|long because|\b600 lines", re.IGNORECASE)
# Spelled in pieces, so that this file does not contain them.
UNFINISHED = re.compile(r"\b(%s)\b" % "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]))
MACHINE_PATH = re.compile(r"(?<![\w.)}\]-])/(%s)(?![\w-])" % "|".join(["wo" + "rk", "ro" + "ot", "tmp/" + "wt"]))


def top_level_faults(root):
    return [f"{name} at the top level"
            for name in sorted({path.parts[0] for path in house_tree.files(root)} - TOP_LEVEL)]


def name_faults(root):
    seen, faults = {}, []
    for path in house_tree.files(root):
        if path.name in SHARED_NAMES or "corpus" in path.parts:
            continue
        if path.name in seen:
            faults.append(f"{path} has the name of {seen[path.name]}")
        seen[path.name] = path
    return faults


def line_counts(root, suffixes):
    return {path: len(text.splitlines()) for path in house_tree.files(root)
            if path.suffix in suffixes and (text := house_tree.read(root, path)) is not None}


def length_faults(root):
    faults = []
    for path, count in line_counts(root, CODE_SUFFIXES).items():
        head = "\n".join(house_tree.read(root, path).splitlines()[:40])
        if count > LINE_LIMIT and not EXPLANATION.search(head):
            faults.append(f"{path} has {count} lines and its head does not say "
                          f"'one file because' or 'long because'")
    return faults


def word_faults(root):
    faults = []
    for path in house_tree.files(root):
        for number, line in enumerate((house_tree.read(root, path) or "").splitlines(), 1):
            for rule in (UNFINISHED, MACHINE_PATH):
                if match := rule.search(line):
                    faults.append(f"{path}:{number}: {match.group()}")
    return faults


def format_faults(root):
    sources = [path for path in house_tree.files(root) if path.suffix in (".c", ".h", ".inc")]
    if not sources:
        return []
    run = subprocess.run(["clang-format-14", "--style=file", "--dry-run", "-Werror", *sources],
                         cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    places = {line.split(": error:")[0] for line in run.stdout.splitlines() if ": error:" in line}
    return sorted(places) or ([run.stdout] if run.returncode else [])


def test_top_level_holds_only_what_belongs_there():
    assert top_level_faults(house_tree.ROOT) == []


def test_file_names_are_unique():
    assert name_faults(house_tree.ROOT) == []


def test_long_files_say_why():
    assert length_faults(house_tree.ROOT) == []


def test_median_source_file_is_short():
    assert statistics.median(line_counts(house_tree.ROOT, {".c", ".h"}).values()) <= 250


def test_nothing_unfinished_and_no_path_of_one_machine():
    assert word_faults(house_tree.ROOT) == []


def test_sources_are_formatted():
    assert format_faults(house_tree.ROOT) == []


def test_top_level_rule_catches(tmp_path):
    house_tree.write(tmp_path, "core/a.c", "")
    assert top_level_faults(tmp_path) == []
    house_tree.write(tmp_path, "notes.txt", "")
    assert top_level_faults(tmp_path) == ["notes.txt at the top level"]


def test_name_rule_catches(tmp_path):
    house_tree.write(tmp_path, "core/CMakeLists.txt", "")
    house_tree.write(tmp_path, "schema/CMakeLists.txt", "")
    house_tree.write(tmp_path, "core/a.c", "")
    assert name_faults(tmp_path) == []
    house_tree.write(tmp_path, "server/a.c", "")
    assert len(name_faults(tmp_path)) == 1


def test_length_rule_catches(tmp_path):
    house_tree.write(tmp_path, "core/a.c", "int a;\n" * LINE_LIMIT)
    house_tree.write(tmp_path, "core/b.c", "/* Long because it is a table. */\n" + "int a;\n" * LINE_LIMIT)
    assert length_faults(tmp_path) == []
    house_tree.write(tmp_path, "core/a.c", "int a;\n" * (LINE_LIMIT + 1))
    assert len(length_faults(tmp_path)) == 1


@pytest.mark.parametrize("line", [
    "/* " + "TO" + "DO: later */", "# FIX" + "ME", "path = \"/ro" + "ot/data\"", "see /wo" + "rk/x",
    "cd /tmp/" + "wt",
])
def test_word_rule_catches(tmp_path, line):
    house_tree.write(tmp_path, "core/a.c", "int a; /* /api/workers, /rootless, mkdtemp XXXXXX */\n")
    assert word_faults(tmp_path) == []
    house_tree.write(tmp_path, "core/a.c", f"int a;\n{line}\n")
    assert len(word_faults(tmp_path)) == 1


def test_format_rule_catches(tmp_path):
    style = (house_tree.ROOT / ".clang-format").read_text()
    house_tree.write(tmp_path, ".clang-format", style)
    house_tree.write(tmp_path, "core/a.c", "int a;\n")
    assert format_faults(tmp_path) == []
    house_tree.write(tmp_path, "core/a.c", "int  a ;\n")
    assert len(format_faults(tmp_path)) >= 1


def test_readme_sends_what_the_whole_mnist_test_shows():
    """The README's job is the one that the MNIST test trains, so its claims are run."""
    readme = (house_tree.ROOT / "README.md").read_text()
    test = (house_tree.ROOT / "tests/api/test_mnist_full.py").read_text()
    job = json.loads(re.search(r"curl --json '(\{.*?\})' \$api/jobs", readme, re.DOTALL).group(1))
    shown = ast.literal_eval(re.search(r"^JOB = (\{.*?^\})", test, re.DOTALL | re.MULTILINE).group(1))
    assert job == shown
