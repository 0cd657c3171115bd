"""Backups over REST and from the command line: taken while jobs and uploads go on, whole, and good to
start a daemon on."""

import concurrent.futures
import os
import pathlib
import signal
import sqlite3
import subprocess
import threading

import pytest

import daemon_process
import rest_client
import system_calls

IRIS = {"name": "iris", "data": {"dataset": "iris", "target": "species"}, "training": {"epochs": 5}}
ENDLESS = {**IRIS, "name": "endless", "training": {"epochs": 100_000_000}}


def command(*arguments, **options):
    return subprocess.run([daemon_process.binary(), "backup", *map(str, arguments)],
                          capture_output=True, text=True, timeout=120, **options)


def assert_whole(folder):
    """The database is sound and every column file that it names is there, and no other."""
    database = sqlite3.connect(f"file:{folder}/backpropd.db?immutable=1", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        named = {row[0] for row in database.execute("SELECT file_sha256 FROM dataset_columns")}
    finally:
        database.close()
    assert {entry.name for entry in (folder / "columns").iterdir()} == named
    assert not (folder / "backpropd.db-wal").exists()


def table(number, rows=300):
    """A CSV whose columns no other number has."""
    lines = ["a,b,label"] + [f"{number + row * 0.5},{row * number},{row % 2}" for row in range(rows)]
    return "\n".join(lines).encode()


def test_a_restored_backup_serves_and_trains_on(start_daemon, iris):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    done = client.train(IRIS)
    running = client.submit(ENDLESS)["id"]
    queued = client.submit(IRIS)["id"]
    client.get(f"jobs/{running}/metrics", query={"wait": 10})
    rows = {"rows": [[5.1, 3.5, 1.4, 0.2]]}
    predicted = client.post("models/iris/predict", json=rows).json()

    backup = client.post("backup", expect=201).json()
    folder = daemon.data / backup["path"]
    assert_whole(folder)
    files = [folder / "backpropd.db", *(folder / "columns").iterdir()]
    assert (backup["files"], backup["bytes"]) == (len(files), sum(f.stat().st_size for f in files))
    assert client.get("backups").json()["items"] == [backup]

    # What comes later is not in it.
    client.put("datasets/later", table(7))
    for job in (running, queued):
        client.post(f"jobs/{job}/cancel")
    daemon.stop()

    restored = rest_client.Client(start_daemon("--workers", 1, data=folder))
    restored.get("datasets/later", expect=404)
    assert restored.post("models/iris/predict", json=rows).json() == predicted
    assert [item["id"] for item in restored.get("jobs").json()["items"]] == \
        sorted((done["id"], running, queued), reverse=True)
    document = restored.get(f"jobs/{running}").json()
    assert document["state"] in ("queued", "running") and document["restarts"] == 1
    restored.post(f"jobs/{running}/cancel")
    restored.wait(running, "cancelled")
    again = restored.wait(queued)  # reads the data set's files
    assert again["metrics"]["train"] == done["metrics"]["train"]


def test_backups_while_everything_changes(start_daemon, tmp_path):
    """Uploads, deletions and jobs go on while backups are made by the daemon and from the command line:
    each is whole, none is refused, and nothing else fails."""
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/kept", table(1))
    stop = threading.Event()

    def change(offset):
        mine, number = rest_client.Client(daemon), offset
        while not stop.is_set():
            number += 2
            mine.put(f"datasets/d{offset}", table(number), expect=(200, 201))
            job = mine.submit({"name": f"j{offset}", "training": {"epochs": 1},
                               "data": {"dataset": f"d{offset}", "target": "label"}})["id"]
            mine.wait(job)
            mine.delete(f"datasets/d{offset}", expect=204)
        return number

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        changing = [pool.submit(change, offset) for offset in (10, 11)]
        try:
            for number in range(8):
                folder = daemon.data / client.post("backup", expect=201).json()["path"]
                assert_whole(folder)
                copy = tmp_path / f"copy{number}"
                made = command("--data", daemon.data, "--to", copy)
                assert made.returncode == 0, made.stderr
                assert_whole(copy)
        finally:
            stop.set()
        assert all(future.result() > 11 for future in changing)
    items = client.get("backups").json()["items"]
    assert len(items) == 8 and [item["name"] for item in items] == sorted(i["name"] for i in items)
    # Pages join up.
    paged, after = [], None
    while after is not False:
        page = client.get("backups", query={"limit": 3, **({"after": after} if after else {})}).json()
        paged += page["items"]
        after = page["next"] or False
    assert paged == items


def test_one_at_a_time_and_deletion(start_daemon, iris):
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)

    def make(_):
        return rest_client.Client(daemon).post("backup", expect=(201, 409))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(make, range(24)))
    made = [answer.json()["name"] for answer in answers if answer.status_code == 201]
    assert made and len(set(made)) == len(made)
    for refused in (answer for answer in answers if answer.status_code == 409):
        assert "being made already" in refused.json()["detail"]
    assert {item["name"] for item in client.get("backups").json()["items"]} == set(made)

    first = made[0]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(
            lambda _: rest_client.Client(daemon).delete(f"backups/{first}",
                                                        expect=(204, 404)).status_code, range(2)))
    assert statuses == [204, 404]
    assert not (daemon.data / "backups" / first).exists()
    assert list((daemon.data / "tmp").iterdir()) == []
    # The data set's own files stay.
    client.train(IRIS)

    second = client.post("backup", expect=201).json()
    other = start_daemon(data=daemon.data / second["path"])
    problem = client.problem("DELETE", f"backups/{second['name']}", 409)
    assert "a daemon runs on this backup" in problem["detail"]
    other.stop()
    client.delete(f"backups/{second['name']}", expect=204)
    client.delete("backups/lock", expect=404)
    client.delete("backups/..%2Fcolumns", expect=404)


