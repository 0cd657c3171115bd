"""The count that tests/run ends with: a failure must never be lost in it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import count_results  # noqa: E402

CMOCKA_OUTPUT = """[==========] Running 3 test(s).
[       OK ] one
[  FAILED  ] two
[  SKIPPED ] three
[==========] 3 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] three
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] two
"""
PYTEST_OUTPUT = """..s
SKIPPED [1] tests/api/test_a.py:7: no data here
4 passed, 1 skipped in 1.25s
"""


def report(folder, *cases):
    rows = "".join(
        f'<testcase name="{name}" status="{status}">'
        f'{"<failure/>" if status == "fail" else ""}<system-out>{output}</system-out></testcase>'
        for name, status, output in cases)
    path = folder / "ctest.xml"
    path.write_text(f"<testsuite>{rows}</testsuite>")
    return str(path)


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-1]


def test_cases_are_added_up(tmp_path, capsys):
    path = report(tmp_path, ("a", "run", CMOCKA_OUTPUT.replace("FAILED  ] 1", "FAILED  ] 0")),
                  ("b", "run", PYTEST_OUTPUT), ("c", "run", "plain program"))
    assert count_results.main([path]) == 0
    assert last_line(capsys) == "6 passed, 0 failed, 2 skipped"


def test_failed_cases_fail(tmp_path, capsys):
    assert count_results.main([report(tmp_path, ("a", "fail", CMOCKA_OUTPUT))]) == 1
    assert last_line(capsys) == "1 passed, 1 failed, 1 skipped"


def test_crash_after_passing_cases_is_a_failure(tmp_path, capsys):
    assert count_results.main([report(tmp_path, ("a", "fail", PYTEST_OUTPUT))]) == 1
    assert last_line(capsys) == "4 passed, 1 failed, 1 skipped"


def test_skipped_cases_are_named(tmp_path, capsys):
    count_results.main([report(tmp_path, ("a", "run", PYTEST_OUTPUT))])
    assert "tests/api/test_a.py:7: no data here" in capsys.readouterr().out


def test_missing_report_broken_build_and_no_tests_fail(tmp_path, capsys):
    assert count_results.main([str(tmp_path / "absent.xml")]) == 1
    assert last_line(capsys) == "0 passed, 1 failed"
    assert count_results.main(["--broken", "1"]) == 1
    assert last_line(capsys) == "0 passed, 1 failed"
    assert count_results.main([report(tmp_path)]) == 1
