"""Early stopping, the plateau schedule and rates over REST, recomputed from the metric points."""

import json

import pytest

import rest_client
from pace import at_any_speed, interrupted, wait_for_points


@pytest.fixture
def with_iris(client, iris):
    client.put("datasets/iris", iris)
    return client


def job(epochs=200, rate=0.5, **more):
    body = {"data": {"dataset": "iris", "target": "species", "validation": {"fraction": 0.4}},
            "network": {"layers": [{"type": "dense", "units": 32, "activation": "tanh"},
                                   {"type": "dense", "units": "auto"}]},
            "optimizer": {"type": "adam", "learning_rate": rate},
            "training": {"epochs": epochs, "batch_size": 8, "seed": 4}, "metrics": {"every_steps": 10000}}
    for name, value in more.items():
        body.setdefault(name, {})
        body[name] = body[name] | value if isinstance(value, dict) else value
    return body


def series(points, name):
    return [point["values"][name] for point in points if name in point["values"]]


def watch(values, patience, min_delta, rises):
    """(epochs until the stop, or None; index of the best)."""
    best, waited, best_at = None, 0, None
    for epoch, value in enumerate(values):
        gain = None if best is None else (value - best if rises else best - value)
        if best is None or gain > min_delta:
            best, waited, best_at = value, 0, epoch
        else:
            waited += 1
        if waited == patience:
            return epoch + 1, best_at
    return None, best_at


@pytest.mark.parametrize("metric, min_delta", [
    ("validation.loss", 0), ("validation.accuracy", 0), ("train.loss", 0.001), ("train.accuracy", 0)])
def test_stops_when_the_metric_says_so(with_iris, metric, min_delta):
    stopping = {"metric": metric, "patience": 4, "min_delta": min_delta, "restore_best": True}
    document = with_iris.train(job(training={"early_stopping": stopping}))
    points = with_iris.metrics(document["id"])
    values = series(points, metric)
    epochs, best = watch(values, 4, min_delta, metric.endswith("accuracy"))
    assert document["state"] == "succeeded" and document["reason"] == "early_stopping"
    assert document["transitions"][-1]["reason"] == "early_stopping"
    assert len(values) == epochs < 200
    assert document["progress"]["epoch"] == epochs
    # The model has the weights of the best epoch: its evaluation is that epoch's, to the bit.
    part, name = metric.split(".")
    assert document["metrics"][part][name] == values[best]
    assert document["metrics"]["best"][metric] == (max if name == "accuracy" else min)(values)


def test_without_restoring_the_last_weights_stay(with_iris):
    stopping = {"metric": "validation.loss", "patience": 4, "restore_best": False}
    document = with_iris.train(job(training={"early_stopping": stopping}))
    values = series(with_iris.metrics(document["id"]), "validation.loss")
    assert document["reason"] == "early_stopping"
    assert document["metrics"]["validation"]["loss"] == values[-1] > min(values)


def test_a_run_to_the_end_is_completed_with_the_best_weights(with_iris):
    stopping = {"metric": "validation.loss", "patience": 1000}
    document = with_iris.train(job(epochs=40, training={"early_stopping": stopping}))
    values = series(with_iris.metrics(document["id"]), "validation.loss")
    assert document["reason"] == "completed" and len(values) == 40
    assert document["metrics"]["validation"]["loss"] == min(values) < values[-1]


def test_watching_nothing_changes_nothing(with_iris):
    plain = with_iris.train(job(epochs=6))
    watching = with_iris.train(job(epochs=6, training={
        "early_stopping": {"metric": "validation.loss", "patience": 1000, "restore_best": False}}))
    losses = [series(with_iris.metrics(d["id"]), "validation.loss") for d in (plain, watching)]
    assert losses[0] == losses[1]


def test_plateau_reduces_the_rate(with_iris):
    schedule = {"type": "plateau", "factor": 0.5, "patience": 2, "metric": "validation.loss"}
    document = with_iris.train(job(epochs=60, schedule=schedule))
    resolved = document["specification"]["schedule"]
    points = with_iris.metrics(document["id"])
    ends = [point["values"] for point in points if "validation.loss" in point["values"]]
    best, waited, reductions, expected = None, 0, 0, []
    for values in ends:
        expected.append(0.5 * 0.5 ** reductions)
        loss = values["validation.loss"]
        if best is None or best - loss > resolved.get("min_delta", 0):
            best, waited = loss, 0
        else:
            waited += 1
            if waited > 2:
                reductions, waited = reductions + 1, 0
    assert reductions >= 2
    assert [values["learning_rate"] for values in ends] == pytest.approx(expected, rel=1e-12)


def test_faults(with_iris):
    body = job(training={"early_stopping": {"metric": "loss", "patience": 0}})
    problem = with_iris.problem("POST", "jobs", 422, json=body)
    assert {e["pointer"] for e in problem["errors"]} == {
        "/training/early_stopping/metric", "/training/early_stopping/patience"}


@at_any_speed
def test_recomputed_after_a_kill(start_daemon, iris, pace):
    """A job with everything that is watched is taken up by the next daemon and ends with the same points."""
    stopping = {"metric": "validation.loss", "patience": pace.epochs(300)}
    body = job(epochs=pace.epochs(3000), rate=0.0005, training={"early_stopping": stopping, "clip_norm": 1.0},
               schedule={"type": "plateau", "factor": 0.9, "patience": 10})
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    whole = client.train(body)
    wanted = client.metrics(whole["id"])
    second = client.submit(body)["id"]
    wait_for_points(client, second, 1)
    daemon.kill()
    client = rest_client.Client(start_daemon(data=daemon.data))
    document = client.wait(second)
    interrupted(client, second)
    assert document["restarts"] == 1
    points = client.metrics(second)
    strip = [[(p["seq"], p["step"], json.dumps(p["values"], sort_keys=True)) for p in these]
             for these in (wanted, points)]
    assert strip[0] == strip[1]
    assert document["reason"] == whole["reason"]
    assert document["metrics"] == whole["metrics"]
