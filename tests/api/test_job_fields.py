"""Each field of a job changes what the job does, as docs/reference.md says: seen in weights, metrics and
documents, on small tables in float64."""

import numpy
import pytest

import safetensors_file

# Two features, three classes of 8, 4 and 2 rows.
ROWS = [(0.1 * i - 0.7, (-1) ** i * 0.3 + 0.05 * i, "a" if i < 8 else "b" if i < 12 else "c")
        for i in range(14)]
TABLE = "u,v,kind\n" + "".join(f"{u!r},{v!r},{kind}\n" for u, v, kind in ROWS)
PLAIN = {"data": {"dataset": "table", "target": "kind"},
         "preprocess": {"center": False, "scale": "none"},
         "network": {"layers": [{"type": "dense", "units": 3}]},
         "optimizer": {"type": "sgd", "learning_rate": 0.5},
         "training": {"epochs": 1, "batch_size": 14, "dtype": "float64"},
         "metrics": {"every_steps": 1}}


@pytest.fixture
def table(client):
    client.put("datasets/table", TABLE.encode(), headers={"Content-Type": "text/csv"})
    return client


def with_fields(**fields):
    """The plain job with fields merged in, one level deep."""
    return {**PLAIN, **{key: {**PLAIN.get(key, {}), **value} if isinstance(value, dict) and key != "network"
                        else value for key, value in fields.items()}}


def train(client, **fields):
    """(document, {tensor: array}) of the finished job."""
    document = client.train(with_fields(**fields))
    model = document["model"]
    path = f"models/{model['name']}/versions/{model['version']}/weights"
    arrays, _ = safetensors_file.parse(client.get(path, query={"format": "safetensors"}).content)
    return document, arrays


def begin(client, **training):
    return train(client, training={"epochs": 0, **training})[1]


def gradient(client, before, **fields):
    """Of the first step, from the weights before and after a step of plain gradient descent."""
    _, after = train(client, **fields)
    return {name: (before[name] - after[name]) / 0.5 for name in before}


def close(a, b):
    numpy.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def data_gradient(before, weight=None):
    """(gradient of W, of b) of softmax cross-entropy by its formula; rows multiplied by their class's
    weight."""
    x = numpy.array([row[:2] for row in ROWS])
    y = numpy.array(["abc".index(row[2]) for row in ROWS])
    z = x @ before["layers.0.weight"].T + before["layers.0.bias"]
    p = numpy.exp(z) / numpy.exp(z).sum(axis=1, keepdims=True)
    delta = (p - numpy.eye(3)[y]) / len(y)
    if weight is not None:
        delta *= numpy.array(weight)[y][:, None]
    return delta.T @ x, delta.sum(axis=0)


@pytest.mark.parametrize("name, penalty", [
    ("l2", lambda w: 2 * 0.1 * w),
    ("l1", lambda w: 0.1 * numpy.sign(w)),
    ("frobenius", lambda w: 0.1 * w / numpy.sqrt((w * w).sum())),
])
def test_penalties(table, name, penalty):
    before = begin(table)
    found = gradient(table, before, regularization={name: 0.1})
    of_weight, of_bias = data_gradient(before)
    close(found["layers.0.weight"], of_weight + penalty(before["layers.0.weight"]))
    close(found["layers.0.bias"], of_bias)


def test_max_norm(table):
    _, after = train(table, regularization={"max_norm": 0.25})
    free = train(table)[1]["layers.0.weight"]
    norm = numpy.sqrt((free * free).sum(axis=1, keepdims=True))
    assert (norm > 0.25).any()
    close(after["layers.0.weight"], numpy.where(norm > 0.25, free * 0.25 / norm, free))


def test_clipping(table):
    before = begin(table)
    of_weight, of_bias = data_gradient(before)
    norm = numpy.sqrt((of_weight**2).sum() + (of_bias**2).sum())
    found = gradient(table, before, training={"clip_norm": float(norm) / 4})
    close(found["layers.0.weight"], of_weight / 4)
    close(found["layers.0.bias"], of_bias / 4)


@pytest.mark.parametrize("given, weight", [
    ("balanced", [14 / (3 * 8), 14 / (3 * 4), 14 / (3 * 2)]),
    ({"c": 5, "a": 0.5}, [0.5, 1, 5]),
])
def test_class_weights(table, given, weight):
    before = begin(table)
    found = gradient(table, before, loss={"type": "softmax_cross_entropy", "class_weights": given})
    of_weight, of_bias = data_gradient(before, weight)
    close(found["layers.0.weight"], of_weight)
    close(found["layers.0.bias"], of_bias)


