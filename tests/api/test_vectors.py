"""Vectors of words: what is taken, how a fault is told, and embeddings that begin with them."""

import gzip
import pathlib

import pytest

import safetensors_file

DATA = pathlib.Path(__file__).parent.parent / "data"
VECTORS = "the 0.5 -1 2e-3\nboat 1 2 3\nRope 4 5 6\nnothing 7 8 9\nthe 9 9 9\n<pad> 0 0 1\n"
TEXT = "the boat and the rope and the long rope of the boat " * 10


def layers(**more):
    return {"layers": [{"type": "embedding", "dimension": 3, **more}, {"type": "rnn", "units": 4},
                       {"type": "dense", "units": "auto"}]}


def job(**more):
    return {"name": "m", "data": {"dataset": "t", "unit": "word", "lowercase": True},
            "network": layers(**more), "training": {"epochs": 0, "batch_size": 2, "sequence_length": 5}}


@pytest.fixture(name="filled")
def filled_fixture(client):
    client.put("datasets/t", TEXT.encode(), expect=201)
    client.put("datasets/v", VECTORS.encode(), expect=201)
    return client


def table(client, document):
    """{word: vector} of the embedding of the job's model."""
    model = document["model"]
    content = client.get(f"models/{model['name']}/versions/{model['version']}/weights").content
    tensors, _ = safetensors_file.parse(content)
    name, = [name for name, tensor in tensors.items() if tensor.ndim == 2 and name.endswith("weight")][:1]
    words = client.get(f"models/{model['name']}/versions/{model['version']}").json()["vocabulary"]["tokens"]
    return {word: list(map(float, row)) for word, row in zip(words, tensors[name])}


def test_vectors_as_a_data_set(client):
    document = client.put("datasets/v", VECTORS.encode(), expect=201).json()
    assert (document["kind"], document["rows"], document["words"]) == ("vectors", 6, 6)
    word, vector = document["columns"]
    assert (word["name"], word["type"], word["rows"]) == ("word", "text", 6)
    assert (vector["name"], vector["type"], vector["shape"]) == ("vector", "tensor", [3])
    assert (vector["minimum"], vector["maximum"]) == (-1, 9)
    rows = client.get("datasets/v/rows").json()
    assert rows["columns"] == ["word", "vector"]
    assert rows["rows"][0] == ["the", [0.5, -1, 0.002]] and rows["rows"][-1] == ["<pad>", [0, 0, 1]]
    assert client.get("datasets/v/rows", query={"offset": 4, "limit": 1}).json()["rows"] == [["the", [9, 9, 9]]]
    assert client.put("datasets/v", gzip.compress(VECTORS.encode()), expect=200).json()["sha256"] == document["sha256"]
    # With the line that word2vec writes first, blanks at line ends and CRLF: the same words.
    announced = "6 3\r\n" + VECTORS.replace("\n", " \r\n")
    other = client.put("datasets/w", announced.encode(), expect=201).json()
    assert (other["kind"], other["words"]) == ("vectors", 6)
    assert client.get("datasets/w/rows").json() == rows
    client.problem("POST", "jobs", 422, json={"data": {"dataset": "v"}})


def test_many_words(client):
    words = [f"w{index}" for index in range(3000)]
    client.put("datasets/many", "".join(f"{word} {index} {index / 7!r}\n"
                                        for index, word in enumerate(words)).encode(), expect=201)
    for offset in (0, 255, 256, 700, 2999):
        assert client.get("datasets/many/rows", query={"offset": offset, "limit": 1}).json()["rows"] == [
            [words[offset], [offset, offset / 7]]]
    assert client.get("datasets/many/rows", query={"offset": 3000}).json()["rows"] == []


@pytest.mark.parametrize("content,where,words", [
    ("a 1 2\nb 1\n", "line 2", "1 numbers"),
    ("a 1 2\nb 1 2 3\n", "line 2", "3 numbers"),
    ("a 1 2\nb 1 x\n", "line 2, column 3", "number"),
    ("a 1 nan\n", "line 1, column 3", "number"),
    ("a 1 1e999\n", "line 1, column 3", "number"),
    ("a\n", "line 1", "without numbers"),
    ("2 3\na 1 2 3\n", "line", "announces 2 words"),
    ("1 3\na 1 2\n", "line 2", "announces 3"),
    ("", "line 1", "no vectors"),
    ("a 1 2\nb\0 1 2\n", "line 2", "NUL"),
    ("a 1 2\n" + "x" * 5000 + " 1 2\n", "line 2, column 1", "4096"),
    ("a " + "1 " * 20000, "line 1", "16384"),
    ("a " + "1" * (1 << 21), "line 1", "1 MiB"),
], ids=[str(index) for index in range(13)])
def test_faults_of_files(client, content, where, words):
    problem = client.problem("PUT", "datasets/v", (400, 413, 422), query={"format": "vectors"}, data=content.encode())
    assert where in problem["detail"] and words in problem["detail"]


