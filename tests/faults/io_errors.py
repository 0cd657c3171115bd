#!/usr/bin/python3
"""Errors put into system calls of the daemon (by strace), one run for each place: a full disk and broken
reads, writes and syncs at the Nth call of a thread. Holds when every answer is a success, a 507 or another
5xx, or the daemon stops with its own exit status; when reads go on beside a full disk; and when the next
daemon has everything that was acknowledged and ends the jobs with the bits of undisturbed ones.

  tests/faults/io_errors.py [--step 1] [--most 60]       (the daemon: build/release, or BACKPROPD_BINARY)
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

import daemon_process  # noqa: E402
import drains  # noqa: E402
import faulty_runs  # noqa: E402
import system_calls  # noqa: E402

JOB = faulty_runs.named("suffering", training={"epochs": 12})
EXIT_REFUSED, EXIT_STORAGE = 1, 74
# call, error, how many calls in a row meet it: a full disk lasts. (Not write: other things go that way.)
FAULTS = [("pwrite64", "ENOSPC", 12), ("pwrite64", "EIO", 1), ("fdatasync", "EIO", 1),
          ("fsync", "EIO", 1), ("pread64", "EIO", 1)]



def undisturbed(data, empty):
    """The outcome. empty: gets a copy of a data directory that has a database and nothing else, so that
    the faults come after the first start."""
    daemon_process.Daemon(empty, "--workers", 1).stop()
    daemon = daemon_process.Daemon(data, "--workers", 1)
    try:
        speaker = drains.Speaker(daemon.base)
        assert speaker.ask("PUT", "datasets/iris", faulty_runs.IRIS.read_bytes())[0] == 201
        status, document = speaker.ask("POST", "jobs", JOB)
        assert status == 201, document
        return faulty_runs.outcome(daemon.base, document["id"])
    finally:
        daemon.stop()


def insist(speaker, method, path, body, seen, wanted):
    """Asks until it is done or the daemon has gone (None); a full disk may take some attempts."""
    for _ in range(60):
        status, document = speaker.ask(method, path, body)
        seen.add(status)
        if status is None or status in wanted:
            return document if status else None
        assert status in (500, 503, 507), (method, path, status, document)
        # Reading goes on.
        reading, listed = speaker.ask("GET", "jobs")
        seen.add(reading)
        assert reading in (200, 500, None), (reading, listed)
    raise AssertionError(f"{method} {path}: never done, {status}: {document}")


def suffer(data, trace, call, error, when, count, reference):
    """One run. What happened, in a word or two."""
    # The loader of programs reads too.
    paths = [word for name in ("backpropd.db", "backpropd.db-wal")
             for word in ("-P", str(data / name))] if call == "pread64" else []
    prefix = system_calls.under_strace(
        trace, *paths, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}..{when + count - 1}")
    seen, acknowledged, sha256, ended = set(), [], None, "went on"
    daemon = None
    try:
        daemon = daemon_process.Daemon(data, "--workers", 1, prefix=prefix,
                                       environment=system_calls.ENVIRONMENT)
    except AssertionError as refusal:
        assert "cannot start" in str(refusal) or "stopping" in str(refusal), refusal
        ended = "did not start"
    if daemon:
        speaker = drains.Speaker(daemon.base)
        document = insist(speaker, "PUT", "datasets/iris", faulty_runs.IRIS.read_bytes(), seen,
                          (200, 201))
        sha256 = document and document["sha256"]
        document = document and insist(speaker, "POST", "jobs", JOB, seen, (201,))
        if document:
            acknowledged.append(document["id"])
            faulty_runs.wait(speaker, document["id"])
        if daemon.process.poll() is None and None not in seen:
            daemon.process.terminate()
        code = daemon.process.wait(60)
        assert code in (0, EXIT_STORAGE), (code, daemon.log())
        if code == EXIT_STORAGE:
            ended = "stopped itself"
        elif 507 in seen or "disk full" in daemon.log():
            ended = "waited for space"
        elif seen & {500, 503}:
            ended = "refused"
        daemon.process = None
    if "(INJECTED)" not in system_calls.text_of(trace):
        ended = None
    # Space is back, the disk is whole.
    daemon = daemon_process.Daemon(data, "--workers", 1)
    try:
        speaker = drains.Speaker(daemon.base)
        if sha256:
            status, document = speaker.ask("GET", "datasets/iris")
            assert status == 200 and document["sha256"] == sha256
        else:
            assert speaker.ask("PUT", "datasets/iris", faulty_runs.IRIS.read_bytes())[0] in (200, 201)
        for job in acknowledged:
            status, document = speaker.ask("GET", f"jobs/{job}")
            assert status == 200, (status, document)
            if faulty_runs.wait(speaker, job)["state"] == "failed":
                # A reading error ends a job with its reason; nothing is lost, and it can be had again.
                assert error == "EIO", document["reason"]
                acknowledged.remove(job)
                ended = "failed the job" if ended else None
        if not acknowledged:
            status, document = speaker.ask("POST", "jobs", JOB)
            assert status == 201, document
            acknowledged.append(document["id"])
        for job in acknowledged:
            assert faulty_runs.outcome(daemon.base, job) == reference, f"job {job} is another"
    finally:
        daemon.stop()
    faulty_runs.assert_sound(data)
    return ended


def run_all(folder, places, faults=FAULTS, say=lambda text: None):
    """{what happened: how often}. places: numbers of calls; a fault is over where it no longer strikes."""
    folder = pathlib.Path(folder)
    reference = undisturbed(folder / "reference", folder / "empty")
    counts = {}
    for call, error, count in faults:
        for when in places:
            data = folder / f"{call}-{error}-{when}"
            shutil.copytree(folder / "empty", data)
            ended = suffer(data, folder / f"trace-{call}-{when}", call, error, when, count, reference)
            shutil.rmtree(data)
            say(f"{error} at {call} {when}: {ended or 'not reached'}")
            if ended is None:
                break
            counts[ended] = counts.get(ended, 0) + 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--most", type=int, default=60)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="backpropd-")
    try:
        subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], check=True)
        counts = run_all(folder, range(1, options.most + 1, options.step),
                         say=lambda text: print(text, flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{sum(counts.values())} faults: " +
          ", ".join(f"{what} {count}" for what, count in sorted(counts.items())) +
          "; nothing acknowledged was lost, every job ended with the bits of an undisturbed one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
