#!/usr/bin/python3
"""SIGTERM under load, again and again on one data directory: jobs train and are submitted, data sets are
uploaded, metrics are waited for. The daemon exits with 0 within 10 s each time, and everything that was
acknowledged is there with the next one. Prints a summary.

  tests/faults/drains.py [--drains 100]          (the daemon: build/release, or BACKPROPD_BINARY)
"""

import argparse
import http.client
import json
import pathlib
import shutil
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

import daemon_process  # noqa: E402

LIMIT_SECONDS = 10
SMALL = {"name": "small", "data": {"dataset": "base", "target": "label"}, "training": {"epochs": 2}}
LONG = {**SMALL, "name": "long", "training": {"epochs": 100_000_000},
        "network": {"layers": [{"type": "dense", "units": 64, "activation": "tanh"},
                               {"type": "dense", "units": "auto"}]}}


def table(number, rows=200):
    return ("a,b,label\n" + "\n".join(f"{number}.{row},{row % 7},{row % 2}" for row in range(rows))).encode()


class Speaker:
    """One client's connection; None instead of an answer when the daemon is gone."""

    def __init__(self, base):
        address = urllib.parse.urlsplit(base)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            self.connection.request(method, "/api/v1/" + path, content, headers)
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return None, None

    def ask_raw(self, method, path):
        """The bytes of an answer, which must be a 200."""
        self.connection.request(method, "/api/v1/" + path)
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status == 200, (path, answer.status, content[:200])
        return content


class Acknowledged:
    """What the daemon has answered 2xx to, of all drains so far."""

    def __init__(self):
        self.lock = threading.Lock()
        self.jobs, self.datasets, self.cancelled = {}, {}, set()

    def check(self, base, since=()):
        """since: ids to look at; all data sets are looked at."""
        speaker = Speaker(base)
        for job in since:
            status, document = speaker.ask("GET", f"jobs/{job}")
            assert status == 200 and document["name"] == self.jobs[job], (job, status, document)
            if job in self.cancelled:
                assert document["state"] in ("cancelled", "succeeded"), (job, document["state"])
        for name, sha256 in self.datasets.items():
            status, document = speaker.ask("GET", f"datasets/{name}")
            assert status == 200 and document["sha256"] == sha256, (name, status)


def load(daemon, known, stop, number):
    """Threads that write until they are refused; each judges its answers."""
    faults = []

    def worker(body):
        def run():
            speaker = Speaker(daemon.base)
            step = 0
            while not stop.is_set():
                status, document = body(speaker, step)
                step += 1
                if status is None or status == 503:
                    return
                if status >= 300:
                    faults.append((status, document))
                    return
        return threading.Thread(target=run)

    def submit(speaker, step):
        status, document = speaker.ask("POST", "jobs", SMALL)
        if status == 201:
            with known.lock:
                if document["id"] in known.jobs:
                    faults.append(("an id twice", document["id"]))
                known.jobs[document["id"]] = "small"
        return status, document

    def cancel(speaker, step):
        status, document = speaker.ask("POST", "jobs", LONG)
        if status != 201:
            return status, document
        with known.lock:
            known.jobs[document["id"]] = "long"
        job = document["id"]
        status, document = speaker.ask("POST", f"jobs/{job}/cancel")
        if status == 202:
            with known.lock:
                known.cancelled.add(job)
        return status, document

    def upload(speaker, step):
        name = f"d{step % 5}"
        content = table(number * 1000 + step)
        status, document = speaker.ask("PUT", f"datasets/{name}", content)
        with known.lock:
            if status in (200, 201):
                known.datasets[name] = document["sha256"]
            else:
                known.datasets.pop(name, None)  # it may have been stored or not
        return status, document

    def wait(speaker, step):
        return speaker.ask("GET", "jobs/1/metrics?wait=60&after=9007199254740991&limit=1")

    threads = [worker(body) for body in (submit, submit, cancel, upload, wait)]
    for thread in threads:
        thread.start()
    return threads, faults


def drain(daemon, known, number, acknowledge=20):
    """Loads it, stops it within the limit, starts it and checks. The seconds that the stop took."""
    stop = threading.Event()
    before = set(known.jobs)
    threads, faults = load(daemon, known, stop, number)
    while len(known.jobs) < len(before) + acknowledge and any(t.is_alive() for t in threads[:2]):
        time.sleep(0.005)
    started = time.monotonic()
    daemon.stop()
    took = time.monotonic() - started
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "an answer never came"
    assert not faults, faults
    assert len(known.jobs) >= len(before) + acknowledge
    daemon.start()
    known.check(daemon.base, set(known.jobs) - before)
    # The endless job goes on, and was not interrupted by a crash.
    status, document = Speaker(daemon.base).ask("GET", "jobs/1")
    assert status == 200 and document["restarts"] == 0, (status, document)
    assert document["state"] in ("queued", "running"), document["state"]
    return took


def prepare(daemon):
    speaker = Speaker(daemon.base)
    assert speaker.ask("PUT", "datasets/base", table(1))[0] == 201
    status, document = speaker.ask("POST", "jobs", LONG)
    assert status == 201 and document["id"] == 1
    known = Acknowledged()
    known.jobs[1] = "long"
    return known


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drains", type=int, default=100)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="backpropd-")
    daemon = daemon_process.Daemon(folder + "/data", "--workers", 2)
    try:
        known = prepare(daemon)
        times = [drain(daemon, known, number) for number in range(options.drains)]
        known.check(daemon.base, known.jobs)
        daemon.stop()
    finally:
        if daemon.is_alive():
            daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)
    times.sort()
    assert times[-1] < LIMIT_SECONDS, times[-1]
    print(f"{options.drains} drains under load: exit status 0 each time, after "
          f"{times[len(times) // 2] * 1000:.0f} ms (median) and {times[-1] * 1000:.0f} ms (longest); "
          f"all of {len(known.jobs)} jobs, {len(known.cancelled)} cancellations and "
          f"{len(known.datasets)} data sets that were acknowledged are there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
