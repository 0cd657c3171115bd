"""How fast a large store answers while a job trains.

usage: /usr/bin/python3 tests/bench/bench_store.py [--jobs 10000] [--points 50000000] [--rounds 1000]
           [--keep DIRECTORY] [--below MILLISECONDS] [--real-time]
Fills a data directory (--keep: one that is used again if it is there and is left behind), starts a
daemon on it, lets a job train, and prints p50, p99 and the longest time of each kind of request. --below
ends with an error where a 99th percentile is not below. --real-time (root): for a machine that others
use at the time; gives all threads of the daemon but the trainer's, and the requests, the priority that
they have beside a trainer on a machine of their own. Set BACKPROPD_BINARY for another build than
build/release; builds what it needs beside it.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
import daemon_process  # noqa: E402
import rest_client  # noqa: E402

BUILD = daemon_process.binary().parent
IRIS = daemon_process.ROOT / "tests/data/iris.csv"


def specification(name, epochs, units, every_steps):
    return {"name": name, "data": {"dataset": "iris", "target": "species"},
            "network": {"layers": [{"type": "dense", "units": units, "activation": "relu"},
                                   {"type": "dense", "units": "auto"}]},
            "training": {"epochs": epochs}, "metrics": {"every_steps": every_steps}}


def fill(data, jobs, points):
    daemon = daemon_process.Daemon(data)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", IRIS)
    client.train(specification("pattern", 20, 16, 1))
    daemon.stop()
    subprocess.run([BUILD / "tests/bench_store_fill", data, str(jobs), str(points)], check=True)


def prefer(daemon):
    """Real-time priority for this process and for the daemon's threads, the trainer left out."""
    for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir():
        if (task / "comm").read_text().strip() != "trainer":
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def measure(daemon, jobs, rounds, training):
    base = "/api/v1/jobs"
    requests = {
        "list, newest 100": f"{base}",
        "list, 20 from the middle": f"{base}?limit=20&after={jobs // 2}",
        "list by state": f"{base}?state=succeeded&limit=20",
        "job document": f"{base}/%J",
        "500-point plot, longest job": f"{base}/2/metrics?max_points=500",
        "500-point plot, any job": f"{base}/%J/metrics?max_points=500",
        "500-point plot, running job": f"{base}/{training}/metrics?max_points=500",
        "after poll, running job": f"{base}/{training}/metrics?after=NEXT",
        "after poll, longest job": f"{base}/2/metrics?after=5000000&limit=100",
        "document of running job": f"{base}/{training}",
    }
    last = rest_client.Client(daemon).get(f"jobs/{training}/metrics",
                                          query={"max_points": 1}).json()["next"]
    words = [word.replace("NEXT", str(last + 10**9)) for pair in requests.items() for word in pair]
    port = daemon.base.rsplit(":", 1)[1]
    return subprocess.run([BUILD / "tests/bench_latency", port, str(rounds), "1000", *words],
                          env={**os.environ, "JOBS": str(jobs)}, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=10000)
    parser.add_argument("--points", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--keep")
    parser.add_argument("--below", type=float)
    parser.add_argument("--real-time", action="store_true")
    options = parser.parse_args()
    subprocess.run(["ninja", "-C", BUILD, "bench_store_fill", "bench_latency"], check=True,
                   stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(options.keep or folder) / "data"
        if not data.exists():
            fill(data, options.jobs, options.points)
        size = sum(path.stat().st_size for path in data.glob("backpropd.db*"))
        print(f"database of {size / 2**30:.2f} GiB", flush=True)
        daemon = daemon_process.Daemon(data)
        client = rest_client.Client(daemon)
        training = client.submit(specification("training", 10**9, 256, 10))["id"]
        for _ in range(5):
            client.get(f"jobs/{training}/metrics",
                       query={"after": client.get(f"jobs/{training}/metrics", query={
                           "max_points": 1}).json()["next"], "wait": 30})
        if options.real_time:
            prefer(daemon)
        table = measure(daemon, options.jobs, options.rounds, training)
        print(table, end="")
        print(f"daemon: {daemon.resident_bytes() / 2**20:.0f} MiB resident")
        client.post(f"jobs/{training}/cancel")
        daemon.stop()
    if options.below:
        late = [line for line in table.splitlines()
                if float(line.split("p99")[1].split()[0]) >= options.below]
        if late:
            sys.exit("not below the limit:\n" + "\n".join(late))


if __name__ == "__main__":
    main()
