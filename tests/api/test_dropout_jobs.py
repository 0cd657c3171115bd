"""Dropout over REST: in training, without it at prediction, and networks sampled on request."""

import math

import numpy
import pytest

import safetensors_file


@pytest.fixture
def with_iris(client, iris):
    client.put("datasets/iris", iris)
    return client


ROWS = [[5.1, 3.5, 1.4, 0.2], [7.0, 3.2, 4.7, 1.4], [6.3, 3.3, 6.0, 2.5]]
FORMS = {"units": {"keep": 0.6}, "connections": {"keep": 0.6, "of": "connections"},
         "layer": {"keep": 0.6, "of": "layer"}}


def job(dropout=None, first=None, epochs=4, **training):
    hidden = {"type": "dense", "units": 12, "activation": "tanh"}
    second = dict(hidden) | ({"dropout": dropout} if dropout else {})
    layers = ([first] if first else []) + [hidden, second, {"type": "dense", "units": "auto"}]
    return {"name": "iris", "data": {"dataset": "iris", "target": "species"},
            "network": {"layers": layers},
            "training": {"epochs": epochs, "batch_size": 16, "seed": 2, "dtype": "float64", **training},
            "metrics": {"every_steps": 1}}


def predict(client, **body):
    return client.post("models/iris/predict", json={"rows": ROWS, **body}).json()["predictions"]


def losses(client, body):
    return [p["values"]["loss"] for p in client.metrics(client.train(body)["id"])]


@pytest.mark.parametrize("form", FORMS)
def test_training_is_repeatable_and_differs_from_none(with_iris, form):
    first = losses(with_iris, job(FORMS[form]))
    assert first == losses(with_iris, job(FORMS[form]))
    assert first != losses(with_iris, job(FORMS[form], seed=3))
    assert first != losses(with_iris, job())
    assert losses(with_iris, job(FORMS[form] | {"keep": 1})) == losses(with_iris, job())


@pytest.mark.parametrize("form", FORMS)
def test_samples(with_iris, form):
    with_iris.train(job(FORMS[form]))
    plain = predict(with_iris)
    many = predict(with_iris, mc_samples=400, seed=5)
    for shown, sampled in zip(plain, many, strict=True):
        assert set(sampled) == {"label", "probabilities", "mean", "std", "entropy"}
        assert sampled["probabilities"] == shown["probabilities"]  # without dropout, as always
        mean = numpy.array(sampled["mean"])
        assert mean.sum() == pytest.approx(1, rel=1e-12)
        assert max(sampled["std"]) > 0.001
        assert sampled["entropy"] == pytest.approx(-(mean * numpy.log(mean)).sum(), rel=1e-9)
        assert 0 < sampled["entropy"] <= math.log(3) + 1e-12
    assert predict(with_iris, mc_samples=400, seed=5) == many
    assert predict(with_iris, mc_samples=400, seed=6) != many
    assert predict(with_iris, mc_samples=400) == predict(with_iris, mc_samples=400, seed=1)
    # A row's samples do not depend on the rows beside it.
    alone = with_iris.post("models/iris/predict", json={"rows": ROWS[1:2], "mc_samples": 400, "seed": 5}).json()
    assert alone["predictions"] == many[1:2]


def test_one_sample_has_no_spread(with_iris):
    with_iris.train(job(FORMS["units"]))
    assert all(p["std"] == [0, 0, 0] for p in predict(with_iris, mc_samples=1))


def test_a_model_without_dropout_samples_itself(with_iris):
    with_iris.train(job())
    for sampled in predict(with_iris, mc_samples=10):
        assert sampled["std"] == [0, 0, 0]
        assert sampled["mean"] == pytest.approx(sampled["probabilities"], rel=1e-14)


def test_expected_output_of_dropped_inputs(with_iris):
    """A linear scorer: the mean over many masks is the prediction without any."""
    body = job(first={"type": "dropout", "keep": 0.5})
    body["network"]["layers"] = [{"type": "dropout", "keep": 0.5}, {"type": "dense", "units": "auto"}]
    body["loss"] = {"type": "hinge"}
    with_iris.train(body)
    samples = 40000
    for sampled in predict(with_iris, mc_samples=samples):
        error = numpy.array(sampled["mean"]) - numpy.array(sampled["scores"])
        assert (abs(error) < 5 * numpy.array(sampled["std"]) / math.sqrt(samples)).all()
        assert sampled["entropy"] is None and min(sampled["std"]) > 0


def test_values_keep_their_units(with_iris):
    body = {"name": "iris", "data": {"dataset": "iris", "target": "petal_width", "exclude": ["species"]},
            "preprocess": {"target": "standard"},
            "network": {"layers": [{"type": "dense", "units": 8, "activation": "tanh", "dropout": {"keep": 0.9}},
                                   {"type": "dense", "units": "auto"}]},
            "training": {"epochs": 20, "dtype": "float64"}}
    with_iris.train(body)
    answer = with_iris.post("models/iris/predict", json={"rows": [row[:3] for row in ROWS], "mc_samples": 2000})
    for sampled in answer.json()["predictions"]:
        assert sampled["mean"] == pytest.approx(sampled["value"], abs=5 * sampled["std"])
        assert 0 < sampled["std"] < 1 and sampled["entropy"] is None


def test_the_dropout_layer_has_no_weights(with_iris):
    with_iris.train(job(first={"type": "dropout", "keep": 0.8}))
    content = with_iris.get("models/iris/versions/1/weights").content
    assert set(safetensors_file.parse(content)[0]) == {
        f"layers.{i}.{name}" for i in (1, 2, 3) for name in ("weight", "bias")}


def test_faults(with_iris):
    with_iris.train(job(FORMS["units"]))
    for body, pointer in (({"mc_samples": 100001}, "/mc_samples"), ({"mc_samples": 1.5}, "/mc_samples"),
                          ({"mc_samples": 5, "seed": -1}, "/seed")):
        problem = with_iris.problem("POST", "models/iris/predict", 422, json={"rows": ROWS, **body})
        assert [e["pointer"] for e in problem["errors"]] == [pointer]
    wide = job(FORMS["layer"])
    wide["network"]["layers"][1]["units"] = 13
    problem = with_iris.problem("POST", "jobs", 422, json=wide)
    assert any(e["pointer"].startswith("/network/layers/1") for e in problem["errors"])
    problem = with_iris.problem("POST", "jobs", 422, json=job({"keep": 0}))
    assert problem["errors"][0]["pointer"] == "/network/layers/1/dropout/keep"


def test_sampling_is_bounded(with_iris):
    body = job(FORMS["units"], epochs=0)
    body["network"]["layers"][0]["units"] = body["network"]["layers"][1]["units"] = 700
    with_iris.train(body)
    problem = with_iris.problem("POST", "models/iris/predict", 422, json={"rows": ROWS, "mc_samples": 100000})
    assert "e+11" in problem["errors"][0]["detail"]
