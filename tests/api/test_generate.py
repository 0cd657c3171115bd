"""Language models write texts: the same ones streamed or not, alone or beside others; what is asked wrongly
is named; who leaves or reads slowly disturbs nobody."""

import json
import random
import threading

import pytest
import requests

import raw_http
import rest_client

TEXT = "to be, or not to be: that is the question\nwhether 'tis nobler in the mind to suffer\n" * 20


def language_model(name, unit="character", **training):
    return {"name": name, "task": "language_model", "data": {"dataset": "corpus", "unit": unit},
            "network": {"layers": [{"type": "embedding", "dimension": 8}, {"type": "lstm", "units": 16},
                                   {"type": "dense", "units": "auto"}]},
            "optimizer": {"type": "adam", "learning_rate": 0.01},
            "training": {"epochs": 2, "batch_size": 4, "sequence_length": 16, "seed": 3, **training}}


@pytest.fixture
def plays(client):
    client.put("datasets/corpus", TEXT.encode(), query={"format": "text"})
    client.train(language_model("plays"))
    return "models/plays/generate"


def events_of(text):
    """[(event, data)] of a stream's text."""
    assert text.endswith("\n\n")
    found = []
    for block in text[:-2].split("\n\n"):
        kind, data = block.split("\n")
        assert kind.startswith("event: ") and data.startswith("data: ")
        found.append((kind[7:], json.loads(data[6:])))
    return found


def open_stream(daemon, path, body):
    """A connection on which the answer begins to come."""
    connection = raw_http.Connection(daemon)
    text = json.dumps(body).encode()
    connection.send(raw_http.request("POST", "/api/v1/" + path, [
        "Content-Type: application/json", f"Content-Length: {len(text)}"], text))
    while b"event: token" not in connection.buffer:
        assert connection.more()
    return connection


def rest_of(connection):
    """The body of a chunked answer, which must come to its proper end."""
    while not connection.buffer.endswith(b"\r\n0\r\n\r\n"):
        assert connection.more()
    body, text = b"", connection.buffer.split(b"\r\n\r\n", 1)[1]
    while True:
        size, text = text.split(b"\r\n", 1)
        if int(size, 16) == 0:
            return body
        body, text = body + text[:int(size, 16)], text[int(size, 16) + 2:]


def test_a_text(client, plays):
    asked = {"prompt": "to be", "length": 100, "seed": 5}
    answer = client.post(plays, json=asked).json()
    assert (answer["model"], answer["version"], answer["prompt"]) == ("plays", 1, "to be")
    assert answer["tokens"] == len(answer["text"]) == 100
    assert set(answer["text"]) <= set(TEXT)
    assert client.post(plays, json=asked).json() == answer
    assert client.post("models/plays/versions/1/generate", json=asked).json() == answer
    assert client.post(plays, json={**asked, "seed": 6}).json()["text"] != answer["text"]
    assert client.post(plays, json={**asked, "temperature": 2}).json()["text"] != answer["text"]
    shorter = client.post(plays, json={**asked, "length": 37}).json()["text"]
    assert answer["text"].startswith(shorter) and len(shorter) == 37
    assert client.post(plays, json={}).json()["tokens"] == 200


def test_a_streamed_text_is_the_same(client, plays):
    for asked in ({"prompt": "whether 'tis", "length": 300}, {"length": 1, "seed": 9},
                  {"prompt": TEXT[:5000], "length": 20}):
        whole = client.post(plays, json=asked).json()
        response = client.post(plays, json={**asked, "stream": True})
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        *tokens, (last, answer) = events_of(response.text)
        assert last == "end" and answer == whole
        assert [kind for kind, _ in tokens] == ["token"] * asked["length"]
        assert [data["index"] for _, data in tokens] == list(range(asked["length"]))
        assert "".join(data["text"] for _, data in tokens) == whole["text"]


def test_the_most_likely_token(client, plays):
    best = client.post(plays, json={"prompt": "to", "temperature": 0, "length": 40, "seed": 1}).json()
    for asked in ({"temperature": 0, "seed": 2}, {"top_k": 1}, {"temperature": 1e-300}):
        assert client.post(plays, json={"prompt": "to", "length": 40, **asked}).json() == best
    # What has been written may as well have been the prompt.
    on = client.post(plays, json={"prompt": "to" + best["text"][:15], "temperature": 0, "length": 25})
    assert on.json()["text"] == best["text"][15:]


