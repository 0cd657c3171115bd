"""Taggers over REST: windows of a small corpus, softmax and margins, entities, bits, faults."""

import json
import math
import pathlib

import numpy
import pytest

import rest_client
import safetensors_file
from pace import at_any_speed, interrupted, wait_for_points

CORPUS = (pathlib.Path(__file__).parent.parent / "data" / "towns.conll").read_text(encoding="utf-8")
SENTENCES = [[line.split("\t") for line in block.split("\n")] for block in CORPUS.strip().split("\n\n")]
TAGS = ["B-person", "B-place", "I-person", "I-place", "O"]

TAGGER = {
    "name": "towns", "data": {"dataset": "towns", "lowercase": True, "validation": {"fraction": 0.2}},
    "network": {"layers": [{"type": "window", "width": 3}, {"type": "embedding", "dimension": 6},
                           {"type": "dense", "units": 12, "activation": "tanh"},
                           {"type": "dense", "units": "auto"}]},
    "optimizer": {"type": "adam", "learning_rate": 0.02},
    "training": {"epochs": 12, "batch_size": 16},
}
# The worked example of the notes: vectors of 4, windows of 5, 8 sigmoid units, one score.
RANKER = {
    "name": "ranker", "data": {"dataset": "towns", "validation": {"fraction": 0.2}},
    "network": {"layers": [{"type": "embedding", "dimension": 4}, {"type": "window", "width": 5},
                           {"type": "dense", "units": 8, "activation": "sigmoid"},
                           {"type": "dense", "units": "auto"}]},
    "loss": "max_margin", "optimizer": {"type": "adam", "learning_rate": 0.03},
    "training": {"epochs": 10, "batch_size": 16},
}


@pytest.fixture(name="towns")
def towns_fixture(client):
    client.put("datasets/towns", CORPUS.encode(), expect=201)
    return client


def changed(body, **more):
    copy = json.loads(json.dumps(body))
    for key, value in more.items():
        copy[key] = {**copy[key], **value} if isinstance(value, dict) and isinstance(copy.get(key), dict) else value
    return copy


def weights(client, document):
    model = document["model"]
    content = client.get(f"models/{model['name']}/versions/{model['version']}/weights").content
    return safetensors_file.parse(content)


def test_a_tagger(towns):
    document = towns.train(TAGGER)
    metrics = document["metrics"]
    tokens = sum(len(sentence) for sentence in SENTENCES)
    assert metrics["train"]["rows"] + metrics["validation"]["rows"] == tokens
    for part in ("train", "validation"):
        of = metrics[part]
        assert [own["label"] for own in of["per_class"]] == TAGS
        assert of["accuracy"] > 0.95 and of["entities"]["f1"] > 0.9
        entities = of["entities"]
        assert [own["type"] for own in entities["by_type"]] == ["person", "place"]
        for count in ("expected", "found", "correct"):
            assert entities[count] == sum(own[count] for own in entities["by_type"])
        assert entities["f1"] == pytest.approx(
            2 * entities["correct"] / (entities["expected"] + entities["found"]), rel=1e-15)
    begun = sum(tag.startswith("B-") for sentence in SENTENCES for _, tag in sentence)
    assert metrics["train"]["entities"]["expected"] + metrics["validation"]["entities"]["expected"] == begun
    ends = [point["values"] for point in towns.metrics(document["id"]) if "validation.loss" in point["values"]]
    assert len(ends) == 12 and all("validation.entity_f1" in values for values in ends)
    assert ends[-1]["validation.entity_f1"] == metrics["validation"]["entities"]["f1"]
    model = towns.get("models/towns").json()
    assert (model["tags"], model["window"], model["task"]) == (TAGS, 3, "tagging")
    assert model["vocabulary"]["tokens"][:2] == ["<unk>", "<pad>"]
    assert (model["vocabulary"]["unknown"], model["vocabulary"]["padding"]) == (0, 1)
    assert "ada" in model["vocabulary"]["tokens"] and "Ada" not in model["vocabulary"]["tokens"]
    tensors, metadata = weights(towns, document)
    assert tensors["layers.1.weight"].shape == (model["vocabulary"]["size"], 6)
    assert tensors["layers.2.weight"].shape == (12, 18)
    assert json.loads(metadata["tags"]) == TAGS and json.loads(metadata["window"]) == 3
    again = towns.post("jobs", query={"validate_only": "true"}, json=document["specification"]).json()
    assert again["specification"] == document["specification"]


