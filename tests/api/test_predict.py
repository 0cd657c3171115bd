"""Prediction requests: what is understood, what is refused, and how it scales."""

import json
import threading
import time

import pytest

import raw_http
import rest_client

GOOD = [5.1, 3.5, 1.4, 0.2]


@pytest.fixture
def model(client, iris):
    client.put("datasets/iris", iris)
    client.train({"name": "iris", "data": {"dataset": "iris", "target": "species"},
                  "training": {"epochs": 3, "batch_size": 16}})
    return "models/iris/predict"


def test_answer(client, model):
    answer = client.post(model, json={"rows": [GOOD, GOOD], "mc_samples": 0, "seed": 1}).json()
    assert (answer["model"], answer["version"]) == ("iris", 1)
    assert answer["classes"] == ["setosa", "versicolor", "virginica"]
    first, second = answer["predictions"]
    assert first == second
    assert sum(first["probabilities"]) == pytest.approx(1, abs=1e-6)
    assert first["label"] == answer["classes"][max(range(3), key=first["probabilities"].__getitem__)]


def test_missing_values_are_filled(client, model):
    client.post(model, json={"rows": [[None, 3.5, 1.4, 0.2], {
        "sepal_length": None, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]})


@pytest.mark.parametrize("body, pointer", [
    ({}, "/rows"),
    ({"rows": 5}, "/rows"),
    ({"rows": {}}, "/rows"),
    ({"rows": ["x"]}, "/rows/0"),
    ({"rows": [GOOD, GOOD[:3]]}, "/rows/1"),
    ({"rows": [GOOD + [1]]}, "/rows/0"),
    ({"rows": [GOOD[:3] + ["wide"]]}, "/rows/0"),
    ({"rows": [GOOD[:3] + [[1]]]}, "/rows/0"),
    ({"rows": [GOOD[:3] + [True]]}, "/rows/0"),
    ({"rows": [{"sepal_length": 1}]}, "/rows/0"),
    ({"rows": [{"sepal_length": 1, "sepal_width": 1, "petal_length": 1, "petal_width": 1, "x": 1}]}, "/rows/0/x"),
    ({"rows": [GOOD], "row": 1}, "/row"),
    ({"rows": [GOOD], "mc_samples": -1}, "/mc_samples"),
    ({"rows": [GOOD], "mc_samples": "many"}, "/mc_samples"),
    ({"rows": [GOOD], "seed": -1}, "/seed"),
    ({"rows": [GOOD], "seed": 1.5}, "/seed"),
    ({"rows": [GOOD], "seed": 2 ** 53}, "/seed"),
])
def test_faults_name_their_place(client, model, body, pointer):
    problem = client.problem("POST", model, 422, json=body)
    assert problem["errors"][0]["pointer"].startswith(pointer), problem


def test_a_row_without_an_answer_gets_no_label(client, model):
    # Finite as sent, infinite in float32.
    problem = client.problem("POST", model, 422,
                             json={"rows": [GOOD, [1e308, -1e308, 1e308, -1e308]]})
    assert [error["pointer"] for error in problem["errors"]] == ["/rows/1"]


def test_unknown_member_gets_a_hint(client, model):
    problem = client.problem("POST", model, 422, json={"rows": [GOOD], "sede": 1})
    assert '"seed"' in problem["errors"][0]["detail"]


def test_all_faults_come_at_once(client, model):
    problem = client.problem("POST", model, 422, json={"rows": [GOOD[:2], GOOD, GOOD[:3]], "sede": 1})
    pointers = [fault["pointer"] for fault in problem["errors"]]
    assert len(pointers) == 3 and {pointer[:7] for pointer in pointers} == {"/rows/0", "/rows/2", "/sede"}


def test_no_rows_is_an_empty_answer_or_a_clear_fault(client, model):
    response = client.request("POST", model, json={"rows": []}, expect=(200, 422))
    if response.status_code == 200:
        assert response.json()["predictions"] == []


def test_many_rows(client, model):
    answer = client.post(model, json={"rows": [GOOD] * 10000}).json()
    assert len(answer["predictions"]) == 10000
    assert all(prediction == answer["predictions"][0] for prediction in answer["predictions"])
    problem = client.problem("POST", model, (413, 422), json={"rows": [GOOD] * 10001})
    assert "10000" in problem["detail"]


def test_values_without_end_are_refused_before_they_are_parsed(daemon, client, model):
    """Each would cost some 40 bytes of memory for 2 of the body."""
    body = b'{"rows": [[' + b"1," * 8000000 + b"1]]}"
    before = daemon.resident_bytes()
    answer = raw_http.once(daemon, "POST", "/api/v1/" + model, ["Content-Type: application/json",
                                                              f"Content-Length: {len(body)}"], body)
    assert raw_http.problem(answer)["status"] == 413
    assert daemon.resident_bytes() - before < 10 * len(body)


def test_a_body_that_is_no_object(daemon, client, model):
    for body, wanted in ((b"[]", 422), (b"5", 400), (b'{"rows": [[1, 2', 400)):
        answer = raw_http.once(daemon, "POST", "/api/v1/" + model, ["Content-Type: application/json",
                                                                  f"Content-Length: {len(body)}"], body)
        assert raw_http.problem(answer)["status"] == wanted


def test_others_are_served_during_long_predictions(start_daemon):
    client = rest_client.Client(start_daemon("--http-threads", 2))
    client.put("datasets/d", b"x,y\n1,2\n2,4\n")
    wide = {"type": "dense", "units": 2048, "activation": "relu"}
    client.train({"name": "d", "data": {"dataset": "d", "target": "y"}, "task": "regression",
                  "network": {"layers": [wide, wide, {"type": "dense", "units": "auto"}]},
                  "training": {"epochs": 0}})
    # Short to send, long to compute.
    body = json.dumps({"rows": [[1]] * 3000}, separators=(",", ":")).encode()
    answered = []

    def predict():
        answered.append(raw_http.once(client.daemon, "POST", "/api/v1/models/d/predict",
                                      ["Content-Type: application/json",
                                       f"Content-Length: {len(body)}"], body)[0])

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        client.get("/v2/health/live")
        time.sleep(0.01)
    before = list(answered)
    for thread in threads:
        thread.join()
    assert len(before) < 2 and answered == [200] * 4


def test_many_clients_at_once_get_the_same_bits(daemon, client, model):
    """More clients than networks in the pool of a model; small and large bodies mixed."""
    import requests
    wanted = client.post(model, json={"rows": [GOOD]}).json()["predictions"][0]
    faults = []

    def ask(rows):
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(10):
                answer = session.post(f"{daemon.base}/api/v1/{model}", json={"rows": [GOOD] * rows})
                if answer.status_code == 503:
                    continue
                if answer.status_code != 200 or answer.json()["predictions"] != [wanted] * rows:
                    faults.append(answer.text[:300])

    clients = [threading.Thread(target=ask, args=(rows,)) for rows in [1, 2, 65, 1000] * 6]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert faults == []