def test_without_a_prompt_a_line_begins(client, plays):
    for asked in ({}, {"prompt": ""}):
        answer = client.post(plays, json={**asked, "temperature": 0, "length": 30}).json()
        assert answer["prompt"] == ""
        assert answer["text"] == client.post(plays, json={
            "prompt": "\n", "temperature": 0, "length": 30}).json()["text"]


def test_words(client):
    client.put("datasets/corpus", TEXT.encode(), query={"format": "text"})
    client.train({**language_model("words", "word"), "data": {
        "dataset": "corpus", "unit": "word", "max_vocabulary": 8}})
    path = "models/words/generate"
    answer = client.post(path, json={"prompt": "to be  unheard-of", "length": 200}).json()
    words = answer["text"].split(" ")
    assert len(words) == answer["tokens"] == 200
    assert set(words) <= set(TEXT.split()) and len(set(words)) > 1
    # Without a prompt the first word is drawn before the model is asked for any.
    for stream in ("", "stream"):
        answer = client.post(path, json={"length": 1, "stream": bool(stream)})
        last = events_of(answer.text)[-1][1] if stream else answer.json()
        assert last["tokens"] == 1 and last["text"] in TEXT.split()
    # The vocabulary is small, so the unknown token is what the text has most of.
    asked = {"length": 200, "unknown": True, "stream": True}
    *tokens, (_, answer) = events_of(client.post(path, json=asked).text)
    assert "<unk>" in answer["text"].split(" ")
    assert "".join(data["text"] for _, data in tokens) == answer["text"]


@pytest.mark.parametrize("body, pointer", [
    ({"prompt": 5}, "/prompt"), ({"prompt": None}, "/prompt"), ({"prompt": ["to"]}, "/prompt"),
    ({"prompt": "to bé"}, "/prompt"), ({"length": 0}, "/length"), ({"length": 10001}, "/length"),
    ({"length": "5"}, "/length"), ({"length": None}, "/length"), ({"temperature": -1}, "/temperature"),
    ({"temperature": "hot"}, "/temperature"), ({"top_k": 0}, "/top_k"), ({"top_k": 1.5}, "/top_k"),
    ({"seed": -1}, "/seed"), ({"seed": 2 ** 53}, "/seed"), ({"unknown": 1}, "/unknown"),
    ({"stream": "yes"}, "/stream"), ({"top_p": 0.9}, "/top_p"), ({"prompts": ["to"]}, "/prompts"),
])
def test_faults_name_their_place(client, plays, body, pointer):
    for streamed in ({}, {"stream": True}):
        problem = client.problem("POST", plays, 422, json={**streamed, **body})
        assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_an_unseen_character_is_named_with_its_place(client, plays):
    problem = client.problem("POST", plays, 422, json={"prompt": "to be\nor n\u2603t"})
    assert "character 11" in problem["detail"] and "\u2603" in problem["detail"]


def test_all_faults_come_at_once(client, plays):
    problem = client.problem("POST", plays, 422, json={"prompt": 1, "length": 0, "seed": "x", "sede": 1})
    assert [error["pointer"] for error in problem["errors"]] == ["/prompt", "/length", "/seed", "/sede"]


@pytest.mark.parametrize("action, body, status", [
    (action, body, status) for action in ("generate", "score") for body, status in (
        (b"", 400), (b"[]", 422), (b"{", 400), (b"null", 400), (b'{"prompt": "\xff"}', 400),
        (b'{"prompt": "\\u0000"}', 400), (b'{"prompt": "\\ud800"}', 400), (b"[" * 1000, 400),
        (b'{"prompt": "a", "prompt": "b"}', 400), (b'{"length": 1e400}', 400),
        (b'{"x": [' + b"1," * 1000 + b"1]}", 413))
])
def test_hostile_bodies(daemon, client, plays, action, body, status):
    answer = raw_http.once(daemon, "POST", f"/api/v1/models/plays/{action}", [
        "Content-Type: application/json", f"Content-Length: {len(body)}"], body)
    assert raw_http.problem(answer)["status"] == status


def test_a_prompt_beyond_all_measure(client, plays):
    client.problem("POST", plays, 413, json={"prompt": "t" * (2 << 20)})
    assert client.post(plays, json={"prompt": "t" * 100000, "length": 5}).json()["tokens"] == 5


