"""max_points: all of a job's points, summed up to a few spans, against the points themselves."""

import csv
import io
import math

import pytest

import rest_client

NAMES_OF_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number(value):
    return NAMES_OF_NUMBERS[value] if isinstance(value, str) else value


def specification(epochs, every_steps=1):
    return {"name": "long", "data": {"dataset": "iris", "target": "species",
                                     "validation": {"fraction": 0.2}},
            "network": {"layers": [{"type": "dense", "units": 8, "activation": "relu"},
                                   {"type": "dense", "units": "auto"}]},
            "training": {"epochs": epochs, "batch_size": 16},
            "metrics": {"every_steps": every_steps}}


def spans_of(client, job, **query):
    return client.get(f"jobs/{job}/metrics", query=query).json()


def summed_up(points):
    """The plain thing: minimum, maximum and last value by name, in the order of their appearance."""
    values = {}
    for point in points:
        for name, value in point["values"].items():
            values.setdefault(name, []).append(number(value))
    result = {}
    for name, listed in values.items():
        known = [value for value in listed if not math.isnan(value)]
        result[name] = {"min": min(known) if known else math.nan,
                        "max": max(known) if known else math.nan, "last": listed[-1]}
    return result


def check(document, points, most, after=0):
    points = points[after:]
    spans = document["points"]
    assert 0 < len(spans) <= most
    assert spans[0]["first_seq"] == after + 1 and spans[-1]["seq"] == points[-1]["seq"]
    assert document["next"] == points[-1]["seq"]
    covered = after
    for span in spans:
        assert span["first_seq"] == covered + 1
        members = points[covered - after:span["seq"] - after]
        covered = span["seq"]
        last = members[-1]
        assert {key: span[key] for key in ("seq", "step", "epoch", "time")} == \
               {key: last[key] for key in ("seq", "step", "epoch", "time")}
        expected = summed_up(members)
        assert list(span["values"]) == list(expected)
        for name, value in span["values"].items():
            for key in ("min", "max", "last"):
                got, want = number(value[key]), expected[name][key]
                assert got == want or (math.isnan(got) and math.isnan(want)), (span, name, key)


@pytest.fixture
def finished(client, iris):
    client.put("datasets/iris", iris)
    document = client.train(specification(450))
    return document["id"], client.metrics(document["id"])


def test_spans_are_what_the_points_give(client, finished):
    job, points = finished
    assert len(points) == 450 * 8
    for most in (1, 2, 10, 57, 500, 3600, 10000):
        document = spans_of(client, job, max_points=most)
        assert document["complete"] is True
        check(document, points, most)
        if most >= len(points):
            assert all(span["first_seq"] == span["seq"] for span in document["points"])
    for after in (1, 63, 64, 1000, 3599):
        check(spans_of(client, job, max_points=20, after=after), points, 20, after)
    # Not much fewer than asked for: a plot has its resolution.
    assert len(spans_of(client, job, max_points=500)["points"]) > 250


def test_spans_while_the_job_runs(client, iris):
    client.put("datasets/iris", iris)
    body = specification(10**8, every_steps=1000)
    del body["data"]["validation"]
    job = client.submit(body)["id"]
    for _ in range(5):
        seen = spans_of(client, job, after=0, wait=20, limit=1)["next"]
        document = spans_of(client, job, max_points=50)
        assert document["complete"] is False and document["next"] >= seen
        last = document["next"]
        points = []
        while len(points) < last:
            page = spans_of(client, job, after=len(points), limit=10000)
            points += page["points"]
        check(document, points[:last], 50)
        spans_of(client, job, after=last, wait=20)
    client.post(f"jobs/{job}/cancel", expect=202)
    client.wait(job, "cancelled")
    assert spans_of(client, job, max_points=50)["complete"] is True


def test_beyond_the_end_there_is_nothing(client, finished):
    job, points = finished
    assert spans_of(client, job, max_points=5, after=len(points)) == {
        "points": [], "next": len(points), "complete": True}
    assert spans_of(client, job, max_points=5, after=9007199254740991) == {
        "points": [], "next": 9007199254740991, "complete": True}


def test_csv(client, finished):
    job, _ = finished
    document = spans_of(client, job, max_points=30)
    text = client.get(f"jobs/{job}/metrics", query={"max_points": 30},
                      headers={"Accept": "text/csv"}).text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(document["points"])
    assert list(rows[0])[:5] == ["seq", "first_seq", "step", "epoch", "time"]
    assert list(rows[0])[5:8] == ["loss.min", "loss.max", "loss.last"]
    for row, span in zip(rows, document["points"]):
        assert int(row["seq"]) == span["seq"] and int(row["first_seq"]) == span["first_seq"]
        assert row["time"] == span["time"]
        for name, value in span["values"].items():
            for key in ("min", "max", "last"):
                assert float(row[f"{name}.{key}"]) == number(value[key])
    empty = client.get(f"jobs/{job}/metrics", query={"max_points": 30, "after": 10**9},
                       headers={"Accept": "text/csv"}).text
    assert empty == "seq,first_seq,step,epoch,time\r\n"


@pytest.mark.parametrize("query", [
    {"max_points": 0}, {"max_points": 10001}, {"max_points": "many"}, {"max_points": -1},
    {"max_points": 5, "limit": 5}, {"max_points": 5, "wait": 1}, {"max_points": ""}])
def test_what_does_not_go_together_is_refused(client, query):
    client.problem("GET", "jobs/1/metrics", 400, query=query)


def test_no_such_job(client):
    client.problem("GET", "jobs/77/metrics", 404, query={"max_points": 5})


def test_spans_survive_a_kill(client, daemon, iris):
    """Roll-ups go on where they stopped, whatever the kill left unfinished."""
    client.put("datasets/iris", iris)
    job = client.submit(specification(600))["id"]
    spans_of(client, job, after=300, wait=20)
    daemon.kill()
    daemon.restart()
    again = rest_client.Client(daemon)
    points = again.metrics(job)
    assert len(points) == 600 * 8
    for most in (1, 7, 100, 1000):
        check(spans_of(again, job, max_points=most), points, most)
