"""Event streams: one order, ids that hold, nothing lost or doubled whoever reads and however slowly."""

import threading
import time

import pytest

import rest_client
from daemon_process import is_instrumented
from event_stream import EventStream, all_events
from raw_http import Connection, once, problem, request

SHORT = {"name": "short", "data": {"dataset": "iris", "target": "species"},
         "training": {"epochs": 10, "batch_size": 16}, "metrics": {"every_steps": 5}}
ENDLESS = {**SHORT, "name": "endless", "training": {"epochs": 100_000_000, "batch_size": 16},
           "metrics": {"every_steps": 20}}
# Little enough for sixty readers in one interpreter.
QUIET = {**ENDLESS, "name": "quiet", "metrics": {"every_steps": 500}}
# Much text in little time: the daemon must get rid of it, or keep it within bounds.
LOUD = {**ENDLESS, "name": "loud", "metrics": {"every_steps": 1}}


@pytest.fixture
def short(client, iris):
    client.put("datasets/iris", iris)
    job = client.submit(SHORT)["id"]
    client.wait(job, "succeeded")
    return job


@pytest.fixture
def start_endless(client, iris):
    client.put("datasets/iris", iris)
    started = []

    def start(specification=ENDLESS):
        started.append(client.submit(specification)["id"])
        return started[-1]

    yield start
    if client.daemon.is_alive():
        for job in started:
            cancel(client, job)


def cancel(client, job):
    """Waits for the end without reading the points, which may be many."""
    client.post(f"jobs/{job}/cancel", expect=202)
    assert client.get(f"jobs/{job}/metrics", query={"after": 2**53 - 1, "wait": 60}).json()["complete"]


def assert_gapless(events):
    """Ids grow; points come in order, none twice, none missing."""
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))
    points = [event.data["seq"] for event in events if event.kind == "metrics"]
    assert points == list(range(points[0], points[0] + len(points))) if points else True
    for before, event in zip(events, events[1:]):
        if event.kind == "metrics":
            assert event.id == before.id + 1 and event.id & 0xffffffff == event.data["seq"]
        else:
            assert event.id >> 32 == (before.id >> 32) + 1
            assert event.id & 0xffffffff == before.id & 0xffffffff


def assert_fits(client, events):
    schemas = client.contract.document["components"]["schemas"]
    kinds = {"metrics": schemas["MetricPage"]["properties"]["points"]["items"],
             "state": schemas["StateEvent"], "log": schemas["LogEvent"],
             "checkpoint": schemas["CheckpointEvent"]}
    for event in events:
        client.contract.validate(event.data, kinds[event.kind], f"event {event}")


def test_the_whole_history_of_a_job(client, daemon, short):
    events = all_events(daemon, short)
    assert_gapless(events)
    assert_fits(client, events)
    points = client.get(f"jobs/{short}/metrics").json()["points"]
    assert [event.data for event in events if event.kind == "metrics"] == points
    assert len(points) > 10
    states = [event.data for event in events if event.kind == "state"]
    assert states == client.get(f"jobs/{short}").json()["transitions"]
    assert [state["to"] for state in states] == ["queued", "running", "succeeded"]
    assert events[0].kind == "state" and events[-1] .data["to"] == "succeeded"


