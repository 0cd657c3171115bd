"""Jobs over REST: from submission to the end, cancelled, interrupted, killed, and with the same bits
each time."""

import hashlib
import os
import re
import time

import pytest

import rest_client
from pace import at_any_speed, interrupted, wait_for_points

LONG = 100_000_000


def specification(epochs=30, name="iris", **training):
    return {"name": name, "data": {"dataset": "iris", "target": "species",
                                   "validation": {"fraction": 0.2}},
            "network": {"layers": [{"type": "dense", "units": 16, "activation": "tanh"},
                                   {"type": "dense", "units": "auto"}]},
            "optimizer": {"type": "momentum", "learning_rate": 0.05, "momentum": 0.9},
            "training": {"epochs": epochs, "batch_size": 16, "seed": 7, **training},
            "metrics": {"every_steps": 20}}


def endless_specification(**training):
    """Runs until it is told to stop, and has a point now and then."""
    body = specification(LONG, **training)
    del body["data"]["validation"]
    body["metrics"]["every_steps"] = 5000
    return body


def slow_specification(pace):
    """Some seconds of steps, with few points: there is time to interrupt it."""
    body = specification(pace.epochs(4000))
    del body["data"]["validation"]
    body["network"]["layers"][0]["units"] = 256
    body["metrics"]["every_steps"] = 200
    return body


def weights(client, name, version):
    return client.get(f"models/{name}/versions/{version}/weights",
                      query={"format": "safetensors"}).content


def tensors(content):
    """The bytes after the header, which names the job and the version."""
    return content[8 + int.from_bytes(content[:8], "little"):]


def history(client, job):
    return [{key: value for key, value in point.items() if key != "time"}
            for point in client.metrics(job)]


def states(document):
    return [transition["to"] for transition in document["transitions"]]


@pytest.fixture
def with_iris(client, iris):
    client.put("datasets/iris", iris)
    return client


def test_document_of_a_job(with_iris):
    client = with_iris
    document = client.train(specification())
    assert states(document) == ["queued", "running", "succeeded"]
    assert document["transitions"][0]["from"] is None
    assert document["restarts"] == 0 and document["reproducible"] is True
    assert document["progress"]["step"] == document["progress"]["steps"] == 30 * 8
    assert set(document["metrics"]["train"]) == {
        "loss", "accuracy", "log_loss", "roc_auc", "precision", "recall", "f1", "rows", "per_class",
        "averages", "confusion_matrix"}
    assert document["metrics"]["validation"]["rows"] == 30
    assert document["metrics"]["test"] == {}
    points = client.metrics(document["id"])
    losses = [point["values"]["validation.loss"] for point in points
              if "validation.loss" in point["values"]]
    assert document["metrics"]["best"]["validation.loss"] == min(losses)
    assert document["metrics"]["validation"]["loss"] == losses[-1]
    assert document["created"] <= document["started"] <= document["finished"]
    assert document["model"] == {"name": "iris", "version": 1}


def test_progress_of_a_running_job(with_iris):
    client = with_iris
    job = client.submit(endless_specification())["id"]
    wait_for_points(client, job, 3)
    deadline = time.monotonic() + 60
    while True:
        progress = client.get(f"jobs/{job}").json()["progress"]
        if progress["samples_per_second"] is not None:
            break
        assert time.monotonic() < deadline, "no speed was ever shown"
    assert progress["samples_per_second"] > 0 and progress["seconds_left"] > 0
    assert 0 < progress["step"] < progress["steps"] == LONG * 10
    assert 0 < progress["epoch"] <= progress["epochs"] == LONG
    client.post(f"jobs/{job}/cancel", expect=202)
    client.wait(job, "cancelled")


