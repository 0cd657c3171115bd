"""Models: documents, weights, and predictions recomputed from the exported weights."""

import json
import sqlite3

import numpy
import pytest

import rest_client
import safetensors_file

SPECIES = ["setosa", "versicolor", "virginica"]


def iris_job(name, **changes):
    return {"name": name, "data": {"dataset": "iris", "target": "species"},
            "preprocess": {"center": False, "scale": "none"},
            "network": {"layers": [{"type": "dense", "units": 13, "activation": "tanh"},
                                   {"type": "dense", "units": 9, "activation": "relu"},
                                   {"type": "dense", "units": "auto"}]},
            "optimizer": {"type": "momentum", "learning_rate": 0.01},
            "training": {"epochs": 5, "batch_size": 16, "seed": 7, **changes}}


@pytest.fixture
def features(iris):
    lines = iris.read_text().splitlines()[1:]
    return numpy.array([[float(cell) for cell in line.split(",")[:4]] for line in lines])


def weights(client, model, version=1):
    response = client.get(f"models/{model}/versions/{version}/weights", query={"format": "safetensors"})
    assert f"{model}-{version}.safetensors" in response.headers["Content-Disposition"]
    return safetensors_file.parse(response.content)


def forward(arrays, x):
    """tanh, ReLU, then softmax, in float64."""
    layer = [(arrays[f"layers.{i}.weight"].astype(float), arrays[f"layers.{i}.bias"].astype(float))
             for i in range(3)]
    a = numpy.tanh(x @ layer[0][0].T + layer[0][1])
    a = numpy.maximum(0, a @ layer[1][0].T + layer[1][1])
    z = a @ layer[2][0].T + layer[2][1]
    e = numpy.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def probabilities(answer):
    return numpy.array([prediction["probabilities"] for prediction in answer["predictions"]])


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-14)])
def test_predictions_are_those_of_the_exported_weights(client, iris, features, dtype, tolerance):
    client.put("datasets/iris", iris)
    client.train(iris_job("net", dtype=dtype))
    arrays, metadata = weights(client, "net")
    assert {array.dtype.name for array in arrays.values()} == {dtype}
    assert json.loads(metadata["classes"]) == SPECIES
    assert (metadata["model"], metadata["version"]) == ("net", "1")
    answer = client.post("models/net/predict", json={"rows": features.tolist()}).json()
    assert numpy.abs(probabilities(answer) - forward(arrays, features)).max() < tolerance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_alone_is_the_row_in_a_batch(client, iris, features, dtype):
    client.put("datasets/iris", iris)
    client.train(iris_job("net", dtype=dtype))
    together = client.post("models/net/predict", json={"rows": features.tolist()}).json()
    batch = client.post("models/net/predict", json={"rows": features[40:104].tolist()}).json()
    assert batch["predictions"] == together["predictions"][40:104]
    for index in range(0, 150, 7):
        alone = client.post("models/net/predict", json={"rows": [features[index].tolist()]}).json()
        assert alone["predictions"] == [together["predictions"][index]]


def test_versions(client, iris, features):
    client.put("datasets/iris", iris)
    jobs = [client.train(iris_job("net", seed=seed)) for seed in (1, 2, 3)]
    assert [job["model"] for job in jobs] == [{"name": "net", "version": v} for v in (1, 2, 3)]
    client.train(iris_job("another"))
    listed = client.get("models").json()
    assert [item["name"] for item in listed["items"]] == ["another", "net"]
    assert listed["next"] is None
    page = client.get("models", query={"limit": 1}).json()
    assert [item["name"] for item in page["items"]] == ["another"]
    page = client.get("models", query={"limit": 1, "after": page["next"]}).json()
    assert [item["name"] for item in page["items"]] == ["net"]
    assert page["items"][0]["version"] == 3

    document = client.get("models/net/versions/2").json()
    assert (document["name"], document["version"], document["job"]) == ("net", 2, jobs[1]["id"])
    assert document["classes"] == SPECIES
    assert client.get("models/net").json()["version"] == 3

    rows = {"rows": features[:3].tolist()}
    newest = client.post("models/net/predict", json=rows).json()
    assert newest["version"] == 3
    assert client.post("models/net/versions/3/predict", json=rows).json() == newest
    older = client.post("models/net/versions/1/predict", json=rows).json()
    assert older["version"] == 1 and older["predictions"] != newest["predictions"]


def test_what_is_not_there(client, iris):
    for path in ("models/none", "models/none/versions/1", "models/none/versions/1/weights"):
        client.problem("GET", path, 404)
    client.problem("POST", "models/none/predict", 404, json={"rows": []})
    client.put("datasets/iris", iris)
    client.train(iris_job("net"))
    client.problem("GET", "models/net/versions/2", 404)
    client.problem("POST", "models/net/versions/2/predict", 404, json={"rows": [[1, 2, 3, 4]]})
    problem = client.problem("GET", "models/net/versions/1/weights", 400, query={"format": "pickle"})
    assert "safetensors" in problem["detail"]


def test_corrupt_weights_are_never_served(daemon, client, iris, features):
    client.put("datasets/iris", iris)
    client.train(iris_job("net"))
    daemon.stop()
    (database,) = [path for path in daemon.data.iterdir()
                   if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3"]
    with sqlite3.connect(database) as connection:
        (data,) = connection.execute("SELECT data FROM model_tensors WHERE ordinal = 2").fetchone()
        data = bytes([data[0] ^ 1]) + data[1:]
        connection.execute("UPDATE model_tensors SET data = ? WHERE ordinal = 2", (data,))
    connection.close()
    daemon.start()
    client = rest_client.Client(daemon)
    rows = {"rows": features[:1].tolist()}
    problem = client.problem("POST", "models/net/predict", 500, json=rows)
    assert "checksum" in problem["detail"]
    client.problem("GET", "models/net/versions/1/weights", 500)
    assert client.get("models/net").json()["version"] == 1
