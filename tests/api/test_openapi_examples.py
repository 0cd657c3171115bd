"""The contract is a test suite: every operation has an example, every example fits its own schema, and
every request example is replayed against a live daemon, which must accept it.

Requests go out in an order in which their resources exist: uploads, then jobs (waited for), then what
reads and predicts, then what deletes. Path and query parameters take their examples; a body that JSON
cannot hold (IDX, NPY, gzip) is made here from the media type.
"""

import functools
import re
import struct
import urllib.parse

import pytest

import daemon_process
import rest_client
import rest_contract

# Bodies for examples that are binary: two images of 2 × 2, two labels.
IDX_BODIES = {
    "images": struct.pack(">IIII", 0x803, 2, 2, 2) + bytes(range(8)),
    "labels": struct.pack(">II", 0x801, 2) + bytes([0, 1]),
}

ENDLESS = {"data": {"dataset": "iris", "target": "species"}, "training": {"epochs": 100000000}}


def examples_of(node):
    """{name: value} of a parameter or media type, from `examples` or `example`."""
    named = {name: example["value"] for name, example in node.get("examples", {}).items()
             if "value" in example}
    if "example" in node:
        named.setdefault("example", node["example"])
    return named


def parameter_example(contract, parameter):
    """The value to send, or None."""
    schema = contract.follow(parameter.get("schema", {}))
    values = list(examples_of(parameter).values()) + list(schema.get("examples", []))
    return values[0] if values else None


def text_of(value):
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def request_examples(contract, method, template):
    """[(name, media type, value)] of an operation; one without a body has one request."""
    body = contract.follow(contract.operations[method, template].get("requestBody", {}))
    requests = [(f"{media} {name}", media, value)
                for media, content in body.get("content", {}).items()
                for name, value in examples_of(content).items()]
    return requests or [("", None, None)]


def running_job(client):
    return client.submit(ENDLESS)["id"]


def cancelled_job(client):
    job = running_job(client)
    client.post(f"jobs/{job}/cancel")
    client.wait(job, "cancelled")
    return job


def paused_job(client):
    job = running_job(client)
    client.post(f"jobs/{job}/pause")
    client.wait_for_state(job, "paused")
    return job


# Models over corpora: what the examples of texts and sentences are asked of.
CORPUS_JOBS = {
    "plays": {"task": "language_model", "data": {"dataset": "plays-corpus"},
              "network": {"layers": [{"type": "embedding", "dimension": 4}, {"type": "rnn", "units": 4},
                                     {"type": "dense", "units": "auto"}]},
              "training": {"epochs": 1, "batch_size": 1, "sequence_length": 8}},
    "places": {"task": "tagging", "data": {"dataset": "places-corpus"},
               "network": {"layers": [{"type": "embedding", "dimension": 4}, {"type": "window", "width": 3},
                                      {"type": "dense", "units": "auto"}]},
               "training": {"epochs": 1}},
}
CORPORA = {"plays": ("text", b"to be or not to be\n"), "places": ("conll", b"in O\nNew B-place\nYork I-place\n")}


@functools.cache
def corpus_job(client, name):
    """The number of a job that has made the model `name`."""
    kind, corpus = CORPORA[name]
    client.put(f"datasets/{name}-corpus", corpus, query={"format": kind})
    return client.train({"name": name, **CORPUS_JOBS[name]})["id"]


def corpus_model_of(template, value):
    """The model that an example is about, or None."""
    if template.endswith(("/generate", "/score")):
        return "plays"
    return "places" if template.endswith("/predict") and "sentences" in value else None


# The job of the examples is over when these come, and in no state for them.
SUITABLE_JOBS = {
    ("post", "/api/v1/jobs/{id}/cancel"): running_job,
    ("post", "/api/v1/jobs/{id}/pause"): running_job,
    ("post", "/api/v1/jobs/{id}/resume"): paused_job,
    ("post", "/api/v1/jobs/{id}/retry"): cancelled_job,
    ("patch", "/api/v1/jobs/{id}"): running_job,
    ("delete", "/api/v1/jobs/{id}"): cancelled_job,
}


def rank(operation):
    """Uploads, jobs, reads, predictions, what needs a job of its own, deletions."""
    method, template = operation
    if operation in SUITABLE_JOBS:
        return (4, template)
    if method == "put":
        return (0, template)
    if method == "post" and template.endswith("/jobs"):
        return (1, template)
    return ({"get": 2, "post": 3}.get(method, 5), template)


def end_job(client, job):
    """Whatever an example has left: no job runs on for ever."""
    if client.get(f"jobs/{job}", expect=None).status_code == 200:
        client.post(f"jobs/{job}/cancel")
        client.wait(job, "cancelled")


