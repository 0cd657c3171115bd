"""Adds up ctest's JUnit reports: cases, not executables.

usage: count_results.py [--broken N] REPORT...

cmocka and pytest print how many cases they ran; an executable that prints neither counts as one.
An executable that failed without owning up to a failed case (a crash, a sanitizer report, a
time-out) counts as one failure. Skipped cases and failures are listed, and the last line is
`N passed, N failed[, N skipped]`. Exit status 1 on any failure, on a missing report, on N broken
builds, or where nothing ran.
"""

import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

CMOCKA = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) +\] (\d+) test\(s\)", re.MULTILINE)
PYTEST = re.compile(r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", re.MULTILINE)
PYTEST_COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors|xfailed|xpassed)\b")
SKIP_LINE = re.compile(r"^SKIPPED \[\d+\] .*$|^\[  SKIPPED \] (?!\d+ test).*$", re.MULTILINE)


def count_output(output):
    """(passed, failed, skipped) as the output of one executable states them, or None."""
    passed = failed = skipped = 0
    found = False
    for kind, count in CMOCKA.findall(output):
        found = True
        passed += int(count) if kind == "PASSED" else 0
        failed += int(count) if kind == "FAILED" else 0
        skipped += int(count) if kind == "SKIPPED" else 0
    lines = PYTEST.findall(output)
    if lines:
        found = True
        for count, kind in PYTEST_COUNT.findall(lines[-1]):
            if kind in ("passed", "xfailed"):
                passed += int(count)
            elif kind == "skipped":
                skipped += int(count)
            else:
                failed += int(count)
    return (passed, failed, skipped) if found else None


def read_report(path):
    """(passed, failed, skipped, failures, skip lines) of one report."""
    passed = failed = skipped = 0
    failures, skips = [], []
    for case in xml.parse(path).getroot().iter("testcase"):
        name = f"{pathlib.Path(path).parent.name}: {case.get('name')}"
        output = case.findtext("system-out") or ""
        bad = case.get("status") == "fail" or case.find("failure") is not None
        not_run = case.get("status") in ("notrun", "disabled")
        counts = count_output(output)
        if counts is None:
            counts = (0, 0, 0) if bad else (0, 0, 1) if not_run else (1, 0, 0)
            if not_run and not bad:
                skips.append(f"{name}: not run")
        if bad:
            failures.append(name)
            if counts[1] == 0:
                counts = (counts[0], 1, counts[2])
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
        skips += [f"{name}: {line}" for line in SKIP_LINE.findall(output)]
    return passed, failed, skipped, failures, skips


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--broken", type=int, default=0)
    parser.add_argument("reports", nargs="*")
    options = parser.parse_args(arguments)

    passed = skipped = 0
    failed = options.broken
    failures = ["a build failed (see above)"] * options.broken
    skips = []
    for report in options.reports:
        if not pathlib.Path(report).exists():
            failed += 1
            failures.append(f"{report}: no report, ctest did not run")
            continue
        more = read_report(report)
        passed, failed, skipped = passed + more[0], failed + more[1], skipped + more[2]
        failures += more[3]
        skips += more[4]

    if skips:
        print("SKIPPED, and therefore not shown to work here:")
        print("\n".join(f"  {line}" for line in skips))
    if failures:
        print("FAILED:")
        print("\n".join(f"  {line}" for line in failures))
    nothing = bool(options.reports) and passed + failed == 0
    if nothing:
        print("no test ran")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or nothing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