def test_cancel_is_idempotent_and_honest(with_iris):
    client = with_iris
    job = client.submit(endless_specification())["id"]
    wait_for_points(client, job, 1)
    assert client.post(f"jobs/{job}/cancel", expect=202).json()["state"] in ("stopping", "cancelled")
    assert client.post(f"jobs/{job}/cancel", expect=202).json()["id"] == job
    document = client.wait(job, "cancelled")
    assert states(document) == ["queued", "running", "stopping", "cancelled"]
    assert document["model"] is None
    client.post(f"jobs/{job}/cancel", expect=202)
    done = client.train(specification(1))["id"]
    client.problem("POST", f"jobs/{done}/cancel", expect=409)
    client.problem("POST", "jobs/999/cancel", expect=404)


def test_queued_jobs_wait_for_a_worker(start_daemon, iris):
    client = rest_client.Client(start_daemon("--workers", 1))
    client.put("datasets/iris", iris)
    running = client.submit(endless_specification())["id"]
    wait_for_points(client, running, 1)
    queued = client.submit(specification(1))["id"]
    assert client.get(f"jobs/{queued}").json()["state"] == "queued"
    assert [job["id"] for job in client.get("jobs", query={"state": "queued"}).json()["items"]] == [queued]
    client.post(f"jobs/{running}/cancel", expect=202)
    client.wait(queued)


def test_a_job_too_large_for_the_memory_is_refused(start_daemon, iris):
    client = rest_client.Client(start_daemon("--memory-limit", "2M"))
    client.put("datasets/iris", iris)
    large = specification(1)
    large["network"]["layers"][0]["units"] = 100000
    problem = client.problem("POST", "jobs", json=large, expect=422)
    # The figures: what it needs and what a job may have.
    assert f"a job may have {2 << 20}" in problem["detail"]
    assert int(re.search(r"needs (\d+) bytes", problem["detail"])[1]) > 100000 * 4 * 4
    client.train(specification(1))


def test_an_idempotency_key_makes_one_job(with_iris):
    client = with_iris
    headers = {"Idempotency-Key": "once"}
    first = client.post("jobs", json=specification(1), headers=headers, expect=201).json()
    again = client.post("jobs", json=specification(1), headers=headers, expect=201).json()
    assert first["id"] == again["id"]
    client.problem("POST", "jobs", json=specification(2), headers=headers, expect=422)
    assert len(client.get("jobs").json()["items"]) == 1
    client.wait(first["id"])
    client.delete("datasets/iris")
    again = client.post("jobs", json=specification(1), headers=headers, expect=201).json()
    assert again["id"] == first["id"]
    client.problem("POST", "jobs", json=specification(1), expect=422)


def test_divergence_fails_with_a_reason(with_iris):
    client = with_iris
    body = specification(50)
    body["optimizer"]["learning_rate"] = 1e38
    document = client.wait(client.submit(body)["id"], "failed")
    assert document["reason"] == "diverged"
    assert document["model"] is None
    points = client.metrics(document["id"])
    assert points[-1]["values"]["loss"] in ("NaN", "Infinity") or points[-1]["values"]["loss"] > 1e30


@at_any_speed
def test_a_stop_requeues_without_a_restart_and_changes_no_bit(start_daemon, iris, pace):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    whole = client.train(slow_specification(pace))
    job = client.submit(slow_specification(pace))["id"]
    wait_for_points(client, job, 5)
    daemon.restart()
    client = rest_client.Client(daemon)
    document = client.wait(job)
    interrupted(client, job)
    assert document["restarts"] == 0
    assert states(document) == ["queued", "running", "queued", "running", "succeeded"]
    assert document["transitions"][2]["reason"] == "daemon_stopped"
    assert tensors(weights(client, "iris", 1)) == tensors(weights(client, "iris", 2))
    assert history(client, job) == history(client, whole["id"])


