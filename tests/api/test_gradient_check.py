"""Gradients against differences over REST, and the same check as a gate before a training."""

import concurrent.futures
import json

import pytest

import raw_http


@pytest.fixture
def with_iris(client, iris):
    client.put("datasets/iris", iris)
    return client


def iris_job(activation="tanh", units=5, **more):
    return {"data": {"dataset": "iris", "target": "species"},
            "network": {"layers": [{"type": "dense", "units": units, "activation": activation},
                                   {"type": "dense", "units": "auto"}]},
            "training": {"batch_size": 10, "seed": 3}, **more}


def check(client, body):
    return client.post("gradient-check", json=body).json()


def test_report_of_all_elements(with_iris):
    report = check(with_iris, iris_job())
    assert report["pass"] is True
    assert (report["method"], report["epsilon"], report["rows"]) == ("central", 1e-5, 10)
    assert [(t["name"], t["shape"], t["elements"]) for t in report["tensors"]] == [
        ("layers.0.weight", [5, 4], 20), ("layers.0.bias", [5], 5),
        ("layers.1.weight", [3, 5], 15), ("layers.1.bias", [3], 3)]
    for tensor in report["tensors"]:
        assert tensor["checked"] == tensor["elements"] and tensor["pass"]
        assert tensor["skipped"] == tensor["failed"] == 0
        assert 0 < tensor["maximum_relative_error"] < 1e-7
        worst = tensor["worst"]
        assert all(0 <= at < size for at, size in zip(worst["index"], tensor["shape"], strict=True))
        assert worst["analytic"] == pytest.approx(worst["numerical"], rel=1e-5, abs=1e-9)
    assert report["checked"] == 43
    assert check(with_iris, iris_job()) == report


def test_large_tensors_are_sampled(with_iris):
    report = check(with_iris, iris_job(units=300) | {"max_elements": 7})
    assert [t["checked"] for t in report["tensors"]] == [7, 7, 7, 3]
    assert report["pass"]


def test_forward_difference_is_far_less_exact(with_iris):
    central = check(with_iris, iris_job())
    forward = check(with_iris, iris_job() | {"method": "forward"})
    assert forward["method"] == "forward" and not forward["pass"]

    def largest(report):
        return max(t["maximum_relative_error"] for t in report["tensors"])
    assert largest(forward) > 10 * largest(central)


def test_a_large_epsilon_fails(with_iris):
    report = check(with_iris, iris_job() | {"epsilon": 0.1})
    assert not report["pass"] and report["failed"] > 0


@pytest.mark.parametrize("activation", [
    "identity", "sigmoid", "tanh", "hard_tanh", "softsign", "relu", {"type": "leaky_relu", "slope": 0.1}])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "hinge"])
def test_activations_and_losses(with_iris, activation, loss):
    report = check(with_iris, iris_job(activation, loss={"type": loss}))
    assert report["pass"] and report["checked"] > 20


def test_kinks_are_skipped_and_counted(with_iris):
    # With every weight 0 all units lie on ReLU's kink: both sides of an ε differ in their pieces.
    body = iris_job("relu")
    body["network"]["layers"][0]["init"] = {"type": "zeros"}
    report = check(with_iris, body)
    assert report["pass"]
    by_name = {t["name"]: t for t in report["tensors"]}
    assert by_name["layers.0.bias"]["skipped"] == 5 and by_name["layers.0.bias"]["worst"] is None
    assert by_name["layers.1.bias"]["skipped"] == 0


@pytest.mark.parametrize("dropout", [
    {"keep": 0.5}, {"keep": 0.6, "of": "connections"}])
@pytest.mark.parametrize("regularization", [{"l2": 0.1}, {"l1": 0.05}, {"frobenius": 0.1}])
def test_masks_are_held_fixed_and_penalties_belong_to_the_loss(with_iris, dropout, regularization):
    body = iris_job(regularization=regularization)
    body["network"]["layers"][0]["dropout"] = dropout
    report = check(with_iris, body)
    assert report["pass"] and report["checked"] == 43


