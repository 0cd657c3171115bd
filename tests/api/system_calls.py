"""The daemon under strace: what it asked of the system, in which order, and faults put into its calls."""

import functools
import pathlib
import re
import shutil
import subprocess
import time

import pytest

LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))$")
UNFINISHED = " <unfinished ...>"
RESULT = re.compile(r"= (-?\d+|\?)[^=]*$")
# Sanitizers' own ways of not liking a tracer or a preloaded library.
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}


@functools.cache
def refusal():
    """Why strace cannot be used here, or None."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else tried.stderr.strip()


def need_strace():
    if refusal():
        pytest.skip("NO PTRACE: system calls cannot be watched here: " + refusal())


def under_strace(trace, *options):
    """A prefix for Daemon: its process stays its own, strace is a grandchild (-D)."""
    need_strace()
    return ["strace", "-D", "-f", "-qq", "-o", str(trace), *options]


def text_of(trace):
    """All of a trace of a daemon that has ended: strace writes a little later than it ends."""
    path, size = pathlib.Path(trace), -1
    for _ in range(1000):
        if path.exists():
            grown = path.stat().st_size
            if grown == size and grown > 0:
                break
            size = grown
        time.sleep(0.03)
    return path.read_text(errors="replace")


def calls(text):
    """(thread, name, arguments, result, first, last) of each call, in the order of their ends; first and
    last are line numbers. Arguments of a call that was split are joined; result is None where it did not
    end."""
    open_calls, found = {}, []
    for number, line in enumerate(text.splitlines()):
        match = LINE.match(line)
        if not match:
            continue
        thread, resumed, rest, name, arguments = match.groups()
        if name and arguments.endswith(UNFINISHED):
            open_calls[thread] = (name, arguments[:-len(UNFINISHED)], number)
            continue
        if name:
            first, whole = number, arguments
        elif thread in open_calls and open_calls[thread][0] == resumed:
            name, begun, first = open_calls.pop(thread)
            whole = begun + rest
        else:
            continue
        result = RESULT.search(whole)
        found.append((thread, name, whole, int(result.group(1)) if result and
                      result.group(1) != "?" else None, first, number))
    found += [(thread, name, begun, None, first, len(text))
              for thread, (name, begun, first) in open_calls.items()]
    return found
