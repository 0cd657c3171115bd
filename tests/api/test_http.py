"""HTTP itself: framing, methods, limits, hosts and origins, hostile clients."""

import json

import pytest

import daemon_process
from raw_http import Connection, once, problem, request

LIVE = "/v2/health/live"
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One daemon for all tests that leave nothing behind: each also shows that the one before did no
    harm."""
    daemon = daemon_process.Daemon(tmp_path_factory.mktemp("http") / "data", "--deadline", "2")
    yield daemon
    daemon.stop()


@pytest.fixture(autouse=True)
def lives_on(shared):
    yield
    assert shared.is_alive()
    assert once(shared, "GET", LIVE)[0] == 200


# ---- connections ----

def test_connection_is_kept(shared):
    with Connection(shared) as connection:
        for _ in range(20):
            connection.send(request("GET", LIVE))
            status, headers, _ = connection.answer()
            assert status == 200
            assert "close" not in headers.get("connection", "").lower()


def test_connection_is_kept_after_errors_and_bodies(shared):
    with Connection(shared) as connection:
        for path, body, wanted in (("/api/v1/jobs", b"{]", 400), ("/api/v1/jobs", b"{}", 422),
                                   ("/api/v1/jobs/9/cancel", b"", 404)):
            connection.send(request("POST", path, [JSON, f"Content-Length: {len(body)}"], body))
            assert connection.answer()[0] == wanted
        connection.send(request("GET", "/api/v1/datasets/none"))
        assert connection.answer()[0] == 404
        connection.send(request("GET", LIVE))
        assert connection.answer()[0] == 200


def test_pipelined_requests_are_answered_in_order(shared):
    with Connection(shared) as connection:
        body = b"{]"
        connection.send(request("GET", LIVE) + request("GET", "/api/v1/jobs/77") +
                        request("POST", "/api/v1/jobs", [JSON, "Content-Length: 2"], body) +
                        request("GET", "/api/v1/datasets") + request("GET", "/nothing"))
        assert [connection.answer()[0] for _ in range(5)] == [200, 404, 400, 200, 404]


def test_connection_close_is_honoured(shared):
    with Connection(shared) as connection:
        connection.send(request("GET", LIVE, ["Connection: close"]))
        assert connection.answer()[0] == 200
        assert connection.is_closed()


def test_head_has_no_body(shared):
    with Connection(shared) as connection:
        connection.send(request("HEAD", LIVE) + request("GET", LIVE))
        status, headers, _ = connection.answer(head=True)
        assert status == 200 and int(headers["content-length"]) > 0
        assert connection.answer()[0] == 200


# ---- framing: nothing may be read differently by two servers ----

SMUGGLED = b"GET /api/v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("headers, wanted", [
    (["Content-Length: 5", "Content-Length: 5"], 400),
    (["Content-Length: 0", "Content-Length: 52"], 400),
    (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
    (["Transfer-Encoding: chunked", "Content-Length: 5"], 400),
    (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
    (["Transfer-Encoding: gzip, chunked"], 501),
    (["Transfer-Encoding: identity"], 501),
    (["Transfer-Encoding: xchunked"], 501),
    (["Content-Length: +5"], 400),
    (["Content-Length: -5"], 400),
    (["Content-Length: 0x5"], 400),
    (["Content-Length: 99999999999999999999999"], None),
    (["Host: localhost"], 400),
    (["Authorization: Bearer a", "Authorization: Bearer b"], 400),
])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_ambiguous_requests_are_refused_and_nothing_after_them_is_read(shared, method, headers, wanted):
    with Connection(shared) as connection:
        connection.send(request(method, "/api/v1/datasets/x", [JSON, *headers], SMUGGLED))
        while connection.more():
            pass
        status = int(connection.buffer.split()[1])
        assert status == wanted or (wanted is None and 400 <= status < 500)
        assert b"connection: close" in connection.buffer.lower()
        assert b"smuggled" not in connection.buffer and b" 404 " not in connection.buffer


@pytest.mark.parametrize("text", [
    b"GARBAGE\r\n\r\n",
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET /v2/health/live HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET http://localhost/v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v2/health/live HTTP/1.1\r\n\r\n",
    b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nX" + b"y" * 200000 + b": 1\r\n\r\n",
    b"GET /" + b"y" * 200000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
])
def test_nonsense_gets_an_error_or_a_closed_connection(shared, text):
    with Connection(shared) as connection:
        try:
            connection.send(text)
            answer = connection.answer()
        except (BrokenPipeError, ConnectionResetError):
            answer = None
        assert answer is None or 400 <= answer[0] < 600


def test_broken_chunks_end_the_connection(shared):
    for chunk in (b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n",
                  b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n"):
        with Connection(shared) as connection:
            connection.send(request("POST", "/api/v1/jobs", [JSON, "Transfer-Encoding: chunked"], chunk))
            answer = connection.answer()
            assert answer is None or 400 <= answer[0] < 500
            if answer:
                assert connection.is_closed()


# ---- routes ----

def test_unknown_paths_and_methods(shared):
    assert problem(once(shared, "GET", "/api/v1/nothing"))["status"] == 404
    assert problem(once(shared, "GET", "/api/v1/jobs/1/"))["status"] == 404
    status, headers, body = once(shared, "PATCH", "/api/v1/datasets/iris")
    assert status == 405
    assert set(headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}
    assert once(shared, "TRACE", LIVE)[0] == 405
    assert once(shared, "OPTIONS", "/api/v1/jobs")[0] == 405


@pytest.mark.parametrize("name", ["..", ".hidden", "%2e%2e", "a%2fb", "a%5cb", "-a", "a%20b", "%00",
                                  "%ff", "%", "a%0d%0aSet-Cookie:x", "a" * 129, "%c3%a4", "~root"])
def test_names_are_never_paths(shared, name):
    for method, path in (("GET", f"/api/v1/datasets/{name}"), ("GET", f"/api/v1/models/{name}"),
                         ("DELETE", f"/api/v1/datasets/{name}"),
                         ("PUT", f"/api/v1/datasets/{name}"),
                         ("PUT", f"/api/v1/datasets/a/columns/{name}")):
        answer = once(shared, method, path, ["Content-Length: 0"])
        assert problem(answer)["status"] in (400, 404, 422)
        assert "set-cookie" not in answer[1]
    assert once(shared, "PUT", "/api/v1/datasets/a%20b", ["Content-Length: 0"])[0] == 422


def test_unknown_query_parameters_are_named(shared):
    document = problem(once(shared, "GET", "/api/v1/jobs?limits=3"))
    assert document["status"] == 400
    assert "limits" in document["detail"] and "limit" in document["detail"]
    assert problem(once(shared, "GET", "/api/v1/jobs?limit=3&limit=4"))["status"] == 400
    assert problem(once(shared, "GET", "/api/v1/catalog?x"))["status"] == 400


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "limit=-1", "limit=", "limit=1e3", "limit=%31x",
                                   "after=-1", "after=9007199254740992", "state=running%20", "state=nope"])
def test_bad_query_values_are_refused(shared, query):
    assert problem(once(shared, "GET", "/api/v1/jobs?" + query))["status"] == 400


def test_faults_under_v2_are_plain(shared):
    status, headers, body = once(shared, "GET", "/v2/nothing")
    assert status == 404
    assert headers["content-type"] == "application/json"
    assert list(json.loads(body)) == ["error"]


def test_health_and_system(shared):
    assert once(shared, "GET", "/v2/health/ready")[0] == 200
    system = json.loads(once(shared, "GET", "/api/v1/system")[2])
    assert system["version"] and system["uptime_seconds"] >= 0
    assert system["processor"]["path"] in ("baseline", "avx2", "avx512")
    assert system["memory"]["resident_bytes"] > 1 << 20


@pytest.mark.parametrize("path", ["/openapi.json", "/api/v1/catalog"])
def test_fixed_documents_have_an_etag(shared, path):
    status, headers, body = once(shared, "GET", path)
    assert status == 200 and json.loads(body)
    again = once(shared, "GET", path, ["If-None-Match: " + headers["etag"]])
    assert again[0] == 304 and again[1]["etag"] == headers["etag"]
    assert once(shared, "GET", path, ['If-None-Match: "other"'])[0] == 200


# ---- bodies ----

def post_job(shared, body, *headers):
    return once(shared, "POST", "/api/v1/jobs", [f"Content-Length: {len(body)}", *headers], body)


@pytest.mark.parametrize("header", [(), ("Content-Type: text/plain",), ("Content-Type: application/jsonp",),
                                    ("Content-Type: application/x-www-form-urlencoded",),
                                    ("Content-Type: multipart/form-data; boundary=x",)])
def test_json_must_say_so(shared, header):
    assert problem(post_job(shared, b"{}", *header))["status"] == 415


@pytest.mark.parametrize("body", [
    b"", b"{", b"{]", b"[1,]", b"nul", b"{\"a\": 1, \"a\": 2}", b"{} {}", b"{\"a\": \"\xff\"}", b"5",
    b"{\"a\": 1e999}", b"{\"a\": 99999999999999999999}", b"{\"a\": \"\\u0000\"}", b"\xef\xbb\xbf{}",
    b"[" * 65 + b"]" * 65, b"[" * 500000,
])
def test_malformed_json_is_refused_with_its_place(shared, body):
    document = problem(post_job(shared, body, JSON))
    assert document["status"] == 400
    assert "line" in document["detail"] or "nested" in document["detail"]


def test_large_json_is_refused_before_and_while_it_comes(shared):
    body = b" " * (2 << 20)
    assert problem(post_job(shared, body, JSON))["status"] == 413
    chunked = b"".join(b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in [body[:1 << 20]] * 2)
    answer = once(shared, "POST", "/api/v1/jobs", [JSON, "Transfer-Encoding: chunked"], chunked + b"0\r\n\r\n")
    assert problem(answer)["status"] == 413


def test_expect_100_is_refused_without_the_body(shared):
    with Connection(shared) as connection:
        connection.send(request("POST", "/api/v1/jobs",
                                [JSON, "Content-Length: 2000000", "Expect: 100-continue"]))
        assert connection.answer()[0] == 413
    with Connection(shared) as connection:
        connection.send(request("POST", "/api/v1/jobs", [JSON, "Content-Length: 2", "Expect: 100-continue"]))
        assert connection.answer()[0] == 100
        connection.send(b"{}")
        assert connection.answer()[0] == 422


def test_upload_of_an_unknown_format_is_refused_after_its_body(shared):
    body = b"x" * 3000000
    answer = once(shared, "PUT", "/api/v1/datasets/a?format=xls", [f"Content-Length: {len(body)}"], body)
    document = problem(answer)
    assert document["status"] == 400 and "csv" in document["detail"]


# ---- browsers ----

@pytest.mark.parametrize("host", ["evil.example", "evil.example:8470", "127.0.0.1.evil.example",
                                  "localhost.evil.example", "192.0.2.1", "[2001:db8::1]", "", "localhost:x"])
def test_foreign_hosts_are_refused(shared, host):
    for method, path in (("GET", LIVE), ("GET", "/api/v1/jobs"), ("POST", "/api/v1/jobs"),
                         ("GET", "/nothing")):
        answer = once(shared, method, path, ["Content-Length: 0"], host=host)
        assert answer[0] in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8470", "127.0.0.1", "127.0.0.1:1", "[::1]:8470"])
def test_loopback_names_are_answered(shared, host):
    assert once(shared, "GET", LIVE, host=host)[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost:1", "http://localhost.evil.example"])
def test_foreign_origins_cannot_write(shared, origin):
    header = "Origin: " + origin
    assert problem(post_job(shared, b"{}", JSON, header))["status"] == 403
    assert once(shared, "PUT", "/api/v1/datasets/a", [header, "Content-Length: 0"])[0] == 403
    assert once(shared, "DELETE", "/api/v1/datasets/a", [header])[0] == 403
    assert once(shared, "POST", "/api/v1/jobs/1/cancel", [header, "Content-Length: 0"])[0] == 403


def test_own_origin_may_write(shared):
    assert post_job(shared, b"{}", JSON, "Origin: http://localhost")[0] == 422


# ---- the slow and the gone: the daemon runs with a deadline of 2 s ----

def test_slow_headers_are_given_up(shared):
    with Connection(shared) as connection:
        connection.socket.settimeout(0.1)
        connection.send(b"GET /v2/health/live HTTP/1.1\r\nX: ")
        assert drips_until_closed(connection, b"a")


def test_slow_bodies_are_given_up(shared):
    with Connection(shared) as connection:
        connection.socket.settimeout(0.1)
        connection.send(request("POST", "/api/v1/jobs", [JSON, "Content-Length: 1000000"], b"{"))
        assert drips_until_closed(connection, b" ")


def test_slow_uploads_are_given_up(shared):
    with Connection(shared) as connection:
        connection.socket.settimeout(0.1)
        connection.send(request("PUT", "/api/v1/datasets/a", ["Content-Length: 1000000"], b"a,b\n"))
        assert drips_until_closed(connection, b"1")


def drips_until_closed(connection, byte):
    """Sends a byte every tenth of a second. True once the daemon has closed; the limit is far from the
    deadline, so that a loaded machine passes and a missing deadline fails."""
    for _ in range(SLOW_LIMIT_TENTHS):
        try:
            connection.send(byte)
            if connection.socket.recv(65536) == b"":
                return True
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return True
    return False


SLOW_LIMIT_TENTHS = 400


def test_clients_that_leave_do_no_harm(shared):
    for cut in (10, 60, 100, 150000):
        for _ in range(10):
            with Connection(shared) as connection:
                text = request("PUT", "/api/v1/datasets/gone", ["Content-Length: 300000"], b"a,b\n" + b"1,2\n" * 70000)
                connection.send(text[:cut])
    for path in ("/api/v1/jobs/1/metrics?wait=1", "/api/v1/jobs", "/openapi.json"):
        for _ in range(10):
            with Connection(shared) as connection:
                connection.send(request("GET", path))
    assert once(shared, "GET", "/api/v1/datasets/gone")[0] == 404


def test_too_many_connections_are_told_so(start_daemon):
    daemon = start_daemon("--connections", 8)
    held = [Connection(daemon) for _ in range(8)]
    for connection in held:
        connection.send(request("GET", LIVE))
        assert connection.answer()[0] == 200
    for connection in held:
        with Connection(daemon) as late:
            late.send(request("GET", LIVE))
            status, headers, _ = late.answer()
            assert status == 503 and int(headers["retry-after"]) >= 1
            # Those that were there before are served on.
            connection.send(request("GET", LIVE))
            assert connection.answer()[0] == 200
    for connection in held:
        connection.socket.close()
    for _ in range(100):  # until the daemon has seen that they have gone
        answer = once(daemon, "GET", LIVE)
        if answer and answer[0] == 200:
            break
    assert once(daemon, "GET", LIVE)[0] == 200
