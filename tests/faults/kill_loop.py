#!/usr/bin/python3
"""kill -9 of the daemon while it trains: at random moments, and at every write to the database or its log
(strace: the store's thread is killed at its Nth pwrite64; at every 1009th where checkpoints have many
megabytes). The job has everything that has a state of its own: Adam's slots, dropout, a plateau schedule,
early stopping with best weights, checkpoints in mid-epoch. Another one, with what recurrent layers carry, reads
a text (--reading).

After each kill the next daemon goes on. In the end final weights, the optimiser's slots and all else in the
last checkpoint, the metric history and the document's metrics equal those of a run that was never
interrupted; every id that was acknowledged is there; integrity, foreign keys and sequences are sound.

  tests/faults/kill_loop.py [--kills 200] [--reading 100] [--writes all|N|0] [--wide all|N|0] [--seed 1]

The daemon: build/release, or BACKPROPD_BINARY. Prints a summary; exit status 0 when all held."""

import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

import daemon_process  # noqa: E402
import drains  # noqa: E402
import faulty_runs  # noqa: E402
import system_calls  # noqa: E402

LONG = faulty_runs.named("suffering", training={"epochs": 200})
READING = faulty_runs.named("reading", faulty_runs.READING)
SHORT = faulty_runs.named("suffering", training={"epochs": 4})
# Checkpoints of some 23 MB: several writes each.
WIDE = {**faulty_runs.named("suffering", training={"epochs": 3}), "network": {"layers": [
    {"type": "dense", "units": 1200, "activation": "tanh", "dropout": {"keep": 0.8}},
    {"type": "dense", "units": 1200, "activation": "tanh"},
    {"type": "dense", "units": "auto"}]}}
WIDE_STEP = 1009


class Reference:
    """A run that is never interrupted, and what others are compared with. folder: for its data directory
    and for `template`, one that has the data sets and nothing else."""

    def __init__(self, folder, job):
        self.folder, self.job = pathlib.Path(folder), job
        self.template = self.folder / "template"
        daemon = daemon_process.Daemon(self.template, "--workers", 1)
        faulty_runs.put_data(drains.Speaker(daemon.base))
        daemon.stop()
        data = self.copy("reference")
        daemon = daemon_process.Daemon(data, "--workers", 1)
        speaker = drains.Speaker(daemon.base)
        started = time.monotonic()
        number = speaker.ask("POST", "jobs", job)[1]["id"]
        self.outcome = faulty_runs.outcome(daemon.base, number)
        self.seconds = time.monotonic() - started
        daemon.stop()
        self.checkpoint = faulty_runs.last_checkpoint(data, number)
        faulty_runs.assert_sound(data)
        shutil.rmtree(data)

    def copy(self, name):
        data = self.folder / name
        shutil.copytree(self.template, data)
        return data

    def judge(self, data, jobs, **how):
        """The daemon that ends the jobs, and what is left in the end. Returns the restarts counted."""
        daemon = daemon_process.Daemon(data, "--workers", 1, **how)
        speaker = drains.Speaker(daemon.base)
        restarts = 0
        try:
            listed = {item["id"] for item in speaker.ask("GET", "jobs")[1]["items"]}
            assert listed >= set(jobs), f"of {jobs} only {listed} are there"
            for job in sorted(listed):  # also those that were never acknowledged
                found = faulty_runs.outcome(daemon.base, job)
                for part, expected in self.outcome.items():
                    assert found[part] == expected, f"job {job}: {part} differ"
                restarts += speaker.ask("GET", f"jobs/{job}")[1]["restarts"]
        finally:
            daemon.stop()
        for job in listed:
            assert faulty_runs.last_checkpoint(data, job) == self.checkpoint, \
                f"job {job}: the last checkpoint differs"
        faulty_runs.assert_sound(data)
        return restarts


