"""Training speed over texts beside PyTorch: the cases of tests/bench/bench_sequence.c, which runs in turn with the same
in PyTorch, and the ratios.

    venv/bin/python tests/torch/bench_sequence.py [--threads 1] [--seconds 2] [--rounds 3]
        [--program build/release/tests/bench_sequence] [case…]

A figure is the best run of some steps, PyTorch's under the best of its optimiser loops; a ratio is that of the
best of all rounds. The embedding is trained on both sides.
"""
import argparse
import re
import subprocess
import time

import torch
from torch import nn
import torch.nn.functional as F

CASES = {  # name: layer, depth, units, words, streams, steps, optimiser
    "f": (nn.LSTM, 2, 200, 10000, 20, 20, "sgd"),
    "g": (nn.RNN, 1, 256, 64, 32, 64, "adam"),
    "h": (nn.LSTM, 1, 256, 64, 32, 64, "adam"),
    "i": (nn.GRU, 1, 256, 64, 32, 64, "adam"),
}


def run(name, loops, seconds):
    layer, depth, units, words, streams, steps, rule = CASES[name]
    torch.manual_seed(1)
    table, rnn, out = nn.Embedding(words, units), layer(units, units, depth), nn.Linear(units, words)
    parameters = [p for m in (table, rnn, out) for p in m.parameters()]
    optimizer = (torch.optim.SGD(parameters, lr=1.0, **loops) if rule == "sgd"
                 else torch.optim.Adam(parameters, **loops))
    data = torch.randint(0, words, (40 * steps + 1, streams))
    state = {"at": 0, "h": None}

    def step():
        at = state["at"]
        if at + steps + 1 > len(data):
            at, state["h"] = 0, None
        x, y = data[at:at + steps], data[at + 1:at + steps + 1]
        state["at"] = at + steps
        optimizer.zero_grad(set_to_none=True)
        z, h = rnn(table(x), state["h"])
        state["h"] = tuple(t.detach() for t in h) if isinstance(h, tuple) else h.detach()
        loss = F.cross_entropy(out(z).view(-1, words), y.reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()

    for _ in range(5):
        step()
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(5):
            step()
        best = max(best, 5 * steps * streams / (time.perf_counter() - start))
    return best


def own(program, name, threads, seconds):
    """(tokens a second, the rest of what the program says of it)"""
    text = subprocess.run([program, str(seconds), name, str(threads)], check=True, capture_output=True,
                          text=True).stdout
    found = re.search(r"([\d.]+) tokens/s\s+(.*)", text)
    return float(found[1]), found[2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", default="build/release/tests/bench_sequence")
    parser.add_argument("cases", nargs="*", default=list(CASES))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} thread(s), PyTorch {torch.__version__}")
    for name in options.cases:
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(own(options.program, name, options.threads, options.seconds))
            theirs.append(max(run(name, loops, options.seconds / 2)
                              for loops in ({}, {"foreach": True}, {"fused": True})))
        print(f"{name}: {max(ours)[0]:.0f} tokens/s ({max(ours)[1]}), PyTorch {max(theirs):.0f}, ratio "
              f"{max(ours)[0] / max(theirs):.2f}", flush=True)


if __name__ == "__main__":
    main()
