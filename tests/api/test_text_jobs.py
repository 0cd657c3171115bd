"""Language models over REST: characters and words of a small text, their vocabulary, metrics, bits, faults."""

import json
import math
import pathlib

import numpy
import pytest

import rest_client
import safetensors_file
from pace import at_any_speed, interrupted, pause, wait_for_points

TEXT = (pathlib.Path(__file__).parent.parent / "data" / "harbour.txt").read_text(encoding="utf-8")

CHARACTERS = {
    "name": "harbour", "data": {"dataset": "harbour", "validation": {"fraction": 0.1}, "test": {"fraction": 0.05}},
    "network": {"layers": [{"type": "embedding", "dimension": 8}, {"type": "lstm", "units": 24},
                           {"type": "dense", "units": "auto"}]},
    "optimizer": {"type": "adam", "learning_rate": 0.01},
    "training": {"epochs": 6, "batch_size": 8, "sequence_length": 20, "clip_norm": 5},
    "metrics": {"every_steps": 7},
}
WORDS = {
    "name": "words", "data": {"dataset": "harbour", "unit": "word", "lowercase": True, "min_count": 2,
                              "validation": {"fraction": 0.1}},
    "network": {"layers": [{"type": "embedding", "dimension": 12},
                           {"type": "gru", "units": 12, "dropout": {"keep": 0.9, "variational": True}},
                           {"type": "dense", "units": "auto", "tied": True}]},
    "optimizer": {"type": "adam", "learning_rate": 0.02},
    "training": {"epochs": 4, "batch_size": 5, "sequence_length": 10},
}


@pytest.fixture(name="harbour")
def harbour_fixture(client):
    client.put("datasets/harbour", TEXT.encode(), expect=201)
    return client


def changed(body, **more):
    """A copy in which members of members are others: training={"threads": 2}."""
    copy = json.loads(json.dumps(body))
    for key, value in more.items():
        copy[key] = {**copy[key], **value} if isinstance(value, dict) and isinstance(copy.get(key), dict) else value
    return copy


def weights(client, document):
    model = document["model"]
    content = client.get(f"models/{model['name']}/versions/{model['version']}/weights").content
    return safetensors_file.parse(content)


def test_characters(harbour):
    document = harbour.train(CHARACTERS)
    part = int(0.1 * len(TEXT) + 0.5) + int(0.05 * len(TEXT) + 0.5)
    training = TEXT[:len(TEXT) - part]
    specification = document["specification"]
    assert specification["task"] == "language_model" and "preprocess" not in specification
    assert specification["training"]["shuffle"] is False
    assert specification["network"]["layers"][2]["units"] == len(set(training))
    for name in ("train", "validation", "test"):
        of = document["metrics"][name]
        assert of["perplexity"] == pytest.approx(math.exp(of["loss"]), rel=1e-14)
        assert of["bits_per_character"] == pytest.approx(of["loss"] / math.log(2), rel=1e-14)
    # Streams of the training part, and of the validation part: what is left over is dropped.
    assert document["metrics"]["train"]["rows"] == (len(training) - 1) // 8 * 8
    assert document["metrics"]["train"]["bits_per_character"] < 3.3 < math.log2(len(set(training)))
    points = harbour.metrics(document["id"])
    ends = [point["values"] for point in points if "validation.loss" in point["values"]]
    assert len(ends) == 6
    for values in ends:
        assert values["validation.perplexity"] == pytest.approx(math.exp(values["validation.loss"]), rel=1e-14)
        assert values["validation.bits_per_character"] == pytest.approx(
            values["validation.loss"] / math.log(2), rel=1e-14)
    assert ends[-1]["validation.loss"] < ends[0]["validation.loss"]
    best = document["metrics"]["best"]
    for name in ("validation.loss", "validation.perplexity", "validation.bits_per_character"):
        assert best[name] == min(values[name] for values in ends)
    assert all("accuracy" in point["values"] for point in points)
    model = harbour.get("models/harbour/versions/1").json()
    vocabulary = model["vocabulary"]
    assert vocabulary["tokens"] == sorted(set(training)) and vocabulary["unknown"] is None
    assert (vocabulary["unit"], vocabulary["size"]) == ("character", len(set(training)))
    tensors, metadata = weights(harbour, document)
    assert list(tensors) == ["layers.0.weight", "layers.1.weight_ih", "layers.1.weight_hh", "layers.1.bias_ih",
                             "layers.1.bias_hh", "layers.2.weight", "layers.2.bias"]
    assert tensors["layers.0.weight"].shape == (len(set(training)), 8)
    assert json.loads(metadata["vocabulary"]) == vocabulary and metadata["task"] == "language_model"


