"""./setup against a made-up system: commands that record what they were asked."""

import os
import pathlib
import subprocess

import pytest

import house_tree

STUBS = {
    "dpkg-query": 'case " $INSTALLED " in *" ${@: -1} "*) echo -n installed ;; *) exit 1 ;; esac',
    "apt-get": 'echo "apt-get $*" >>"$LOG"; '
               'case $* in *update) exit 0 ;; esac; '
               'count=$(grep -c " install " "$LOG"); [ "$count" -gt "$FAILURES" ]',
    "id": 'echo "$USER_ID"',
}


@pytest.fixture
def system(tmp_path):
    """run(installed, failures, user, sudo, *arguments) -> (exit code, output, apt-get calls)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("bash", "env", "sed", "grep", "printf", "dirname"):
        path = next(p for p in (f"/usr/bin/{tool}", f"/bin/{tool}") if os.path.exists(p))
        (folder / tool).symlink_to(path)

    def stub(name, body):
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)

    for name, body in STUBS.items():
        stub(name, body)

    def run(*arguments, installed="", failures=0, user=0, sudo=False):
        if sudo:
            stub("sudo", 'echo "sudo" >>"$LOG"; exec "$@"')
        log = tmp_path / "log"
        log.write_text("")
        done = subprocess.run(
            [folder / "bash", house_tree.ROOT / "setup", *arguments], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": str(folder), "INSTALLED": installed, "LOG": str(log),
                 "FAILURES": str(failures), "USER_ID": str(user)})
        return done.returncode, done.stdout, log.read_text().splitlines()

    run.folder = pathlib.Path(folder)
    return run


def test_nothing_missing_touches_nothing(system):
    code, output, calls = system("one", "two", installed="one two")
    assert (code, calls) == (0, [])
    assert "nothing to do" in output


def test_installs_only_what_is_missing(system):
    code, _, calls = system("one", "two", "three", installed="two")
    assert code == 0
    assert calls[0].endswith("update")
    assert calls[1].endswith("install -y --no-install-recommends one three")
    assert len(calls) == 2


def test_tries_once_more_and_then_says_so(system):
    assert system("one", failures=1)[0] == 0
    code, output, _ = system("one", failures=9)
    assert code == 1
    assert "could not install: one" in output


def test_uses_sudo_where_there_is_one(system):
    code, output, calls = system("one", user=1000)
    assert (code, calls) == (1, [])
    assert "as root run" in output
    code, _, calls = system("one", user=1000, sudo=True)
    assert code == 0
    assert "sudo" in calls


def test_foreign_system_is_told_the_names(system):
    (system.folder / "apt-get").unlink()
    code, output, _ = system("one", "two")
    assert code == 1
    assert "one two" in output


def test_default_list_is_the_build_and_no_test_tool(system):
    _, _, calls = system()
    named = set(calls[1].split()) - {"apt-get", "install"}
    assert {"gcc", "cmake", "libmicrohttpd-dev", "nettle-dev"} <= named
    for line in (house_tree.ROOT / "tests/packages").read_text().splitlines():
        assert line not in named
