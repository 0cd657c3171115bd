"""Short forms of tests/faults: many starts at once, SIGTERM under load, kill -9 while training."""

import os
import random

import pytest

import daemon_process
import drains
import kill_loop
import one_daemon
import system_calls


def test_of_many_daemons_on_one_directory_one_runs(tmp_path):
    one_daemon.rounds(daemon_process.binary(), tmp_path / "data", 2, 10)


def test_stops_under_load_lose_nothing(start_daemon):
    daemon = start_daemon("--workers", 2)
    known = drains.prepare(daemon)
    took = [drains.drain(daemon, known, number) for number in range(3)]
    # Sanitizers cost some tens of times.
    assert max(took) < drains.LIMIT_SECONDS * (3 if os.environ.get("ASAN_OPTIONS") else 1)


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    return kill_loop.Reference(tmp_path_factory.mktemp("long") / "run", kill_loop.LONG)


def test_kills_at_random_moments(long_run):
    counts = kill_loop.kill_at_random(long_run, 8, random.Random(4))
    assert counts["kills"] == 8


def test_kills_at_writes(tmp_path):
    system_calls.need_strace()
    reference = kill_loop.Reference(tmp_path / "short", kill_loop.SHORT)
    places = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
    assert kill_loop.kill_at_writes(reference, places, tmp_path / "trace") >= 8


@pytest.mark.parametrize("mutation", [None, "forget-slots", "forget-watch", "forget-best", "step-back"])
def test_a_resume_that_forgets_is_noticed(long_run, mutation):
    program = os.environ.get("BACKPROPD_MUTANT")
    if not program:
        pytest.skip("NO MUTANT: BACKPROPD_MUTANT is not set")
    how = {"program": program, "environment": {"BACKPROPD_MUTATION": mutation or "none"}}
    if mutation is None:
        assert kill_loop.kill_late(long_run, **how) == 1
    else:
        with pytest.raises(AssertionError):
            kill_loop.kill_late(long_run, **how)
