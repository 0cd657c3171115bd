"""Checkpoints: a job that is stopped, paused or killed ends with the bits of one that ran through."""

import json
import sqlite3
import time

import pytest

import rest_client
from pace import at_any_speed, interrupted, pause, wait_for_points

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


def longer(pace, epochs):
    """JOB with so many epochs, at this pace; what is counted in epochs goes along."""
    stopping = {**JOB["training"]["early_stopping"], "patience": pace.epochs(epochs) * 3 // 4}
    return {**JOB, "training": {**JOB["training"], "epochs": pace.epochs(epochs), "early_stopping": stopping}}


@at_any_speed
def test_killed_again_and_again(start_daemon, iris, pace):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    body = longer(pace, 400)
    whole = client.train(body)["id"]
    wanted = history(client, whole)
    job = client.submit(body)["id"]
    kills = (20, 150, 151, 400, 700)
    for seq in kills:
        wait_for_points(client, job, seq)
        daemon.kill()
        daemon.start()
        client = rest_client.Client(daemon)
    client.wait(job)
    # What was killed before it ran again did not restart it.
    restarts = interrupted(client, job)["restarts"]
    assert 1 <= restarts <= len(kills)
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
    assert resumes <= restarts


def listed(client, job, **query):
    return client.get(f"jobs/{job}/checkpoints", query=query).json()["items"]


def events(daemon, job, kind):
    connection = database(daemon)
    rows = connection.execute("SELECT data FROM job_events WHERE job_id = ? AND type = ? ORDER BY ordinal",
                              (job, kind)).fetchall()
    connection.close()
    return [json.loads(data) for data, in rows]


@at_any_speed
def test_paused_and_stopped(start_daemon, iris, pace):
    """Neither loses a step: the checkpoint that it writes is of the very step it came at."""
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    body = longer(pace, 1000)
    body |= {"checkpoint": {"every_seconds": 1000}, "metrics": {"every_steps": 200}}
    body["training"]["batch_size"] = 1
    whole = client.train(body)["id"]
    wanted = history(client, whole)
    job = client.submit(body)["id"]
    wait_for_points(client, job, 20)
    pause(client, job)
    paused = listed(client, job)[0]
    assert paused["cause"] == "paused" and paused["step"] >= 1200
    assert client.get(f"jobs/{job}").json()["progress"]["step"] == paused["step"]
    client.post(f"jobs/{job}/resume")
    wait_for_points(client, job, 300)
    daemon.restart()
    client = rest_client.Client(daemon)
    client.wait(job)
    interrupted(client, job, 2)
    causes = [item["cause"] for item in reversed(listed(client, job))]
    assert causes == ["stopped", "end"]  # keep_last is 2
    assert history(client, job) == wanted
    assert tensors(client, 1) == tensors(client, 2)
    assert client.get(f"jobs/{job}").json()["restarts"] == 0
    daemon.stop()
    assert [event["cause"] for event in events(daemon, job, "checkpoint")] == ["paused", "stopped", "end"]
    is_clean(daemon)


def test_cadences_and_retention(start_daemon, iris):
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    body = {"data": {"dataset": "iris", "target": "species", "validation": {"fraction": 0.2}},
            "training": {"epochs": 9, "batch_size": 30},  # 4 steps each
            "checkpoint": {"every_epochs": 2, "every_steps": 10, "keep_last": 100}}
    job = client.train(body)["id"]
    items = list(reversed(listed(client, job)))
    assert [(item["step"], item["epoch"], item["cause"]) for item in items] == [
        (8, 2, "epochs"), (10, 2, "steps"), (16, 4, "epochs"), (20, 5, "steps"), (24, 6, "epochs"),
        (30, 7, "steps"), (32, 8, "epochs"), (36, 9, "end")]
    assert [item["number"] for item in items] == list(range(1, 9))
    losses = {point["step"]: point["values"]["validation.loss"] for point in client.metrics(job)
              if "validation.loss" in point["values"]}
    assert [item["metric"] for item in items] == [losses.get(item["step"]) for item in items]
    best = min((item for item in items if item["metric"] is not None), key=lambda item: item["metric"])
    assert [item["number"] for item in items if item["best"]] == [best["number"]]
    # Pages.
    first = client.get(f"jobs/{job}/checkpoints", query={"limit": 5}).json()
    assert [item["number"] for item in first["items"]] == [8, 7, 6, 5, 4] and first["next"] == 4
    rest = client.get(f"jobs/{job}/checkpoints", query={"limit": 5, "after": 4}).json()
    assert [item["number"] for item in rest["items"]] == [3, 2, 1] and rest["next"] is None
    client.get("jobs/77/checkpoints", expect=404)

    # The best one stays though it is older than those that are kept.
    rising = {**body, "optimizer": {"type": "sgd", "learning_rate": 6},
              "checkpoint": {"every_epochs": 1, "keep_last": 2}}
    job = client.train(rising)["id"]
    losses = {point["epoch"]: point["values"]["validation.loss"] for point in client.metrics(job)
              if "validation.loss" in point["values"]}
    best = min(losses, key=losses.get)
    assert best <= 7, "this job is to get worse at its end"
    assert [item["number"] for item in listed(client, job)] == [9, 8, best]
    job = client.train({**rising, "checkpoint": {"every_epochs": 1, "keep_best": False, "keep_last": 1}})["id"]
    assert [item["number"] for item in listed(client, job)] == [9]

    # By time, while other cadences are not given.
    job = client.submit({**body, "training": {"epochs": 100_000_000}, "checkpoint": {"every_seconds": 0.05}})["id"]
    while not listed(client, job):
        time.sleep(0.02)
    assert listed(client, job)[0]["cause"] == "time"
    client.post(f"jobs/{job}/cancel")
    client.wait(job, "cancelled")
    daemon.stop()
    is_clean(daemon)


def spoil_newest(daemon, job, how):
    """Spoils the newest checkpoint that is whole; the daemon is stopped."""
    connection = database(daemon)
    checkpoint, = connection.execute("SELECT id FROM checkpoints WHERE job_id = ? AND complete = 1 "
                                     "ORDER BY number DESC LIMIT 1", (job,)).fetchone()
    piece, data = connection.execute(
        "SELECT p.id, p.data FROM checkpoint_pieces p JOIN checkpoint_tensors t ON t.id = p.tensor_id "
        "WHERE t.checkpoint_id = ? AND t.role = 'slot' ORDER BY t.ordinal LIMIT 1", (checkpoint,)).fetchone()
    if how == "flipped":
        data = bytes([data[0] ^ 1]) + data[1:]
        connection.execute("UPDATE checkpoint_pieces SET data = ? WHERE id = ?", (data, piece))
    elif how == "cut":
        connection.execute("UPDATE checkpoint_pieces SET data = ? WHERE id = ?", (data[:-4], piece))
    elif how == "missing":
        connection.execute("DELETE FROM checkpoint_pieces WHERE id = ?", (piece,))
    elif how == "state":
        connection.execute("UPDATE checkpoints SET state = json_set(state, '$.plateau.waited', 77) "
                           "WHERE id = ?", (checkpoint,))
    else:
        connection.execute("UPDATE checkpoints SET step = step - 7 WHERE id = ?", (checkpoint,))
    connection.commit()
    connection.close()


@pytest.mark.parametrize("how", ["flipped", "cut", "missing", "state", "step"])
@at_any_speed
def test_a_spoilt_checkpoint_is_passed_over(start_daemon, iris, how, pace):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    body = longer(pace, 250)
    whole = client.train(body)["id"]
    job = client.submit(body)["id"]
    wait_for_points(client, job, 20)
    daemon.stop()
    numbers = [event["number"] for event in events(daemon, job, "checkpoint")]
    spoil_newest(daemon, job, how)
    daemon.start()
    client = rest_client.Client(daemon)
    client.wait(job)
    interrupted(client, job)
    assert history(client, job) == history(client, whole)
    assert tensors(client, 1) == tensors(client, 2)
    daemon.stop()
    said = events(daemon, job, "log")
    assert [f"checkpoint {numbers[-1]} is passed over" in line["message"] for line in said
            if line["code"] == "checkpoint_unusable"] == [True]
    # No number twice, and the spoilt one has gone.
    numbers = [event["number"] for event in events(daemon, job, "checkpoint")]
    assert numbers == sorted(set(numbers))
    is_clean(daemon)


@at_any_speed
def test_no_checkpoint_that_holds(start_daemon, iris, pace):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    body = longer(pace, 250)
    whole = client.train(body)["id"]
    job = client.submit(body)["id"]
    wait_for_points(client, job, 20)
    daemon.stop()
    connection = database(daemon)
    connection.execute("UPDATE checkpoint_tensors SET sha256 = replace(sha256, substr(sha256, 1, 1), 'x') "
                       "WHERE checkpoint_id IN (SELECT id FROM checkpoints WHERE job_id = ?)", (job,))
    connection.commit()
    connection.close()
    daemon.start()
    client = rest_client.Client(daemon)
    client.wait(job)
    interrupted(client, job)
    assert history(client, job) == history(client, whole)
    assert tensors(client, 1) == tensors(client, 2)


@at_any_speed
def test_other_numerics(start_daemon, iris, pace):
    """A job that goes on under another fingerprint is marked; its points beyond the checkpoint come anew."""
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    body = longer(pace, 250)
    whole = client.train(body)["id"]
    assert client.get(f"jobs/{whole}").json()["reproducible"] is True
    job = client.submit(body)["id"]
    wait_for_points(client, job, 20)
    daemon.kill()
    connection = database(daemon)
    kept, = connection.execute("SELECT metric_seq FROM checkpoints WHERE job_id = ? AND complete = 1 "
                               "ORDER BY number DESC LIMIT 1", (job,)).fetchone()
    # As other numerics would have left it: points beyond the checkpoint that will not come again.
    connection.execute("UPDATE jobs SET fingerprint = '0-other' WHERE id = ?", (job,))
    connection.execute("INSERT OR REPLACE INTO metrics SELECT job_id, ?2, step, epoch, time, set_id, "
                       "zeroblob(length(\"values\")) FROM metrics WHERE job_id = ?1 AND seq = ?3",
                       (job, kept + 1, kept))
    connection.commit()
    connection.close()
    daemon.start()
    client = rest_client.Client(daemon)
    client.wait(job)
    interrupted(client, job)
    document = client.get(f"jobs/{job}").json()
    assert document["reproducible"] is False and document["state"] == "succeeded"
    assert history(client, job) == history(client, whole)
    daemon.stop()
    assert [line["code"] for line in events(daemon, job, "log")].count("numerics_changed") == 1
    is_clean(daemon)


ROWS = {"rows": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [5.9, 3.0, 4.2, 1.5]]}


