"""Reads Server-Sent Events of a job as a browser would, byte by byte if need be."""

import json
import socket
import urllib.parse

SILENCE_LIMIT_SECONDS = 60  # a broken daemon fails the test instead of hanging it


class Event:
    def __init__(self, number, kind, data):
        self.id, self.kind, self.data = number, kind, data

    def __repr__(self):
        return f"{self.id >> 32}.{self.id & 0xffffffff} {self.kind} {self.data}"

    def __eq__(self, other):
        return (self.id, self.kind, self.data) == (other.id, other.kind, other.data)


class EventStream:
    """One stream. Iterating yields events; `ended` says that the daemon ended it properly."""

    def __init__(self, daemon, job, after=None, query="", receive_bytes=None):
        address = urllib.parse.urlsplit(daemon.base)
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(SILENCE_LIMIT_SECONDS)
        self.socket.connect((address.hostname, address.port))
        last = "" if after is None else f"Last-Event-ID: {after}\r\n"
        self.socket.sendall(f"GET /api/v1/jobs/{job}/events{query} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n".encode())
        self.buffer, self.text = b"", b""
        self.ended = False
        self.comments = 0
        top = self._until(b"\r\n\r\n").decode()
        self.status = int(top.split()[1])
        self.headers = {name.lower(): value.strip() for name, value in
                        (line.split(":", 1) for line in top.split("\r\n")[1:])}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _more(self, size=65536):
        try:
            piece = self.socket.recv(size)
        except ConnectionResetError:
            piece = b""
        self.buffer += piece
        return bool(piece)

    def _until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                return b""
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def _chunk(self):
        """Adds one chunk of the transfer to the text; False at the end, proper or not."""
        line = self._until(b"\r\n")
        if not line:
            return False
        size = int(line, 16)
        while len(self.buffer) < size + 2:
            if not self._more():
                return False
        self.text += self.buffer[:size]
        assert self.buffer[size:size + 2] == b"\r\n"
        self.buffer = self.buffer[size + 2:]
        self.ended = size == 0
        return size > 0

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            while b"\n\n" not in self.text:
                if not self._chunk():
                    assert not self.ended or not self.text, "the stream ends in the middle of an event"
                    raise StopIteration
            block, self.text = self.text.split(b"\n\n", 1)
            fields = {}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(":")
                assert name not in fields, block
                fields[name] = value.removeprefix(" ")
            if "" in fields:
                self.comments += 1
            if "data" in fields:
                assert set(fields) == {"id", "event", "data"}, block
                return Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))

    def take(self, count):
        return [next(self) for _ in range(count)]


def all_events(daemon, job, after=None, query=""):
    """Everything up to the end of the stream, which must be proper."""
    with EventStream(daemon, job, after, query) as stream:
        if stream.status == 204:
            return []
        assert stream.status == 200, stream.status
        events = list(stream)
        assert stream.ended
        return events