def test_an_interrupted_backup_is_swept(start_daemon, iris):
    daemon = start_daemon()
    rest_client.Client(daemon).put("datasets/iris", iris)
    daemon.kill()
    for left in ("backup-20260301T093000.000Z", "backup-gone-20260301T093000.000Z"):
        (daemon.data / "tmp" / left / "columns").mkdir(parents=True)
        (daemon.data / "tmp" / left / "backpropd.db").write_bytes(b"half")
    (daemon.data / "backups" / "not-ours").mkdir(parents=True)
    daemon.start()
    client = rest_client.Client(daemon)
    assert list((daemon.data / "tmp").iterdir()) == []
    assert client.get("backups").json() == {"items": [], "next": None}
    client.delete("backups/not-ours", expect=404)
    assert (daemon.data / "backups" / "not-ours").is_dir()


def test_a_damaged_data_directory_is_not_backed_up(start_daemon, iris, tmp_path):
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    columns = sorted((daemon.data / "columns").iterdir())
    content = columns[0].read_bytes()

    columns[0].unlink()
    problem = client.problem("POST", "backup", 500)
    assert columns[0].name in problem["detail"] and "missing" in problem["detail"]
    made = command("--data", daemon.data, "--to", tmp_path / "copy")
    assert made.returncode == 1 and columns[0].name in made.stderr

    columns[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    made = command("--data", daemon.data, "--to", tmp_path / "copy")
    assert made.returncode == 1 and "damaged" in made.stderr and columns[0].name in made.stderr
    # Nothing is left of those that failed.
    assert not (tmp_path / "copy").exists() and not (tmp_path / "copy.partial").exists()
    assert list((daemon.data / "tmp").iterdir()) == []
    assert client.get("backups").json()["items"] == []
    columns[0].write_bytes(content)
    client.post("backup", expect=201)


def test_a_damaged_database_is_not_backed_up(start_daemon, iris, tmp_path):
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    for _ in range(20):
        client.train(IRIS)
    daemon.stop()
    database = daemon.data / "backpropd.db"
    content = bytearray(database.read_bytes())
    # A page of some index or table: its header becomes nonsense.
    page = 20 * 16384
    content[page:page + 64] = b"\xff" * 64
    database.write_bytes(content)
    made = command("--data", daemon.data, "--to", tmp_path / "copy")
    assert made.returncode == 1 and "damaged" in made.stderr
    assert not (tmp_path / "copy").exists() and not (tmp_path / "copy.partial").exists()


def test_the_command_without_a_daemon(start_daemon, iris, tmp_path):
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    done = client.train(IRIS)
    # Killed, so that the last commits are in the log alone.
    daemon.kill()
    assert (daemon.data / "backpropd.db-wal").stat().st_size > 0
    log = (daemon.data / "backpropd.db-wal").read_bytes()
    copy = tmp_path / "odd ?#% name" / "copy"
    copy.parent.mkdir()
    made = command("--data", daemon.data, f"--to={copy}/")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"{copy}: 6 files, ")
    assert (daemon.data / "backpropd.db-wal").read_bytes() == log
    assert {entry.stat().st_nlink for entry in (copy / "columns").iterdir()} == {1}
    again = command("--data", daemon.data, "--to", copy)
    assert again.returncode == 1 and "already" in again.stderr
    restored = rest_client.Client(start_daemon(data=copy))
    assert restored.get(f"jobs/{done['id']}").json()["state"] == "succeeded"
    restored.train(IRIS)


