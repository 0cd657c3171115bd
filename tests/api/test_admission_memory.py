"""Admission: what a job is said to need is what the daemon grows by while it runs."""

import io
import pathlib
import threading
import time

import numpy
import pytest

import daemon_process
import rest_client

MIB = 1 << 20
SMALL, TALL, WIDE = (2000, 20, 3), (40000, 100, 5), (1000, 800, 10)
WHITE = (1000, 400, 3)


def dense(units, **more):
    return {"type": "dense", "units": units, "activation": "relu", **more}


# name: shape, hidden layers, training, the rest of the specification
JOBS = {
    "small": (SMALL, [dense(10)], {}, {}),
    "tall data": (TALL, [dense(64)], {}, {}),
    "wide, three copies of the weights": (WIDE, [dense(3000)], {}, {"optimizer": {"type": "adam"}}),
    "plain steps": (WIDE, [dense(3000)], {}, {"optimizer": {"type": "sgd"}}),
    "deep": (TALL, [dense(256) for _ in range(6)], {"batch_size": 1024, "epochs": 1}, {}),
    "best weights": (
        WIDE, [dense(2500)],
        {"early_stopping": {"metric": "validation.loss", "patience": 5, "restore_best": True}},
        {"data": {"validation": {"fraction": 0.2}}, "optimizer": {"type": "adam"}}),
    "dropout": (
        WIDE, [dense(1500, dropout={"keep": 0.5}),
               dense(1500, dropout={"keep": 0.5, "of": "connections"})], {"batch_size": 512}, {}),
    "whitening": (WHITE, [dense(300)], {}, {"preprocess": {"whiten": True}}),
    "float64": (WIDE, [dense(1500)], {"dtype": "float64"}, {"optimizer": {"type": "momentum"}}),
    "threads": (WIDE, [dense(2000)], {"threads": 4}, {}),
    "checked gradient": (SMALL, [dense(300), dense(300)],
                         {"gradient_check": True, "batch_size": 16}, {}),
    "checkpoints": (WIDE, [dense(2000)], {"epochs": 1},
                    {"optimizer": {"type": "adam"}, "checkpoint": {"every_steps": 6}}),
}


# name: data set, its part of data, layers, the rest of the specification
CORPORA = {
    "text": ("letters", {"validation": {"fraction": 0.1}},
             [{"type": "embedding", "dimension": 2}, {"type": "rnn", "units": 2}],
             {"training": {"epochs": 1, "batch_size": 2048, "sequence_length": 20}}),
    "streams": ("words", {"unit": "word"},
                [{"type": "embedding", "dimension": 64}, {"type": "lstm", "units": 64}],
                {"training": {"epochs": 1, "batch_size": 32, "sequence_length": 20}}),
    "tied, plain steps": ("words", {"unit": "word"},
                          [{"type": "embedding", "dimension": 128}, {"type": "gru", "units": 128}],
                          {"training": {"epochs": 1, "batch_size": 100, "sequence_length": 5}, "optimizer": "sgd"}),
    "windows": ("tagged", {"validation": {"fraction": 0.2}},
                [{"type": "window", "width": 7}, {"type": "embedding", "dimension": 8}],
                {"training": {"epochs": 1, "batch_size": 1000}}),
    "pairs": ("tagged", {}, [{"type": "embedding", "dimension": 8}, {"type": "window", "width": 3}],
              {"training": {"epochs": 1, "batch_size": 1000}, "loss": "max_margin"}),
}


def anonymous_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


class Growth:
    """The most that the process grew by while in `with`."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        self.before = self.most = anonymous_bytes(self.pid)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.over.is_set():
            self.most = max(self.most, anonymous_bytes(self.pid))
            time.sleep(0.001)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.bytes = self.most - self.before


def array(values):
    body = io.BytesIO()
    numpy.save(body, values)
    return body.getvalue()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    if daemon_process.is_instrumented():
        pytest.skip("memory of a sanitizer build says nothing")
    daemon = daemon_process.Daemon(tmp_path_factory.mktemp("memory") / "data", "--workers", 1)
    client = rest_client.Client(daemon)
    random = numpy.random.default_rng(1)
    for rows, columns, classes in (SMALL, TALL, WIDE, WHITE):
        values = random.random((rows, columns), dtype=numpy.float32)
        labels = values[:, :classes].argmax(1)
        client.put(f"datasets/set-{columns}/columns/x", array(values))
        client.put(f"datasets/set-{columns}/columns/y", array(labels))
    letters = random.integers(97, 107, 12_000_000, dtype=numpy.uint8)
    client.put("datasets/letters", letters.tobytes(), query={"format": "text"})
    words = [f"w{number}" for number in random.integers(0, 20000, 120_000)]
    client.put("datasets/words", " ".join(words[:15_000]).encode(), query={"format": "text"})
    client.put("datasets/tagged", "".join(
        f"{word}\t{'B-x' if index % 3 == 0 else 'O'}\n" + "\n" * (index % 20 == 19)
        for index, word in enumerate(words * 6)).encode(), query={"format": "conll"})
    # What the daemon takes once, for its first job.
    client.train(specification("small"))
    yield client
    daemon.stop()


def specification(name):
    (_, columns, _), hidden, training, rest = JOBS[name]
    data = {"dataset": f"set-{columns}", "features": ["x"], "target": "y", **rest.get("data", {})}
    return {**rest, "data": data, "network": {"layers": [*hidden, dense("auto", activation="identity")]},
            "training": {"epochs": 2, **training}}


def corpus_specification(name):
    dataset, data, layers, rest = CORPORA[name]
    last = {"type": "dense", "units": "auto", "tied": name.startswith("tied")}
    return {"data": {"dataset": dataset, **data}, "network": {"layers": [*layers, last]}, **rest}


@pytest.mark.parametrize("name", [*JOBS, *CORPORA])
def test_growth_is_what_was_said(client, name):
    job = specification(name) if name in JOBS else corpus_specification(name)
    answer = client.post("jobs", query={"validate_only": "true"}, json=job).json()
    need = answer["memory"]["total_bytes"]
    with Growth(client.daemon.pid) as growth:
        client.train(job)
    print(f"{name}: need {need / MIB:.1f} MiB, growth {growth.bytes / MIB:.1f} MiB")
    assert abs(growth.bytes - need) <= 0.05 * need + 4 * MIB