def test_regression_with_scaled_targets_and_weighted_classes(with_iris):
    body = {"data": {"dataset": "iris", "target": "petal_width", "exclude": ["species"]},
            "preprocess": {"target": "standard", "whiten": True}, "training": {"batch_size": 8},
            "network": {"layers": [{"type": "dense", "units": 4, "activation": "sigmoid"},
                                   {"type": "dense", "units": "auto"}]}}
    assert check(with_iris, body)["pass"]
    assert check(with_iris, iris_job(loss={"type": "softmax_cross_entropy",
                                           "class_weights": {"setosa": 5}}))["pass"]


def test_all_faults_at_once(with_iris):
    body = iris_job() | {"epsilon": 0, "max_elements": 0, "method": "backward"}
    body["training"]["batch_size"] = 0
    problem = with_iris.problem("POST", "gradient-check", 422, json=body)
    assert {e["pointer"] for e in problem["errors"]} == {
        "/epsilon", "/max_elements", "/method", "/training/batch_size"}


def test_work_is_bounded(with_iris):
    body = iris_job(units=8000) | {"max_elements": 10_000_000}
    problem = with_iris.problem("POST", "gradient-check", 422, json=body)
    fault, = problem["errors"]
    assert fault["pointer"] == "/max_elements" and "e+11" in fault["detail"], fault


def test_http_threads_answer_meanwhile(with_iris):
    """More checks than HTTP threads; each takes a while, and others are served between them."""
    body = iris_job(units=60) | {"max_elements": 200}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        checks = [pool.submit(check, with_iris, body) for _ in range(8)]
        for _ in range(20):
            with_iris.get("/v2/health/live")
        reports = [result.result() for result in checks]
    assert all(report == reports[0] for report in reports)


# ---- the gate ----

def test_a_job_that_passes_its_check_trains(with_iris):
    body = iris_job()
    body["training"] |= {"epochs": 2, "gradient_check": True}
    document = with_iris.train(body)
    report = document["gradient_check"]
    assert report["pass"] and report["checked"] == 43
    plain = with_iris.train(iris_job(training={"batch_size": 10, "seed": 3, "epochs": 2}))
    assert "gradient_check" not in plain
    assert plain["metrics"] == document["metrics"]  # checking changes nothing


def test_a_job_that_fails_its_check_does_not_train(with_iris):
    body = iris_job("identity")
    for layer in body["network"]["layers"]:
        layer["init"] = {"type": "constant", "value": 1e200}  # the loss overflows
    body["training"] |= {"gradient_check": True, "dtype": "float64"}
    document = with_iris.wait(with_iris.submit(body)["id"], "failed")
    assert document["reason"] == "gradient_check"
    assert document["gradient_check"]["pass"] is False
    assert document["gradient_check"]["failed"] > 0
    assert document["model"] is None and document["metrics"]["latest"] == {}


# ---- nobody waits any more ----

def long_check():
    """Just below the bound: many seconds of work."""
    return json.dumps(iris_job(units=5000) | {"max_elements": 10_000_000}).encode()


def start_check(daemon):
    connection = raw_http.Connection(daemon)
    body = long_check()
    connection.send(raw_http.request("POST", "/api/v1/gradient-check", [
        "Content-Type: application/json", f"Content-Length: {len(body)}"], body))
    return connection


def test_a_check_ends_when_its_client_goes(daemon, with_iris):
    # Together they would take far longer than the client of the last check waits.
    gone = [start_check(daemon) for _ in range(30)]
    for connection in gone:
        connection.socket.close()
    assert check(with_iris, iris_job())["pass"]


def test_a_check_ends_when_the_daemon_stops(daemon, with_iris):
    running = start_check(daemon)
    with_iris.get("/v2/health/live")
    daemon.stop()
    assert "requests cut off" not in daemon.log()
    answer = running.answer()
    assert answer is None or answer[0] == 503


def test_cancelling_a_job_ends_its_check(with_iris):
    body = iris_job(units=2000)
    body["training"] |= {"gradient_check": True, "epochs": 100_000_000}
    job = with_iris.submit(body)["id"]
    with_iris.post(f"jobs/{job}/cancel", expect=202)
    assert "gradient_check" not in with_iris.wait(job, "cancelled")
