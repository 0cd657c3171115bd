"""What was answered with 2xx was on the disk before: seen in the order of system calls. Between the
request and its answer the log was synced, or a file where there is no commit; and at the answer no column
file, no file of a backup and no name that was given still waits to be synced. The same test notices when
syncing is taken away: by libeatmydata, and by builds that do it."""

import os
import pathlib
import re

import pytest

import rest_client
import system_calls

EATMYDATA = ("/usr/lib/x86_64-linux-gnu/libeatmydata.so", "/usr/lib/aarch64-linux-gnu/libeatmydata.so",
             "/usr/lib/libeatmydata.so")
TRACED = ("trace=pwrite64,write,writev,sendto,sendmsg,recvfrom,read,recvmsg,fsync,fdatasync,rename,"
          "renameat2,link,ftruncate,mkdir")
DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")
QUOTED = re.compile(r'"([^"]*)"')
WRITES = ("POST /api/v1/", "PUT /api/v1/", "DELETE /api/v1/")
JOB = {"name": "small", "data": {"dataset": "iris", "target": "species"}, "training": {"epochs": 1}}
ENDLESS = {**JOB, "training": {"epochs": 100_000_000}}


def mutant():
    path = os.environ.get("BACKPROPD_MUTANT")
    if not path:
        pytest.skip("NO MUTANT: BACKPROPD_MUTANT is not set")
    return path


def judge(trace, data):
    """(answers seen, what was not on the disk at any of them)."""
    data = str(data)
    log = data + "/backpropd.db-wal"

    def counts(path):
        return path.startswith(tuple(data + below for below in (
            "/columns", "/tmp/column", "/backups", "/tmp/backup")))

    # Beginnings and ends of calls, in order. What is being written is dirty from the beginning; a sync
    # covers what was written before it began. The log may hold more by the time of the answer, of the
    # next transaction.
    moments = []
    for thread, name, arguments, result, first, last in system_calls.calls(trace):
        moments.append((first, 0, name, arguments, result))
        moments.append((last, 1, name, arguments, result))
    moments.sort(key=lambda moment: moment[:2])
    dirty, under_way, faults = {}, {}, []
    request, answers = None, 0
    for _, end, name, arguments, result in moments:
        match = DESCRIPTOR.match(arguments)
        path = match.group(2) if match else ""
        if path.startswith(("socket:", "TCP:", "TCPv6:")):
            if end and name in ("recvfrom", "read", "recvmsg") and any(w in arguments for w in WRITES):
                request = QUOTED.search(arguments).group(1)[:60]
                synced = False
            elif not end and request and re.search(r"HTTP/1\.1 2\d\d ", arguments):
                answers += 1
                if not synced:
                    faults.append(f"{request}: nothing was synced")
                faults += [f"{request}: {what} of {path}" for path, what in dirty.items()]
                request = None
        elif name in ("pwrite64", "write", "writev", "ftruncate") and not end and counts(path):
            dirty[path] = name
        elif name in ("fsync", "fdatasync") and result == 0:
            if end:
                if under_way.get(path) == dirty.get(path):
                    dirty.pop(path, None)
                synced = synced or path == log or counts(path)
            else:
                under_way[path] = dirty.get(path)
        elif name in ("rename", "renameat2", "link") and not end and result == 0:
            to = [part for part in QUOTED.findall(arguments)][1]
            if (counts(to) or to == data + "/backpropd.db") and not to.startswith(data + "/tmp"):
                dirty[str(pathlib.Path(to).parent)] = "a name"
        elif name == "mkdir" and not end and result == 0:
            made = QUOTED.search(arguments).group(1)
            if not made.startswith(data + "/tmp/"):
                dirty[str(pathlib.Path(made).parent)] = "a folder"
        if request is None:
            synced = False
    return answers, faults


def exercise(daemon, iris):
    """Every kind of write, one after another; the number of answers."""
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris, expect=201)
    client.put("datasets/other", b"a,b\n1,2\n3,4\n", expect=201)
    client.put("datasets/other/columns/c", b"\0\0\x08\x01\0\0\0\x02\x01\x02", expect=201)
    running = client.submit(ENDLESS)["id"]
    client.submit(JOB)
    client.post(f"jobs/{running}/cancel", expect=202)
    client.delete("datasets/other", expect=204)
    backup = client.post("backup", expect=201).json()["name"]
    client.delete(f"backups/{backup}", expect=204)
    return 9


def upload_and_delete(daemon, iris):
    """No more than that: answers that read what was just written fail where it is not committed."""
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris, expect=201)
    client.delete("datasets/iris", expect=204)
    return 2


def traced(start_daemon, tmp_path, iris, *, requests=exercise, strace=(), **how):
    trace = tmp_path / "trace"
    environment = {**system_calls.ENVIRONMENT, **how.pop("environment", {})}
    # The data directory and the folder that it is in are made by the daemon.
    daemon = start_daemon(
        "--workers", 1, environment=environment, data=tmp_path / "made" / "data",
        prefix=system_calls.under_strace(trace, "-y", "-s", "80", "-e", TRACED, *strace), **how)
    expected = requests(daemon, iris)
    daemon.stop()
    return expected, *judge(system_calls.text_of(trace), daemon.data)


def test_each_acknowledged_write_is_on_the_disk(start_daemon, tmp_path, iris):
    expected, answers, faults = traced(start_daemon, tmp_path, iris)
    assert answers == expected
    assert faults == []


def test_it_fails_without_syncing(start_daemon, tmp_path, iris):
    """The negative control."""
    library = next((path for path in EATMYDATA if pathlib.Path(path).exists()), None)
    if not library:
        pytest.skip("NO CONTROL: libeatmydata is not installed")
    expected, answers, faults = traced(start_daemon, tmp_path, iris,
                                       strace=("-E", "LD_PRELOAD=" + library))
    assert answers == expected
    for request in ("POST /api/v1/jobs ", "PUT /api/v1/datasets/iris ", "PUT /api/v1/datasets/other/",
                    "DELETE /api/v1/datasets/", "POST /api/v1/backup ", "POST /api/v1/jobs/1/cancel "):
        assert any(fault.startswith(request) for fault in faults), request


@pytest.mark.parametrize("mutation, request_line", [
    ("answer-before-commit", "DELETE /api/v1/datasets/iris "),
    ("database-unsynced", "DELETE /api/v1/datasets/iris "),
    ("files-unsynced", "PUT /api/v1/datasets/iris "),
])
def test_it_fails_with_a_mutant(start_daemon, tmp_path, iris, mutation, request_line):
    expected, answers, faults = traced(start_daemon, tmp_path, iris, requests=upload_and_delete,
                                       program=mutant(), environment={"BACKPROPD_MUTATION": mutation})
    assert answers == expected
    assert any(fault.startswith(request_line) for fault in faults), faults
