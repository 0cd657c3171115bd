"""All of MNIST, as a stranger would do it: four uploads by curl, one job, live metrics, ten
predictions, and the same weights after a restart. Needs the real data beside the repository."""

import gzip
import hashlib
import subprocess

import numpy
import pytest

import rest_client

UPLOADS = [
    ("mnist-train", "images", "train-images-idx3-ubyte.gz", 60000),
    ("mnist-train", "labels", "train-labels-idx1-ubyte.gz", 60000),
    ("mnist-test", "images", "t10k-images-idx3-ubyte.gz", 10000),
    ("mnist-test", "labels", "t10k-labels-idx1-ubyte.gz", 10000),
]
JOB = {
    "name": "mnist",
    "data": {"dataset": "mnist-train", "features": ["images"], "target": "labels",
             "test": {"dataset": "mnist-test"}},
    "preprocess": {"scale": "minmax"},
    "network": {"layers": [{"type": "dense", "units": 128, "activation": "relu"},
                           {"type": "dense", "units": "auto"}]},
    "optimizer": {"type": "momentum", "learning_rate": 0.03, "momentum": 0.9},
    "training": {"epochs": 5, "batch_size": 64, "seed": 1},
}


def idx(path, skip):
    with gzip.open(path) as stream:
        return numpy.frombuffer(stream.read()[skip:], dtype=numpy.uint8)


def weights_hash(client):
    weights = client.get("models/mnist/versions/1/weights", query={"format": "safetensors"}).content
    return hashlib.sha256(weights).hexdigest()


def test_mnist_from_upload_to_prediction(daemon, client, shared_data):
    folder = shared_data / "mnist"
    if not folder.is_dir():
        pytest.skip(f"NO REAL DATA: {folder} is missing")

    for dataset, column, name, rows in UPLOADS:
        subprocess.run(["curl", "--silent", "--show-error", "--fail-with-body", "--output", "/dev/null",
                        "-T", folder / name,
                        client.url(f"datasets/{dataset}/columns/{column}")], check=True)
        assert client.get(f"datasets/{dataset}").json()["rows"] == rows

    job = client.submit(JOB)["id"]
    live = 0  # polls that brought points while the job was running
    points = []
    for page in client.follow_metrics(job):
        points += page
        live += bool(page) and client.get(f"jobs/{job}").json()["state"] == "running"
    assert live >= 2
    document = client.wait(job)
    assert document["progress"]["epochs"] <= 5
    assert document["metrics"]["test"]["accuracy"] >= 0.975
    steps = [point["step"] for point in points if "loss" in point["values"]]
    assert steps[-1] <= document["progress"]["steps"] == 5 * 938

    images = idx(folder / "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:10]
    labels = idx(folder / "t10k-labels-idx1-ubyte.gz", 8)[:10]
    flat = {"rows": [image.flatten().tolist() for image in images]}
    nested = {"rows": [{"images": image.tolist()} for image in images]}
    answer = client.post("models/mnist/predict", json=flat).json()
    assert answer["classes"] == list(range(10))
    assert sum(p["label"] == label for p, label in zip(answer["predictions"], labels)) >= 9
    assert client.post("models/mnist/predict", json=nested).json() == answer

    before = weights_hash(client)
    daemon.restart()
    client = rest_client.Client(daemon)
    assert weights_hash(client) == before
    assert client.post("models/mnist/predict", json=flat).json() == answer
