"""Two tables from upload to prediction: numbers only, and strings with missing values."""

import csv
import hashlib
import math

import pytest

import rest_client
import safetensors_file

SPECIES = ["setosa", "versicolor", "virginica"]


def training(dataset, target, **more):
    return {
        "name": dataset,
        "data": {"dataset": dataset, "target": target, "validation": {"fraction": 0.2}},
        "network": {"layers": [{"type": "dense", "units": 16, "activation": "tanh"},
                               {"type": "dense", "units": "auto"}]},
        "optimizer": {"type": "momentum", "learning_rate": 0.05, "momentum": 0.9},
        "training": {"epochs": 40, "batch_size": 16, "seed": 7},
        "metrics": {"every_steps": 5},
        **more,
    }


def table(path):
    """Rows as a client would send them: numbers as numbers, empty fields as null."""
    def value(text):
        try:
            return float(text)
        except ValueError:
            return text or None
    with path.open(newline="") as stream:
        return [{name: value(text) for name, text in row.items()} for row in csv.DictReader(stream)]


def columns_by_name(document):
    return {column["name"]: column for column in document["columns"]}


def test_iris_is_read_as_what_it_is(client, iris):
    document = client.put("datasets/iris", iris, expect=201).json()
    assert (document["kind"], document["rows"]) == ("table", 150)
    columns = columns_by_name(document)
    assert list(columns) == ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
    assert columns["sepal_length"]["type"] == "numeric"
    assert columns["sepal_length"]["minimum"] == 4.3
    assert columns["sepal_length"]["maximum"] == 7.9
    assert columns["sepal_length"]["mean"] == pytest.approx(876.5 / 150, rel=1e-14)
    assert columns["species"]["type"] == "categorical"
    assert columns["species"]["distinct"] == 3
    assert client.put("datasets/iris", iris, expect=200).json()["sha256"] == document["sha256"]
    assert client.get("datasets/iris").json()["sha256"] == document["sha256"]


def test_two_words_are_a_valid_job(client, iris):
    client.put("datasets/iris", iris)
    document = client.train({"data": {"dataset": "iris", "target": "species"}})
    resolved = document["specification"]
    assert resolved["task"] == "classification"
    assert resolved["data"]["features"] == ["sepal_length", "sepal_width", "petal_length",
                                            "petal_width"]
    assert resolved["training"]["batch_size"] == 64
    assert resolved["training"]["dtype"] == "float32"
    assert resolved["loss"]["type"] == "softmax_cross_entropy"
    assert document["model"]["version"] == 1
    # What was resolved is itself a specification, and resolves to itself.
    again = client.post("jobs", query={"validate_only": "true"}, json=resolved, expect=200).json()
    assert again["specification"] == resolved


def test_iris_is_learnt(client, iris):
    client.put("datasets/iris", iris)
    job = client.submit(training("iris", "species"))
    assert job["state"] in ("queued", "running", "succeeded")
    points = client.metrics(job["id"])
    document = client.wait(job["id"])
    assert document["metrics"]["validation"]["accuracy"] >= 0.9
    losses = [point["values"]["loss"] for point in points if "loss" in point["values"]]
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert any("validation.loss" in point["values"] for point in points)
    assert [point["step"] for point in points] == sorted(point["step"] for point in points)
    progress = document["progress"]
    assert (progress["epoch"], progress["epochs"]) == (40, 40)
    assert progress["step"] == progress["steps"] == 40 * math.ceil(120 / 16)

    rows = table(iris)
    answer = client.post("models/iris/predict", json={"rows": [
        {name: value for name, value in row.items() if name != "species"} for row in rows]}).json()
    assert answer["classes"] == SPECIES
    assert (answer["model"], answer["version"]) == ("iris", 1)
    right = sum(prediction["label"] == row["species"]
                for prediction, row in zip(answer["predictions"], rows))
    assert right >= 140
    for prediction in answer["predictions"]:
        assert len(prediction["probabilities"]) == 3
        assert sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-6)
        best = max(range(3), key=prediction["probabilities"].__getitem__)
        assert prediction["label"] == SPECIES[best]