@pytest.mark.parametrize("arguments, code, said", [
    (["--help"], 0, ""), ([], 2, "--to"), (["--to"], 2, "value"), (["--from", "x"], 2, "--from"),
    (["--data", "/nowhere", "--to", "copy"], 1, "no data directory"),
    (["--data", "{data}", "--to", "/nowhere/copy"], 1, "No such file"),
])
def test_arguments_of_the_command(start_daemon, tmp_path, arguments, code, said):
    daemon = start_daemon()
    made = command(*[a.replace("{data}", str(daemon.data)) for a in arguments], cwd=tmp_path)
    assert made.returncode == code and said in made.stderr
    assert not (tmp_path / "copy").exists()
    if code == 0:
        assert "--to NEW_DIR" in made.stdout and made.stderr == ""


def test_an_interrupted_command_leaves_nothing(start_daemon, iris, tmp_path):
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    process = subprocess.Popen([daemon_process.binary(), "backup", "--data", daemon.data, "--to",
                                tmp_path / "copy"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    process.communicate()
    # It may have been too early for the handler, or too late for the signal.
    assert code in (0, 1, -signal.SIGTERM)
    assert not (tmp_path / "copy.partial").exists()
    assert (tmp_path / "copy").exists() == (code == 0)
    if code == 0:
        assert_whole(tmp_path / "copy")


def test_a_full_disk_is_told(start_daemon, iris, tmp_path):
    """A limit on the size of files stands for the disk."""
    daemon = start_daemon()
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    limit = pathlib.Path(daemon.data / "backpropd.db").stat().st_size // 2

    def small_files():
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    made = command("--data", daemon.data, "--to", tmp_path / "copy", preexec_fn=small_files)
    assert made.returncode == 1 and made.stderr
    assert not (tmp_path / "copy").exists() and not (tmp_path / "copy.partial").exists()
    assert os.listdir(daemon.data / "tmp") == []


def test_a_slow_backup(start_daemon, tmp_path):
    """It may take longer than the deadline of requests; a stop gives it up and leaves nothing of it."""
    daemon = start_daemon()
    daemon.stop()
    slow = start_daemon("--deadline", 1, environment=system_calls.ENVIRONMENT,
                        prefix=system_calls.under_strace(
                            tmp_path / "trace", "-e", "trace=fsync", "-e",
                            "inject=fsync:delay_enter=300000"))
    client = rest_client.Client(slow)
    made = client.post("backup", expect=201).json()["name"]
    assert_whole(slow.data / "backups" / made)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        given_up = pool.submit(client.post, "backup", expect=None)
        while not any((slow.data / "tmp").iterdir()):
            assert not given_up.done()
        slow.stop()
        assert given_up.result().status_code == 503
    assert os.listdir(slow.data / "tmp") == [] and os.listdir(slow.data / "backups") == [made]
