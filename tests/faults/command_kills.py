#!/usr/bin/python3
"""kill -9 while clients order jobs about: each submits, pauses, resumes, cancels, retries, deletes and gives
priorities, one order after another. After each kill every order that was acknowledged has had its effect,
and of one whose answer never came, all or nothing. Prints a summary.

  tests/faults/command_kills.py [--kills 100] [--clients 6] [--seed 1]

The daemon: build/release, or BACKPROPD_BINARY."""

import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

import daemon_process  # noqa: E402
import drains  # noqa: E402
import faulty_runs  # noqa: E402

ENDLESS = faulty_runs.named("ordered", training={"epochs": 100_000_000})

# What a job may be asked to do, and what it may be found to be after a restart.
ORDERS = {"active": ("pause", "cancel", "priority"), "paused": ("resume", "cancel", "priority"),
          "cancelled": ("retry", "delete"), "gone": ("submit",)}
LEADS_TO = {"submit": "active", "pause": "paused", "resume": "active", "cancel": "cancelled",
            "retry": "active", "delete": "gone"}
STATES = {"active": ("queued", "running"), "paused": ("paused",), "cancelled": ("cancelled",)}


class Customer:
    """One client and its job. state and priority are as of the last answer; pending: an order without
    one."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.job, self.state, self.priority, self.pending = None, "gone", 0, None
        self.acknowledged = 0
        self.faults = []

    def order(self, speaker):
        """Gives one order. False: the daemon is gone."""
        what = self.draw.choice(ORDERS[self.state])
        priority = self.draw.randint(-5, 5)
        self.pending = (what, priority)
        if what == "submit":
            status, document = speaker.ask("POST", "jobs", ENDLESS)
        elif what == "priority":
            status, document = speaker.ask("PATCH", f"jobs/{self.job}", {"priority": priority})
        elif what == "delete":
            status, document = speaker.ask("DELETE", f"jobs/{self.job}")
        else:
            status, document = speaker.ask("POST", f"jobs/{self.job}/{what}")
        if status is None:
            return False
        self.pending = None
        if status == 409:  # on its way to where it was ordered before
            time.sleep(0.002)
        elif status not in (200, 201, 202, 204):
            self.faults.append((what, status, document))
            return False
        else:
            self.acknowledged += 1
            if what == "submit":
                self.job, self.priority = document["id"], 0
            if what == "priority":
                self.priority = priority
            else:
                self.state = LEADS_TO[what]
        return True

    def run(self, base):
        speaker = drains.Speaker(base)
        while self.order(speaker):
            pass

    def check(self, speaker, listed):
        """After a restart; takes over what is found."""
        states, priorities = {self.state}, {self.priority}
        if self.pending:
            what, priority = self.pending
            if what == "priority":
                priorities.add(priority)
            else:
                states.add(LEADS_TO[what])
        if self.state == "gone" and self.pending is None:
            found = "gone"
        elif self.state == "gone":  # a submission without its answer: whatever came of it is nobody's
            self.job, found = None, "gone"
        else:
            status, document = speaker.ask("GET", f"jobs/{self.job}")
            assert status in (200, 404), (status, document)
            found = "gone" if status == 404 else next(
                (state for state, names in STATES.items() if document["state"] in names),
                document["state"])
            if found != "gone":
                assert document["priority"] in priorities, (document["priority"], priorities)
                self.priority = document["priority"]
        assert found in states, f"job {self.job} is {found}, not one of {states}; asked: {self.pending}"
        assert (self.job in listed) == (found != "gone")
        self.state, self.pending = found, None
        if found == "gone":
            self.job = None


def settle(speaker):
    """Waits until no job is on its way to a state, which a restart leaves nobody."""
    for _ in range(1000):
        status, page = speaker.ask("GET", "jobs?limit=10000")
        assert status == 200
        if all(item["state"] != "stopping" for item in page["items"]):
            return {item["id"] for item in page["items"]}
        time.sleep(0.01)
    raise AssertionError("a job stays stopping")


def kill_often(data, kills, clients, draw, say=lambda text: None):
    """(orders acknowledged, jobs left)"""
    daemon = daemon_process.Daemon(data, "--workers", 2)
    try:
        assert drains.Speaker(daemon.base).ask("PUT", "datasets/iris",
                                               faulty_runs.IRIS.read_bytes())[0] == 201
        customers = [Customer(draw.random()) for _ in range(clients)]
        for kill in range(kills):
            threads = [threading.Thread(target=customer.run, args=(daemon.base,))
                       for customer in customers]
            for thread in threads:
                thread.start()
            time.sleep(draw.uniform(0.01, 0.3))
            daemon.kill()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
            for customer in customers:
                assert not customer.faults, customer.faults
            daemon.start()
            speaker = drains.Speaker(daemon.base)
            listed = settle(speaker)
            for customer in customers:
                customer.check(speaker, listed)
            if kill % 20 == 19:
                say(f"{kill + 1} kills")
        daemon.stop()
    except BaseException:
        if daemon.is_alive():
            daemon.kill()
        raise
    faulty_runs.assert_sound(data)
    return sum(customer.acknowledged for customer in customers), len(listed)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="backpropd-")
    started = time.monotonic()
    try:
        orders, left = kill_often(pathlib.Path(folder) / "data", options.kills, options.clients,
                                  random.Random(options.seed), lambda text: print(text, flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.kills} kills while {options.clients} clients ordered jobs about: all of {orders} "
          f"acknowledged orders had had their effect; {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
