"""Jobs that are made to suffer, and what must be the same afterwards as if they had not."""

import pathlib
import random
import sqlite3
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/api"))

import drains  # noqa: E402

IRIS = ROOT / "tests/data/iris.csv"

# Everything that has a state of its own: slots, dropout masks, plateau, early stopping with its best
# weights, a last short batch, checkpoints in mid-epoch. In 200 epochs it has its best one (the 37th) and
# several reductions of the rate well before a kill at two thirds.
STATEFUL = {
    "data": {"dataset": "iris", "target": "species", "validation": {"fraction": 0.2}},
    "network": {"layers": [
        {"type": "dense", "units": 24, "activation": "tanh", "dropout": {"keep": 0.8}},
        {"type": "dense", "units": "auto"}]},
    "optimizer": {"type": "adam", "learning_rate": 0.02},
    "schedule": {"type": "plateau", "patience": 8, "factor": 0.8},
    "training": {"epochs": 60, "batch_size": 17, "seed": 6,
                 "early_stopping": {"metric": "validation.loss", "patience": 1000,
                                    "restore_best": True}},
    "metrics": {"every_steps": 3},
    "checkpoint": {"every_steps": 7, "keep_last": 3},
}

# The same of a language model, and what its recurrent layers carry. Its epochs have 250 steps, no multiple of
# 7, and are fewer than 7: all checkpoints but the last are in mid-epoch.
READING = {
    "data": {"dataset": "prose", "unit": "character", "validation": {"fraction": 0.1}},
    "network": {"layers": [
        {"type": "embedding", "dimension": 6},
        {"type": "lstm", "units": 14, "dropout": {"keep": 0.9, "variational": True}},
        {"type": "dense", "units": "auto"}]},
    "optimizer": {"type": "adam", "learning_rate": 0.01},
    "schedule": {"type": "plateau", "patience": 1, "factor": 0.8},
    "training": {"epochs": 6, "batch_size": 8, "sequence_length": 5, "seed": 6,
                 "early_stopping": {"metric": "validation.loss", "patience": 1000,
                                    "restore_best": True}},
    "metrics": {"every_steps": 3},
    "checkpoint": {"every_steps": 7, "keep_last": 3},
}


def prose():
    """Some 11100 characters in made-up sentences, the same ones every time."""
    draw = random.Random(8)
    nouns, verbs = ("cat", "dog", "king", "ship", "letter"), ("sees", "finds", "loses", "hides")
    text = ""
    while len(text) < 11100:
        text += f"the {draw.choice(nouns)} {draw.choice(verbs)} a {draw.choice(nouns)}.\n"
    return text.encode()


def put_data(speaker):
    """The data sets of all of them."""
    assert speaker.ask("PUT", "datasets/iris", IRIS.read_bytes())[0] == 201
    assert speaker.ask("PUT", "datasets/prose?format=text", prose())[0] == 201


def named(name, specification=None, **changes):
    job = {**(specification or STATEFUL), "name": name}
    for section, fields in changes.items():
        job[section] = {**job[section], **fields}
    return job


def wait(speaker, job, seconds=120):
    """The document of a finished job; None when the daemon goes meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status, document = speaker.ask("GET", f"jobs/{job}")
        if status is None:
            return None
        if status == 200 and document["state"] in ("succeeded", "failed", "cancelled"):
            return document
        speaker.ask("GET", f"jobs/{job}/metrics?after=9007199254740991&limit=1&wait=1")
    raise AssertionError(f"job {job} does not end: {document}")


def history(speaker, job):
    points, after = [], 0
    while True:
        status, page = speaker.ask("GET", f"jobs/{job}/metrics?after={after}&limit=10000")
        assert status == 200, (status, page)
        for point in page["points"]:
            assert point["seq"] == len(points) + 1, "a metric twice or missing"
            points.append((point["step"], point["epoch"], point["values"]))
        after = page["next"]
        if page["complete"]:
            return points


def weights(speaker, document):
    """Tensor bytes of the model that a job made, without the header, which holds the job's name."""
    model = document["model"]
    content = speaker.ask_raw("GET", f"models/{model['name']}/versions/{model['version']}/weights")
    return content[8 + int.from_bytes(content[:8], "little"):]


def outcome(base, job):
    """What must not depend on interruptions, of a job that has succeeded."""
    speaker = drains.Speaker(base)
    document = wait(speaker, job)
    assert document and document["state"] == "succeeded", document and (document["state"],
                                                                       document["reason"])
    assert document["reproducible"]
    return {"weights": weights(speaker, document), "history": history(speaker, job),
            "metrics": document["metrics"]}


def last_checkpoint(data, job):
    """Of a stopped daemon: position and checksums of all tensors, optimiser slots and best weights
    included."""
    database = sqlite3.connect(f"file:{data}/backpropd.db?mode=ro", uri=True)
    try:
        found = database.execute(
            "SELECT id, cause, step, epoch, metric_seq FROM checkpoints "
            "WHERE job_id = ? AND complete = 1 ORDER BY number DESC LIMIT 1", (job,)).fetchone()
        assert found, f"job {job} has no checkpoint"
        tensors = database.execute(
            "SELECT role, slot, name, dtype, shape, sha256 FROM checkpoint_tensors "
            "WHERE checkpoint_id = ? ORDER BY ordinal", (found[0],)).fetchall()
        assert {row[0] for row in tensors} >= {"weights", "slot"}
        return found[1:], tensors
    finally:
        database.close()


def assert_sound(data):
    """Of a stopped daemon: integrity, foreign keys, no metric twice or missing, no half checkpoint in
    the way, no file that nobody names."""
    database = sqlite3.connect(f"file:{data}/backpropd.db?mode=ro", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert database.execute("SELECT job_id FROM metrics GROUP BY job_id "
                                "HAVING min(seq) <> 1 OR max(seq) <> count(*)").fetchall() == []
        assert database.execute("SELECT job_id FROM job_events GROUP BY job_id "
                                "HAVING min(ordinal) <> 1 OR max(ordinal) <> count(*)"
                                ).fetchall() == []
        columns = {row[0] for row in database.execute("SELECT file_sha256 FROM dataset_columns")}
    finally:
        database.close()
    assert {path.name for path in (pathlib.Path(data) / "columns").iterdir()} >= columns
