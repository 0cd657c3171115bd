"""Texts and tagged sentences over REST: what is counted and shown, how they are told from tables, faults."""

import gzip
import random

import pytest

TAGGED = """-DOCSTART- -X- O

Museums NNS O
in IN O
Paris NNP B-location

Zürich NNP B-location
"""


def test_a_text(client):
    text = "First Citizen:\nBefore we proceed any further, hear me speak.\r\n\nΑll:  Zürich 日本"
    document = client.put("datasets/play", text.encode(), expect=201).json()
    assert document["kind"] == "text" and document["rows"] == document["lines"] == 4
    assert document["bytes"] == len(text.encode())
    assert document["characters"] == len(text)
    assert document["distinct_characters"] == len(set(text))
    assert document["words"] == len(text.split())
    assert document["distinct_words"] == len(set(text.split()))
    assert document["distinct_words_is_lower_bound"] is False
    assert [column["name"] for column in document["columns"]] == ["text"]
    rows = client.get("datasets/play/rows").json()
    assert rows == {"columns": ["text"], "rows": [[line] for line in text.split("\n")]}
    assert client.get("datasets/play/rows", query={"offset": 3}).json()["rows"] == [[text.split("\n")[3]]]
    again = client.put("datasets/play", gzip.compress(text.encode()), expect=200).json()
    assert again["sha256"] == document["sha256"]
    listed = client.get("datasets").json()["items"]
    assert [item["kind"] for item in listed] == ["text"]
    client.delete("datasets/play", expect=(200, 204))


def test_tagged_sentences(client):
    document = client.put("datasets/s", TAGGED.encode(), expect=201).json()
    assert (document["kind"], document["rows"], document["sentences"]) == ("tagged", 2, 2)
    assert (document["tokens"], document["distinct_tokens"], document["longest_sentence"]) == (4, 4, 3)
    assert document["tags"] == [{"tag": "B-location", "count": 2}, {"tag": "O", "count": 2}]
    token, tag = document["columns"]
    assert (token["name"], token["type"], token["rows"], token["distinct"]) == ("token", "text", 4, 4)
    assert (tag["name"], tag["type"], tag["categories"]) == ("tag", "categorical", ["B-location", "O"])
    rows = client.get("datasets/s/rows", query={"limit": 1}).json()
    assert rows == {"columns": ["token", "tag"],
                    "rows": [[["Museums", "in", "Paris"], ["O", "O", "B-location"]]]}


def test_a_text_of_any_characters(client):
    generator = random.Random(1)
    codes = [code for code in range(1, 0x110000) if not 0xd800 <= code < 0xe000]
    spaces = [chr(code) for code in codes if chr(code).isspace()]
    text = "".join(chr(code) + (generator.choice(spaces) if index % 5 == 0 else "")
                   for index, code in enumerate(generator.sample(codes, 20000)))
    document = client.put("datasets/t", text.encode(), query={"format": "text"}, expect=201).json()
    assert document["characters"] == len(text)
    assert document["distinct_characters"] == len(set(text))
    assert document["words"] == len(text.split())
    assert document["distinct_words"] == len(set(text.split()))
    assert document["lines"] == text.count("\n") + 1


@pytest.mark.parametrize("name, sentences, tokens, tags", [
    ("train", 3394, 62730, 13), ("dev", 1009, 15733, 13), ("test", 1287, 23394, 13)])
def test_wnut(client, shared_data, name, sentences, tokens, tags):
    path = shared_data / "wnut17" / f"{name}.conll"
    document = client.put(f"datasets/{name}", path, expect=201).json()
    assert document["kind"] == "tagged"
    assert (document["sentences"], document["tokens"]) == (sentences, tokens)
    assert len(document["tags"]) == tags
    # Read again, plainly.
    expected, sentence = [], []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            sentence.append(line.split("\t"))
        elif sentence:
            expected.append([[token for token, _ in sentence], [tag for _, tag in sentence]])
            sentence = []
    if sentence:
        expected.append([[token for token, _ in sentence], [tag for _, tag in sentence]])
    shown = []
    while len(shown) < sentences:
        query = {"limit": 10000, "offset": len(shown)}
        shown += client.get(f"datasets/{name}/rows", query=query).json()["rows"]
    assert shown == expected
    counts = {}
    for _, tags_of_sentence in expected:
        for tag in tags_of_sentence:
            counts[tag] = counts.get(tag, 0) + 1
    assert document["tags"] == [{"tag": tag, "count": counts[tag]} for tag in sorted(counts)]
    assert document["distinct_tokens"] == len({token for tokens, _ in expected for token in tokens})


