"""What a daemon is that nobody uses: small, and ready as soon as it says so."""

import subprocess

import pytest

import daemon_process
import rest_client
from daemon_process import is_instrumented


def test_idle_daemon_is_small(daemon):
    if is_instrumented():
        pytest.skip("memory of a sanitizer build says nothing")
    assert rest_client.Client(daemon).get("/v2/health/ready").status_code == 200
    assert daemon.resident_bytes() <= 15 * 2**20


def test_ready_when_it_says_so(start_daemon):
    for _ in range(5):
        daemon = start_daemon()
        client = rest_client.Client(daemon)
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2/health/ready").status_code == 200
        daemon.stop()


def test_stops_on_sigterm_while_a_connection_is_open(daemon):
    client = rest_client.Client(daemon)
    client.get("/v2/health/live")
    daemon.stop()
    assert not daemon.is_alive()


def test_data_directory_is_locked(daemon):
    second = subprocess.run(
        [daemon_process.binary(), "--data", daemon.data, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert second.returncode != 0
    assert str(daemon.data) in second.stderr
    assert daemon.is_alive()


def test_lock_is_free_after_kill(daemon):
    daemon.kill()
    daemon.start()
    assert rest_client.Client(daemon).get("/v2/health/ready").status_code == 200


def test_help_version_and_bad_options():
    def run(*arguments):
        return subprocess.run([daemon_process.binary(), *arguments], text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    shown = run("--help")
    assert shown.returncode == 0
    for option in ("--data", "--listen", "--workers", "BACKPROPD_DATA"):
        assert option in shown.stdout
    assert run("--version").returncode == 0
    wrong = run("--worker", "2")
    assert wrong.returncode != 0
    assert "--worker" in wrong.stderr
    assert run("--listen", "0.0.0.0:0").returncode != 0