@at_any_speed
def test_kill_requeues_and_changes_no_bit(start_daemon, iris, pace):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    whole = client.train(slow_specification(pace))
    job = client.submit(slow_specification(pace))["id"]
    for kill in range(3):
        wait_for_points(client, job, 3 + 5 * kill)
        times = {point["seq"]: point["time"]
                 for point in client.get(f"jobs/{job}/metrics").json()["points"]}
        daemon.kill()
        daemon.start()
        client = rest_client.Client(daemon)
        after = client.get(f"jobs/{job}/metrics").json()["points"]
        # What had been answered is still there, with its times.
        assert {point["seq"]: point["time"] for point in after}.items() >= times.items()
    document = client.wait(job)
    interrupted(client, job, 3)
    assert document["restarts"] == 3
    assert document["reproducible"] is True
    assert tensors(weights(client, "iris", 1)) == tensors(weights(client, "iris", 2))
    assert history(client, job) == history(client, whole["id"])


def test_an_acknowledged_job_survives_a_kill(start_daemon, iris):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    ids = [client.submit(specification(2))["id"] for _ in range(5)]
    daemon.kill()
    daemon.start()
    client = rest_client.Client(daemon)
    for job in ids:
        client.wait(job)
    assert sorted(job["id"] for job in client.get("jobs").json()["items"]) == ids


def wide_data(rows=600, columns=300):
    """Enough for products of more than a million operations, which are split over threads."""
    state, lines = 1, [",".join(f"f{i}" for i in range(columns)) + ",class"]
    for _ in range(rows):
        numbers = []
        for _ in range(columns):
            state = (state * 1103515245 + 12345) % 2**31
            numbers.append(state % 1000)
        lines.append(",".join(map(str, numbers)) + "," + "abc"[(numbers[0] + numbers[1]) % 3])
    return "\n".join(lines).encode()


WIDE = {"name": "wide", "data": {"dataset": "wide", "target": "class"},
        "network": {"layers": [{"type": "dense", "units": 200, "activation": "relu"},
                               {"type": "dense", "units": "auto"}]},
        "optimizer": {"type": "momentum", "learning_rate": 0.01, "momentum": 0.9}}


def train_wide(client, threads, dtype="float32"):
    training = {"epochs": 2, "batch_size": 128, "seed": 5, "threads": threads, "dtype": dtype}
    return client.train({**WIDE, "training": training})["model"]["version"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_change_no_bit(client, dtype):
    client.put("datasets/wide", wide_data(), headers={"Content-Type": "text/csv"})
    digests = set()
    for threads in (1, 2, 4):
        version = train_wide(client, threads, dtype)
        digests.add(hashlib.sha256(tensors(weights(client, "wide", version))).hexdigest())
    assert len(digests) == 1


def test_processor_paths_change_no_bit(start_daemon, tmp_path):
    digests, paths = set(), []
    flags = open("/proc/cpuinfo", encoding="ascii").read() if os.path.exists("/proc/cpuinfo") else ""
    for path, flag in (("avx512", "avx512f"), ("avx2", "avx2")):
        if flag not in flags:
            continue
        daemon = start_daemon(data=tmp_path / path, environment={"BACKPROPD_PROCESSOR": path})
        assert f"processor={path}" in daemon.log() or daemon.is_alive()
        client = rest_client.Client(daemon)
        client.put("datasets/wide", wide_data(200, 120), headers={"Content-Type": "text/csv"})
        version = train_wide(client, 1)
        digests.add(hashlib.sha256(tensors(weights(client, "wide", version))).hexdigest())
        paths.append(path)
        daemon.stop()
    if len(paths) < 2:
        pytest.skip("this processor has one path only")
    assert len(digests) == 1, paths


def test_sigterm_while_training_and_waiting(start_daemon, iris):
    daemon = start_daemon("--workers", 2)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    jobs = [client.submit(endless_specification(threads=2))["id"] for _ in range(3)]
    wait_for_points(client, jobs[0], 1)
    daemon.stop()
    daemon.start()
    client = rest_client.Client(daemon)
    for job in jobs:
        document = client.get(f"jobs/{job}").json()
        assert document["state"] in ("queued", "running")
        assert document["restarts"] == 0
        client.post(f"jobs/{job}/cancel", expect=202)
        client.wait(job, "cancelled")
