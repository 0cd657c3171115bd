"""docs/reference.md is what the records say."""

import re

import daemon_process
import reference_page


def test_the_committed_page_is_current(tmp_path):
    daemon = daemon_process.Daemon(tmp_path / "data")
    wanted = reference_page.page_of_daemon(daemon.base)
    daemon.stop()
    found = reference_page.PAGE.read_text(encoding="utf-8")
    assert found == wanted, "run python3 tests/api/reference_page.py"


def test_every_member_has_all_of_its_facts(tmp_path):
    text = reference_page.PAGE.read_text(encoding="utf-8")
    for member in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        for fact in ("Formula", "Source", "PyTorch"):
            assert re.search(rf"^- {fact}: \S", member, re.MULTILINE), member
