"""What checkpoints and metric points cost a training, on work of MNIST's size (784 features, 10 classes):

  checkpoints  a network of ten million parameters under Adam: one run that takes a checkpoint every other
               epoch; epochs that one is written in against those between
  metrics      784-256-10 in batches of 64: runs with a point each step and with one each epoch in turn

Both kinds see the same machine that way. An epoch's time is that between its point and the one before, so
that loading and evaluating do not count. Wants a machine with nothing else to do.

usage: /usr/bin/python3 tests/bench/bench_checkpoints.py [--rows N] [--epochs N] [--rounds N] [checkpoints|metrics]
Set BACKPROPD_BINARY for another build than build/release.
"""

import argparse
import datetime
import pathlib
import random
import statistics
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
import daemon_process  # noqa: E402
import rest_client  # noqa: E402

SIDE = 28


def upload(client, rows):
    generator = random.Random(1)
    images = struct.pack(">IIII", 0x803, rows, SIDE, SIDE) + generator.randbytes(rows * SIDE * SIDE)
    labels = struct.pack(">II", 0x801, rows) + bytes(generator.randrange(10) for _ in range(rows))
    client.put("datasets/digits/columns/images", images)
    client.put("datasets/digits/columns/labels", labels)


def dense(units):
    return {"type": "dense", "units": units, "activation": "relu"}


def job(rows, epochs, batch, hidden, **more):
    steps = -(-rows // batch)
    return {"name": "bench", "data": {"dataset": "digits", "features": ["images"], "target": "labels"},
            "network": {"layers": [*map(dense, hidden), {"type": "dense", "units": "auto"}]},
            "optimizer": {"type": "adam", "learning_rate": 1e-5},
            "training": {"epochs": epochs, "batch_size": batch},
            "checkpoint": {"every_seconds": 1e9}, "metrics": {"every_steps": steps}, **more}


def moment(point):
    return datetime.datetime.fromisoformat(point["time"].replace("Z", "+00:00")).timestamp()


def epoch_times(client, body, steps):
    """Seconds of each epoch but the first."""
    number = client.submit(body)["id"]
    while client.get(f"jobs/{number}").json()["finished"] is None:
        time.sleep(0.3)  # nobody follows the points while they are made: that has a cost of its own
    after, ends = 0, {}
    while True:
        page = client.session.get(client.url(f"jobs/{number}/metrics"),
                                  params={"after": after, "limit": 10000}).json()
        for point in page["points"]:
            if point["step"] % steps == 0:
                ends[point["step"] // steps] = moment(point)
        after = page["next"]
        if not page["points"]:
            break
    document = client.get(f"jobs/{number}").json()
    assert document["state"] == "succeeded", document["reason"]
    return [ends[e] - ends[e - 1] for e in sorted(ends) if e - 1 in ends]


def show(what, times):
    plain, loaded = statistics.median(times[False]), statistics.median(times[True])
    print(f"{what}: {plain:.3f} s an epoch without, {loaded:.3f} s with (medians of {len(times[False])} "
          f"and {len(times[True])}): {loaded / plain - 1:+.2%}")


def checkpoints(client, options):
    times = {False: [], True: []}
    body = job(options.rows, 2 * options.epochs + 2, 256, (2900, 2600))
    body["checkpoint"] = {"every_epochs": 2}
    for _ in range(options.rounds):
        seconds = epoch_times(client, body, -(-options.rows // 256))
        for index, duration in enumerate(seconds):  # of epochs 2, 3, 4, …; taken at the end of 2, 4, …
            times[index % 2 == 1].append(duration)
    show("a checkpoint of 10 million parameters each epoch", times)


def metrics(client, options):
    times = {False: [], True: []}
    plain = job(options.rows, 4 * options.epochs, 64, (256,))
    for _ in range(options.rounds):
        for each in (False, True, True, False):
            body = {**plain, "metrics": {"every_steps": 1}} if each else plain
            times[each] += epoch_times(client, body, -(-options.rows // 64))
    show("a metric point each step", times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["checkpoints", "metrics"])
    parser.add_argument("--rows", type=int, default=60000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        daemon = daemon_process.Daemon(pathlib.Path(folder) / "data", "--workers", 1)
        client = rest_client.Client(daemon)
        upload(client, options.rows)
        if options.what != "metrics":
            checkpoints(client, options)
        if options.what != "checkpoints":
            metrics(client, options)
        daemon.stop()


if __name__ == "__main__":
    main()
