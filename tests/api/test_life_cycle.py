"""The life cycle of a job over REST: what every action answers in every state, and what it leads to.

The states that last only until a trainer notices are in tests/server/test_job_states.c.
"""

import pytest

import rest_client
from pace import at_any_speed, pause, wait_for_points

DATA = {"dataset": "iris", "target": "species"}
ENDLESS = {"data": DATA, "training": {"epochs": 100000000}}
SHORT = {"data": DATA, "training": {"epochs": 2}}
DIVERGING = {"data": DATA, "training": {"epochs": 5},
             "optimizer": {"type": "sgd", "learning_rate": 1e38}}
ACTIONS = ("pause", "resume", "cancel", "retry", "verify")


@pytest.fixture
def one_worker(start_daemon, iris):
    client = rest_client.Client(start_daemon("--workers", 1))
    client.put("datasets/iris", iris)
    return client


def occupy(client):
    """A job that holds the only worker."""
    job = client.submit(ENDLESS)["id"]
    client.wait_for_state(job, "running")
    return job


def act(client, job, action, expect=202):
    return client.post(f"jobs/{job}/{action}", expect=expect).json()


def job_in(client, state):
    """A job in a state, and no worker free for it to leave it by itself."""
    if state in ("succeeded", "failed"):
        job = client.submit(SHORT if state == "succeeded" else DIVERGING)["id"]
        client.wait(job, state)
        occupy(client)
        return job
    if state == "running":
        return occupy(client)
    occupy(client)
    job = client.submit(ENDLESS)["id"]
    if state in ("paused", "cancelled"):
        act(client, job, {"paused": "pause", "cancelled": "cancel"}[state])
    return job


# state: what pause, resume, cancel, retry, verify, PATCH and DELETE answer
MATRIX = {
    "queued":    (202, 409, 202, 409, 409, 200, 409),
    "running":   (202, 409, 202, 409, 409, 200, 409),
    "paused":    (202, 202, 202, 409, 409, 200, 409),
    "succeeded": (409, 409, 409, 409, 202, 409, 204),
    "failed":    (409, 409, 409, 202, 409, 409, 204),
    "cancelled": (409, 409, 202, 202, 409, 409, 204),
}


@pytest.mark.parametrize("state", MATRIX)
def test_every_action_from_every_state(one_worker, state):
    client = one_worker
    for index, action in enumerate(ACTIONS + ("PATCH", "DELETE")):
        job = job_in(client, state)
        wanted = MATRIX[state][index]
        if action == "PATCH":
            answer = client.patch(f"jobs/{job}", json={"priority": 3}, expect=wanted)
        elif action == "DELETE":
            answer = client.delete(f"jobs/{job}", expect=wanted)
        else:
            answer = client.post(f"jobs/{job}/{action}", expect=wanted)
            if wanted == 202:
                # The same once more is answered in the same way.
                client.post(f"jobs/{job}/{action}", expect=202)
        if wanted == 409:
            assert state in answer.json()["detail"]
            assert client.get(f"jobs/{job}").json()["state"] == state
        for other in client.get("jobs", query={"limit": 100}).json()["items"]:
            if other["finished"] is None:
                # A worker that is free again may have let it come to its end.
                client.post(f"jobs/{other['id']}/cancel", expect=(202, 409))
                client.metrics(other["id"])


@pytest.mark.parametrize("method, path", [("POST", f"jobs/4711/{action}") for action in ACTIONS] +
                         [("DELETE", "jobs/4711")])
def test_there_is_no_such_job(one_worker, method, path):
    assert "4711" in one_worker.problem(method, path, 404)["detail"]


@at_any_speed
def test_a_paused_job_gives_way_and_ends_with_the_same_bits(one_worker, pace):
    client = one_worker
    specification = {"data": DATA, "training": {"epochs": pace.epochs(40000)}, "optimizer": {"type": "adam"}}
    whole = client.train(specification)
    job = client.submit(specification)["id"]
    wait_for_points(client, job, 1)
    document = pause(client, job)
    assert (document["state"], document["reason"]) == ("stopping", "paused")
    document = client.wait_for_state(job, "paused")
    assert document["reason"] == "paused" and document["finished"] is None
    assert 0 < document["progress"]["step"] < document["progress"]["steps"]
    assert [item["id"] for item in client.get("jobs", query={"state": "paused"}).json()["items"]] == [job]
    client.train(SHORT)
    client.daemon.restart()
    client = rest_client.Client(client.daemon)
    assert client.get(f"jobs/{job}").json()["state"] == "paused"
    act(client, job, "resume")
    document = client.wait(job)
    assert document["weights_sha256"] == whole["weights_sha256"]
    assert document["restarts"] == 0 and document["reproducible"]
    steps = [(item["from"], item["to"], item["reason"]) for item in document["transitions"]]
    assert steps == [(None, "queued", "submitted"), ("queued", "running", "started"),
                     ("running", "stopping", "paused"), ("stopping", "paused", "paused"),
                     ("paused", "queued", "resumed"), ("queued", "running", "started"),
                     ("running", "succeeded", "completed")]
    points, first = client.metrics(job), client.metrics(whole["id"])
    assert [point["values"] for point in points] == [point["values"] for point in first]


def test_a_queued_job_says_what_it_waits_for(one_worker):
    client = one_worker
    occupy(client)
    job = client.submit(SHORT)["id"]
    assert client.get(f"jobs/{job}").json()["reason"] == "waiting_for_worker: 1 of 1 workers is busy"


