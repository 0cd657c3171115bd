"""What was acknowledged is there after stops in the middle of many submissions, and starts that fail do no
harm. (test_sync_order.py and test_faults.py have the rest.)"""

import re
import socket
import subprocess
import threading
import time


import daemon_process
import rest_client
from raw_http import once

JOB = (b'{"name": "small", "data": {"dataset": "iris", "target": "species"},'
       b' "training": {"epochs": 1}}')

HEADERS = ["Content-Type: application/json", f"Content-Length: {len(JOB)}"]


def submit_raw(daemon):
    """(status, body), or None where the daemon no longer answers."""
    try:
        answer = once(daemon, "POST", "/api/v1/jobs", HEADERS, JOB)
    except OSError:
        return None
    return (answer[0], answer[2]) if answer else None


def test_a_stop_under_load_loses_nothing_acknowledged(start_daemon, iris):
    daemon = start_daemon("--workers", 2)
    rest_client.Client(daemon).put("datasets/iris", iris)
    acknowledged, refused, stop = [], [], threading.Event()

    def keep_submitting():
        while not stop.is_set():
            answer = submit_raw(daemon)
            if answer is None or answer[0] != 201:
                refused.append(answer and answer[0])
                return
            acknowledged.append(int(re.search(rb'"id":(\d+)', answer[1]).group(1)))

    threads = [threading.Thread(target=keep_submitting) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(acknowledged) < 20:
        assert any(thread.is_alive() for thread in threads), refused
        time.sleep(0.01)
    daemon.stop()
    stop.set()
    for thread in threads:
        thread.join()
    assert set(refused) <= {None, 503}
    assert len(set(acknowledged)) == len(acknowledged)
    daemon.start()
    client = rest_client.Client(daemon)
    for job in acknowledged:
        assert client.get(f"jobs/{job}").json()["id"] == job
    for job in acknowledged:
        client.wait(job)


def test_a_start_that_fails_begins_no_job(start_daemon, iris):
    daemon = start_daemon("--workers", 1)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    long = {"data": {"dataset": "iris", "target": "species"}, "training": {"epochs": 100_000_000}}
    running, queued = client.submit(long)["id"], client.submit(long)["id"]
    client.get(f"jobs/{running}/metrics", query={"wait": 10})
    daemon.kill()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for _ in range(3):
            failed = subprocess.run(
                [daemon_process.binary(), "--data", daemon.data, "--workers", "2",
                 "--listen", f"127.0.0.1:{taken.getsockname()[1]}"],
                stderr=subprocess.PIPE, text=True, timeout=60)
            assert failed.returncode == 1 and "Address already in use" in failed.stderr
    daemon.start()
    client = rest_client.Client(daemon)
    assert client.get(f"jobs/{queued}").json()["restarts"] == 0
    # Of the kill; what never ran cannot have been interrupted.
    assert client.get(f"jobs/{running}").json()["restarts"] == 1
    for job in (queued, running):
        client.post(f"jobs/{job}/cancel")