def test_a_stream_goes_on_after_every_id(daemon, short):
    events = all_events(daemon, short)
    for index, event in enumerate(events):
        assert all_events(daemon, short, event.id) == events[index + 1:]
    assert all_events(daemon, short, 0) == events
    assert all_events(daemon, short, "") == events
    middle = events[len(events) // 2]
    assert all_events(daemon, short, query=f"?last_event_id={middle.id}") == events[len(events) // 2 + 1:]
    # A browser keeps its address and adds the header: the newer of the two.
    assert all_events(daemon, short, events[-2].id, f"?last_event_id={middle.id}") == events[-1:]


def test_nothing_more_is_said_so(daemon, short):
    last = all_events(daemon, short)[-1].id
    status, _, body = once(daemon, "GET", f"/api/v1/jobs/{short}/events", [f"Last-Event-ID: {last}"])
    assert (status, body) == (204, b"")


def test_ids_are_the_same_for_all_and_after_a_restart(daemon, short):
    before = all_events(daemon, short)
    daemon.kill()
    daemon.start()
    assert all_events(daemon, short) == before
    assert all_events(daemon, short, before[3].id) == before[4:]


def test_ids_that_no_event_has(daemon, short):
    last = all_events(daemon, short)[-1].id
    for wrong in ("x", "-1", "1.0", "1e3", "9007199254740992", "99999999999999999999", "1", str(last + 1),
                  str(last + (1 << 32)), str((1 << 32) - 1)):
        answer = once(daemon, "GET", f"/api/v1/jobs/{short}/events", [f"Last-Event-ID: {wrong}"])
        assert problem(answer)["status"] == 400, wrong
        assert problem(once(daemon, "GET", f"/api/v1/jobs/{short}/events?last_event_id={wrong}"))["status"] == 400
    twice = ["Last-Event-ID: 0", "Last-Event-ID: 0"]
    assert problem(once(daemon, "GET", f"/api/v1/jobs/{short}/events", twice))["status"] == 400
    assert problem(once(daemon, "GET", f"/api/v1/jobs/{short}/events?after=1"))["status"] == 400


def test_a_job_that_is_not_there(daemon):
    assert problem(once(daemon, "GET", "/api/v1/jobs/7/events"))["status"] == 404


def test_head(daemon, short):
    with Connection(daemon) as connection:
        connection.send(request("HEAD", f"/api/v1/jobs/{short}/events"))
        status, headers, _ = connection.answer(head=True)
        assert status == 200 and headers["content-type"] == "text/event-stream"
        connection.send(request("GET", "/v2/health/live"))
        assert connection.answer()[0] == 200


def test_the_connection_serves_on_after_a_stream(daemon, short):
    with EventStream(daemon, short) as stream:
        assert list(stream) and stream.ended
        stream.socket.sendall(request("GET", "/v2/health/live"))
        assert stream._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_running_job_is_followed_to_its_end(client, daemon, start_endless):
    job = start_endless()
    with EventStream(daemon, job) as stream:
        events = stream.take(200)
        client.post(f"jobs/{job}/cancel", expect=202)
        events += list(stream)
        assert stream.ended
    assert_gapless(events)
    assert_fits(client, events)
    assert events[-1].data["to"] == "cancelled"
    assert all_events(daemon, job) == events


def test_a_queued_job_is_followed_from_its_start(start_daemon, iris):
    daemon = start_daemon("--workers", "1")
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    first, second = client.submit(ENDLESS)["id"], client.submit(SHORT)["id"]
    with EventStream(daemon, second) as stream:
        assert next(stream).data["to"] == "queued"
        client.post(f"jobs/{first}/cancel", expect=202)
        events = list(stream)
        assert stream.ended and events[-1].data["to"] == "succeeded"
    assert all_events(daemon, second)[1:] == events


def test_many_follow_one_job(client, daemon, start_endless):
    job = start_endless(QUIET)
    received = [[] for _ in range(60)]

    def follow(index):
        # Some come back again and again, some read in one go.
        while True:
            seen = received[index]
            with EventStream(daemon, job, seen[-1].id if seen else None) as stream:
                if stream.status == 204:
                    return
                for event in stream:
                    seen.append(event)
                    if index % 3 == 0 and len(seen) % 10 == 0:
                        break
                else:
                    if stream.ended:
                        return

    readers = [threading.Thread(target=follow, args=(index,)) for index in range(len(received))]
    for reader in readers:
        reader.start()
    with EventStream(daemon, job) as stream:
        stream.take(100)
    client.post(f"jobs/{job}/cancel", expect=202)
    for reader in readers:
        reader.join()
    everything = all_events(daemon, job)
    assert_gapless(everything)
    for index, events in enumerate(received):
        assert events == everything, index


def test_a_slow_reader_holds_up_nobody_and_loses_nothing(client, daemon, start_endless):
    job = start_endless(LOUD)
    with EventStream(daemon, job, receive_bytes=4096) as slow:
        assert slow.status == 200
        before = daemon.resident_bytes()
        with EventStream(daemon, job) as fast:
            seq = 0
            while seq < 40000:
                event = next(fast)
                seq = event.data.get("seq", seq)
        # 40000 points are more than 8 MB of text.
        assert is_instrumented() or daemon.resident_bytes() - before < 32 * 2**20
        client.post(f"jobs/{job}/cancel", expect=202)
        events = slow.take(30000)
    assert_gapless(events)
    with EventStream(daemon, job, events[-1].id) as rest:
        assert next(rest).data["seq"] == events[-1].data["seq"] + 1


def test_who_takes_nothing_is_given_up(start_daemon, iris):
    daemon = start_daemon("--deadline", "1")
    client = rest_client.Client(daemon)
    client.put("datasets/iris", iris)
    job = client.submit(LOUD)["id"]
    with EventStream(daemon, job, receive_bytes=4096) as stuck:
        with EventStream(daemon, job) as others:
            deadline = time.monotonic() + 60
            while stuck_is_open(daemon, stuck) and time.monotonic() < deadline:
                next(others)
        events = list(stuck)
        assert not stuck.ended and events
    assert_gapless(events)
    client.post(f"jobs/{job}/cancel", expect=202)
    with EventStream(daemon, job, events[-1].id) as rest:
        assert_gapless(events[-1:] + rest.take(1000))


def stuck_is_open(daemon, stream):
    """Has the daemon its side of the connection open still? As the kernel lists it."""
    port = f"{stream.socket.getsockname()[1]:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    # The daemon's end: state 01 is an established connection.
    return any(row[2].endswith(":" + port) and row[3] == "01" for row in rows)


def test_who_goes_away_is_forgotten(client, daemon, start_endless):
    job = start_endless()
    for _ in range(5):
        streams = [EventStream(daemon, job) for _ in range(40)]
        for stream in streams:
            next(stream)
            stream.socket.close()
    with EventStream(daemon, job) as stream:
        assert_gapless(stream.take(300))


def test_stopping_ends_streams_and_the_next_daemon_goes_on(client, daemon, start_endless):
    job = start_endless()
    queued = [start_endless() for _ in range(3)]
    streams = [EventStream(daemon, job) for _ in range(10)]
    waiting = [EventStream(daemon, other) for other in queued]
    heads = [stream.take(20) for stream in streams]
    assert all(next(stream).data["to"] == "queued" for stream in waiting)
    received = [[] for _ in streams + waiting]
    readers = [threading.Thread(target=lambda s=stream, r=seen: r.extend(s))
               for stream, seen in zip(streams + waiting, received)]
    for reader in readers:
        reader.start()
    daemon.stop()  # asserts exit status 0
    for reader in readers:
        reader.join()
    assert all(stream.ended for stream in streams + waiting)
    daemon.start()
    client = rest_client.Client(daemon)
    for head, seen in zip(heads, received):
        events = head + seen
        with EventStream(daemon, job, events[-1].id) as stream:
            while events[-1].kind != "state" or events[-1].data["to"] != "running" or len(events) < 25:
                events.append(next(stream))
        assert_gapless(events)
        assert [event.data["reason"] for event in events if event.kind == "state"][2:] == ["daemon_stopped", "started"]
    for other in [job, *queued]:
        cancel(client, other)


def test_a_run_says_what_it_does(client, daemon, iris):
    client.put("datasets/iris", iris)
    job = client.submit({**SHORT, "name": "watched", "training": {
        "epochs": 400, "batch_size": 16, "gradient_check": True,
        "early_stopping": {"metric": "train.loss", "patience": 4}},
        "optimizer": {"type": "sgd", "learning_rate": 1.5},
        "schedule": {"type": "plateau", "metric": "train.loss", "patience": 1}})["id"]
    client.wait(job, "succeeded")
    events = all_events(daemon, job)
    assert_gapless(events)
    assert_fits(client, events)
    logs = [event.data["code"] for event in events if event.kind == "log"]
    assert logs[:2] == ["gradient_check", "begun"] and logs[-1] == "early_stopping"
    assert "rate_reduced" in logs
    # Each is behind the point of the epoch that gave reason for it.
    for event in events:
        if event.kind == "metrics":
            point = event
        elif event.kind == "log" and event.data["code"] in ("rate_reduced", "early_stopping"):
            assert f"epoch {point.data['epoch']}:" in event.data["message"]


def test_a_run_says_that_it_diverged(client, daemon, iris):
    client.put("datasets/iris", iris)
    job = client.submit({**SHORT, "name": "wild", "loss": {"type": "mean_squared_error"},
                         "task": "regression", "data": {"dataset": "iris", "target": "petal_width",
                                                        "exclude": ["species"]},
                         "optimizer": {"type": "sgd", "learning_rate": 1e30}})["id"]
    client.wait(job, "failed")
    events = all_events(daemon, job)
    assert events[-1].data["reason"] == "diverged"
    assert [event.data["code"] for event in events if event.kind == "log"] == ["begun", "diverged"]
    diverged = next(event for event in events if event.kind == "log" and event.data["code"] == "diverged")
    last = [event for event in events if event.kind == "metrics"][-1]
    assert diverged.id == last.id + (1 << 32), "the point that is not finite comes first"