def test_words_and_a_tied_layer(harbour):
    document = harbour.train(WORDS)
    words = TEXT.split()
    training = [word.lower() for word in words[:len(words) - int(0.1 * len(words) + 0.5)]]
    counts = {word: training.count(word) for word in training}
    wanted = ["<unk>"] + sorted((word for word in counts if counts[word] >= 2),
                                key=lambda word: (-counts[word], word))
    model = harbour.get("models/words").json()
    assert model["vocabulary"]["tokens"] == wanted
    assert (model["vocabulary"]["min_count"], model["vocabulary"]["lowercase"]) == (2, True)
    assert (model["vocabulary"]["unknown"], model["vocabulary"]["padding"]) == (0, None)
    of = document["metrics"]["validation"]
    assert of["perplexity"] == pytest.approx(math.exp(of["loss"]), rel=1e-14)
    assert "bits_per_character" not in of
    tensors, _ = weights(harbour, document)
    assert "layers.2.weight" not in tensors and tensors["layers.2.bias"].shape == (len(wanted),)
    assert tensors["layers.0.weight"].shape == (len(wanted), 12)
    layers = document["specification"]["network"]["layers"]
    assert "init" in layers[0] and "init" not in layers[2]
    # What was resolved resolves to itself.
    again = harbour.post("jobs", query={"validate_only": "true"}, json=document["specification"]).json()
    assert again["specification"] == document["specification"]


def test_threads_do_not_show(harbour):
    found = set()
    for threads in (1, 2, 4):
        for body in (CHARACTERS, WORDS):
            document = harbour.train(changed(body, training={"threads": threads, "epochs": 2}))
            found.add((body["name"], document["weights_sha256"],
                       json.dumps([point["values"] for point in harbour.metrics(document["id"])])))
    assert len(found) == 2


def history(client, job):
    return [(point["seq"], point["step"], point["values"]) for point in client.metrics(job)]


@pytest.mark.parametrize("body", [CHARACTERS, WORDS], ids=["characters", "words"])
@at_any_speed
def test_killed_in_mid_epoch(start_daemon, pace, body):
    """The carried state, the place in the text and the optimiser come back; so does the vocabulary."""
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/harbour", TEXT.encode())
    body = changed(body, training={"epochs": pace.epochs(30)}, checkpoint={"every_steps": 5},
                   metrics={"every_steps": 1})
    whole = client.train(body)
    job = client.submit(body)["id"]
    for seq in (11, 60, 61):
        wait_for_points(client, job, seq)
        daemon.kill()
        daemon.start()
        client = rest_client.Client(daemon)
    wait_for_points(client, job, 75)
    pause(client, job)
    checkpoint = client.get(f"jobs/{job}/checkpoints").json()["items"][0]
    assert checkpoint["cause"] in ("paused", "steps")
    client.post(f"jobs/{job}/resume", expect=202)
    document = client.wait(job)
    interrupted(client, job, 2)
    assert document["weights_sha256"] == whole["weights_sha256"]
    assert history(client, job) == history(client, whole["id"])
    assert document["reproducible"] is True


def test_a_verified_job(harbour):
    job = harbour.train(changed(CHARACTERS, training={"epochs": 1}))["id"]
    again = harbour.post(f"jobs/{job}/verify", expect=202).json()["verification"]["job"]
    assert harbour.wait(again)["verifies"] == job
    assert harbour.get(f"jobs/{job}").json()["verification"]["same"] is True


def test_what_is_asked_first(harbour):
    """validate_only: vocabulary, streams and steps, parameters, memory; the same before and after it was read."""
    answers = [harbour.post("jobs", query={"validate_only": "true"}, json=CHARACTERS).json() for _ in range(2)]
    assert answers[0] == answers[1]
    answer = answers[0]
    size = answer["vocabulary"]["size"]
    training = answer["rows"]["training"]
    assert answer["vocabulary"]["unit"] == "character" and sum(answer["rows"].values()) == len(TEXT)
    assert answer["sequence"] == {"streams": 8, "steps": 20}
    assert answer["parameters"] == 8 * size + 4 * 24 * (8 + 24 + 2) + size * 25
    assert [(layer["type"], layer["input"], layer["output"]) for layer in answer["layers"]] == [
        ("embedding", 1, 8), ("lstm", 8, 24), ("dense", 24, size)]
    long = harbour.post("jobs", query={"validate_only": "true"},
                        json=changed(CHARACTERS, training={"sequence_length": 10**6})).json()
    assert long["sequence"]["steps"] == (training - 1) // 8
    assert long["memory"]["training_bytes"] > answer["memory"]["training_bytes"]
    assert {"warnings", "specification"} <= set(answer)
    bare = harbour.post("jobs", query={"validate_only": "true"}, json={"data": {"dataset": "harbour"}}).json()
    assert [layer["type"] for layer in bare["layers"]] == ["embedding", "lstm", "dense"]


