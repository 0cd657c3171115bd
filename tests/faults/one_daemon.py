#!/usr/bin/python3
"""Many daemons start at once on one data directory: exactly one runs, the others say why not and leave;
after kill -9 the lock is free at once. Prints a summary.

  tests/faults/one_daemon.py [--rounds 10] [--starts 10] [--program build/release/backpropd]
"""

import argparse
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def race(program, data, starts):
    """Starts them all; the process that runs. Asserts that the others were refused."""
    listening, over = [], []
    changed = threading.Condition()

    def watch(process):
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("listening on "):
                with changed:
                    listening.append(process)
                    changed.notify_all()
        with changed:
            over.append((process, process.wait(), said))
            changed.notify_all()

    processes = [subprocess.Popen([program, "--data", data, "--listen", "127.0.0.1:0"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) for _ in range(starts)]
    threads = [threading.Thread(target=watch, args=(process,), daemon=True) for process in processes]
    for thread in threads:
        thread.start()
    try:
        with changed:
            settled = changed.wait_for(lambda: len(listening) + len(over) >= starts, 60)
            assert settled, "some daemon neither runs nor leaves"
            assert len(listening) == 1, f"{len(listening)} daemons run on one directory"
            for _, code, said in over:
                assert code == 1 and "another daemon uses this data directory" in said, (code, said)
        return listening[0]
    except BaseException:
        for process in processes:
            process.kill()
        raise


def rounds(program, data, count, starts):
    """The last one is stopped gracefully, the others by kill -9."""
    for number in range(count):
        winner = race(program, data, starts)
        last = number + 1 == count
        winner.send_signal(signal.SIGTERM if last else signal.SIGKILL)
        code = winner.wait(60)
        assert code == (0 if last else -signal.SIGKILL), code


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--program", default=ROOT / "build/release/backpropd")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="backpropd-")
    started = time.monotonic()
    try:
        rounds(options.program, folder + "/data", options.rounds, options.starts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.rounds} rounds of {options.starts} starts on one directory: one ran in each, "
          f"{options.rounds * (options.starts - 1)} were refused, the lock was free after each of "
          f"{options.rounds - 1} kills; {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
