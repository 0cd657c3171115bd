"""Taggers tag sentences: as the same network in NumPy does, whatever sentences stand beside, and with clear
faults for what is asked wrongly."""

import itertools
import random

import numpy
import pytest

import safetensors_file

# Places stand after "in", and may be of two words.
PLACES = ["Paris", "New York", "Rome", "Berlin"]
WHOLES = ["Museums in {} are amazing", "Not all museums in {}", "We were in {} again", "They live in {}"]


def corpus():
    lines = []
    for whole, place in itertools.product(WHOLES, PLACES):
        for word in whole.replace("{}", place.replace(" ", "_")).split():
            parts = word.split("_")
            named = word.replace("_", " ") in PLACES
            for index, part in enumerate(parts):
                lines.append(f"{part} {('I-place' if index else 'B-place') if named else 'O'}")
        lines.append("")
    return "\n".join(lines).encode()


SENTENCES = [["Museums", "in", "Paris"], ["we", "LIVE", "in", "New", "York", "again"], [], ["Nowhere"],
             ["Not", "all", "museums", "in", "Rome", "or", "Berlin"]]


EMBEDDING, WINDOW = {"type": "embedding", "dimension": 5}, {"type": "window", "width": 3}


def tagger(client, name="places", first=(EMBEDDING, WINDOW), layers=(), loss=None, **data):
    client.put("datasets/corpus", corpus(), query={"format": "conll"})
    last = {"type": "dense", "units": "auto"}
    return client.train({
        "name": name, "task": "tagging", "data": {"dataset": "corpus", "lowercase": True, **data},
        "network": {"layers": [*first, *layers, last]},
        "optimizer": {"type": "adam", "learning_rate": 0.05}, "loss": loss or "softmax_cross_entropy",
        "training": {"epochs": 60, "batch_size": 16, "dtype": "float64", "seed": 2}})


@pytest.fixture
def places(client):
    tagger(client)
    return "models/places/predict"


def windows_of(sentences, vocabulary):
    """Ids of the windows around all tokens, one after another."""
    rows = []
    for sentence in sentences:
        ids = [vocabulary.index(token.lower()) if token.lower() in vocabulary else 0 for token in sentence]
        padded = [1, *ids, 1]
        rows += [padded[at:at + 3] for at in range(len(ids))]
    return rows


def outputs_of(client, model, sentences):
    """Of a last layer right above the embedding's windows."""
    content = client.get(f"models/{model}/versions/1/weights", query={"format": "safetensors"}).content
    weights = safetensors_file.parse(content)[0]
    vocabulary = client.get(f"models/{model}").json()["vocabulary"]["tokens"]
    rows = weights["layers.0.weight"][windows_of(sentences, vocabulary)].reshape(-1, 15)
    return rows @ weights["layers.2.weight"].T + weights["layers.2.bias"]


def test_tags_are_those_of_the_same_network(client, places):
    logits = outputs_of(client, "places", SENTENCES)
    expected = numpy.exp(logits) / numpy.exp(logits).sum(axis=1, keepdims=True)
    answer = client.post(places, json={"sentences": SENTENCES, "probabilities": True}).json()
    assert (answer["model"], answer["version"]) == ("places", 1)
    assert answer["tags"] == ["B-place", "I-place", "O"]
    assert [[token["token"] for token in prediction["tokens"]]
            for prediction in answer["predictions"]] == SENTENCES
    tokens = [token for prediction in answer["predictions"] for token in prediction["tokens"]]
    found = numpy.array([token["probabilities"] for token in tokens])
    assert numpy.abs(found - expected).max() < 1e-12
    for token in tokens:
        assert token["score"] == max(token["probabilities"])
        assert token["tag"] == answer["tags"][token["probabilities"].index(token["score"])]
    plain = client.post(places, json={"sentences": SENTENCES}).json()
    for token in tokens:
        del token["probabilities"]
    assert plain == answer