def test_tiny_shakespeare(client, shared_data):
    path = shared_data / "tinyshakespeare" / "input.txt"
    text = path.read_text(encoding="utf-8")
    document = client.put("datasets/plays", path, expect=201).json()
    assert document["kind"] == "text"
    assert document["characters"] == len(text) and document["distinct_characters"] == 65
    assert document["words"] == len(text.split())
    assert document["distinct_words"] == len(set(text.split()))
    lines = text.split("\n")
    for offset in (0, 1023, 1024, 39990):
        rows = client.get("datasets/plays/rows", query={"offset": offset, "limit": 5}).json()["rows"]
        assert rows == [[line] for line in lines[offset:offset + 5]]


@pytest.mark.parametrize("body, kind", [
    (b"a,b\n1,2\n", "table"), (b"a\n1\n", "table"), (b"to be or not to be", "text"),
    (b"A line, and more.\nAnother line of it.\n", "text"), (b"Paris\tB-location\nis\tO\n", "tagged")])
def test_kinds_are_found_from_the_content(client, body, kind):
    assert client.put("datasets/x", body, expect=201).json()["kind"] == kind


@pytest.mark.parametrize("format_, body, status, message", [
    ("text", b"", 422, "empty"), ("text", b"a\n\x00", 422, "line 2"), ("text", b"a\nb\n\xff", 422, "line 3"),
    ("conll", b"a O\nb\n", 422, "line 2"), ("conll", b"a O\nb c O\n", 422, "3 columns"),
    ("conll", b"a" * 100000, 413, "64 KiB"), ("conll", b"\n\n", 422, "no tokens"),
    ("conll", b"a O\rb O\r", 422, "carriage return"),
    ("conll", b"a" * 5000 + b" O\n", 413, "4096 bytes"), ("tokens", b"a O\n", 400, "csv, text, conll, vectors, idx, npy")])
def test_faults(client, format_, body, status, message):
    problem = client.problem("PUT", "datasets/bad", status, data=body, query={"format": format_})
    told = problem["detail"] + "".join(error["pointer"] + error["detail"]
                                       for error in problem.get("errors", []))
    assert message in told
    client.problem("GET", "datasets/bad", 404)


def test_a_fault_says_what_a_file_was_taken_for(client):
    text = b"Hello there,\r\nworld of words\r\n"
    problem = client.problem("PUT", "datasets/x", 422, data=text)
    assert "taken for CSV" in problem["detail"] and "?format=" in problem["detail"]
    long = client.problem("PUT", "datasets/x", 413, data=b"to be,or not to be," * 10000)
    assert "limit" in long["detail"] and "taken for CSV" in long["detail"]
    assert "taken for" not in client.problem("PUT", "datasets/x", 422, data=text, query={"format": "csv"})["detail"]
    assert "taken for" not in client.problem("PUT", "datasets/x", 422, data=b"")["detail"]
    assert client.put("datasets/x", text, query={"format": "text"}, expect=201).json()["lines"] == 2


def test_corpora_are_no_tables(client):
    client.put("datasets/s", TAGGED.encode(), expect=201)
    problem = client.problem("PUT", "datasets/s/columns/c", 409, data=b"\0\0\x08\x01\0\0\0\1x")
    assert 'kind "tagged"' in problem["detail"]
    specification = {"data": {"dataset": "s", "target": "tag"}, "task": "classification"}
    problem = client.problem("POST", "jobs", 422, json=specification)
    assert {error["pointer"] for error in problem["errors"]} == {"/data/target", "/task"}


def test_corpora_stay_over_a_restart(start_daemon, tmp_path):
    import rest_client
    daemon = start_daemon(data=tmp_path / "d")
    client = rest_client.Client(daemon)
    client.put("datasets/s", TAGGED.encode(), expect=201)
    client.put("datasets/t", b"to be or not to be", expect=201)
    before = [client.get(f"datasets/{name}").json() for name in "st"]
    daemon.stop()
    client = rest_client.Client(start_daemon(data=tmp_path / "d"))
    assert [client.get(f"datasets/{name}").json() for name in "st"] == before
    assert client.get("datasets/t/rows").json()["rows"] == [["to be or not to be"]]
    client.delete("datasets/s", expect=(200, 204))
    client.put("datasets/u", b"to be or not to be", expect=201)  # files are swept before
    assert len(list((tmp_path / "d" / "columns").iterdir())) == 2
    assert list((tmp_path / "d" / "tmp").iterdir()) == []
