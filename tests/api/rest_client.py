"""Requests to one daemon, each judged by its OpenAPI document."""

import json as json_module
import time
import urllib.parse

import requests

import rest_contract

REQUEST_LIMIT_SECONDS = 120
FINISHED = ("succeeded", "failed", "cancelled")


class Client:
    """Paths that start with / are taken as they are, others are below /api/v1/.

    `expect` is the status that the caller wants: an int, a tuple, or None for any; the default is
    any 2xx.
    """

    def __init__(self, daemon):
        self.daemon = daemon
        self.session = requests.Session()
        self.session.trust_env = False
        document = self.session.get(daemon.base + "/openapi.json", timeout=REQUEST_LIMIT_SECONDS)
        assert document.status_code == 200, document.text
        assert rest_contract.media_type(document.headers["Content-Type"]) in (
            "application/json", "application/vnd.oai.openapi+json")
        self.contract = rest_contract.Contract(rest_contract.parse_json(document.text))

    def url(self, path, query=None):
        path = path if path.startswith("/") else "/api/v1/" + path
        return self.daemon.base + path + ("?" + urllib.parse.urlencode(query) if query else "")

    def request(self, method, path, *, query=None, json=None, data=None, headers=None, expect="2xx"):
        headers = dict(headers or {})
        body, media = None, None
        if json is not None:
            body, media = json, "application/json"
            data = json_module.dumps(json, allow_nan=False).encode()
            headers.setdefault("Content-Type", media)
        elif data is not None:
            media = rest_contract.media_type(headers.get("Content-Type", "application/octet-stream"))
            if rest_contract.is_json(media) and isinstance(data, (str, bytes)):
                try:
                    body = rest_contract.parse_json(data)
                except ValueError:
                    body = None
        url = self.url(path, query)
        response = self.session.request(method, url, data=data, headers=headers,
                                        timeout=REQUEST_LIMIT_SECONDS, allow_redirects=False)
        self.contract.check(method, url, body, media, response)
        wanted = (range(200, 300) if expect == "2xx" else
                  (expect,) if isinstance(expect, int) else expect)
        assert wanted is None or response.status_code in wanted, (
            f"{method} {path} -> {response.status_code}, not {expect}:\n{response.text[:2000]}")
        return response

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def put(self, path, data=None, **options):
        """data: bytes, or a path whose file is streamed."""
        if hasattr(data, "open"):
            with data.open("rb") as stream:
                return self.request("PUT", path, data=stream, **options)
        return self.request("PUT", path, data=data, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)

    def patch(self, path, **options):
        return self.request("PATCH", path, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    def problem(self, method, path, expect, **options):
        """The problem document of a refused request."""
        response = self.request(method, path, expect=expect, **options)
        assert rest_contract.media_type(response.headers["Content-Type"]) == "application/problem+json"
        problem = response.json()
        assert problem["status"] == response.status_code
        return problem

    def submit(self, specification):
        """Submits a job; its document."""
        response = self.post("jobs", json=specification, expect=201)
        document = response.json()
        assert response.headers["Location"].endswith(f"/api/v1/jobs/{document['id']}")
        return document

    def follow_metrics(self, job, wait=10, limit=1000):
        """Yields the points of each poll until the job is complete; checks that seq has no gaps."""
        after = 0
        while True:
            page = self.get(f"jobs/{job}/metrics",
                            query={"after": after, "wait": wait, "limit": limit}).json()
            numbers = [point["seq"] for point in page["points"]]
            assert numbers == list(range(after + 1, after + 1 + len(numbers)))
            assert page["next"] == after + len(numbers)
            after = page["next"]
            yield page["points"]
            if page["complete"]:
                return

    def metrics(self, job):
        """All points of a job, waiting for its end."""
        return [point for points in self.follow_metrics(job) for point in points]

    def wait(self, job, state="succeeded"):
        """Waits by long polls for the end of a job and asserts how it ended; its document."""
        for _ in self.follow_metrics(job):
            pass
        document = self.get(f"jobs/{job}").json()
        assert document["state"] in FINISHED
        assert document["state"] == state, f"{document['state']}: {document.get('reason')}"
        return document

    def wait_for_state(self, job, state):
        """Polls until the job has the state; its document."""
        while True:
            document = self.get(f"jobs/{job}").json()
            if document["state"] == state:
                return document
            assert document["state"] not in FINISHED, f"{document['state']}: {document['reason']}"
            time.sleep(0.01)

    def train(self, specification):
        """Submits, waits for success; the job's document."""
        return self.wait(self.submit(specification)["id"])