def test_chosen_by_entities(towns):
    """Early stopping and the best checkpoint go by entity F1 of sentences of a data set of their own."""
    half = len(SENTENCES) // 2
    blocks = CORPUS.strip().split("\n\n")
    towns.put("datasets/first", "\n\n".join(blocks[:half]).encode(), expect=201)
    towns.put("datasets/second", "\n\n".join(blocks[half:]).encode(), expect=201)
    document = towns.train(changed(
        TAGGER, data={"dataset": "first", "validation": {"dataset": "second"}, "test": {"dataset": "towns"}},
        training={"early_stopping": {"metric": "validation.entity_f1", "patience": 2}, "epochs": 30},
        checkpoint={"every_epochs": 1, "keep_best": True}))
    assert document["reason"] == "early_stopping"
    best = max(point["values"].get("validation.entity_f1", 0) for point in towns.metrics(document["id"]))
    assert document["metrics"]["validation"]["entities"]["f1"] == best
    tokens = sum(len(sentence) for sentence in SENTENCES)
    assert document["metrics"]["test"]["rows"] == tokens
    told = towns.post("jobs", query={"validate_only": "true"}, json=document["specification"]).json()["rows"]
    assert told["test"] == tokens and told["training"] + told["validation"] == tokens and told["validation"] > 0


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("tag, share", [("O", "none"), ("B-p", "all")])
def test_every_part_must_have_windows_to_compare(client, part, tag, share):
    client.put("datasets/towns", b"x\tB-p\ny\tO\n\n" * 20, expect=201)
    client.put("datasets/even", f"x\t{tag}\ny\t{tag}\n\n".encode() * 5, expect=201)
    body = {**RANKER, "data": {"dataset": "towns", part: {"dataset": "even"}}}
    problem = client.problem("POST", "jobs", 422, json=body)
    assert [error["pointer"] for error in problem["errors"]] == ["/loss/corruption"]
    assert f"{share} of the {part} part's 10 tokens" in problem["detail"]
    client.train({**body, "loss": {"type": "max_margin", "corruption": "centre"}})


@pytest.mark.parametrize("corruption", ["other_window", "centre"])
def test_margins(towns, corruption):
    body = changed(RANKER, loss={"type": "max_margin", "margin": 1, "corruption": corruption})
    document = towns.train(body)
    train = document["metrics"]["train"]
    assert set(train) == {"loss", "accuracy", "rows"}
    tokens = [token for sentence in SENTENCES for token in sentence]
    pairs = train["rows"] + document["metrics"]["validation"]["rows"]
    assert pairs == (len(tokens) if corruption == "centre" else sum(tag != "O" for _, tag in tokens))
    first = towns.metrics(document["id"])[0]["values"]["loss"]
    assert train["loss"] < first / 2 and train["accuracy"] > 0.9
    tensors, _ = weights(towns, document)
    assert {name: tensor.shape for name, tensor in tensors.items() if "weight" in name} == {
        "layers.0.weight": (towns.get("models/ranker").json()["vocabulary"]["size"], 4),
        "layers.2.weight": (8, 20), "layers.3.weight": (1, 8)}
    report = towns.post("gradient-check", json={**body, "max_elements": 60}).json()
    assert report["pass"] is True and report["rows"] == 32