def test_the_same_key_twice(harbour):
    headers = {"Idempotency-Key": "one"}
    first = harbour.post("jobs", json=CHARACTERS, headers=headers, expect=201).json()
    again = harbour.post("jobs", json=CHARACTERS, headers=headers, expect=201).json()
    assert again["id"] == first["id"]
    harbour.problem("POST", "jobs", 422, json=WORDS, headers=headers)
    harbour.wait(first["id"])


FAULTS = [
    ({"training": {"shuffle": True}}, {"/training/shuffle"}),
    ({"data": {"unit": "word", "max_vocabulary": 0, "min_count": 0}}, {"/data/max_vocabulary", "/data/min_count"}),
    ({"data": {"lowercase": True}}, {"/data/lowercase"}),
    ({"loss": "hinge"}, {"/loss"}),
    ({"data": {"target": "text"}, "preprocess": {"center": True}}, {"/data/target", "/preprocess/center"}),
    ({"network": {"layers": [{"type": "window", "width": 3}, {"type": "dense", "units": 7}]}},
     {"/network/layers/0/type", "/network/layers/1/type", "/network/layers/1/units"}),
    ({"network": {"layers": [{"type": "embedding", "dimension": 4, "sparse": True},
                             {"type": "dense", "units": "auto"}]}, "regularization": {"l2": 0.1, "l1": 0.1}},
     {"/network/layers/0/sparse"}),
    ({"network": {"layers": [{"type": "embedding", "dimension": 4}, {"type": "rnn", "units": 5},
                             {"type": "dense", "units": "auto", "tied": True}]}}, {"/network/layers/2/tied"}),
    ({"network": {"layers": [{"type": "embedding", "dimension": 4}, {"type": "dense", "units": "auto",
                                                                     "tied": True, "init": "zeros"}]}},
     {"/network/layers/1/init"}),
    ({"training": {"early_stopping": {"metric": "validation.entity_f1"}}}, {"/training/early_stopping/metric"}),
    ({"data": {"validation": {"fraction": 0.7}, "test": {"fraction": 0.4}}}, {"/data/validation/fraction"}),
]


@pytest.mark.parametrize("more,pointers", FAULTS, ids=[str(index) for index in range(len(FAULTS))])
def test_faults(harbour, more, pointers):
    problem = harbour.problem("POST", "jobs", 422, json=changed({"data": {"dataset": "harbour"}}, **more))
    assert {error["pointer"] for error in problem["errors"]} == pointers


def test_going_on_from_a_model(harbour):
    """The vocabulary is the model's, whatever the other text has; it can be fewer words than the text's own."""
    first = harbour.train(WORDS)
    harbour.put("datasets/other", b"The ferryman hid a zebra, and the zebra told no one of it at the harbour. " * 20,
                expect=201)
    body = {"name": "other", "data": {"dataset": "other"}, "initial": {"model": "words"},
            "training": {"epochs": 1, "batch_size": 2, "sequence_length": 8}}
    document = harbour.train(body)
    data = document["specification"]["data"]
    assert (data["unit"], data["lowercase"], data["min_count"]) == ("word", True, 2)
    assert document["specification"]["network"] == first["specification"]["network"]
    models = [harbour.get(f"models/{name}").json() for name in ("words", "other")]
    assert models[0]["vocabulary"] == models[1]["vocabulary"]
    assert "zebra," not in models[1]["vocabulary"]["tokens"]
    none = harbour.train({**body, "training": {"epochs": 0}})
    assert none["weights_sha256"] == first["weights_sha256"]
    problem = harbour.problem("POST", "jobs", 422, json={
        **body, "data": {"dataset": "other", "unit": "character", "min_count": 3}})
    assert {error["pointer"] for error in problem["errors"]} == {"/data/unit", "/data/min_count"}


def test_a_character_that_training_lacks(harbour):
    harbour.put("datasets/short", ("abcab" * 30 + "\N{GREEK SMALL LETTER OMEGA}").encode(), expect=201)
    harbour.put("datasets/plain", b"abc" * 50, expect=201)
    harbour.train({"name": "plain", "data": {"dataset": "plain"}, "training": {"epochs": 1}})
    for body in ({"data": {"dataset": "short", "validation": {"fraction": 0.1}}},
                 {"data": {"dataset": "plain", "test": {"dataset": "short"}}},
                 {"data": {"dataset": "short"}, "initial": {"model": "plain"}}):
        for _ in range(2):
            problem = harbour.problem("POST", "jobs", 422, json=body)
            error, = problem["errors"]
            assert error["pointer"] == "/data" and "character 151" in error["detail"] and "U+03C9" in error["detail"]
    document = harbour.train({"name": "plain", "data": {"dataset": "plain"}, "initial": {"model": "plain"},
                              "training": {"epochs": 1}})
    assert document["model"] == {"name": "plain", "version": 2}