def replay(client, method, template, media, value, query):
    """Sends one example; the client judges the exchange."""
    if template.endswith("/backups/{name}"):
        # Backups are named after their moment.
        path = template.replace("{name}", client.post("backup", expect=201).json()["name"])
        return send_example(client, method, template, path, media, value, query)
    model = corpus_model_of(template, value)
    if model:
        path = template.replace("{id}", str(corpus_job(client, model))).replace("{name}", model)
        return send_example(client, method, template, path, media, value, query)
    if (method, template) not in SUITABLE_JOBS:
        return send_example(client, method, template, template, media, value, query)
    job = SUITABLE_JOBS[method, template](client)
    path = template.replace("{id}", str(job))
    try:
        return send_example(client, method, template, path, media, value, query)
    finally:
        end_job(client, job)


def send_example(client, method, template, path, media, value, query):
    contract = client.contract
    parameters = contract.parameters(method, template)
    for (place, name), parameter in parameters.items():
        if place == "path":
            example = parameter_example(contract, parameter)
            assert example is not None, f"{template}: no example for {name}"
            path = path.replace("{" + name + "}", urllib.parse.quote(text_of(example), safe=""))
    if query:
        path += "?" + urllib.parse.urlencode(query)
    if media is None:
        return client.request(method.upper(), path)
    if rest_contract.is_json(media):
        return client.request(method.upper(), path, json=value, headers={"Content-Type": media})
    column = urllib.parse.urlsplit(path).path.rsplit("/", 1)[-1]
    body = value.encode() if isinstance(value, str) and value else IDX_BODIES.get(column)
    assert body is not None, f"{path}: no body to send as {media}"
    return client.request(method.upper(), path, data=body, headers={"Content-Type": media})


@pytest.fixture(scope="module")
def contract_client(tmp_path_factory):
    daemon = daemon_process.Daemon(tmp_path_factory.mktemp("examples") / "data")
    yield rest_client.Client(daemon)
    daemon.stop()


def test_every_operation_has_an_example_of_its_answer(contract_client):
    contract = contract_client.contract
    without = []
    for (method, template), operation in contract.operations.items():
        answers = [contract.follow(answer) for status, answer in operation["responses"].items()
                   if status.startswith("2")]
        contents = [content for answer in answers for content in answer.get("content", {}).values()]
        if contents and not any(examples_of(content) for content in contents):
            without.append(f"{method.upper()} {template}: no example of an answer")
        body = contract.follow(operation.get("requestBody", {}))
        if body and not any(examples_of(content) for content in body["content"].values()):
            without.append(f"{method.upper()} {template}: no example of a request")
    assert without == []


def test_every_example_fits_its_schema(contract_client):
    contract = contract_client.contract
    checked = 0
    for (method, template), operation in contract.operations.items():
        what = f"{method.upper()} {template}"
        places = [("request", contract.follow(operation.get("requestBody", {})))]
        places += [(status, contract.follow(answer))
                   for status, answer in operation["responses"].items()]
        for place, node in places:
            for media, content in node.get("content", {}).items():
                for name, value in examples_of(content).items():
                    if rest_contract.is_json(media) and "schema" in content:
                        contract.validate(value, content["schema"], f"{name} of {what} {place}")
                        checked += 1
        for (_, name), parameter in contract.parameters(method, template).items():
            for value in examples_of(parameter).values():
                contract.validate(value, parameter["schema"], f"parameter {name} of {what}")
                checked += 1
    assert checked > 0


def test_every_request_example_is_accepted(contract_client):
    client, contract = contract_client, contract_client.contract
    replayed = 0
    for method, template in sorted(contract.operations, key=rank):
        query_examples = {name: text_of(value)
                          for (place, name), parameter in contract.parameters(method, template).items()
                          if place == "query"
                          and (value := parameter_example(contract, parameter)) is not None}
        for _, media, value in request_examples(contract, method, template):
            # Once bare and once with every query parameter that has an example.
            queries = [{}] + ([query_examples] if query_examples else [])
            for query in queries:
                response = replay(client, method, template, media, value, query)
                replayed += 1
                if method == "post" and template.endswith("/jobs") and response.status_code == 201:
                    client.wait(response.json()["id"])
    assert replayed >= len(contract.operations)
    # Nothing that the document offers was left out.
    assert {(method, template) for method, template, _ in contract.exercised} == set(contract.operations)


def test_document_and_router_agree(contract_client):
    """Paths and methods of the document exist, others do not."""
    client, contract = contract_client, contract_client.contract
    for template in contract.document["paths"]:
        path = template.replace("{id}", "999999").replace("{version}", "999999")
        path = "".join("nobody" if part.startswith("{") else part
                       for part in re.split(r"(\{[^}]+\})", path))
        wrong = next(method for method in ("PATCH", "DELETE", "PUT")
                     if (method.lower(), template) not in contract.operations)
        assert client.request(wrong, path, expect=None).status_code in (404, 405)
    assert client.get("nowhere", expect=404).status_code == 404
