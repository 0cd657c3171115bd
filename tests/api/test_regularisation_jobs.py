"""Jobs with regularisers, clipping, rates by fan-in and class weights, replayed step by step with numpy
from the initial weights; and the bits of all of it together for any number of threads."""

import numpy
import pytest

import rest_client
import safetensors_file

RATE = 0.05


@pytest.fixture
def points(client):
    text = "u,v,w,y\n" + "".join(
        f"{(i * 7 % 11) / 5 - 1},{(i * 5 % 13) / 6 - 1},{(i * 3 % 17) / 8 - 1},{(i * i % 19) / 9 - 1}\n"
        for i in range(24))
    client.put("datasets/points", text.encode(), headers={"Content-Type": "text/csv"})
    return client


def rows_of():
    data = [[(i * 7 % 11) / 5 - 1, (i * 5 % 13) / 6 - 1, (i * 3 % 17) / 8 - 1, (i * i % 19) / 9 - 1]
            for i in range(24)]
    array = numpy.array(data)
    return array[:, :3], array[:, 3:]


def job(epochs, training=None, **more):
    return {"name": "points", "data": {"dataset": "points", "target": "y"}, "task": "regression",
            "preprocess": {"center": False, "scale": "none"},
            "network": {"layers": [{"type": "dense", "units": 5, "activation": "tanh"},
                                   {"type": "dense", "units": 1}]},
            "optimizer": {"type": "sgd", "learning_rate": RATE},
            "training": {"epochs": epochs, "batch_size": 10, "shuffle": False, "seed": 5,
                         "dtype": "float64", **(training or {})}, **more}


def weights(client, body):
    model = client.train(body)["model"]
    content = client.get(f"models/{model['name']}/versions/{model['version']}/weights").content
    return safetensors_file.parse(content)[0]


def replay(theta, epochs, change=lambda g, theta: None, clip=None, fan_in=False, max_norm=None):
    """Steps of plain gradient descent on theta, in the order that the contract gives."""
    x_all, y_all = rows_of()
    norms = []
    for _ in range(epochs):
        for first in range(0, 24, 10):
            x, y = x_all[first:first + 10], y_all[first:first + 10]
            w1, b1, w2, b2 = (theta[n] for n in NAMES)
            a = numpy.tanh(x @ w1.T + b1)
            d2 = 2 * (a @ w2.T + b2 - y) / len(x)
            d1 = (d2 @ w2) * (1 - a ** 2)
            g = dict(zip(NAMES, (d1.T @ x, d1.sum(axis=0), d2.T @ a, d2.sum(axis=0))))
            change(g, theta)
            norm = numpy.sqrt(sum((t ** 2).sum() for t in g.values()))
            norms.append(norm)
            for name in NAMES:
                if clip is not None and norm > clip:
                    g[name] = g[name] * (clip / norm)
                rate = RATE
                if fan_in and name.endswith("weight"):
                    rate /= numpy.sqrt(theta[name].shape[1])
                theta[name] = theta[name] - rate * g[name]
                if max_norm is not None and name.endswith("weight"):
                    length = numpy.sqrt((theta[name] ** 2).sum(axis=1, keepdims=True))
                    theta[name] = numpy.where(length > max_norm, theta[name] * (max_norm / length),
                                              theta[name])
    return norms


NAMES = ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias")


def add_l2(g, theta):
    for name in NAMES[::2]:
        g[name] = g[name] + 2 * 0.03 * theta[name]


def add_l1(g, theta):
    for name in NAMES[::2]:
        g[name] = g[name] + 0.02 * numpy.sign(theta[name])


def add_frobenius(g, theta):
    for name in NAMES[::2]:
        g[name] = g[name] + 0.04 * theta[name] / numpy.sqrt((theta[name] ** 2).sum())


def add_all(g, theta):
    data = dict(theta)
    for add in (add_l2, add_l1, add_frobenius):
        add(g, data)


ALL = {"l2": 0.03, "l1": 0.02, "frobenius": 0.04, "max_norm": 0.6}


@pytest.mark.parametrize("more, options", [
    ({}, {}),
    ({"regularization": {"l2": 0.03}}, {"change": add_l2}),
    ({"regularization": {"l1": 0.02}}, {"change": add_l1}),
    ({"regularization": {"frobenius": 0.04}}, {"change": add_frobenius}),
    ({"regularization": {"max_norm": 0.6}}, {"max_norm": 0.6}),
    ({"training": {"clip_norm": 0.1}}, {"clip": 0.1}),
    ({"schedule": {"type": "constant", "fan_in_scaled": True}}, {"fan_in": True}),
    ({"regularization": ALL, "training": {"clip_norm": 0.1},
      "schedule": {"type": "constant", "fan_in_scaled": True}},
     {"change": add_all, "clip": 0.1, "fan_in": True, "max_norm": 0.6}),
])
def test_steps_are_those_of_the_contract(points, more, options):
    theta = weights(points, job(0, **more))
    trained = weights(points, job(8, **more))
    before = {name: tensor.copy() for name, tensor in theta.items()}
    norms = replay(theta, 8, **options)
    if "clip" in options:
        assert max(norms) > options["clip"], "nothing was clipped"
    for name in NAMES:
        numpy.testing.assert_allclose(trained[name], theta[name], rtol=1e-10, atol=1e-13)
        assert abs(trained[name] - before[name]).max() > 1e-4


