"""What shows from outside whether a network learns: norms, ratios and idle units as metrics."""

import csv
import io

import numpy
import pytest


def put_csv(client, name, text):
    client.put(f"datasets/{name}", text.encode(), headers={"Content-Type": "text/csv"})


def job(layers, rows=4, **more):
    return {"data": {"dataset": "points", "target": "y"}, "task": "regression",
            "preprocess": {"center": False, "scale": "none"}, "network": {"layers": layers},
            "optimizer": {"type": "sgd", "learning_rate": 0.01},
            "training": {"epochs": 3, "batch_size": rows, "shuffle": False, "dtype": "float64"},
            "metrics": {"every_steps": 1}, **more}


@pytest.fixture
def points(client):
    put_csv(client, "points", "u,v,y\n1,2,3\n2,1,1\n3,3,2\n4,1,0\n")
    return client


def first_values(client, document):
    return client.metrics(document["id"])[0]["values"]


def constant(units, activation, value):
    return {"type": "dense", "units": units, "activation": activation,
            "init": {"type": "constant", "value": value}}


def test_ratio_and_norm_of_a_linear_layer(points):
    document = points.train(job([constant(1, "identity", 0.5)], regularization={"l2": 0.1}))
    values = first_values(points, document)
    x = numpy.array([[1, 2], [2, 1], [3, 3], [4, 1]], float)
    y = numpy.array([3, 1, 2, 0], float)
    w = numpy.array([0.5, 0.5])
    error = x @ w - y
    dw, db = 2 * (error @ x) / 4 + 2 * 0.1 * w, 2 * error.mean()
    assert values["loss"] == pytest.approx((error ** 2).mean(), rel=1e-12)
    assert values["penalty"] == pytest.approx(0.1 * (w ** 2).sum(), rel=1e-12)
    assert values["gradient_norm"] == pytest.approx(numpy.sqrt((dw ** 2).sum() + db ** 2), rel=1e-12)
    ratio = values["layers.0.update_ratio"]
    assert ratio == pytest.approx(0.01 * numpy.linalg.norm(dw) / numpy.linalg.norm(w), rel=1e-12)
    assert "layers.0.dead_share" not in values and "layers.0.saturated_share" not in values


def test_penalty_is_there_where_there_is_a_regulariser(points):
    plain = first_values(points, points.train(job([constant(1, "identity", 0.5)])))
    assert "penalty" not in plain


def test_dead_units(points):
    # Every input is positive, so negative weights keep a unit at 0 for every row.
    document = points.train(job([constant(3, "relu", -1), constant(1, "identity", 1)]))
    values = first_values(points, document)
    assert values["layers.0.dead_share"] == 1
    alive = first_values(points, points.train(job([constant(3, "relu", 1), constant(1, "identity", 1)])))
    assert alive["layers.0.dead_share"] == 0


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "hard_tanh"])
def test_saturated_units(points, activation):
    share = []
    for weight in (100, 0.001):
        document = points.train(job([constant(2, activation, weight), constant(1, "identity", 0.1)]))
        share.append(first_values(points, document)["layers.0.saturated_share"])
    assert share == [1, 0]


def test_many_layers_and_csv(points):
    """More names than any fixed table would hold; the same numbers in CSV."""
    layers = [constant(1, "tanh", 1)] * 60 + [constant(1, "identity", 1)]
    document = points.train(job(layers))
    page = points.get(f"jobs/{document['id']}/metrics").json()["points"]
    names = set(page[0]["values"])
    assert {f"layers.{i}.update_ratio" for i in range(61)} <= names
    assert {f"layers.{i}.saturated_share" for i in range(60)} <= names
    text = points.get(f"jobs/{document['id']}/metrics", headers={"Accept": "text/csv"}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(page) == 3
    for row, point in zip(rows, page, strict=True):
        assert set(row) == {"seq", "step", "epoch", "time"} | names
        assert all(float(row[name]) == value for name, value in point["values"].items())
    assert set(document["metrics"]["best"]) == {"loss"}
    assert document["metrics"]["latest"] == page[-1]["values"]