def test_predictions_of_checkpoints(client, iris):
    client.put("datasets/iris", iris)
    body = {"name": "seen", "data": {"dataset": "iris", "target": "species"},
            "training": {"epochs": 20}, "checkpoint": {"every_epochs": 5, "keep_last": 10}}
    job = client.train(body)["id"]
    model = client.post("models/seen/predict", json=ROWS).json()
    last = client.post(f"jobs/{job}/checkpoints/4/predict", json=ROWS).json()
    assert (last["model"], last["version"], last["job"], last["checkpoint"]) == (None, None, job, 4)
    assert last["predictions"] == model["predictions"] and last["classes"] == model["classes"]
    # An earlier one is what a shorter training gives.
    client.train({**body, "name": "short", "training": {"epochs": 10}})
    early = client.post(f"jobs/{job}/checkpoints/2/predict", json=ROWS).json()
    assert early["predictions"] == client.post("models/short/predict", json=ROWS).json()["predictions"]
    assert early["predictions"] != model["predictions"]
    client.post(f"jobs/{job}/checkpoints/5/predict", json=ROWS, expect=404)
    client.post("jobs/99/checkpoints/1/predict", json=ROWS, expect=404)
    client.post(f"jobs/{job}/checkpoints/0/predict", json=ROWS, expect=(400, 404))
    client.problem("POST", f"jobs/{job}/checkpoints/1/predict", 422, json={"rows": [[1, 2]]})

    # While it runs, and not of one that has gone, though its model is still in memory.
    running = client.submit({**body, "training": {"epochs": 100_000_000},
                             "checkpoint": {"every_epochs": 50, "keep_last": 1}})["id"]
    while not listed(client, running):
        time.sleep(0.02)
    seen = client.post(f"jobs/{running}/checkpoints/{listed(client, running)[0]['number']}/predict", json=ROWS,
                       expect=(200, 404))
    while listed(client, running)[0]["number"] < 5:
        time.sleep(0.02)
    client.post(f"jobs/{running}/checkpoints/1/predict", json=ROWS, expect=404)
    client.post(f"jobs/{running}/cancel")
    client.wait(running, "cancelled")
    if seen.status_code == 200:
        assert len(seen.json()["predictions"]) == 3