def test_only_language_models_write(client, iris):
    client.put("datasets/iris", iris)
    client.train({"name": "iris", "data": {"dataset": "iris", "target": "species"},
                  "training": {"epochs": 1}})
    for action in ("generate", "score"):
        problem = client.problem("POST", f"models/iris/{action}", 422, json={"text": "to be"})
        assert "classification" in problem["detail"]
        client.problem("POST", f"models/nobody/{action}", 404, json={"text": "to be"})
        client.problem("POST", f"models/iris/versions/2/{action}", 404, json={"text": "to be"})
        client.problem("POST", f"jobs/99/checkpoints/1/{action}", 404, json={"text": "to be"})


def test_language_models_predict_no_rows(client, plays):
    for body in ({"rows": [[1]]}, {"sentences": [["to", "be"]]}, {}):
        problem = client.problem("POST", "models/plays/predict", 422, json=body)
        assert "generate" in problem["detail"]


def test_checkpoints_write_too(client, plays):
    job = client.submit({**language_model("steps"), "checkpoint": {"every_epochs": 1, "keep_last": 5}})["id"]
    client.wait(job)
    texts = []
    for item in reversed(client.get(f"jobs/{job}/checkpoints").json()["items"]):
        path = f"jobs/{job}/checkpoints/{item['number']}/"
        answer = client.post(path + "generate", json={"prompt": "to", "length": 50}).json()
        assert answer["model"] is None and answer["version"] is None
        assert (answer["job"], answer["checkpoint"]) == (job, item["number"])
        *_, (_, streamed) = events_of(client.post(path + "generate", json={
            "prompt": "to", "length": 50, "stream": True}).text)
        assert streamed == answer
        assert client.post(path + "score", json={"text": "to be"}).json()["job"] == job
        texts.append(answer["text"])
    assert len(texts) > 1 and len(set(texts)) > 1
    assert texts[-1] == client.post("models/steps/generate", json={"prompt": "to", "length": 50}).json()["text"]


def test_many_at_once_get_the_same_texts(daemon, client, plays):
    """More than networks in a model's pool; states must not mix."""
    asked = [{"prompt": TEXT[seed:seed + 3 * seed % 90], "length": 150, "seed": seed} for seed in range(24)]
    wanted = [client.post(plays, json=body).json() for body in asked]
    score = client.post("models/plays/score", json={"text": TEXT[:1000]}).json()
    faults = []

    def ask(number):
        order = list(range(len(asked)))
        random.Random(number).shuffle(order)
        with requests.Session() as session:
            session.trust_env = False
            for index in order:
                streams = (number + index) % 2 == 0
                answer = session.post(f"{daemon.base}/api/v1/{plays}", json={**asked[index], "stream": streams})
                found = events_of(answer.text)[-1][1] if streams else answer.json()
                if found != wanted[index]:
                    faults.append((index, found))
                if index % 8 == 0 and session.post(f"{daemon.base}/api/v1/models/plays/score", json={
                        "text": TEXT[:1000]}).json() != score:
                    faults.append("score")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_others_are_served_while_long_texts_are_written(client, plays):
    """By the same helper, which goes round."""
    large = language_model("large", epochs=0)
    large["network"]["layers"][1]["units"] = 400
    client.train(large)
    served, done = [], []

    def write(other):
        done.append(other.post("models/large/generate", json={"length": 10000}).json()["tokens"])

    threads = [threading.Thread(target=write, args=(rest_client.Client(client.daemon),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while not done:
        served.append(client.post(plays, json={"length": 20}).json()["text"])
        client.post("models/plays/score", json={"text": TEXT[:200]})
    for thread in threads:
        thread.join()
    assert len(served) >= 3 and len(set(served)) == 1
    assert done == [10000, 10000]


def test_slow_readers_and_leavers_disturb_nobody(daemon, client, plays):
    slow = [open_stream(daemon, plays, {"length": 10000, "seed": seed, "stream": True}) for seed in range(5)]
    for seed in range(20):
        open_stream(daemon, plays, {"length": 10000, "seed": seed, "stream": True}).socket.close()
        assert client.post(plays, json={"length": 10}).json()["tokens"] == 10
    # Who was slow gets everything in the end.
    for seed in (3, 1):
        wanted = client.post(plays, json={"length": 10000, "seed": seed}).json()
        found = events_of(rest_of(slow[seed]).decode())
        assert len(found) == 10001 and found[-1] == ("end", wanted)
    for connection in slow:
        connection.socket.close()


def test_a_stream_is_cut_off_when_the_daemon_stops(start_daemon):
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/corpus", TEXT.encode(), query={"format": "text"})
    client.train(language_model("plays"))
    connection = open_stream(daemon, "models/plays/generate", {"length": 10000, "stream": True})
    daemon.stop()
    while connection.more():
        pass
    assert b"event: end" not in connection.buffer
