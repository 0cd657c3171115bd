"""Requests broken at random, reproducibly: whatever comes, the daemon answers or closes, and good clients
are served meanwhile."""

import random

import pytest

from raw_http import Connection, once, request

JSON = "Content-Type: application/json"


def job(text):
    return request("POST", "/api/v1/jobs", [JSON, f"Content-Length: {len(text)}"], text)


SEEDS = [
    request("GET", "/v2/health/live"),
    request("HEAD", "/api/v1/models/a/versions/1/weights?format=safetensors"),
    request("GET", "/api/v1/jobs/1/metrics?after=0&limit=10&wait=0.01", ["Accept: text/csv"]),
    request("GET", "/api/v1/jobs?limit=3&state=running&name=a%20b"),
    request("PUT", "/api/v1/datasets/d?format=csv", ["Content-Length: 14"], b"a,b\n1,x\n2,\"y\""),
    request("PUT", "/api/v1/datasets/d/columns/c", ["Content-Length: 10"], b"\0\0\x08\x01\0\0\0\x02ab"),
    request("PUT", "/api/v1/datasets/d", ["Transfer-Encoding: chunked"], b"4\r\na,b\n\r\n4\r\n1,2\n\r\n0\r\n\r\n"),
    job(b'{"data": {"dataset": "d", "target": "b"}, "training": {"epochs": 1, "seed": 7}}'),
    job(b'{"network": {"layers": [{"type": "dense", "units": 1000000000}]}, "data": {"dataset": "d"}}'),
    request("POST", "/api/v1/models/m/predict", [JSON, "Content-Length: 21"], b'{"rows": [[1.5, "x"]]}'),
    request("POST", "/api/v1/models/m/generate", [JSON, "Content-Length: 32"], b'{"prompt": "to be", "length": 3}'),
    request("POST", "/api/v1/jobs/1/checkpoints/1/score", [JSON, "Content-Length: 17"], b'{"text": "to be"}'),
    request("DELETE", "/api/v1/datasets/nothing"),
    request("POST", "/api/v1/jobs/1/cancel", ["Content-Length: 0", "Idempotency-Key: k"]),
]
PIECES = [b"\r\n", b"\r\n\r\n", b"\0", b"\xff\xfe", b"%00", b"%2f", b"../", b": ", b"chunked", b"9" * 25, b"-1", b"NaN",
          b"1e999", b"{" * 40, b"\"", b"\\u0000", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n",
          b"Expect: 100-continue\r\n", b"HTTP/1.0", b" " * 500, b"?a=b&a=b"]


def broken(text, dice):
    """text with one to four pieces removed, doubled, swapped or put in."""
    for _ in range(dice.randint(1, 4)):
        at, end = sorted((dice.randrange(len(text) + 1), dice.randrange(len(text) + 1)))
        kind = dice.randrange(5)
        if kind == 0:
            text = text[:at] + text[min(end, at + 8):]
        elif kind == 1:
            text = text[:end] + text[at:]
        elif kind == 2:
            text = text[:at] + bytes([dice.randrange(256)]) + text[at + 1:]
        elif kind == 3:
            text = text[:at] + dice.choice(PIECES) + text[at:]
        else:
            text = text[:max(1, at)]
        text = text[:20000] or b"x"
    return text


def first_answers(connection):
    """Reads what comes until the daemon closes or has nothing to say for a moment."""
    connection.socket.settimeout(0.02)
    try:
        while connection.more():
            pass
    except TimeoutError:
        pass
    return connection.buffer


@pytest.mark.parametrize("seed", range(4))
def test_random_requests(start_daemon, seed):
    daemon = start_daemon("--deadline", 2)
    dice = random.Random(seed)
    with Connection(daemon) as good:
        for number in range(250):
            with Connection(daemon) as bad:
                try:
                    for _ in range(dice.randint(1, 3)):
                        bad.send(broken(dice.choice(SEEDS), dice))
                    answers = first_answers(bad)
                except (BrokenPipeError, ConnectionResetError):
                    continue
                assert answers == b"" or answers.startswith(b"HTTP/1.1 "), answers[:200]
                assert b" 500 Internal" not in answers, answers[:2000]
            if number % 10 == 0:
                good.send(request("GET", "/v2/health/live"))
                assert good.answer()[0] == 200
    assert once(daemon, "GET", "/api/v1/jobs")[0] == 200
