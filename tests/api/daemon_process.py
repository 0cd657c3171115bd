"""A backpropd of one test: its start, its end, and what it said meanwhile."""

import os
import pathlib
import re
import signal
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:\d+)$")
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:")
# Generous, because sanitizer builds run beside other tests; never what a test asserts.
START_LIMIT_SECONDS = 60
STOP_LIMIT_SECONDS = 60


def binary():
    path = pathlib.Path(os.environ.get("BACKPROPD_BINARY") or ROOT / "build/release/backpropd")
    assert path.exists(), f"{path} is not there: build it, or name it in BACKPROPD_BINARY"
    return path


def is_instrumented():
    """Sanitizers bring memory of their own."""
    symbols = subprocess.run(["grep", "-c", "__asan_init\\|__tsan_init", binary()],
                             stdout=subprocess.PIPE, text=True).stdout
    return symbols.strip() != "0"


class Daemon:
    """base is the root URL, pid the process; both change with restart(). prefix: a command to run it under
    (one that ends in its exec); program: another build of it."""

    def __init__(self, data, *options, environment=None, prefix=(), program=None):
        self.data = pathlib.Path(data)
        self.options = [str(option) for option in options]
        self.environment = environment or {}
        self.prefix = list(prefix)
        self.program = program
        self.process = None
        self.start()

    def start(self):
        """Starts on a free port and waits for the line that says it can answer."""
        assert self.process is None
        self.lines = []
        self._spoke = threading.Event()
        self.process = subprocess.Popen(
            [*self.prefix, self.program or binary(), "--data", self.data, "--listen", "127.0.0.1:0",
             *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace", env={**os.environ, **self.environment})
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._spoke.wait(START_LIMIT_SECONDS)
        matches = [match for line in list(self.lines) if (match := LISTENING.search(line))]
        if not matches:
            self.process.kill()
            self.process.wait()
            self.process = None
            raise AssertionError("backpropd did not start:\n" + self.log())
        self.base = matches[0].group(1)

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if LISTENING.search(self.lines[-1]):
                self._spoke.set()
        self._spoke.set()

    def log(self):
        return "\n".join(self.lines)

    def _ended(self):
        code = self.process.wait(STOP_LIMIT_SECONDS)
        self._reader.join(STOP_LIMIT_SECONDS)
        self.process = None
        assert not SANITIZER.search(self.log()), self.log()
        return code

    def stop(self):
        """SIGTERM: it must end by itself, with 0 and nothing from a sanitizer."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self._ended()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self._ended()
            raise AssertionError("backpropd ignored SIGTERM:\n" + self.log()) from None
        assert code == 0, f"exit status {code}:\n{self.log()}"

    def kill(self):
        """kill -9."""
        self.process.kill()
        assert self._ended() == -signal.SIGKILL

    def restart(self):
        """Stops gracefully if it runs, and starts on the same data directory (another port)."""
        self.stop()
        self.start()

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def resident_bytes(self):
        fields = pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