def test_array_rows_and_object_rows_agree(client, iris):
    client.put("datasets/iris", iris)
    client.train(training("iris", "species"))
    by_name = client.post("models/iris/predict", json={"rows": [
        {"petal_width": 1.9, "petal_length": 5.1, "sepal_width": 2.7, "sepal_length": 5.8}]}).json()
    by_order = client.post("models/iris/predict", json={"rows": [[5.8, 2.7, 5.1, 1.9]]}).json()
    assert by_name == by_order


def test_model_survives_a_restart(daemon, client, iris):
    client.put("datasets/iris", iris)
    client.train(training("iris", "species"))
    rows = {"rows": [[5.8, 2.7, 5.1, 1.9], [5.1, 3.5, 1.4, 0.2]]}

    def everything(client):
        weights = client.get("models/iris/versions/1/weights", query={"format": "safetensors"}).content
        return (hashlib.sha256(weights).hexdigest(), client.post("models/iris/predict", json=rows).json(),
                client.get("jobs/1").json(), client.get("jobs/1/metrics", query={"limit": 10000}).json(),
                client.get("datasets/iris").json())

    before = everything(client)
    daemon.restart()
    assert everything(rest_client.Client(daemon)) == before


def test_weights_are_laid_out_as_documented(client, iris):
    client.put("datasets/iris", iris)
    client.train(training("iris", "species"))
    content = client.get("models/iris/versions/1/weights", query={"format": "safetensors"}).content
    arrays, _ = safetensors_file.parse(content)
    assert {name: (array.shape, array.dtype.name) for name, array in arrays.items()} == {
        "layers.0.weight": ((16, 4), "float32"), "layers.0.bias": ((16,), "float32"),
        "layers.1.weight": ((3, 16), "float32"), "layers.1.bias": ((3,), "float32")}


def test_penguins_with_strings_and_missing_values(client, penguins):
    document = client.put("datasets/penguins", penguins, expect=201).json()
    columns = columns_by_name(document)
    assert document["rows"] == 344
    assert columns["island"]["type"] == "categorical"
    assert columns["island"]["distinct"] == 3
    assert columns["body_mass_g"]["type"] == "numeric"
    assert columns["body_mass_g"]["missing"] == 2
    assert columns["sex"]["missing"] == sum(row["sex"] is None for row in table(penguins))

    document = client.train(training("penguins", "species"))
    assert document["metrics"]["validation"]["accuracy"] >= 0.95

    rows = [{name: value for name, value in row.items() if name != "species"}
            for row in table(penguins)]
    answer = client.post("models/penguins/predict", json={"rows": rows}).json()
    assert answer["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    right = sum(prediction["label"] == row["species"]
                for prediction, row in zip(answer["predictions"], table(penguins)))
    assert right >= 0.97 * len(rows)


def test_penguins_refuses_what_it_cannot_know(client, penguins):
    client.put("datasets/penguins", penguins)
    client.train(training("penguins", "species"))
    good = {"island": "Dream", "bill_length_mm": 50.9, "bill_depth_mm": 19.1,
            "flipper_length_mm": 196, "body_mass_g": 3550, "sex": "MALE"}
    client.post("models/penguins/predict", json={"rows": [good]})

    problem = client.problem("POST", "models/penguins/predict", (400, 422),
                             json={"rows": [good, {**good, "island": "Atlantis"}]})
    assert problem["errors"][0]["pointer"] == "/rows/1/island"
    assert "Atlantis" in problem["errors"][0]["detail"]

    short = {name: value for name, value in good.items() if name != "bill_depth_mm"}
    problem = client.problem("POST", "models/penguins/predict", (400, 422), json={"rows": [short]})
    assert problem["errors"][0]["pointer"].startswith("/rows/0")
    assert "bill_depth_mm" in problem["errors"][0]["pointer"] + problem["errors"][0]["detail"]


def test_unknown_target_is_named(client, iris):
    client.put("datasets/iris", iris)
    problem = client.problem("POST", "jobs", 422, json={"data": {"dataset": "iris",
                                                                 "target": "specie"}})
    assert problem["errors"][0]["pointer"] == "/data/target"
    assert "species" in problem["errors"][0]["detail"]
