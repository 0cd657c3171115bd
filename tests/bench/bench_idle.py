"""What an idle daemon costs: time from start to the first answer, and resident memory.

usage: /usr/bin/python3 tests/bench/bench_idle.py [starts]
Set BACKPROPD_BINARY for another build than build/release.
"""

import http.client
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))
import daemon_process  # noqa: E402


def start_once(data):
    """(seconds until the listening line, seconds until /v2/health/ready answered 200, bytes)."""
    begin = time.perf_counter()
    daemon = daemon_process.Daemon(data)
    listening = time.perf_counter() - begin
    connection = http.client.HTTPConnection(daemon.base.removeprefix("http://"), timeout=10)
    connection.request("GET", "/v2/health/ready")
    assert connection.getresponse().status == 200
    ready = time.perf_counter() - begin
    resident = daemon.resident_bytes()
    daemon.stop()
    return listening, ready, resident


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        first = start_once(data)
        later = [start_once(data) for _ in range(count)]
    print(f"first start, new data directory: ready after {first[1] * 1e3:.1f} ms")
    print(f"{count} more: listening after {statistics.median(t[0] for t in later) * 1e3:.1f} ms, "
          f"first answer after {statistics.median(t[1] for t in later) * 1e3:.1f} ms (medians), "
          f"{max(t[1] for t in later) * 1e3:.1f} ms at most")
    print(f"resident after one answer: {max(t[2] for t in later) / 2**20:.1f} MiB at most")


if __name__ == "__main__":
    main()
