"""Tests that step in while a job runs, on machines of any speed.

What they step into takes some seconds on a slow machine and may be over, on a fast one, before their request
arrives. They say so by TooFast, and are run again, with four times the epochs.
"""

import functools
import time

FACTORS = (1, 4, 16, 64)


class TooFast(AssertionError):
    """The job ended before the test could do to it what it came for."""


class Pace:
    """What the epochs of a job are multiplied by."""

    def __init__(self):
        self.factor = 1

    def epochs(self, count):
        return count * self.factor


def at_any_speed(test):
    """Runs `test`, which has the fixture `pace`, again and longer as long as it is TooFast; with a data
    directory of its own each time where it starts its own daemons."""
    @functools.wraps(test)
    def run(*arguments, pace, **fixtures):
        for factor in FACTORS:
            pace.factor = factor
            try:
                return test(*arguments, pace=pace, **fixtures)
            except TooFast:
                if factor == FACTORS[-1]:
                    raise
                if "start_daemon" in fixtures:
                    fixtures["start_daemon"].afresh()
    return run


def interrupted(client, job, count=1):
    """The job's document; TooFast unless it left the running state `count` times before its end, by a pause, a
    stop or a kill."""
    document = client.get(f"jobs/{job}").json()
    left = [step for step in document["transitions"]
            if step["from"] in ("running", "stopping") and step["to"] in ("queued", "paused")]
    if len(left) < count:
        raise TooFast(f"job {job} was over before it was interrupted")
    return document


def wait_for_points(client, job, count):
    """Until `count` points can be read; TooFast when the job has ended by then."""
    after = 0
    while after < count:
        page = client.get(f"jobs/{job}/metrics", query={"after": after, "wait": 10}).json()
        if page["complete"]:
            raise TooFast(f"job {job} ended within {page['next']} points")
        after = page["next"]


def pause(client, job):
    """Pauses a running job and waits until it is paused; TooFast when it has ended. The first answer."""
    answer = client.post(f"jobs/{job}/pause", expect=(202, 409))
    if answer.status_code == 409:
        raise TooFast(f"job {job} ended before it was paused")
    while client.get(f"jobs/{job}").json()["state"] == "stopping":
        time.sleep(0.01)
    interrupted(client, job)
    return answer.json()
