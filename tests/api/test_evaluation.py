"""Evaluations in the documents of jobs and models, recomputed with numpy from predictions."""

import csv
import math

import numpy
import pytest


def iris_rows(path):
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    features = [[float(row[name]) for name in ("sepal_length", "sepal_width", "petal_length", "petal_width")]
                for row in rows]
    return features, [row["species"] for row in rows], rows


def predict(client, name, rows):
    answer = client.post(f"models/{name}/predict", json={"rows": rows}).json()
    return answer.get("classes"), answer["predictions"]


def auc(positive, negative):
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def test_classes(client, iris):
    client.put("datasets/iris", iris)
    document = client.train({
        "name": "iris", "data": {"dataset": "iris", "target": "species",
                                 "test": {"dataset": "iris"}, "validation": {"fraction": 0.2}},
        "network": {"layers": [{"type": "dense", "units": 4, "activation": "tanh"},
                               {"type": "dense", "units": "auto"}]},
        "optimizer": {"type": "sgd", "learning_rate": 0.05},
        "loss": {"type": "softmax_cross_entropy", "class_weights": {"setosa": 3}},
        "training": {"epochs": 2, "batch_size": 16, "dtype": "float64"}})
    features, labels, _ = iris_rows(iris)
    classes, predictions = predict(client, "iris", features)
    truth = numpy.array([classes.index(label) for label in labels])
    shown = numpy.array([p["probabilities"] for p in predictions])
    decided = shown.argmax(axis=1)
    test = document["metrics"]["test"]
    count = len(labels)

    confusion = numpy.zeros((3, 3), int)
    numpy.add.at(confusion, (truth, decided), 1)
    assert test["confusion_matrix"] == confusion.tolist() and test["rows"] == count
    assert 0 < confusion.trace() < count, "a test of nothing: every row is right, or none"
    assert test["accuracy"] == confusion.trace() / count
    logs = -numpy.log(shown[range(count), truth])
    assert test["log_loss"] == pytest.approx(logs.mean(), rel=1e-10)
    weights = numpy.where(truth == classes.index("setosa"), 3, 1)
    assert test["loss"] == pytest.approx((weights * logs).mean(), rel=1e-10)

    def ratio(a, b):
        return a / b if b else 0
    precision = [ratio(confusion[c, c], confusion[:, c].sum()) for c in range(3)]
    recall = [ratio(confusion[c, c], confusion[c].sum()) for c in range(3)]
    f1 = [ratio(2 * confusion[c, c], confusion[c].sum() + confusion[:, c].sum()) for c in range(3)]
    areas = [auc(shown[truth == c, c], shown[truth != c, c]) for c in range(3)]
    for c, own in enumerate(test["per_class"]):
        assert own == {"label": classes[c], "support": 50,
                       "precision": pytest.approx(precision[c]), "recall": pytest.approx(recall[c]),
                       "f1": pytest.approx(f1[c]), "roc_auc": pytest.approx(areas[c])}
    assert test["roc_auc"] == pytest.approx(numpy.mean(areas))
    assert test["precision"] == pytest.approx(numpy.mean(precision))
    assert test["averages"]["macro"]["f1"] == pytest.approx(numpy.mean(f1)) == test["f1"]
    assert test["averages"]["micro"]["recall"] == pytest.approx(test["accuracy"])
    assert test["averages"]["weighted"]["precision"] == pytest.approx(numpy.mean(precision))
    assert "top_5_accuracy" not in test
    assert document["metrics"]["train"]["rows"] == 120
    assert document["metrics"]["validation"]["rows"] == 30
    model = client.get("models/iris/versions/1").json()
    assert model["metrics"] == document["metrics"]


def test_scores_have_no_log_loss(client, iris):
    client.put("datasets/iris", iris)
    document = client.train({"data": {"dataset": "iris", "target": "species"}, "loss": {"type": "hinge"},
                             "training": {"epochs": 2}})
    train = document["metrics"]["train"]
    assert "log_loss" not in train and 0 <= train["roc_auc"] <= 1


@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_values_are_judged_in_their_own_units(client, iris, scaling):
    client.put("datasets/iris", iris)
    document = client.train({
        "name": "width", "data": {"dataset": "iris", "target": "petal_width", "exclude": ["species"]},
        "preprocess": {"target": scaling},
        "network": {"layers": [{"type": "dense", "units": 4, "activation": "tanh"},
                               {"type": "dense", "units": "auto"}]},
        "optimizer": {"type": "sgd", "learning_rate": 0.05},
        "training": {"epochs": 3, "batch_size": 16, "dtype": "float64"}})
    features, _, rows = iris_rows(iris)
    _, predictions = predict(client, "width", [row[:3] for row in features])
    y = numpy.array([float(row["petal_width"]) for row in rows])
    error = numpy.array([p["value"] for p in predictions]) - y
    train = document["metrics"]["train"]
    assert train["rmse"] == pytest.approx(math.sqrt((error ** 2).mean()), rel=1e-10)
    assert train["mae"] == pytest.approx(abs(error).mean(), rel=1e-10)
    assert train["r2"] == pytest.approx(1 - (error ** 2).sum() / ((y - y.mean()) ** 2).sum(), rel=1e-9)
    scale = y.std() if scaling == "standard" else 1
    assert train["loss"] == pytest.approx((error ** 2).mean() / scale ** 2, rel=1e-10)
    own, = train["per_target"]
    assert own == {"target": "petal_width", "rmse": train["rmse"], "mae": train["mae"], "r2": train["r2"]}


def test_top_5_of_many_classes(client):
    text = "x,c\n" + "".join(f"{i},k{i % 8}\n" for i in range(64))
    client.put("datasets/many", text.encode(), headers={"Content-Type": "text/csv"})
    document = client.train({"name": "many", "data": {"dataset": "many", "target": "c"},
                             "network": {"layers": [{"type": "dense", "units": "auto"}]},
                             "training": {"epochs": 1, "dtype": "float64"}})
    classes, predictions = predict(client, "many", [[i] for i in range(64)])
    hits = 0
    for i, prediction in enumerate(predictions):
        best = sorted(range(8), key=lambda c: -prediction["probabilities"][c])[:5]
        hits += classes.index(f"k{i % 8}") in best
    assert 0 < hits < 64
    assert document["metrics"]["train"]["top_5_accuracy"] == hits / 64
