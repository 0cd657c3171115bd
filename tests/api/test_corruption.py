"""Damaged files: refused or found by a checksum, never served, and never the end of the daemon."""

import random
import shutil
import sqlite3

import pytest

import drains
import faulty_runs
import rest_client

IRIS = {"name": "iris", "data": {"dataset": "iris", "target": "species"}, "training": {"epochs": 3}}
ROW = {"rows": [[5.1, 3.5, 1.4, 0.2]]}


def flip(path, offset, bits=1):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bits]))


def cut(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


DAMAGES = {
    "an element": lambda path: flip(path, 128 + 77),
    "the last byte": lambda path: flip(path, path.stat().st_size - 1, 128),
    "the magic": lambda path: flip(path, 0),
    "the number of rows": lambda path: flip(path, 24),
    "one byte less": lambda path: cut(path, path.stat().st_size - 1),
    "half of it": lambda path: cut(path, path.stat().st_size // 2),
    "nothing left": lambda path: cut(path, 0),
    "one byte more": lambda path: path.open("ab").write(b"\0"),
    "no file": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_column_file(start_daemon, iris, damage):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    good = client.train(IRIS)
    path = sorted((daemon.data / "columns").iterdir())[2]
    content = path.read_bytes()
    DAMAGES[damage](path)
    failed = client.wait(client.submit(IRIS)["id"], "failed")
    assert "column" in failed["reason"] and failed["model"] is None, failed["reason"]
    # What does not need the file goes on.
    assert client.post("models/iris/predict", json=ROW).json()["version"] == good["model"]["version"]
    assert client.get("datasets/iris").json()["rows"] == 150
    path.write_bytes(content)
    assert client.train(IRIS)["metrics"]["train"] == good["metrics"]["train"]


def test_an_upload_heals_a_damaged_column_file(start_daemon, iris):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    good = client.train(IRIS)
    for path in (daemon.data / "columns").iterdir():
        flip(path, 200)
    client.wait(client.submit(IRIS)["id"], "failed")
    client.put("datasets/iris", iris, expect=(200, 201))
    assert client.train(IRIS)["metrics"]["train"] == good["metrics"]["train"]


def tables_of(data, change):
    """Changes rows of a stopped daemon's database behind its back."""
    database = sqlite3.connect(data / "backpropd.db")
    with database:
        change(database)
    database.close()


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "missing", "shape"])
def test_damaged_weights_are_never_served(start_daemon, iris, damage):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    client.train(IRIS)
    client.train(IRIS)
    good = client.post("models/iris/versions/2/predict", json=ROW).json()
    daemon.stop()

    def change(database):
        tensor, data = database.execute(
            "SELECT t.id, t.data FROM model_tensors t JOIN models m ON m.id = t.model_id "
            "WHERE m.version = 1 ORDER BY t.ordinal LIMIT 1").fetchone()
        changed = {"flipped": data[:40] + bytes([data[40] ^ 1]) + data[41:], "cut": data[:-4],
                   "emptied": b""}.get(damage)
        if changed is not None:
            database.execute("UPDATE model_tensors SET data = ? WHERE id = ?", (changed, tensor))
        elif damage == "missing":
            database.execute("DELETE FROM model_tensors WHERE id = ?", (tensor,))
        else:
            database.execute("UPDATE model_tensors SET shape = '[1,1]' WHERE id = ?", (tensor,))

    tables_of(daemon.data, change)
    daemon.start()
    client = rest_client.Client(daemon)
    for _ in range(2):
        answer = client.post("models/iris/versions/1/predict", json=ROW, expect=None)
        if damage == "shape":  # what is not used to compute is at least not trusted
            assert answer.status_code in (200, 500)
            assert answer.status_code == 500 or \
                answer.json()["predictions"] == good["predictions"]
        else:
            assert answer.status_code == 500, answer.text
    exported = client.get("models/iris/versions/1/weights", expect=None)
    assert exported.status_code == 500 or (damage == "shape" and exported.status_code == 200)
    begun = client.post("jobs", json={**IRIS, "initial": {"model": "iris", "version": 1}}, expect=None)
    if begun.status_code == 201 and damage != "shape":
        client.wait(begun.json()["id"], "failed")
    # Others are not touched.
    assert client.post("models/iris/versions/2/predict", json=ROW).json() == good


def test_a_damaged_database(start_daemon, iris, tmp_path):
    """Bytes are flipped and pages lost all over the database. The daemon refuses to start, or it serves
    what it can: predictions are the right ones or faults, and it does not crash."""
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    for _ in range(3):
        client.train(IRIS)
    predicted = {version: client.post(f"models/iris/versions/{version}/predict", json=ROW).json()
                 for version in (1, 2, 3)}
    daemon.stop()
    whole = tmp_path / "whole"
    shutil.copytree(daemon.data, whole)
    size = (whole / "backpropd.db").stat().st_size
    draw = random.Random(4)
    started = faults = right = 0
    for number in range(24):
        shutil.rmtree(daemon.data)
        shutil.copytree(whole, daemon.data)
        database = daemon.data / "backpropd.db"
        if number % 4 == 0:
            page = draw.randrange(1, size // 16384)
            with database.open("r+b") as file:
                file.seek(page * 16384)
                file.write(draw.randbytes(16384) if number % 8 else bytes(16384))
        elif number % 4 == 1 and number < 12:
            cut(database, draw.randrange(size))
        else:
            for _ in range(20 * number):
                flip(database, draw.randrange(size), 1 << draw.randrange(8))
        try:
            daemon.start()
        except AssertionError as refused:
            assert "cannot start" in str(refused), refused
            continue
        started += 1
        speaker = drains.Speaker(daemon.base)
        for path in ("jobs", "jobs/1", "jobs/2/metrics", "datasets", "datasets/iris", "models",
                     "models/iris", "datasets/iris/rows"):
            status, _ = speaker.ask("GET", path)
            assert status is None or status == 200 or status in (404, 500), (path, status)
        for version, good in predicted.items():
            status, answer = speaker.ask("POST", f"models/iris/versions/{version}/predict", ROW)
            assert status in (200, 404, 500, None), (status, answer)
            assert status != 200 or answer["predictions"] == good["predictions"]
            right += status == 200
            faults += status == 500
        status, answer = speaker.ask("POST", "jobs", IRIS)
        assert status is None or status in (201, 404, 409, 422, 500), (status, answer)
        # It may have found a damage that ends it, in good order.
        if daemon.process.poll() is None:
            daemon.process.terminate()
        code = daemon.process.wait(60)
        assert code in (0, 74), f"exit status {code}:\n{daemon.log()}"
        daemon.process = None
    assert 0 < started < 24 and right and faults


def test_a_damaged_log(start_daemon, iris):
    """After kill -9 the log holds what was acknowledged last. Damaged, the database is as of an earlier
    moment, and sound."""
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    client.train(IRIS)
    daemon.kill()
    log = daemon.data / "backpropd.db-wal"
    size = log.stat().st_size
    content = log.read_bytes()
    for offset in (size - 10, size // 2, 40, 8):
        log.write_bytes(content)
        flip(log, offset)
        daemon.start()
        client = rest_client.Client(daemon)
        for job in client.get("jobs").json()["items"]:
            client.wait(job["id"])
        client.put("datasets/iris", iris, expect=(200, 201))
        client.train(IRIS)
        daemon.stop()
        faulty_runs.assert_sound(daemon.data)
        # Everything is in the database by now; the log of the next round begins anew.
        client = None
        daemon.start()
        rest_client.Client(daemon).train(IRIS)
        daemon.kill()
        content = log.read_bytes()
        if len(content) <= offset:
            break