def kill_late(reference, data):
    """One kill when half of the points are there; the job."""
    daemon = daemon_process.Daemon(data, "--workers", 1)
    seq = len(reference.outcome["history"]) // 2
    for _ in range(10):
        speaker = drains.Speaker(daemon.base)
        job = speaker.ask("POST", "jobs", reference.job)[1]["id"]
        page = speaker.ask("GET", f"jobs/{job}/metrics?after={seq}&limit=1&wait=60")[1]
        daemon.kill()
        if page["next"] == seq + 1 and not page["complete"]:
            return job
        daemon.start()
    raise AssertionError("the job was too fast")


def kill_at_random(reference, kills, draw, say=lambda text: None):
    """Kills at `kills` moments, up to five of them in the life of a job. {what: how often}."""
    counts = {"kills": 0, "jobs": 0, "restarts": 0, "before the answer": 0}
    while counts["kills"] < kills:
        data = reference.copy("killed")
        jobs = []
        for _ in range(min(draw.randint(1, 5), kills - counts["kills"])):
            daemon = daemon_process.Daemon(data, "--workers", 1)
            speaker = drains.Speaker(daemon.base)
            if not jobs:
                status, document = speaker.ask("POST", "jobs", reference.job)
                assert status == 201, document
                jobs.append(document["id"])
            time.sleep(draw.uniform(0, 0.5 * reference.seconds))
            daemon.kill()
            counts["kills"] += 1
        counts["jobs"] += 1
        counts["restarts"] += reference.judge(data, jobs)
        shutil.rmtree(data)
        say(f"{counts['kills']} kills")
    return counts


def kill_at_write(reference, when, trace):
    """Kills at the Nth write of a thread. False: there were fewer."""
    data = reference.copy(f"write-{when}")
    prefix = system_calls.under_strace(trace, "-e", "trace=pwrite64", "-e",
                                       f"inject=pwrite64:signal=KILL:when={when}")
    jobs, daemon = [], None
    try:
        daemon = daemon_process.Daemon(data, "--workers", 1, prefix=prefix,
                                       environment=system_calls.ENVIRONMENT)
    except AssertionError as killed:
        assert "did not start" in str(killed)
    if daemon:
        speaker = drains.Speaker(daemon.base)
        status, document = speaker.ask("POST", "jobs", reference.job)
        assert status in (201, None), document
        if status == 201:
            jobs.append(document["id"])
            faulty_runs.wait(speaker, document["id"])
        if daemon.process.poll() is None:
            daemon.process.terminate()
        daemon.process.wait(60)
        daemon.process = None
    struck = "KILL" in system_calls.text_of(trace)
    reference.judge(data, jobs)
    shutil.rmtree(data)
    return struck


def kill_at_writes(reference, places, trace, say=lambda text: None):
    """How many kills there were: places ends with the last write."""
    kills = 0
    for when in places:
        if not kill_at_write(reference, when, trace):
            break
        kills += 1
        if kills % 20 == 0:
            say(f"killed at {kills} writes")
    return kills


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--reading", type=int, default=100)
    parser.add_argument("--writes", default="all")
    parser.add_argument("--wide", default="all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="backpropd-"))

    def say(text):
        print(text, flush=True)

    try:
        for name, job, kills in (("table", LONG, options.kills), ("text", READING, options.reading)):
            if not kills:
                continue
            started = time.monotonic()
            reference = Reference(folder / name, job)
            say(f"an uninterrupted run over a {name} takes {reference.seconds:.2f} s")
            counts = kill_at_random(reference, kills, random.Random(options.seed), say)
            say(f"{counts['kills']} kills at random moments in {counts['jobs']} jobs "
                f"({counts['restarts']} of them while one ran): all jobs ended with the weights, the last "
                f"checkpoint and the metric history of the uninterrupted run, every id was there, the "
                f"databases were sound; {time.monotonic() - started:.0f} s")
        for name, job, most, step in (("short", SHORT, options.writes, 1),
                                      ("wide", WIDE, options.wide, WIDE_STEP)):
            started = time.monotonic()
            most = 1_000_000 if most == "all" else int(most)
            if most:
                reference = Reference(folder / name, job)
                kills = kill_at_writes(reference, range(1, most * step + 1, step), folder / "trace", say)
                say(f"kills at {kills} writes of a {name} job{'' if step == 1 else f', every {step}th'}: "
                    f"the same; {time.monotonic() - started:.0f} s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
