"""Short forms of tests/faults: many starts at once, SIGTERM under load."""

import os

import daemon_process
import drains
import one_daemon


def test_of_many_daemons_on_one_directory_one_runs(tmp_path):
    one_daemon.rounds(daemon_process.binary(), tmp_path / "data", 2, 10)


def test_stops_under_load_lose_nothing(start_daemon):
    daemon = start_daemon("--workers", 2)
    known = drains.prepare(daemon)
    took = [drains.drain(daemon, known, number) for number in range(3)]
    # Sanitizers cost some tens of times.
    assert max(took) < drains.LIMIT_SECONDS * (3 if os.environ.get("ASAN_OPTIONS") else 1)