def test_begun_with_a_checkpoint(client, daemon, iris):
    client.put("datasets/iris", iris)
    body = {"name": "first", "data": {"dataset": "iris", "target": "species"},
            "optimizer": {"type": "sgd", "learning_rate": 0.1}, "training": {"epochs": 20, "shuffle": False},
            "checkpoint": {"every_epochs": 5, "keep_last": 10}, "metrics": {"every_steps": 1}}
    job = client.train(body)["id"]
    losses = {point["step"]: point["values"]["loss"] for point in client.metrics(job)}
    spec = {**body, "name": "second", "optimizer": {"type": "sgd", "learning_rate": 0.01},
            "initial": {"job": job, "checkpoint": 2}, "training": {"epochs": 1, "shuffle": False}}
    second = client.train(spec)
    first_loss = client.metrics(second["id"])[0]["values"]["loss"]
    assert first_loss == losses[10 * 3 + 1]  # the weights after ten epochs, nothing else
    assert second["specification"]["initial"] == {"job": job, "checkpoint": 2}
    lineage = client.get("models/second/versions/1").json()
    assert lineage["initial"] == {"job": job, "checkpoint": 2} and lineage["job"] == second["id"]
    newest = client.train({**spec, "initial": {"job": job}})
    assert newest["specification"]["initial"] == {"job": job, "checkpoint": 4}

    # Refused, with the place.
    for initial, status, pointer in [({"job": 99}, 404, "/initial/job"),
                                     ({"job": job, "checkpoint": 77}, 404, "/initial/checkpoint"),
                                     ({"job": job, "version": 1}, 422, "/initial"),
                                     ({"model": "first", "checkpoint": 1}, 422, "/initial"),
                                     ({"model": "first", "job": job}, 422, "/initial"),
                                     ({}, 422, "/initial")]:
        problem = client.problem("POST", "jobs", (404, 422), json={**spec, "initial": initial})
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
    other = {**spec, "network": {"layers": [{"type": "dense", "units": 7}, {"type": "dense", "units": "auto"}]}}
    problem = client.problem("POST", "jobs", 422, json=other)
    assert "checkpoint 2 of job" in problem["errors"][0]["detail"]


