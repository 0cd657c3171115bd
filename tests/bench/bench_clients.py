"""What many clients cost a training job: 1,000 that poll for metrics once a second and 200 event streams.

usage: /usr/bin/python3 tests/bench/bench_clients.py [rounds [seconds [pollers [streams]]]]

The job is of MNIST's size (60,000 rows of 784 features, 256 hidden units, a point every 50 steps); data is
random, because only time matters. Rounds without and with clients alternate; the speed of each comes
from the times of the job's own metric points. On a machine that is not quiet look at the second
ratio, of steps for each second of processor time that the trainer got, and at what the other threads took. Needs build/release/backpropd (or BACKPROPD_BINARY) and
its bench_clients (ninja -C build/release bench_clients).
"""

import datetime
import json
import os
import pathlib
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

import numpy
import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
import daemon_process  # noqa: E402

ROWS, FEATURES, CLASSES = 60000, 784, 10


def number(position, fallback):
    return int(sys.argv[position]) if len(sys.argv) > position else fallback


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def upload(base):
    random = numpy.random.default_rng(1)
    images = random.integers(0, 256, (ROWS, 28, 28), dtype=numpy.uint8).tobytes()
    labels = random.integers(0, CLASSES, ROWS, dtype=numpy.uint8).tobytes()
    for column, body in (("images", struct.pack(">IIII", 0x803, ROWS, 28, 28) + images),
                         ("labels", struct.pack(">II", 0x801, ROWS) + labels)):
        requests.put(f"{base}/datasets/mnist/columns/{column}", data=body, timeout=60).raise_for_status()


def submit(base):
    job = {"name": "mnist", "data": {"dataset": "mnist", "features": ["images"], "target": "labels"},
           "network": {"layers": [{"type": "dense", "units": 256, "activation": "relu"},
                                  {"type": "dense", "units": "auto"}]},
           "training": {"epochs": 100000, "batch_size": 64}}
    answer = requests.post(f"{base}/jobs", json=job, timeout=60)
    answer.raise_for_status()
    return answer.json()["id"]


def last_id(base, job):
    """Of the newest event, as far as one reading gets."""
    found = 0
    with requests.get(f"{base}/jobs/{job}/events", stream=True, timeout=60) as answer:
        newest = requests.get(f"{base}/jobs/{job}", timeout=60).json()["progress"]["step"]
        for line in answer.iter_lines():
            if line.startswith(b"id: "):
                found = int(line[4:])
            elif line.startswith(b"data: ") and json.loads(line[6:]).get("step", 0) >= newest:
                return found


def processor_seconds(pid):
    """{thread name: seconds of processor time}; equal names are added up."""
    seconds = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        text = (task / "stat").read_text()
        name, fields = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        seconds[name] = seconds.get(name, 0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def used(before, after, span):
    """Shares of one processor, the largest first."""
    shares = {name: (value - before.get(name, 0)) / span for name, value in after.items()}
    return ", ".join(f"{name} {share:.0%}" for name, share in
                     sorted(shares.items(), key=lambda item: -item[1]) if share >= 0.005)


class Speed:
    """Steps per second between two moments, by the points that fell between them."""

    def __init__(self, base, job):
        self.base, self.job, self.after = base, job, 0

    def page(self, wait=0):
        page = requests.get(f"{self.base}/jobs/{self.job}/metrics", timeout=90,
                            params={"after": self.after, "limit": 10000, "wait": wait}).json()
        self.after = page["next"]
        return page["points"]

    def skip(self):
        while self.page():
            pass

    def measure(self, begin, end):
        points = []
        while not points or seconds_of(points[-1]["time"]) < end:
            points += self.page(wait=10)
        inside = [(seconds_of(point["time"]), point["step"]) for point in points]
        inside = [item for item in inside if begin <= item[0] <= end]
        (first, before), (last, after) = inside[0], inside[-1]
        return (after - before) / (last - first)


def main():
    rounds, seconds = number(1, 3), number(2, 20)
    pollers, streams = number(3, 1000), number(4, 200)
    with tempfile.TemporaryDirectory() as folder:
        daemon = daemon_process.Daemon(folder + "/data")
        base = daemon.base + "/api/v1"
        port = str(urllib.parse.urlsplit(daemon.base).port)
        upload(base)
        job = submit(base)
        speed = Speed(base, job)
        while not speed.page(wait=60):
            pass
        time.sleep(2)
        ratios, own_ratios, faults = [], [], 0
        for _ in range(rounds):
            speed.skip()
            begin, before = time.time(), processor_seconds(daemon.pid)
            time.sleep(seconds)
            own = processor_seconds(daemon.pid)["trainer"] - before["trainer"]
            alone = speed.measure(begin, begin + seconds)
            alone_own = alone * seconds / own
            head = last_id(base, job)
            generator = resource.getrusage(resource.RUSAGE_CHILDREN)
            begin, before = time.time(), processor_seconds(daemon.pid)
            run = subprocess.run([daemon_process.binary().parent / "tests/bench_clients", port,
                                  str(seconds), str(pollers), str(streams), f"{job}:{head}"],
                                 stdout=subprocess.PIPE, text=True)
            after, span = processor_seconds(daemon.pid), time.time() - begin
            now = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken = (now.ru_utime + now.ru_stime - generator.ru_utime - generator.ru_stime) / span
            watched = speed.measure(begin, begin + span)
            watched_own = watched * span / (after["trainer"] - before["trainer"])
            ratios.append(watched / alone)
            own_ratios.append(watched_own / alone_own)
            faults += json.loads(run.stdout)["faults"]
            print(run.stdout.strip())
            print(f"processor: {used(before, after, span)}; generator {taken:.0%}; "
                  f"resident {daemon.resident_bytes() / 2**20:.0f} MiB")
            print(f"steps a second: {alone:.0f} alone, {watched:.0f} with {pollers} pollers and {streams} "
                  f"streams: {ratios[-1]:.3f}; a processor second: {alone_own:.0f}, {watched_own:.0f}: "
                  f"{own_ratios[-1]:.3f}", flush=True)
        requests.post(f"{base}/jobs/{job}/cancel", timeout=60)
        daemon.stop()
    print(f"median {statistics.median(ratios):.3f} of the speed alone, {statistics.median(own_ratios):.3f} by "
          f"processor time, {faults} faults")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
