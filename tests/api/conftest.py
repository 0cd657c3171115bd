"""Fixtures of the REST tests: a daemon on a free port with a data directory of its own, and a client
that judges all its traffic by the OpenAPI document."""

import os
import pathlib
import sys

import pytest

import daemon_process
import pace as pace_module
import rest_client

ROOT = daemon_process.ROOT
# Long forms of some tests are scripts, which the short ones take their parts from.
sys.path.insert(0, str(ROOT / "tests/faults"))


@pytest.fixture
def start_daemon(tmp_path):
    """start(*options, data=None, and what Daemon takes) -> Daemon; all are stopped, and judged, at the
    end, or by start.afresh(), after which the data directory is another one."""
    started, directories = [], [tmp_path / "data"]

    def start(*options, data=None, **how):
        daemon = daemon_process.Daemon(data or directories[-1], *options, **how)
        started.append(daemon)
        return daemon

    def stop_all():
        faults = []
        while started:
            try:
                started.pop().stop()
            except AssertionError as fault:
                faults.append(str(fault))
        assert not faults, "\n".join(faults)

    def afresh():
        stop_all()
        directories.append(tmp_path / f"data-{len(directories)}")

    start.afresh = afresh
    yield start
    stop_all()


@pytest.fixture
def pace():
    """Of a test that pace.at_any_speed decorates."""
    return pace_module.Pace()


@pytest.fixture
def daemon(start_daemon):
    """A daemon with default options."""
    return start_daemon()


@pytest.fixture
def client(daemon):
    """A client of `daemon`."""
    return rest_client.Client(daemon)


@pytest.fixture(scope="session")
def iris():
    return ROOT / "tests/data/iris.csv"


@pytest.fixture(scope="session")
def penguins():
    return ROOT / "clients/demo/penguins.csv"


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data beside the repository (or BACKPROP_SHARED/data); tests skip without."""
    folder = pathlib.Path(os.environ.get("BACKPROP_SHARED") or ROOT.parent / "shared") / "data"
    if not folder.is_dir():
        pytest.skip(f"NO REAL DATA: {folder} is missing (set BACKPROP_SHARED)")
    return folder
