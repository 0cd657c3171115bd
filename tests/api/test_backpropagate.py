"""Backpropagation made visible: hand-computed, and recomputed with numpy."""

import math

import numpy
import pytest

RAW = {"center": False, "scale": "none"}


def put_csv(client, name, text):
    client.put(f"datasets/{name}", text.encode(), headers={"Content-Type": "text/csv"})


def show(client, body):
    return client.post("backpropagate", json=body).json()


def sigmoid(z):
    return 1 / (1 + numpy.exp(-z))


def test_single_neuron_by_hand(client):
    """w = (2, 2), b = 0, x = (1, −1), target 1: z = 0, a = ½, J = ¼, δ = 2(a − 1)·a(1 − a) = −¼."""
    put_csv(client, "points", "u,v,y\n1,-1,1\n0,1,0\n")
    answer = show(client, {
        "data": {"dataset": "points", "target": "y"}, "task": "regression", "preprocess": RAW,
        "network": {"layers": [{"type": "dense", "units": 1, "activation": "sigmoid",
                                "init": {"type": "constant", "value": 2}}]},
        "loss": {"type": "mean_squared_error"}, "rows": [[1, -1, 1]]})
    layer, = answer["layers"]
    assert layer["parameters"] == {"weight": [[2, 2]], "bias": [0]}
    assert (layer["z"], layer["a"], layer["delta"]) == ([[0]], [[0.5]], [[-0.25]])
    assert layer["gradients"] == {"weight": [[-0.25, 0.25]], "bias": [-0.25]}
    assert (answer["loss"], answer["row_losses"], answer["rows"]) == (0.25, [0.25], 1)
    assert answer["input"] == [[1, -1]] and answer["output"] == [[0.5]]


def test_sigmoid_under_cross_entropy_by_hand(client):
    """The loss merges the sigmoid: δ = σ(z) − y, and a is σ(z) all the same."""
    put_csv(client, "points", "u,c\n1,no\n2,yes\n")
    answer = show(client, {
        "data": {"dataset": "points", "target": "c"}, "preprocess": RAW,
        "network": {"layers": [{"type": "dense", "units": 1, "activation": "sigmoid",
                                "init": {"type": "constant", "value": 1}}]},
        "loss": {"type": "binary_cross_entropy"},
        "rows": [{"u": 0, "c": "yes"}, {"u": 0, "c": "no"}]})
    layer, = answer["layers"]
    assert layer["z"] == [[0], [0]] and layer["a"] == [[0.5], [0.5]]
    assert layer["delta"] == [[-0.25], [0.25]]  # of the mean over two rows
    assert answer["classes"] == ["no", "yes"] and answer["output"] == [[0.5, 0.5]] * 2
    assert answer["loss"] == pytest.approx(math.log(2), rel=1e-15)


def iris_job(**more):
    return {"data": {"dataset": "iris", "target": "species"},
            "network": {"layers": [{"type": "dense", "units": 6, "activation": "tanh"},
                                   {"type": "dense", "units": "auto", "activation": "softmax"}]},
            **more}


ROWS = [[5.1, 3.5, 1.4, 0.2, "setosa"], [7.0, 3.2, 4.7, 1.4, "versicolor"],
        [6.3, 3.3, 6.0, 2.5, "virginica"]]


def recompute(answer, labels):
    """Two layers, tanh below softmax cross-entropy, in matrices."""
    first, second = answer["layers"]
    x = numpy.array(answer["input"])
    w1, b1 = (numpy.array(first["parameters"][n]) for n in ("weight", "bias"))
    w2, b2 = (numpy.array(second["parameters"][n]) for n in ("weight", "bias"))
    z1 = x @ w1.T + b1
    a1 = numpy.tanh(z1)
    z2 = a1 @ w2.T + b2
    e = numpy.exp(z2 - z2.max(axis=1, keepdims=True))
    a2 = e / e.sum(axis=1, keepdims=True)
    rows = range(len(labels))
    losses = -numpy.log(a2[rows, labels])
    d2 = a2.copy()
    d2[rows, labels] -= 1
    d2 /= len(labels)
    d1 = (d2 @ w2) * (1 - a1 ** 2)
    return losses, [(z1, a1, d1, d1.T @ x, d1.sum(axis=0)), (z2, a2, d2, d2.T @ a1, d2.sum(axis=0))]