def test_fan_in_scaling_and_warm_up(table):
    before = begin(table)
    found = gradient(table, before, schedule={"type": "constant", "fan_in_scaled": True,
                                              "warmup_steps": 4})
    of_weight, of_bias = data_gradient(before)
    close(found["layers.0.weight"], of_weight / 4 / numpy.sqrt(2))
    close(found["layers.0.bias"], of_bias / 4)


def test_initial_weights(table):
    document, first = train(table, name="first", training={"epochs": 3})
    _, again = train(table, initial={"model": "first"}, training={"epochs": 0, "seed": 9})
    for name, array in first.items():
        numpy.testing.assert_array_equal(again[name], array)
    problem = table.problem("POST", "jobs", 422, json=with_fields(
        initial={"model": "first", "version": 1},
        network={"layers": [{"type": "dense", "units": 5}, {"type": "dense", "units": 3}]}))
    assert [error["pointer"] for error in problem["errors"]] == ["/network/layers"]
    assert document["model"] == {"name": "first", "version": 1}


def test_early_stopping_restores_the_best_epoch(table):
    """A rate that makes the loss rise: the first epoch is the best, and three more are borne."""
    diverging = {"type": "sgd", "learning_rate": 500}
    document, stopped = train(table, optimizer=diverging, training={
        "epochs": 50, "early_stopping": {"metric": "train.loss", "patience": 3}})
    points = table.metrics(document["id"])
    losses = [point["values"]["train.loss"] for point in points if "train.loss" in point["values"]]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 3 < 50
    _, wanted = train(table, optimizer=diverging, training={"epochs": best + 1})
    for name, array in wanted.items():
        numpy.testing.assert_array_equal(stopped[name], array)
    assert document["metrics"]["train"]["loss"] == pytest.approx(min(losses), rel=1e-12)


def test_a_plateau_reduces_the_rate(table):
    document, _ = train(table, optimizer={"type": "sgd", "learning_rate": 500},
                        schedule={"type": "plateau", "metric": "train.loss", "patience": 0,
                                  "factor": 0.5}, training={"epochs": 12})
    rates = [point["values"]["learning_rate"] for point in table.metrics(document["id"])]
    assert rates[0] == 500 and rates[-1] < 500
    assert all(after in (before, before / 2) for before, after in zip(rates, rates[1:]))


def test_whitening_and_scaled_targets(table):
    """Whitened features have the identity as covariance: seen through a backpropagated batch."""
    job = with_fields(preprocess={"center": True, "scale": "standard", "whiten": True})
    rows = [list(row) for row in ROWS]
    seen = table.post("backpropagate", json={**job, "rows": rows}).json()["input"]
    close(numpy.cov(numpy.array(seen).T, bias=True), numpy.eye(2))
    scaled = {**PLAIN, "data": {"dataset": "table", "target": "v", "features": ["u"]},
              "task": "regression", "network": {"layers": [{"type": "dense", "units": 1}]},
              "preprocess": {"target": "standard"}, "training": {"epochs": 0, "dtype": "float64"}}
    model = table.train({**scaled, "name": "scaled"})["model"]
    weights, _ = safetensors_file.parse(
        table.get(f"models/scaled/versions/{model['version']}/weights",
                  query={"format": "safetensors"}).content)
    u = numpy.array([row[0] for row in ROWS])
    v = numpy.array([row[1] for row in ROWS])
    answer = table.post("models/scaled/predict", json={"rows": [[row[0]] for row in ROWS]}).json()
    close([prediction["value"] for prediction in answer["predictions"]],
          (u - u.mean()) / u.std() * weights["layers.0.weight"][0, 0] * v.std() + v.mean())


def test_whole_numbers_however_written(table):
    body = with_fields(training={"epochs": 2.0, "seed": 1e1}, network={
        "layers": [{"type": "dense", "units": 3.0}]})
    document = table.train(body)
    assert document["specification"]["training"]["epochs"] == 2
    assert document["specification"]["network"]["layers"][0]["units"] == 3
    fault = table.problem("POST", "jobs", 422, json=with_fields(training={"epochs": 1.5}))["errors"][0]
    assert "must be a whole number, got a number with a fraction" in fault["detail"]