def test_not_utf_8(client):
    problem = client.problem("PUT", "datasets/v", (400, 422), query={"format": "vectors"}, data=b"a 1 2\n\xff 1 2\n")
    assert "line 2" in problem["detail"] and "UTF-8" in problem["detail"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_embedding_begins_with_them(filled, dtype):
    body = job(vectors="v")
    body["training"]["dtype"] = dtype
    document = filled.train(body)
    found = table(filled, document)
    plain = job()
    plain["training"]["dtype"] = dtype
    drawn = table(filled, filled.train(plain))
    rounded = 0.002 if dtype == "float64" else pytest.approx(0.002, rel=1e-7)
    assert found["the"] == [0.5, -1, rounded]      # the first one's, not the second's
    assert found["boat"] == [1, 2, 3] and found["rope"] == [4, 5, 6]
    assert all(found[word] == drawn[word] for word in found if word not in ("the", "boat", "rope"))
    warning, = document["warnings"]
    assert "3 of the 7 entries" in warning and '"v"' in warning
    given = document["specification"]["network"]["layers"][0]["vectors"]
    assert (given["dataset"], given["version"]) == ("v", 1) and len(given["sha256"]) == 64
    again = filled.post("jobs", query={"validate_only": "true"}, json=document["specification"]).json()
    assert again["specification"] == document["specification"]


def test_frozen_vectors_of_a_tagger(client):
    client.put("datasets/towns", (DATA / "towns.conll").read_bytes(), expect=201)
    client.put("datasets/v", b"Ada 1 2\nTarn -1 0.25\n<unk> 0 0.5\n", expect=201)
    document = client.train({
        "name": "m", "data": {"dataset": "towns"}, "training": {"epochs": 2},
        "network": {"layers": [{"type": "window", "width": 3},
                               {"type": "embedding", "dimension": 2, "trainable": False, "vectors": "v"},
                               {"type": "dense", "units": "auto"}]}})
    found = table(client, document)
    assert (found["Ada"], found["Tarn"], found["<unk>"]) == ([1, 2], [-1, 0.25], [0, 0.5])
    report = client.post("gradient-check", json={**document["specification"], "max_elements": 30})
    assert report.json()["pass"] is True


def test_vectors_of_characters(filled):
    filled.put("datasets/c", "a 1 2 3\nb 4 5 6\nab 7 7 7\né 8 8 8\n".encode(), expect=201)
    body = job(vectors="c")
    body["data"] = {"dataset": "t"}
    found = table(filled, filled.train(body))
    assert found["a"] == [1, 2, 3] and found["b"] == [4, 5, 6]


def test_faults_of_jobs(filled):
    for vectors, status, pointer in (
            ("nowhere", 422, "/network/layers/0/vectors"), ("t", 422, "/network/layers/0/vectors"), (5, 422, None),
            ({"dataset": "v", "sha256": "0" * 64}, 422, "/network/layers/0/vectors/sha256"),
            ({"dataset": "v", "version": 9}, 422, "/network/layers/0/vectors/version"),
            ({"version": 1}, 422, "/network/layers/0/vectors/dataset")):
        problem = filled.problem("POST", "jobs", (404, status), json=job(vectors=vectors))
        if pointer:
            assert [error["pointer"] for error in problem["errors"]] == [pointer]
    wide = job(vectors="v")
    wide["network"]["layers"][0]["dimension"] = 4
    problem = filled.problem("POST", "jobs", 422, json=wide)
    assert "3 numbers" in problem["errors"][0]["detail"]
    filled.train(job())
    problem = filled.problem("POST", "jobs", 422, json={**job(vectors="v"), "initial": {"model": "m"}})
    assert [error["pointer"] for error in problem["errors"]] == ["/network/layers/0/vectors"]


def test_a_job_needs_them(filled):
    """Until it has ended, and again when it is retried."""
    body = job(vectors="v")
    body["training"]["epochs"] = 10**6
    number = filled.submit(body)["id"]
    assert "job" in filled.problem("DELETE", "datasets/v", 409)["detail"]
    filled.post(f"jobs/{number}/cancel", expect=202)
    filled.wait(number, "cancelled")
    filled.post(f"jobs/{number}/retry", expect=202)
    filled.problem("DELETE", "datasets/v", 409)
    filled.post(f"jobs/{number}/cancel", expect=202)
    filled.wait(number, "cancelled")
    filled.delete("datasets/v", expect=(200, 204))
