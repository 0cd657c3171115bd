"""House rules about the docs' maps: every folder is on one, and what is on one exists; each decision has
a number of its own."""

import collections
import re

import house_tree

ROOMS = {"docs/ARCHITECTURE.md": ["core", "schema", "server"], "docs/CONTRIBUTING.md": ["tests"]}


def mapped(text, room):
    """Folders of a room in the first cells of tables: under a heading of its name, or by their paths."""
    section = re.search(rf"^### {room}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\|([^|]*)\|", section.group(1) if section else text, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    return names if section else {name.split("/")[1] for name in names
                                  if re.fullmatch(rf"{room}/\w+", name) and name != f"{room}/run"}


def map_faults(root):
    faults = []
    for page, rooms in ROOMS.items():
        text = (root / page).read_text(encoding="utf-8")
        for room in rooms:
            there = {path.parts[1] for path in house_tree.files(root)
                     if path.parts[0] == room and len(path.parts) > 2}
            named = mapped(text, room)
            faults += [f"{page} does not say what {room}/{name} is" for name in sorted(there - named)]
            faults += [f"{page} speaks of {room}/{name}, which is not there" for name in sorted(named - there)]
    return faults


def decision_faults(root):
    count = collections.Counter(path.name.split("-")[0] for path in house_tree.files(root)
                                if path.parts[:2] == ("docs", "decisions"))
    return [f"{number} names {times} decisions" for number, times in sorted(count.items()) if times > 1]


def test_folders_are_on_the_maps():
    assert map_faults(house_tree.ROOT) == []


def test_decisions_have_numbers_of_their_own():
    assert decision_faults(house_tree.ROOT) == []


def test_map_rule_catches(tmp_path):
    house_tree.write(tmp_path, "docs/ARCHITECTURE.md",
                     "### core\n| folder | for |\n|---|---|\n| `a` `b` | `x` |\n### schema\n### server\n")
    house_tree.write(tmp_path, "docs/CONTRIBUTING.md", "| `tests/core` | `t.c` |\n")
    for path in ("core/a/a.c", "core/b/b.c", "tests/core/t.c"):
        house_tree.write(tmp_path, path, "")
    assert map_faults(tmp_path) == []
    house_tree.write(tmp_path, "core/c/c.c", "")
    (tmp_path / "core/b/b.c").unlink()
    house_tree.write(tmp_path, "tests/more/m.c", "")
    assert len(map_faults(tmp_path)) == 3


def test_decision_rule_catches(tmp_path):
    house_tree.write(tmp_path, "docs/decisions/0001-a.md", "")
    house_tree.write(tmp_path, "docs/decisions/0002-b.md", "")
    assert decision_faults(tmp_path) == []
    house_tree.write(tmp_path, "docs/decisions/0002-c.md", "")
    assert decision_faults(tmp_path) == ["0002 names 2 decisions"]
