"""How likely a text is to a language model: beside the same network in NumPy, beside what its training
reported, and for texts of any length."""

import math

import numpy
import pytest

import safetensors_file

TEXT = "it was the best of times, it was the worst of times\nit was the age of wisdom\n" * 15


def sigmoid(x):
    return 1 / (1 + numpy.exp(-x))


def embedding_table(weights):
    return weights["layers.0.weight"]


def log_probabilities(weights, ids):
    """Of ids[1:], after an embedding, an LSTM and a dense layer of these weights."""
    hidden = numpy.zeros(weights["layers.1.weight_hh"].shape[1])
    cell = numpy.zeros_like(hidden)
    found = []
    for now, following in zip(ids, ids[1:]):
        gates = (weights["layers.1.weight_ih"] @ embedding_table(weights)[now] + weights["layers.1.bias_ih"] +
                 weights["layers.1.weight_hh"] @ hidden + weights["layers.1.bias_hh"])
        i, f, g, o = numpy.split(gates, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * numpy.tanh(g)
        hidden = sigmoid(o) * numpy.tanh(cell)
        # A tied layer has no weight of its own.
        logits = weights.get("layers.2.weight", embedding_table(weights)) @ hidden + weights["layers.2.bias"]
        found.append(logits[following] - numpy.log(numpy.exp(logits - logits.max()).sum()) - logits.max())
    return numpy.array(found)


def train(client, text=TEXT, unit="character", dimension=6, tied=False, **more):
    client.put("datasets/corpus", text.encode(), query={"format": "text"})
    return client.train({
        "name": "m", "task": "language_model", "data": {"dataset": "corpus", "unit": unit, **more},
        "network": {"layers": [{"type": "embedding", "dimension": dimension}, {"type": "lstm", "units": 10},
                               {"type": "dense", "units": "auto", "tied": tied}]},
        "training": {"epochs": 2, "batch_size": 1, "sequence_length": 20, "dtype": "float64"}})


def weights_of(client):
    content = client.get("models/m/versions/1/weights", query={"format": "safetensors"}).content
    return safetensors_file.parse(content)[0]


def test_a_score_is_that_of_the_same_network(client):
    train(client)
    weights = weights_of(client)
    letters = sorted(set(TEXT))
    for text in ("it", "it was the time\n", TEXT * 3):
        expected = log_probabilities(weights, [letters.index(letter) for letter in text])
        answer = client.post("models/m/score", json={"text": text, "tokens": True}).json()
        assert (answer["model"], answer["version"], answer["tokens"]) == ("m", 1, len(text) - 1)
        assert [score["token"] for score in answer["scores"]] == list(text[1:])
        found = numpy.array([score["log_probability"] for score in answer["scores"]])
        assert numpy.abs(found - expected).max() < 1e-10
        assert answer["loss"] == pytest.approx(-expected.mean(), rel=1e-12)
        assert answer["perplexity"] == pytest.approx(math.exp(answer["loss"]), rel=1e-12)
        assert answer["bits_per_character"] == pytest.approx(answer["loss"] / math.log(2), rel=1e-12)
        without = client.post("models/m/score", json={"text": text}).json()
        assert without == {key: value for key, value in answer.items() if key != "scores"}


def test_a_tied_layer_and_what_it_writes(client):
    train(client, dimension=10, tied=True)
    weights = weights_of(client)
    assert "layers.2.weight" not in weights
    letters = sorted(set(TEXT))
    text = "it" + client.post("models/m/generate", json={"prompt": "it", "length": 60, "temperature": 0}).json()["text"]
    ids = [letters.index(letter) for letter in text]
    answer = client.post("models/m/score", json={"text": text}).json()
    assert answer["loss"] == pytest.approx(-log_probabilities(weights, ids).mean(), rel=1e-12)
    # Each letter that was written is the most likely one.
    for place in (2, 20, 61):
        every = [log_probabilities(weights, [*ids[:place], letter])[-1] for letter in range(len(letters))]
        assert max(range(len(letters)), key=every.__getitem__) == ids[place]


def test_a_score_is_what_the_training_reported(client):
    job = train(client, validation={"fraction": 0.2})
    reported = job["metrics"]["validation"]
    # The end of the text, of which one stream was read from zero state.
    count = round(0.2 * len(TEXT))
    answer = client.post("models/m/score", json={"text": TEXT[-count:]}).json()
    assert answer["loss"] == pytest.approx(reported["loss"], rel=1e-12)
    assert answer["perplexity"] == pytest.approx(reported["perplexity"], rel=1e-12)
    assert answer["bits_per_character"] == pytest.approx(reported["bits_per_character"], rel=1e-12)


def test_words(client):
    train(client, unit="word", max_vocabulary=9)
    weights = weights_of(client)
    count = {}
    for word in TEXT.split():
        count[word] = count.get(word, 0) + 1
    words = ["<unk>", *sorted(count, key=lambda word: (-count[word], word))[:8]]
    text = "it  was\nthe dragon of times, "
    ids = [words.index(word) if word in words else 0 for word in text.split()]
    expected = log_probabilities(weights, ids)
    answer = client.post("models/m/score", json={"text": text, "tokens": True}).json()
    assert answer["tokens"] == 5 and answer["unknown"] == ids[1:].count(0) > 0
    assert "bits_per_character" not in answer
    assert [score["token"] for score in answer["scores"]] == [words[token] for token in ids[1:]]
    assert answer["loss"] == pytest.approx(-expected.mean(), rel=1e-12)


def test_long_texts(client):
    train(client)
    text = (TEXT * 2000)[:2000000]
    answer = client.post("models/m/score", json={"text": text}).json()
    assert answer["tokens"] == len(text) - 1
    problem = client.problem("POST", "models/m/score", 422, json={"text": text, "tokens": True})
    assert [error["pointer"] for error in problem["errors"]] == ["/tokens"]
    problem = client.problem("POST", "models/m/score", 422, json={"text": text + "\u2603"})
    assert "character 2000001" in problem["detail"]


@pytest.mark.parametrize("body, pointer", [
    ({}, "/text"), ({"text": None}, "/text"), ({"text": ""}, "/text"), ({"text": "i"}, "/text"),
    ({"text": "it wás"}, "/text"), ({"text": "it", "tokens": 1}, "/tokens"), ({"text": "it", "x": 1}, "/x")])
def test_faults_name_their_place(client, body, pointer):
    train(client)
    problem = client.problem("POST", "models/m/score", 422, json=body)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
