"""Short forms of tests/faults: many starts at once, SIGTERM under load, kill -9 while training and while
jobs are ordered about; and checkpoints that are damaged."""

import os
import random
import re
import shutil
import sqlite3

import pytest

import command_kills
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


def test_kills_while_jobs_are_ordered_about(tmp_path):
    orders, _ = command_kills.kill_often(tmp_path / "data", 6, 4, random.Random(4))
    assert orders > 20


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    return kill_loop.Reference(tmp_path_factory.mktemp("long") / "run", kill_loop.LONG)


@pytest.fixture(scope="module")
def reading_run(tmp_path_factory):
    return kill_loop.Reference(tmp_path_factory.mktemp("reading") / "run", kill_loop.READING)


def test_kills_at_random_moments(long_run):
    counts = kill_loop.kill_at_random(long_run, 6, random.Random(4))
    assert counts["kills"] == 6


def test_kills_while_a_text_is_read(reading_run):
    assert {row[0] for row in reading_run.checkpoint[1]} == {"weights", "slot", "state", "best"}
    counts = kill_loop.kill_at_random(reading_run, 4, random.Random(5))
    assert counts["kills"] == 4


def test_kills_at_writes(tmp_path):
    system_calls.need_strace()
    reference = kill_loop.Reference(tmp_path / "short", kill_loop.SHORT)
    places = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
    assert kill_loop.kill_at_writes(reference, places, tmp_path / "trace") >= 8


def assert_noticed(run, data, mutation):
    """That a resume which forgets something ends otherwise, and one that forgets nothing does not."""
    program = os.environ.get("BACKPROPD_MUTANT")
    if not program:
        pytest.skip("NO MUTANT: BACKPROPD_MUTANT is not set")
    shutil.copytree(run.template, data)
    job = kill_loop.kill_late(run, data)
    how = {"program": program, "environment": {"BACKPROPD_MUTATION": mutation or "none"}}
    if mutation is None:
        assert run.judge(data, [job], **how) == 1
    else:
        with pytest.raises(AssertionError, match="failed|differ"):
            run.judge(data, [job], **how)


@pytest.mark.parametrize("mutation", [None, "forget-slots", "forget-watch", "forget-best", "step-back"])
def test_a_resume_that_forgets_is_noticed(long_run, tmp_path, mutation):
    assert_noticed(long_run, tmp_path / "data", mutation)


@pytest.mark.parametrize("mutation", [None, "forget-carried"])
def test_a_reader_that_forgets_is_noticed(reading_run, tmp_path, mutation):
    assert_noticed(reading_run, tmp_path / "data", mutation)


def damage(data, which, how):
    """Damages complete checkpoints of a stopped daemon: all, or the newest. How many there are."""
    database = sqlite3.connect(data / "backpropd.db")
    with database:
        found = [row[0] for row in database.execute(
            "SELECT id FROM checkpoints WHERE complete = 1 ORDER BY number DESC")]
        for checkpoint in found if which == "all" else found[:1]:
            piece, content = database.execute(
                "SELECT p.id, p.data FROM checkpoint_pieces p JOIN checkpoint_tensors t "
                "ON t.id = p.tensor_id WHERE t.checkpoint_id = ? AND t.role = 'slot' "
                "ORDER BY p.id LIMIT 1", (checkpoint,)).fetchone()
            if how == "flipped":
                content = content[:9] + bytes([content[9] ^ 4]) + content[10:]
                database.execute("UPDATE checkpoint_pieces SET data = ? WHERE id = ?", (content, piece))
            elif how == "cut":
                database.execute("UPDATE checkpoint_pieces SET data = ? WHERE id = ?",
                                 (content[:-1], piece))
            elif how == "missing":
                database.execute("DELETE FROM checkpoint_pieces WHERE id = ?", (piece,))
            elif how == "state":
                state, = database.execute("SELECT state FROM checkpoints WHERE id = ?",
                                          (checkpoint,)).fetchone()
                state = re.sub(r"[0-8]", lambda digit: str(int(digit[0]) + 1), state, count=1)
                database.execute("UPDATE checkpoints SET state = ? WHERE id = ?", (state, checkpoint))
            elif how == "moved":
                database.execute("UPDATE checkpoints SET step = step + 1 WHERE id = ?", (checkpoint,))
    database.close()
    return len(found)


@pytest.mark.parametrize("which, how", [("newest", "flipped"), ("newest", "cut"), ("newest", "missing"),
                                        ("newest", "state"), ("newest", "moved"), ("all", "flipped")])
def test_a_damaged_checkpoint_is_passed_over(long_run, tmp_path, which, how):
    """For an older one, or the beginning; the bits in the end are the same."""
    data = tmp_path / "data"
    shutil.copytree(long_run.template, data)
    job = kill_loop.kill_late(long_run, data)
    assert damage(data, which, how) >= 2
    long_run.judge(data, [job])
    database = sqlite3.connect(f"file:{data}/backpropd.db?mode=ro", uri=True)
    said = [row[0] for row in database.execute(
        "SELECT data FROM job_events WHERE job_id = ? AND type = 'log'", (job,))]
    database.close()
    assert sum("checkpoint_unusable" in line for line in said) >= (2 if which == "all" else 1)
