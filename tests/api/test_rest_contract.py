"""The judge itself: breaches of a small contract that it must notice. Needs no daemon."""

import types

import pytest

import rest_contract

DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/things/{id}": {
            "parameters": [{"in": "path", "name": "id", "required": True, "schema": {"type": "integer"}}],
            "get": {
                "parameters": [{"in": "query", "name": "limit", "schema": {"type": "integer"}}],
                "responses": {
                    "200": {"$ref": "#/components/responses/Thing"},
                    "4XX": {"content": {"application/problem+json": {}}},
                },
            },
            "put": {
                "requestBody": {"required": True, "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {"204": {}},
            },
        },
        "/things/new": {"get": {"responses": {"200": {"content": {"text/plain": {}}}}}},
    },
    "components": {
        "responses": {"Thing": {
            "headers": {"ETag": {"required": True, "schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
        "schemas": {"Thing": {
            "type": "object", "additionalProperties": False, "required": ["made"],
            "properties": {"made": {"type": "string", "format": "date-time"},
                           "size": {"type": ["number", "null"]}}}},
    },
}
GOOD = b'{"made": "2020-01-01T00:00:00Z", "size": 1.5}'


def answer(status, body=b"", media=None, **headers):
    if media:
        headers["Content-Type"] = media
    return types.SimpleNamespace(status_code=status, content=body, headers=headers)


def check(method, url, response, body=None, media=None):
    contract = rest_contract.Contract(DOCUMENT)
    contract.check(method, url, body, media, response)
    return contract.exercised


def test_what_fits_passes_and_is_noted():
    fitting = answer(200, GOOD, "application/json; charset=utf-8", ETag='"1"')
    assert check("GET", "http://h/things/1?limit=3", fitting) == {("get", "/things/{id}", "200")}
    check("GET", "http://h/things/new", answer(200, b"x", "text/plain"))
    check("GET", "http://h/things/1", answer(404, b"{}", "application/problem+json"))
    check("PUT", "http://h/things/1", answer(204), {"made": "2020-01-01T00:00:00+01:00"},
          "application/json")
    check("GET", "http://h/elsewhere", answer(404))
    check("DELETE", "http://h/things/1", answer(405))


@pytest.mark.parametrize("response", [
    answer(200, GOOD, "application/json"),
    answer(200, GOOD, "text/plain", ETag='"1"'),
    answer(200, GOOD, ETag='"1"'),
    answer(201, GOOD, "application/json", ETag='"1"'),
    answer(500, b"{}", "application/problem+json"),
    answer(404, b"{}", "application/json"),
    answer(200, b"{}", "application/json", ETag='"1"'),
    answer(200, GOOD[:-1] + b', "more": 1}', "application/json", ETag='"1"'),
    answer(200, GOOD.replace(b"1.5", b'"big"'), "application/json", ETag='"1"'),
    answer(200, GOOD.replace(b"00Z", b"00"), "application/json", ETag='"1"'),
    answer(200, GOOD.replace(b"1.5", b"NaN"), "application/json", ETag='"1"'),
    answer(200, GOOD.replace(b"1.5", b'1, "size": 2'), "application/json", ETag='"1"'),
    answer(200, GOOD[:-1], "application/json", ETag='"1"'),
])
def test_wrong_responses_are_noticed(response):
    with pytest.raises((AssertionError, ValueError)):
        check("GET", "http://h/things/1", response)


@pytest.mark.parametrize("method, url, body, media", [
    ("PUT", "http://h/things/1", {"made": 3}, "application/json"),
    ("PUT", "http://h/things/1", None, None),
    ("PUT", "http://h/things/1", None, "text/csv"),
    ("GET", "http://h/things/1?limit=many", None, None),
    ("GET", "http://h/things/1?limits=1", None, None),
    ("GET", "http://h/things/1", {}, "application/json"),
    ("POST", "http://h/things/1", None, None),
    ("GET", "http://h/elsewhere", None, None),
])
def test_wrong_requests_that_are_accepted_are_noticed(method, url, body, media):
    good = answer(204) if method == "PUT" else answer(200, GOOD, "application/json", ETag='"1"')
    with pytest.raises((AssertionError, ValueError)):
        check(method, url, good, body, media)