def test_gradients(harbour):
    for body in (CHARACTERS, WORDS):
        report = harbour.post("gradient-check", json={
            **changed(body, training={"batch_size": 2, "sequence_length": 5}), "max_elements": 40}).json()
        assert report["pass"] is True and report["rows"] == 10
        assert all(tensor["pass"] and tensor["checked"] > 0 for tensor in report["tensors"])
    document = harbour.train(changed(CHARACTERS, training={"gradient_check": True, "epochs": 1}))
    report = harbour.get(f"jobs/{document['id']}").json()
    assert report["state"] == "succeeded"


def test_backpropagation(harbour):
    """One step back in time, recomputed: an Elman network of characters."""
    answer = harbour.post("backpropagate", json={
        "data": {"dataset": "harbour"}, "text": "The",
        "network": {"layers": [{"type": "embedding", "dimension": 3}, {"type": "rnn", "units": 2},
                               {"type": "dense", "units": "auto"}]}}).json()
    embedding, rnn, dense = answer["layers"]
    assert answer["tokens"] == [["T"], ["h"]] and answer["rows"] == 2
    (first,), (second,) = answer["input"]
    x = numpy.array(embedding["parameters"]["weight"])[[first, second]]
    assert numpy.array_equal(embedding["a"], x)
    given = {name: numpy.array(value) for name, value in rnn["parameters"].items()}
    h, before = [], numpy.zeros(2)
    for row in x:
        before = numpy.tanh(given["weight_ih"] @ row + given["weight_hh"] @ before + given["bias_ih"] + given["bias_hh"])
        h.append(before)
    numpy.testing.assert_allclose(rnn["a"], h, rtol=1e-14)
    logits = numpy.array(h) @ numpy.array(dense["parameters"]["weight"]).T + dense["parameters"]["bias"]
    p = numpy.exp(logits) / numpy.exp(logits).sum(axis=1, keepdims=True)
    numpy.testing.assert_allclose(answer["output"], p, rtol=1e-13)
    targets = [second, sorted(set(TEXT)).index("e")]
    numpy.testing.assert_allclose(answer["row_losses"], [-math.log(p[row, target]) for row, target in enumerate(targets)],
                                  rtol=1e-12)
    delta = p.copy()
    delta[[0, 1], targets] -= 1
    delta /= 2
    back = delta @ numpy.array(dense["parameters"]["weight"])
    last = back[1] * (1 - h[1] ** 2)
    begin = (back[0] + given["weight_hh"].T @ last) * (1 - h[0] ** 2)
    numpy.testing.assert_allclose(rnn["gradients"]["weight_hh"], numpy.outer(last, h[0]), rtol=1e-12)
    numpy.testing.assert_allclose(rnn["gradients"]["weight_ih"], numpy.outer(begin, x[0]) + numpy.outer(last, x[1]),
                                  rtol=1e-12)
    wanted = numpy.zeros_like(numpy.array(embedding["parameters"]["weight"]))
    wanted[first] += begin @ given["weight_ih"]
    wanted[second] += last @ given["weight_ih"]
    numpy.testing.assert_allclose(embedding["gradients"]["weight"], wanted, rtol=1e-12, atol=1e-18)
    harbour.train(WORDS)
    answer = harbour.post("backpropagate", json={"model": "words", "text": "The ferryman hid a zebra"}).json()
    assert answer["tokens"][:2] == [["the"], ["ferryman"]] and answer["version"] == 1
    assert [layer["type"] for layer in answer["layers"]] == ["embedding", "gru", "dense"]


@pytest.mark.parametrize("more,pointer", [
    ({"rows": [["a"]]}, "/rows"), ({"text": "a"}, "/text"), ({"text": "a" * 18}, "/text"), ({"text": 5}, "/text"),
    ({"text": "a\N{SNOWMAN}"}, "/text"), ({"sentences": [["a"]], "tags": [["O"]]}, "/sentences"), ({}, "/rows")])
def test_faults_of_backpropagation(harbour, more, pointer):
    problem = harbour.problem("POST", "backpropagate", 422, json={"data": {"dataset": "harbour"}, **more})
    assert pointer in [error["pointer"] for error in problem["errors"]]
