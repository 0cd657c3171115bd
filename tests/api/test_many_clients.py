"""A thousand clients that poll once a second and two hundred event streams, some slow, some cut and resumed:
nothing is lost or doubled, and each point is the same bytes for everybody. How much training is slowed
is for tests/bench/bench_clients.py, which runs the same generator."""

import json
import subprocess
import urllib.parse

import pytest

import daemon_process
import rest_client

# Two points a batch of ten milliseconds or so: small pages, many of them.
JOB = {"data": {"dataset": "iris", "target": "species"},
       "network": {"layers": [{"type": "dense", "units": 256, "activation": "relu"},
                              {"type": "dense", "units": 256, "activation": "relu"},
                              {"type": "dense", "units": "auto"}]},
       "training": {"epochs": 100_000_000, "batch_size": 64}, "metrics": {"every_steps": 100}}


@pytest.mark.parametrize("jobs", [1, 3])
def test_everybody_gets_everything(start_daemon, iris, jobs):
    daemon = start_daemon("--workers", 2)
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    ids = [client.submit(JOB)["id"] for _ in range(jobs)]
    client.get(f"jobs/{ids[0]}/metrics", query={"wait": 60})
    generator = daemon_process.binary().parent / "tests/bench_clients"
    if not generator.exists():
        pytest.skip(f"NO GENERATOR: {generator} is not built")
    counts = ["200", "40"] if daemon_process.is_instrumented() else ["1000", "200"]
    port = str(urllib.parse.urlsplit(daemon.base).port)
    run = subprocess.run([generator, port, "4", *counts, *map(str, ids)],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = json.loads(run.stdout)
    assert found["faults"] == 0 and run.returncode == 0, run.stderr
    assert found["polls"] > int(counts[0]) and found["points"] > 0 and found["resumed"] > 0
    for job in ids:
        client.post(f"jobs/{job}/cancel", expect=202)
