"""Requests written by hand, for what no client library would send."""

import json
import socket
import urllib.parse

SILENCE_LIMIT_SECONDS = 60  # a broken daemon fails the test instead of hanging it


class Connection:
    """One TCP connection to a daemon."""

    def __init__(self, daemon):
        address = urllib.parse.urlsplit(daemon.base)
        self.socket = socket.create_connection((address.hostname, address.port), SILENCE_LIMIT_SECONDS)
        self.socket.settimeout(SILENCE_LIMIT_SECONDS)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        """Reads on; False at the end."""
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.buffer += piece
        return bool(piece)

    def answer(self, head=False):
        """(status, headers, body) of the next answer; None when the connection has closed."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                return None
        top, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = top.decode().split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value.strip()
                   for name, value in (line.split(":", 1) for line in lines[1:])}
        length = 0 if head or status == 204 else int(headers.get("content-length", "0"))
        while len(self.buffer) < length:
            if not self.more():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, headers, body

    def is_closed(self):
        """Waits until the daemon has closed its side; True, unless it says anything more."""
        return not self.buffer and not self.more()


def request(method, path, headers=(), body=b"", host="localhost"):
    """The bytes of a request; headers are lines."""
    lines = [f"{method} {path} HTTP/1.1"] + ([f"Host: {host}"] if host is not None else [])
    return "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n" + body


def once(daemon, *arguments, **options):
    """Sends one request on a connection of its own; its answer."""
    with Connection(daemon) as connection:
        connection.send(request(*arguments, **options))
        return connection.answer()


def problem(answer):
    """The problem document of an answer."""
    status, headers, body = answer
    assert headers["content-type"] == "application/problem+json", headers
    document = json.loads(body)
    assert document["status"] == status
    assert document["type"].startswith("/problems/")
    assert document["title"] and document["detail"]
    return document