def test_sentences_without_entities(towns):
    """Windows with another word in their middle need no tags: every token may have the same."""
    tagless = "\n\n".join("\n".join(f"{token}\tO" for token, _ in sentence) for sentence in SENTENCES)
    towns.put("datasets/tagless", tagless.encode(), query={"format": "conll"}, expect=201)
    loss = {"type": "max_margin", "margin": 1, "corruption": "centre"}
    found = [towns.train(changed(RANKER, data={"dataset": name}, name=name, loss=loss))["weights_sha256"]
             for name in ("towns", "tagless")]
    assert found[0] == found[1]
    scores = towns.post("models/tagless/predict", json={"sentences": [["in", "Ketley"]]}).json()
    assert [set(token) for token in scores["predictions"][0]["tokens"]] == [{"token", "score"}] * 2
    for loss, pointer in (("max_margin", "/loss/corruption"), ("softmax_cross_entropy", "/data/dataset")):
        problem = towns.problem("POST", "jobs", 422, json=changed(RANKER, data={"dataset": "tagless"}, loss=loss))
        assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_threads_do_not_show(towns):
    found = set()
    for threads in (1, 2, 4):
        for body in (TAGGER, RANKER, changed(RANKER, name="centre", loss={"type": "max_margin",
                                                                         "corruption": "centre"})):
            document = towns.train(changed(body, training={"threads": threads, "epochs": 2}))
            found.add((body["name"], document["weights_sha256"],
                       json.dumps([point["values"] for point in towns.metrics(document["id"])])))
    assert len(found) == 3


@pytest.mark.parametrize("body", [TAGGER, RANKER], ids=["tagger", "ranker"])
@at_any_speed
def test_killed_in_mid_epoch(start_daemon, pace, body):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/towns", CORPUS.encode())
    body = changed(body, training={"epochs": pace.epochs(40)}, checkpoint={"every_steps": 7},
                   metrics={"every_steps": 1})
    whole = client.train(body)
    job = client.submit(body)["id"]
    for seq in (10, 100):
        wait_for_points(client, job, seq)
        daemon.kill()
        daemon.start()
        client = rest_client.Client(daemon)
    document = client.wait(job)
    interrupted(client, job)
    assert document["weights_sha256"] == whole["weights_sha256"]
    points = [[(point["seq"], point["values"]) for point in client.metrics(number)] for number in (job, whole["id"])]
    assert points[0] == points[1]


def test_sparse_and_frozen_vectors(towns):
    frozen, sparse = ([{"type": "window", "width": 3}, {"type": "embedding", "dimension": 6, **kind},
                       *TAGGER["network"]["layers"][2:]] for kind in ({"trainable": False}, {"sparse": True}))
    begun = weights(towns, towns.train(changed(TAGGER, network={"layers": frozen}, training={"epochs": 0})))[0]
    document = towns.train(changed(TAGGER, network={"layers": frozen}, regularization={"l2": 0.01}))
    tensors, _ = weights(towns, document)
    assert (tensors["layers.1.weight"] == begun["layers.1.weight"]).all()
    assert (tensors["layers.2.weight"] != begun["layers.2.weight"]).any()
    tensors, _ = weights(towns, towns.train(changed(TAGGER, network={"layers": sparse})))
    # No window of the training part has the unknown token.
    changes = (tensors["layers.1.weight"] != begun["layers.1.weight"]).any(axis=1)
    assert not changes[0] and changes[1:].all()


def test_class_weights(towns):
    plain = towns.train(changed(TAGGER, training={"epochs": 1}))
    for weighed in ("balanced", {"B-place": 5, "I-place": 5}):
        document = towns.train(changed(TAGGER, training={"epochs": 1}, loss={
            "type": "softmax_cross_entropy", "class_weights": weighed}))
        assert document["weights_sha256"] != plain["weights_sha256"]


def layers(*before):
    return {"layers": [*before, {"type": "dense", "units": "auto"}]}