def test_balanced_classes_weigh_as_their_rows_say(client):
    text = "x,c\n" + "".join(f"{i % 7 - 3},{'rare' if i % 6 == 0 else 'often'}\n" for i in range(60))
    client.put("datasets/skewed", text.encode(), headers={"Content-Type": "text/csv"})

    def train(class_weights):
        loss = {"type": "softmax_cross_entropy"}
        if class_weights:
            loss["class_weights"] = class_weights
        body = {"name": "skewed", "data": {"dataset": "skewed", "target": "c"}, "loss": loss,
                "training": {"epochs": 5, "dtype": "float64"}}
        return client.train(body)["metrics"]["latest"]["loss"]
    balanced = train("balanced")
    assert balanced == train({"rare": 60 / (2 * 10), "often": 60 / (2 * 50)})
    assert balanced != train(None)


def test_a_job_begins_with_a_models_weights(points):
    """Epochs in one job or in two are the same, for an optimiser without memory."""
    whole = weights(points, job(6))
    first = points.train(job(2))
    rest = weights(points, job(4, initial={"model": "points", "version": first["model"]["version"]}))
    for name in NAMES:
        assert (whole[name] == rest[name]).all()
    narrow = job(1, initial={"model": "points"}, training={"dtype": "float32"})
    assert points.train(narrow)["state"] == "succeeded"
    other = job(1, initial={"model": "points"})
    other["network"]["layers"][0]["units"] = 6
    problem = points.problem("POST", "jobs", 422, json=other)
    assert any("layers.0.weight" in e["detail"] for e in problem["errors"])
    points.problem("POST", "jobs", 422, json=job(1, initial={"model": "nobody"}))


def everything(threads, dtype):
    """A large enough network that its products are shared among threads."""
    return {
        "name": "everything", "data": {"dataset": "wide", "target": "c", "validation": {"fraction": 0.2}},
        "preprocess": {"whiten": True, "epsilon": 0.01},
        "network": {"layers": [
            {"type": "dropout", "keep": 0.9},
            {"type": "dense", "units": 256, "activation": "relu", "dropout": {"keep": 0.8}},
            {"type": "dense", "units": 256, "activation": "tanh",
             "dropout": {"keep": 0.7, "of": "connections"}},
            {"type": "dense", "units": 256, "activation": "softsign",
             "dropout": {"keep": 0.9, "of": "layer"}},
            {"type": "dense", "units": "auto"}]},
        "loss": {"type": "softmax_cross_entropy", "class_weights": "balanced"},
        "optimizer": {"type": "adam", "learning_rate": 0.002, "weight_decay": 0.01},
        "schedule": {"type": "plateau", "factor": 0.5, "patience": 1, "warmup_steps": 5,
                     "fan_in_scaled": True},
        "regularization": {"l2": 0.0001, "l1": 0.00001, "frobenius": 0.001, "max_norm": 2},
        "training": {"epochs": 5, "batch_size": 128, "seed": 9, "threads": threads, "dtype": dtype,
                     "clip_norm": 1.0, "gradient_check": True,
                     "early_stopping": {"metric": "validation.loss", "patience": 2}},
        "metrics": {"every_steps": 1}}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads(start_daemon, dtype):
    client = rest_client.Client(start_daemon("--workers", "1"))
    lines = [",".join(f"x{i}" for i in range(40)) + ",c"]
    for row in range(640):
        lines.append(",".join(str((row * (3 + 2 * i) + i * i) % 101 / 50 - 1) for i in range(40))
                     + f",k{row * row % 7 % 4}")
    client.put("datasets/wide", "\n".join(lines).encode(), headers={"Content-Type": "text/csv"})
    found = []
    for threads in (1, 2, 4):
        document = client.train(everything(threads, dtype))
        content = client.get(f"models/everything/versions/{document['model']['version']}/weights").content
        tensors = content[8 + int.from_bytes(content[:8], "little"):]
        points = [(p["seq"], p["step"], p["values"]) for p in client.metrics(document["id"])]
        found.append((tensors, points, document["metrics"], document["gradient_check"], document["reason"]))
        assert document["gradient_check"]["pass"], document["gradient_check"]
    assert found[0] == found[1] == found[2]