def compare(answer, labels):
    losses, layers = recompute(answer, labels)
    close = {"rtol": 1e-12, "atol": 1e-14}
    numpy.testing.assert_allclose(answer["row_losses"], losses, **close)
    assert answer["loss"] == pytest.approx(losses.mean(), rel=1e-12)
    for shown, (z, a, delta, weight, bias) in zip(answer["layers"], layers, strict=True):
        numpy.testing.assert_allclose(shown["z"], z, **close)
        numpy.testing.assert_allclose(shown["a"], a, **close)
        numpy.testing.assert_allclose(shown["delta"], delta, **close)
        numpy.testing.assert_allclose(shown["gradients"]["weight"], weight, **close)
        numpy.testing.assert_allclose(shown["gradients"]["bias"], bias, **close)
    numpy.testing.assert_allclose(answer["output"], layers[-1][1], **close)


@pytest.fixture
def with_iris(client, iris):
    client.put("datasets/iris", iris)
    return client


def test_two_layers_of_a_job(with_iris):
    answer = show(with_iris, iris_job(rows=ROWS))
    compare(answer, [0, 1, 2])
    assert [layer["activation"] for layer in answer["layers"]] == ["tanh", "softmax"]
    other = show(with_iris, iris_job(rows=ROWS, training={"seed": 2}))
    assert other["layers"][0]["parameters"] != answer["layers"][0]["parameters"]
    assert other["input"] == answer["input"]


def test_a_model(with_iris):
    with_iris.train(iris_job(name="flower", training={"epochs": 3, "batch_size": 16}))
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
    answer = show(with_iris, {"model": "flower", "rows": [dict(zip(names, row)) for row in ROWS]})
    assert (answer["model"], answer["version"]) == ("flower", 1)
    compare(answer, [0, 1, 2])
    predicted = with_iris.post("models/flower/predict", json={"rows": [row[:4] for row in ROWS]}).json()
    for shown, prediction in zip(answer["output"], predicted["predictions"], strict=True):
        assert shown == pytest.approx(prediction["probabilities"], abs=1e-5)
    assert show(with_iris, {"model": "flower", "version": 1, "rows": ROWS}) == answer


def test_initial_weights_of_a_model(with_iris):
    with_iris.train(iris_job(name="flower", training={"epochs": 3, "batch_size": 16}))
    model = show(with_iris, {"model": "flower", "rows": ROWS})
    job = show(with_iris, iris_job(initial={"model": "flower"}, rows=ROWS))
    assert job["layers"][0]["parameters"] == model["layers"][0]["parameters"]


def test_scaled_targets(client):
    put_csv(client, "line", "x,y\n1,10\n2,20\n3,30\n4,40\n")
    answer = show(client, {
        "data": {"dataset": "line", "target": "y"}, "task": "regression",
        "preprocess": RAW | {"target": "standard"},
        "network": {"layers": [{"type": "dense", "units": 1, "init": {"type": "zeros"}}]},
        "rows": [[1, 25], [1, 25 + 10 * math.sqrt(1.25)]]})
    assert answer["row_losses"] == pytest.approx([0, 1], abs=1e-12)


@pytest.mark.parametrize("body, pointer", [
    ({"rows": []}, "/rows"),
    ({"rows": ROWS * 6}, "/rows"),
    ({}, "/rows"),
    ({"rows": [ROWS[0][:4]]}, "/rows/0"),
    ({"rows": [ROWS[0][:4] + ["daisy"]]}, "/rows/0"),
    ({"rows": ROWS, "training": {"seed": -1}}, "/training/seed"),
    ({"rows": ROWS, "version": 1}, "/version"),
])
def test_faults_of_a_job(with_iris, body, pointer):
    problem = with_iris.problem("POST", "backpropagate", 422, json=iris_job(**body))
    assert any(e["pointer"].startswith(pointer) for e in problem["errors"]), problem


def test_faults_of_a_model(with_iris):
    with_iris.problem("POST", "backpropagate", 404, json={"model": "none", "rows": ROWS})
    with_iris.problem("POST", "backpropagate", 422, json=iris_job(rows=ROWS, model="none"))


def test_long_answers_are_refused(with_iris):
    body = iris_job(rows=ROWS)
    body["network"]["layers"].insert(0, {"type": "dense", "units": 1000, "activation": "tanh"})
    body["network"]["layers"].insert(0, {"type": "dense", "units": 1000, "activation": "tanh"})
    problem = with_iris.problem("POST", "backpropagate", 422, json=body)
    assert "1000000" in problem["errors"][0]["detail"]
