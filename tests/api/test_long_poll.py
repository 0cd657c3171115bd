"""Waiting for metrics: answered by news, by the end of a job, by time, and by the daemon's end."""

import json
import threading

import pytest

from raw_http import Connection, once, problem, request

ENDLESS = {"name": "endless", "data": {"dataset": "iris", "target": "species"},
           "network": {"layers": [{"type": "dense", "units": 64, "activation": "relu"},
                                  {"type": "dense", "units": "auto"}]},
           "training": {"epochs": 100_000_000, "batch_size": 16}, "metrics": {"every_steps": 100}}


@pytest.fixture
def running(client, iris):
    """Id of a job that runs until it is cancelled."""
    client.put("datasets/iris", iris)
    job = client.submit(ENDLESS)["id"]
    yield job
    if client.daemon.is_alive():
        client.post(f"jobs/{job}/cancel", expect=202)
        client.wait(job, "cancelled")


def page(answer):
    assert answer and answer[0] == 200, answer
    return json.loads(answer[2])


def test_new_points_end_a_wait(daemon, running):
    after = 0
    for _ in range(5):
        document = page(once(daemon, "GET", f"/api/v1/jobs/{running}/metrics?after={after}&wait=60"))
        assert document["points"], "waited to the end although the job was running"
        assert document["points"][0]["seq"] == after + 1
        assert document["next"] == document["points"][-1]["seq"]
        assert document["complete"] is False
        after = document["next"]


def test_limit_cuts_and_next_goes_on(client, running):
    client.get(f"jobs/{running}/metrics", query={"wait": 60})
    first = client.get(f"jobs/{running}/metrics", query={"limit": 1, "wait": 60}).json()
    assert [point["seq"] for point in first["points"]] == [1]
    second = client.get(f"jobs/{running}/metrics",
                        query={"limit": 1, "after": first["next"], "wait": 60}).json()
    assert [point["seq"] for point in second["points"]] == [2]


def test_a_wait_for_what_never_comes_ends_by_time(daemon, running):
    document = page(once(daemon, "GET", f"/api/v1/jobs/{running}/metrics?after=9000000000&wait=0.2"))
    assert document == {"points": [], "next": 9000000000, "complete": False}


def test_the_end_of_a_job_ends_a_wait(daemon, client, running):
    with Connection(daemon) as connection:
        connection.send(request("GET", f"/api/v1/jobs/{running}/metrics?after=9000000000&wait=60"))
        client.post(f"jobs/{running}/cancel", expect=202)
        document = page(connection.answer())
        assert document["points"] == [] and document["complete"] is True


def test_a_hundred_wait_and_others_are_served(daemon, client, running):
    waiting = [Connection(daemon) for _ in range(100)]
    for connection in waiting:
        connection.send(request("GET", f"/api/v1/jobs/{running}/metrics?after=9000000000&wait=60"))
    for _ in range(10):
        assert once(daemon, "GET", "/v2/health/live")[0] == 200
        client.get(f"jobs/{running}")
    for connection in waiting[::10]:  # some lose patience
        connection.socket.close()
    client.post(f"jobs/{running}/cancel", expect=202)
    for index, connection in enumerate(waiting):
        if index % 10:
            assert page(connection.answer())["complete"] is True
            connection.socket.close()


def test_stopping_answers_who_waits(daemon, running):
    waiting = [Connection(daemon) for _ in range(20)]
    for connection in waiting:
        connection.send(request("GET", f"/api/v1/jobs/{running}/metrics?after=9000000000&wait=60"))
    idle = Connection(daemon)
    idle.send(request("GET", "/v2/health/live"))
    assert idle.answer()[0] == 200
    answers = []
    readers = [threading.Thread(target=lambda c=c: answers.append(c.answer())) for c in waiting]
    for reader in readers:
        reader.start()
    daemon.stop()  # asserts exit status 0
    for reader in readers:
        reader.join()
    assert [page(answer)["points"] for answer in answers] == [[]] * 20
    assert idle.is_closed()


def test_csv(daemon, client, running):
    client.get(f"jobs/{running}/metrics", query={"wait": 60})
    points = client.get(f"jobs/{running}/metrics", query={"limit": 5}).json()["points"]
    status, headers, body = once(daemon, "GET", f"/api/v1/jobs/{running}/metrics?limit=5", ["Accept: text/csv"])
    assert status == 200 and headers["content-type"].startswith("text/csv")
    header, *rows = [line.split(",") for line in body.decode().split("\r\n")[:-1]]
    assert header[:4] == ["seq", "step", "epoch", "time"] and "loss" in header[4:]
    assert len(rows) >= len(points)
    for point, row in zip(points, rows):
        shown = dict(zip(header, row))
        assert (int(shown["seq"]), int(shown["step"])) == (point["seq"], point["step"])
        assert float(shown["loss"]) == point["values"]["loss"]


@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=x", "wait=1e1", "limit=10001", "limit=0",
                                   "after=x", "max=3"])
def test_bad_parameters(daemon, query):
    assert problem(once(daemon, "GET", f"/api/v1/jobs/1/metrics?{query}"))["status"] == 400


def test_a_job_that_is_not_there(daemon):
    assert problem(once(daemon, "GET", "/api/v1/jobs/1/metrics?wait=60"))["status"] == 404
