"""A full disk and broken ones: clear refusals, nothing acknowledged lost, and jobs that wait for space."""

import subprocess
import time

import pytest

import drains
import faulty_runs
import io_errors
import system_calls


@pytest.fixture
def small_disk(tmp_path):
    """(folder, resize): a file system of its own in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", *options, "tmpfs", folder], capture_output=True,
                              text=True)

    made = mount("size=3m")
    if made.returncode != 0:
        pytest.skip("NO MOUNT: a small disk cannot be had here: " + made.stderr.strip())
    yield folder, lambda size: mount(f"remount,size={size}").check_returncode()
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(small_disk, start_daemon):
    """Uploads and submissions are refused with 507 when the disk is full, reading and the running job go
    on, the job waits with its points, and all goes on when there is room again."""
    folder, resize = small_disk
    daemon = start_daemon("--workers", 1, data=folder / "data")
    speaker = drains.Speaker(daemon.base)
    assert speaker.ask("PUT", "datasets/base", drains.table(1))[0] == 201
    job = {**drains.LONG, "metrics": {"every_steps": 1}}
    status, document = speaker.ask("POST", "jobs", job)
    assert status == 201 and document["id"] == 1
    stored, jobs, refused = [], [1], 0
    for number in range(400):
        status, answer = speaker.ask("PUT", f"datasets/x{number}", drains.table(number, 1500))
        assert status in (201, 507), answer
        if status == 201:
            stored.append((f"x{number}", answer["sha256"]))
        refused += status == 507
        status, answer = speaker.ask("POST", "jobs", drains.SMALL)
        assert status in (201, 507), answer
        if status == 201:
            jobs.append(answer["id"])
        refused += status == 507
        assert speaker.ask("GET", "jobs/1")[0] == 200
        if refused >= 6 and "writes of jobs wait" in daemon.log():
            break
    assert refused and stored and "writes of jobs wait" in daemon.log()
    status, answer = speaker.ask("PUT", "datasets/large", drains.table(1, 200000))
    assert status == 507 and answer["type"] == "/problems/storage-full"
    # No room for what failed is kept either.
    assert list((folder / "data/tmp").iterdir()) == []
    status, document = speaker.ask("GET", "jobs/1")
    assert status == 200 and document["state"] == "running", document["reason"]

    resize("64m")
    status, page = speaker.ask("GET", "jobs/1/metrics?after=0&limit=10000")
    last = page["next"]
    status, page = speaker.ask("GET", f"jobs/1/metrics?after={last}&limit=1&wait=30")
    assert page["next"] == last + 1, "the job does not go on"
    assert speaker.ask("PUT", "datasets/large", drains.table(1, 20000))[0] == 201
    assert speaker.ask("POST", "jobs/1/cancel")[0] == 202
    for job in jobs[1:]:
        assert faulty_runs.wait(speaker, job)["state"] == "succeeded"
    assert faulty_runs.wait(speaker, 1)["state"] == "cancelled"
    faulty_runs.history(speaker, 1)  # without a gap
    for name, sha256 in stored:
        status, document = speaker.ask("GET", f"datasets/{name}")
        assert status == 200 and document["sha256"] == sha256
    daemon.stop()
    faulty_runs.assert_sound(folder / "data")


def test_a_stop_with_a_full_disk(small_disk, start_daemon):
    """A daemon that is stopped waits for no space, and loses nothing acknowledged."""
    folder, resize = small_disk
    daemon = start_daemon("--workers", 1, data=folder / "data")
    speaker = drains.Speaker(daemon.base)
    assert speaker.ask("PUT", "datasets/base", drains.table(1))[0] == 201
    assert speaker.ask("POST", "jobs", {**drains.LONG, "metrics": {"every_steps": 1}})[0] == 201
    deadline = time.monotonic() + 60
    while "writes of jobs wait" not in daemon.log():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    daemon.stop()
    resize("64m")
    daemon.start()
    speaker = drains.Speaker(daemon.base)
    status, document = speaker.ask("GET", "jobs/1")
    assert status == 200 and document["state"] in ("queued", "running")
    status, page = speaker.ask("GET", "jobs/1/metrics?after=0&limit=10000")
    while not page["points"]:
        status, page = speaker.ask("GET", "jobs/1/metrics?after=0&limit=10000&wait=10")
    assert speaker.ask("POST", "jobs/1/cancel")[0] == 202
    assert faulty_runs.wait(speaker, 1)["state"] == "cancelled"
    daemon.stop()
    faulty_runs.assert_sound(folder / "data")


@pytest.mark.parametrize("fault", io_errors.FAULTS, ids=lambda fault: "-".join(map(str, fault)))
def test_errors_of_the_disk(tmp_path, fault):
    """The short form of tests/faults/io_errors.py."""
    system_calls.need_strace()
    counts = io_errors.run_all(tmp_path, (3, 23) if "sync" in fault[0] else (9, 23), [fault])
    assert sum(counts.values()) > 0
