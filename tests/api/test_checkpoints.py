"""Checkpoints: a job that is stopped, paused or killed ends with the bits of one that ran through."""

import hashlib
import signal
import sqlite3
import struct
import time

import pytest

import rest_client

# Everything that a resume could forget: optimiser slots, dropout by step, plateaus, best weights.
JOB = {
    "name": "kept", "data": {"dataset": "iris", "target": "species", "validation": {"fraction": 0.2}},
    "network": {"layers": [{"type": "dense", "units": 32, "activation": "tanh", "dropout": {"keep": 0.8}},
                           {"type": "dense", "units": "auto"}]},
    "optimizer": {"type": "adam", "learning_rate": 0.003},
    "schedule": {"type": "plateau", "patience": 3, "factor": 0.7, "min_delta": 0.002},
    "training": {"epochs": 400, "batch_size": 16,
                 "early_stopping": {"metric": "validation.loss", "patience": 300, "restore_best": True}},
    "checkpoint": {"every_steps": 7}, "metrics": {"every_steps": 3},
}


def history(client, job):
    return [(point["seq"], point["step"], point["epoch"], point["values"])
            for point in client.metrics(job)]


def tensors(client, version, name="kept"):
    content = client.get(f"models/{name}/versions/{version}/weights").content
    return content[8 + int.from_bytes(content[:8], "little"):]


def database(daemon):
    return sqlite3.connect(daemon.data / "backpropd.db")


def stored_tensors(daemon, job):
    """(role, slot, name, bytes) of a job's newest checkpoint; the daemon is stopped."""
    with database(daemon) as connection:
        row = connection.execute("SELECT id FROM checkpoints WHERE job_id = ? AND complete = 1 "
                                 "ORDER BY number DESC LIMIT 1", (job,)).fetchone()
        found = []
        for tensor, role, slot, name in connection.execute(
                "SELECT id, role, slot, name FROM checkpoint_tensors WHERE checkpoint_id = ? "
                "ORDER BY ordinal", row).fetchall():
            pieces = connection.execute("SELECT data FROM checkpoint_pieces WHERE tensor_id = ? "
                                        "ORDER BY ordinal", (tensor,)).fetchall()
            found.append((role, slot, name, b"".join(piece for piece, in pieces)))
    connection.close()
    return found


def is_clean(daemon):
    connection = database(daemon)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("SELECT count(*) FROM checkpoints WHERE complete = 0").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM checkpoint_pieces WHERE tensor_id NOT IN "
                              "(SELECT id FROM checkpoint_tensors)").fetchone() == (0,)
    connection.close()


def test_killed_again_and_again(start_daemon, iris):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    whole = client.train(JOB)["id"]
    wanted = history(client, whole)
    job = client.submit(JOB)["id"]
    resumed = 0
    for seq in (20, 150, 151, 400, 700):
        after = 0
        while after < seq:
            page = client.get(f"jobs/{job}/metrics", query={"after": after, "wait": 10}).json()
            after = page["next"]
            assert not page["complete"]
        daemon.kill()
        daemon.start()
        client = rest_client.Client(daemon)
        resumed += 1
    client.wait(job)
    assert client.get(f"jobs/{job}").json()["restarts"] == resumed
    assert history(client, job) == wanted
    assert tensors(client, 1) == tensors(client, 2)
    daemon.stop()
    assert stored_tensors(daemon, whole) == stored_tensors(daemon, job)
    assert {role for role, *_ in stored_tensors(daemon, job)} == {"weights", "slot", "best"}
    is_clean(daemon)
    connection = database(daemon)
    resumes = connection.execute("SELECT count(*) FROM job_events WHERE job_id = ? AND type = 'log' AND "
                                 "json_extract(data, '$.code') = 'resumed'", (job,)).fetchone()[0]
    connection.close()
    assert resumes == resumed