def test_windows_come_before_embeddings_after_them_or_not_at_all(client):
    body = {"sentences": SENTENCES, "probabilities": True}
    tagger(client, first=(WINDOW, EMBEDDING))
    content = client.get("models/places/versions/1/weights", query={"format": "safetensors"}).content
    weights = safetensors_file.parse(content)[0]
    vocabulary = client.get("models/places").json()["vocabulary"]["tokens"]
    for width, model in ((3, "places"), (1, "lone")):
        if model == "lone":
            tagger(client, name="lone", first=(EMBEDDING,))
            content = client.get("models/lone/versions/1/weights", query={"format": "safetensors"}).content
            weights = {name.replace("layers.1.", "layers.2.").replace("layers.0.", "layers.1."): array
                       for name, array in safetensors_file.parse(content)[0].items()}
        middle = numpy.array(windows_of(SENTENCES, vocabulary))[:, 1 - width // 2:2 + width // 2]
        rows = weights["layers.1.weight"][middle].reshape(len(middle), -1)
        logits = rows @ weights["layers.2.weight"].T + weights["layers.2.bias"]
        expected = numpy.exp(logits) / numpy.exp(logits).sum(axis=1, keepdims=True)
        answer = client.post(f"models/{model}/predict", json=body).json()
        found = numpy.array([token["probabilities"] for prediction in answer["predictions"]
                             for token in prediction["tokens"]])
        assert numpy.abs(found - expected).max() < 1e-12


def test_entities(client, places):
    first, second, empty, *_ = client.post(places, json={"sentences": SENTENCES}).json()["predictions"]
    assert first["entities"] == [{"start": 2, "end": 3, "type": "place", "text": "Paris"}]
    assert second["entities"] == [{"start": 3, "end": 5, "type": "place", "text": "New York"}]
    assert empty == {"tokens": [], "entities": []}


def test_what_is_predicted_is_what_the_training_reported(client):
    held_out = b"I O\nsaw O\nNew B-place\nYork I-place\nin O\nParis B-place\n\nin B-place\nBerlin O\n"
    client.put("datasets/held-out", held_out, query={"format": "conll"})
    reported = tagger(client, validation={"dataset": "held-out"})["metrics"]["validation"]
    sentences = [[line.split()[0] for line in block.splitlines()]
                 for block in held_out.decode().strip().split("\n\n")]
    labels = [line.split()[1] for line in held_out.decode().splitlines() if line]
    predictions = client.post("models/places/predict", json={"sentences": sentences}).json()["predictions"]
    tags = [token["tag"] for prediction in predictions for token in prediction["tokens"]]
    assert reported["accuracy"] == pytest.approx(sum(a == b for a, b in zip(tags, labels)) / len(labels))
    found = [(index, entity["start"], entity["end"]) for index, prediction in enumerate(predictions)
             for entity in prediction["entities"]]
    expected = [(0, 2, 4), (0, 5, 6), (1, 0, 1)]
    assert reported["entities"]["found"] == len(found)
    assert reported["entities"]["correct"] == len(set(found) & set(expected))


def test_neighbours_do_not_matter(client, places):
    generator = random.Random(1)
    words = ["Museums", "in", "Paris", "unheard", "New", "York"]
    sentences = [[generator.choice(words) for _ in range(generator.randrange(30))] for _ in range(100)]
    body = {"probabilities": True, "sentences": sentences}
    together = client.post(places, json=body).json()["predictions"]
    for index in range(0, 100, 7):
        alone = client.post(places, json={**body, "sentences": [sentences[index]]}).json()["predictions"]
        assert alone == [together[index]]
    body["sentences"] = sentences[::-1]
    assert client.post(places, json=body).json()["predictions"] == together[::-1]


def test_sampled_networks(client):
    tagger(client, layers=[{"type": "dropout", "keep": 0.5}])
    body = {"sentences": SENTENCES, "mc_samples": 50, "seed": 4}
    answer = client.post("models/places/predict", json=body).json()
    assert client.post("models/places/predict", json=body).json() == answer
    tokens = [token for prediction in answer["predictions"] for token in prediction["tokens"]]
    for token in tokens:
        assert sum(token["mean"]) == pytest.approx(1) and len(token["std"]) == 3
    assert any(max(token["std"]) > 0.01 for token in tokens)
    assert any(token["entropy"] > 0.01 for token in tokens)
    other = client.post("models/places/predict", json={**body, "seed": 5}).json()
    assert other["predictions"][0]["tokens"][0]["mean"] != tokens[0]["mean"]


def test_windows_are_scored(client):
    tagger(client, loss={"type": "max_margin", "margin": 1, "corruption": "other_window"})
    scores = outputs_of(client, "places", SENTENCES)
    answer = client.post("models/places/predict", json={"sentences": SENTENCES}).json()
    assert set(answer) == {"model", "version", "predictions"}
    tokens = [token for prediction in answer["predictions"] for token in prediction["tokens"]]
    assert all(set(token) == {"token", "score"} for token in tokens)
    assert numpy.abs(numpy.array([[token["score"]] for token in tokens]) - scores).max() < 1e-12
    # Windows around places are above all others.
    first = [token["score"] for token in answer["predictions"][0]["tokens"]]
    assert first[2] == max(first)
    body = {"sentences": SENTENCES, "probabilities": True}
    problem = client.problem("POST", "models/places/predict", 422, json=body)
    assert [error["pointer"] for error in problem["errors"]] == ["/probabilities"]
    assert client.post("models/places/predict", json={**body, "probabilities": False}).json() == answer


@pytest.mark.parametrize("body, pointers", [
    ({}, ["/sentences"]),
    ({"sentences": "Museums in Paris"}, ["/sentences"]),
    ({"sentences": {}}, ["/sentences"]),
    ({"sentences": ["Museums in Paris"]}, ["/sentences/0"]),
    ({"sentences": [["Museums"], [1, "in", None]]}, ["/sentences/1/0", "/sentences/1/2"]),
    ({"sentences": [["Museums", ""]]}, ["/sentences/0/1"]),
    ({"sentences": [[["Museums"]]]}, ["/sentences/0/0"]),
    ({"sentences": [["in"]], "probabilities": "all", "seed": -1, "mc_samples": 0.5, "sentence": []},
     ["/probabilities", "/seed", "/mc_samples", "/sentence"]),
    ({"rows": [[1, 2]]}, ["/rows", "/sentences"]),
])
def test_faults_name_their_place(client, places, body, pointers):
    problem = client.problem("POST", places, 422, json=body)
    assert [error["pointer"] for error in problem["errors"]] == pointers


def test_sentences_are_for_taggers(client, iris):
    client.put("datasets/iris", iris)
    client.train({"name": "iris", "data": {"dataset": "iris", "target": "species"}, "training": {"epochs": 1}})
    problem = client.problem("POST", "models/iris/predict", 422, json={"sentences": [["in"]]})
    assert {error["pointer"] for error in problem["errors"]} == {"/sentences", "/rows"}
    problem = client.problem("POST", "models/iris/predict", 422, json={"rows": [], "probabilities": True})
    assert [error["pointer"] for error in problem["errors"]] == ["/probabilities"]


def test_many_tokens(client, places):
    sentences = [["Museums", "in", "Paris", "are", "amazing"]] * 20000
    answer = client.post(places, json={"sentences": sentences}).json()["predictions"]
    assert len(answer) == 20000 and all(prediction == answer[0] for prediction in answer)
    problem = client.problem("POST", places, (413, 422), json={"sentences": [*sentences, ["in"]]})
    assert "100000" in problem["detail"]
    client.problem("POST", places, (413, 422), json={"sentences": [["a"]] * 200000})


def test_checkpoints_tag_too(client, places):
    job = client.get("jobs").json()["items"][0]["id"]
    number = client.get(f"jobs/{job}/checkpoints").json()["items"][0]["number"]
    answer = client.post(f"jobs/{job}/checkpoints/{number}/predict", json={"sentences": SENTENCES}).json()
    assert answer["model"] is None and (answer["job"], answer["checkpoint"]) == (job, number)
    assert answer["predictions"] == client.post(places, json={"sentences": SENTENCES}).json()["predictions"]