def test_priority_with_and_without_a_condition(one_worker):
    client = one_worker
    occupy(client)
    jobs = [client.submit(SHORT)["id"] for _ in range(2)]
    response = client.get(f"jobs/{jobs[1]}")
    assert response.headers["ETag"] == '"1"' and response.json()["priority"] == 0
    response = client.patch(f"jobs/{jobs[1]}", json={"priority": 5}, headers={"If-Match": '"1"'})
    assert response.headers["ETag"] == '"2"' and response.json()["priority"] == 5
    for stale in ('"1"', 'W/"2"', '"other", "1"'):
        detail = client.problem("PATCH", f"jobs/{jobs[1]}", 412, json={"priority": 6},
                                headers={"If-Match": stale})["detail"]
        assert "2" in detail
    client.problem("DELETE", f"jobs/{jobs[1]}", 412, headers={"If-Match": '"1"'})
    client.problem("PATCH", f"jobs/{jobs[1]}", 400, json={"priority": 6}, headers={"If-Match": "2"})
    for match in ('"2"', "*", '"1", "4"'):
        client.patch(f"jobs/{jobs[1]}", json={"priority": 5}, headers={"If-Match": match})
    problem = client.problem("PATCH", f"jobs/{jobs[1]}", 422, json={"priorty": 1})
    assert [item["pointer"] for item in problem["errors"]] == ["/priorty", "/priority"]
    assert "priority" in problem["errors"][0]["detail"]
    problem = client.problem("PATCH", f"jobs/{jobs[1]}", 422, json={"priority": 1000001})
    assert problem["errors"][0]["pointer"] == "/priority"
    client.problem("PATCH", f"jobs/{jobs[1]}", 415, data=b'{"priority": 1}')
    client.problem("PATCH", "jobs/4711", 404, json={"priority": 1})
    # The larger one starts first.
    for other in client.get("jobs", query={"state": "running"}).json()["items"]:
        act(client, other["id"], "cancel")
    started = [client.wait(job)["started"] for job in jobs]
    assert started[1] < started[0]


def test_a_deleted_job_is_gone_and_its_model_stays(one_worker):
    client = one_worker
    key = {"Idempotency-Key": "once"}
    job = client.post("jobs", json=SHORT, headers=key, expect=201).json()["id"]
    client.wait(job)
    client.delete(f"jobs/{job}", expect=204)
    for path in (f"jobs/{job}", f"jobs/{job}/metrics"):
        client.problem("GET", path, 404)
    client.problem("DELETE", f"jobs/{job}", 404)
    assert client.get("jobs").json()["items"] == []
    # What was submitted is not submitted again.
    client.problem("POST", "jobs", 404, json=SHORT, headers=key)
    row = {"rows": [[5.1, 3.5, 1.4, 0.2]]}
    assert len(client.post("models/iris/predict", json=row).json()["predictions"]) == 1
    client.daemon.restart()
    client = rest_client.Client(client.daemon)
    client.problem("GET", f"jobs/{job}", 404)
    assert client.submit(SHORT)["id"] > job


def test_verification_says_the_same(one_worker):
    client = one_worker
    original = client.train({"data": DATA, "training": {"epochs": 20, "seed": 4}})
    assert original["verification"] is None and original["verifies"] is None
    blocker = occupy(client)
    document = act(client, original["id"], "verify")
    again = document["verification"]["job"]
    assert document["id"] == original["id"]
    assert document["verification"]["state"] == "queued" and document["verification"]["same"] is None
    assert act(client, original["id"], "verify")["verification"]["job"] == again
    act(client, blocker, "cancel")
    second = client.wait(again)
    assert second["verifies"] == original["id"] and second["model"] is None
    assert second["weights_sha256"] == original["weights_sha256"]
    found = client.get(f"jobs/{original['id']}").json()["verification"]
    assert found == {"job": again, "state": "succeeded", "same": True, "metrics_same": True,
                     "weights_sha256": original["weights_sha256"]}
    assert client.get("models/iris").json()["version"] == 1
    assert str(original["id"]) in client.problem("POST", f"jobs/{again}/verify", 409)["detail"]
    assert act(client, original["id"], "verify")["verification"]["job"] > again


def test_retrying_needs_the_data_set_again(one_worker, iris):
    client = one_worker
    job = client.submit(ENDLESS)["id"]
    act(client, job, "cancel")
    client.wait(job, "cancelled")
    client.delete("datasets/iris")
    assert "iris" in client.problem("POST", f"jobs/{job}/retry", 409)["detail"]
    client.put("datasets/iris", iris)
    document = act(client, job, "retry")
    assert document["state"] in ("queued", "running") and document["finished"] is None
    client.problem("DELETE", "datasets/iris", 409)
    act(client, job, "cancel")
    client.wait(job, "cancelled")


def test_a_failed_job_fails_again(one_worker):
    client = one_worker
    job = client.submit(DIVERGING)["id"]
    first = client.wait(job, "failed")
    act(client, job, "retry")
    second = client.wait(job, "failed")
    assert first["reason"] == second["reason"] == "diverged"
    assert second["finished"] > first["finished"]


def test_a_job_that_keeps_dying_fails_at_last(start_daemon, iris):
    daemon = start_daemon("--workers", 1, "--restart-limit", 2)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    # No checkpoint in between: none is due.
    job = client.submit({**ENDLESS, "checkpoint": {"every_seconds": 3600}})["id"]
    for restarts in range(3):
        document = client.wait_for_state(job, "running")
        assert document["restarts"] == restarts
        daemon.kill()
        daemon.start()
        client = rest_client.Client(daemon)
    document = client.get(f"jobs/{job}").json()
    assert (document["state"], document["reason"]) == ("failed", "restart_limit")
    assert document["restarts"] == 2
    act(client, job, "retry")
    client.wait_for_state(job, "running")