EMBEDDING, WINDOW = {"type": "embedding", "dimension": 4}, {"type": "window", "width": 3}
FAULTS = [
    ({"data": {"unit": "character"}}, {"/data/unit"}),
    ({"training": {"sequence_length": 5}}, {"/training/sequence_length"}),
    ({"network": layers(WINDOW)}, {"/network/layers/1/type"}),
    ({"network": layers({"type": "window", "width": 4}, EMBEDDING)}, {"/network/layers/0/width"}),
    ({"network": layers(EMBEDDING, WINDOW, WINDOW, EMBEDDING)}, {"/network/layers/2/type", "/network/layers/3/type"}),
    ({"network": layers(EMBEDDING, {"type": "lstm", "units": 3})}, {"/network/layers/1/type"}),
    ({"network": layers(EMBEDDING, {"type": "dense", "units": 3}, WINDOW)}, {"/network/layers/2/type"}),
    ({"network": {"layers": [EMBEDDING, {"type": "dense", "units": 4}]}}, {"/network/layers/1/units"}),
    ({"network": {"layers": [EMBEDDING, {"type": "dense", "units": 5}]}, "loss": "max_margin"},
     {"/network/layers/1/units"}),
    ({"loss": "mean_squared_error"}, {"/loss"}),
    ({"loss": {"type": "max_margin", "class_weights": "balanced"}}, {"/loss/class_weights"}),
    ({"loss": {"type": "max_margin", "corruption": "left", "margin": -1}}, {"/loss/corruption", "/loss/margin"}),
    ({"loss": {"type": "softmax_cross_entropy", "corruption": "centre"}}, {"/loss/corruption"}),
    ({"network": layers({**EMBEDDING, "sparse": True}), "optimizer": {
        "type": "adam", "learning_rate": 0.1, "weight_decay": 0.1}}, {"/network/layers/0/sparse"}),
    ({"network": layers({**EMBEDDING, "sparse": True, "trainable": False})}, {"/network/layers/0/sparse"}),
    ({"training": {"early_stopping": {"metric": "validation.entity_f1"}}}, {"/training/early_stopping/metric"}),
]


@pytest.mark.parametrize("more,pointers", FAULTS, ids=[str(index) for index in range(len(FAULTS))])
def test_faults(towns, more, pointers):
    problem = towns.problem("POST", "jobs", 422, json=changed({"data": {"dataset": "towns"}}, **more))
    assert {error["pointer"] for error in problem["errors"]} == pointers


def test_windows_that_cannot_be_compared(towns):
    towns.put("datasets/plain", b"a\tX\nb\tY\n\nc\tX\n", query={"format": "conll"}, expect=201)
    problem = towns.problem("POST", "jobs", 422, json={"data": {"dataset": "plain"}, "loss": "max_margin"})
    assert [error["pointer"] for error in problem["errors"]] == ["/loss/corruption"]
    document = towns.train({"data": {"dataset": "plain"}, "training": {"epochs": 1},
                            "loss": {"type": "max_margin", "corruption": "centre"}})
    assert document["metrics"]["train"]["rows"] == 3


def test_a_bare_job_says_what_it_does(towns):
    answer = towns.post("jobs", query={"validate_only": "true"}, json={"data": {"dataset": "towns"}}).json()
    assert [layer["type"] for layer in answer["layers"]] == ["window", "embedding", "dense", "dense"]
    assert answer["layers"][-1]["output"] == len(TAGS) and answer["warnings"] == []
    assert "sequence" not in answer and answer["rows"]["training"] == sum(len(sentence) for sentence in SENTENCES)
    answer = towns.post("jobs", query={"validate_only": "true"}, json={
        "data": {"dataset": "towns"}, "network": layers(EMBEDDING)}).json()
    assert "no window" in answer["warnings"][0]