def test_one_that_a_job_waits_for_is_kept(start_daemon, iris):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    body = {"name": "pinned", "data": {"dataset": "iris", "target": "species"},
            "training": {"epochs": 100_000_000}, "checkpoint": {"every_epochs": 20, "keep_last": 1}}
    job = client.submit(body)["id"]
    while not listed(client, job):
        time.sleep(0.02)
    # While another one has the only worker, the heir can only wait, and the first one drops nothing.
    blocker = client.submit({"data": body["data"], "training": {"epochs": 100000000}})["id"]
    client.post(f"jobs/{job}/pause")
    client.wait_for_state(job, "paused")
    client.wait_for_state(blocker, "running")
    kept = listed(client, job)[0]["number"]
    waiting = client.submit({"name": "heir", "priority": -1, "data": body["data"],
                             "initial": {"job": job, "checkpoint": kept}, "training": {"epochs": 1}})["id"]
    client.post(f"jobs/{job}/resume")
    client.wait_for_state(job, "queued")
    client.post(f"jobs/{blocker}/cancel")
    while listed(client, job)[0]["number"] < kept + 3:
        time.sleep(0.02)
    numbers = [item["number"] for item in listed(client, job)]
    assert kept in numbers and len(numbers) == 2
    client.post(f"jobs/{job}/cancel")
    client.wait(job, "cancelled")
    client.wait(waiting)
    client.delete(f"jobs/{job}")
    client.get(f"jobs/{job}/checkpoints", expect=404)
    client.post(f"jobs/{job}/checkpoints/{kept}/predict", json=ROWS, expect=404)


def test_a_diverged_run_keeps_the_last_finite_one(client, iris):
    client.put("datasets/iris", iris)
    job = client.submit({"data": {"dataset": "iris", "target": "species"},
                         "loss": {"type": "softmax_cross_entropy"},
                         "optimizer": {"type": "sgd", "learning_rate": 1e30},
                         "schedule": {"type": "constant", "warmup_steps": 60},
                         "network": {"layers": [{"type": "dense", "units": 8, "activation": "relu"},
                                                {"type": "dense", "units": "auto"}]},
                         "training": {"epochs": 100}, "checkpoint": {"every_steps": 1}})["id"]
    document = client.wait(job, "failed")
    assert document["reason"] == "diverged"
    items = listed(client, job)
    assert items and items[0]["step"] < document["progress"]["step"]
    answer = client.post(f"jobs/{job}/checkpoints/{items[0]['number']}/predict",
                         json=ROWS, expect=(200, 422))
    if answer.status_code == 200:
        assert len(answer.json()["predictions"]) == 3