def test_backpropagation_of_pairs(towns):
    """The worked example: J = max(0, 1 + s_c - s), of which each side of the network gets its δ."""
    windows, corrupted = [["The", "market", "in", "Ketley", "is"]], [["Nothing", "happened", "in", "Ketley", "today"]]
    answer = towns.post("backpropagate", json={**RANKER, "windows": windows, "corrupted": corrupted}).json()
    embedding, window, hidden, score = answer["layers"]
    assert answer["tokens"] == windows + corrupted and answer["rows"] == 2
    vectors = numpy.array(embedding["parameters"]["weight"])
    x = vectors[numpy.array(answer["input"])].reshape(2, 20)
    assert numpy.array_equal(window["a"], x)
    a = 1 / (1 + numpy.exp(-(x @ numpy.array(hidden["parameters"]["weight"]).T + hidden["parameters"]["bias"])))
    numpy.testing.assert_allclose(hidden["a"], a, rtol=1e-13)
    s = a @ numpy.array(score["parameters"]["weight"]).T + score["parameters"]["bias"]
    numpy.testing.assert_allclose(answer["output"], s, rtol=1e-12)
    loss = max(0, 1 + s[1, 0] - s[0, 0])
    assert answer["row_losses"] == [pytest.approx(loss, rel=1e-12)] and loss > 0
    assert score["delta"] == [[-1], [1]]
    delta = numpy.array([[-1.], [1.]]) @ numpy.array(score["parameters"]["weight"]) * a * (1 - a)
    numpy.testing.assert_allclose(hidden["delta"], delta, rtol=1e-12)
    numpy.testing.assert_allclose(hidden["gradients"]["weight"], delta.T @ x, rtol=1e-11, atol=1e-18)
    wanted = numpy.zeros_like(vectors)
    numpy.add.at(wanted, numpy.array(answer["input"]), (delta @ numpy.array(hidden["parameters"]["weight"])).reshape(2, 5, 4))
    numpy.testing.assert_allclose(embedding["gradients"]["weight"], wanted, rtol=1e-11, atol=1e-17)


def test_backpropagation_of_tags(towns):
    towns.train(changed(TAGGER, training={"epochs": 1}))
    asked = {"sentences": [["Ada", "sleeps"], ["Ketley"]], "tags": [["B-person", "O"], ["B-place"]]}
    answer = towns.post("backpropagate", json={"model": "towns", **asked}).json()
    assert answer["classes"] == TAGS and answer["rows"] == 3
    assert answer["tokens"] == [["<pad>", "ada", "<unk>"], ["ada", "<unk>", "<pad>"], ["<pad>", "ketley", "<pad>"]]
    assert answer["layers"][0]["a"] == answer["input"]  # the window stands before the embedding: ids
    p = numpy.array(answer["output"])
    labels = [0, 4, 1]
    numpy.testing.assert_allclose(answer["row_losses"], [-math.log(p[row, label]) for row, label in enumerate(labels)],
                                  rtol=1e-12)
    p[[0, 1, 2], labels] -= 1
    numpy.testing.assert_allclose(answer["layers"][-1]["delta"], p / 3, rtol=1e-9, atol=1e-16)
    asked["tags"][0] = ["B-parson", 1]
    problem = towns.problem("POST", "backpropagate", 422, json={"model": "towns", **asked})
    told = {error["pointer"]: error["detail"] for error in problem["errors"]}
    assert set(told) == {"/tags/0/0", "/tags/0/1"}
    assert 'did you mean "B-person"?' in told["/tags/0/0"] and '"I-place"' in told["/tags/0/0"]
    assert "a whole number" in told["/tags/0/1"]


@pytest.mark.parametrize("body,more,pointers", [
    (TAGGER, {"sentences": [["a"]], "tags": [["X"]]}, {"/tags/0/0"}),
    (TAGGER, {"sentences": [["a"]], "tags": [["O", "O"]]}, {"/tags/0"}),
    (TAGGER, {"sentences": [["a"]], "tags": []}, {"/tags"}),
    (TAGGER, {"sentences": [[]], "tags": [[]]}, {"/sentences"}),
    (TAGGER, {"windows": [["a", "b", "c"]], "corrupted": [["a", "b", "c"]]},
     {"/sentences", "/tags", "/windows", "/corrupted"}),
    (RANKER, {"windows": [["a", "b", "c"]], "corrupted": [["a", "b", "c", "d", "e"]]}, {"/windows/0"}),
    (RANKER, {"windows": [["a"] * 5] * 2, "corrupted": [["a"] * 5]}, {"/corrupted"}),
    (RANKER, {"windows": [["a"] * 5], "corrupted": [[1] * 5]}, {"/corrupted/0"}),
], ids=[str(index) for index in range(8)])
def test_faults_of_backpropagation(towns, body, more, pointers):
    problem = towns.problem("POST", "backpropagate", 422, json={**body, **more})
    assert {error["pointer"] for error in problem["errors"]} == pointers
