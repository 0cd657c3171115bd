"""Training speed of PyTorch over sequences, the cases of tests/bench/bench_sequence.c:

    venv/bin/python tests/torch/bench_sequence.py [THREADS] [SECONDS] [--embedding] [case…]

Inputs come from a table that is not trained, as they do there; with --embedding the table is trained. A figure
is the best run of some steps, under the best of PyTorch's optimiser loops. BP_CPU_TIME as there.
"""
import os
import sys
import time

import torch
from torch import nn
import torch.nn.functional as F

ARGUMENTS = [a for a in sys.argv[1:] if a != "--embedding"]
TRAINED = "--embedding" in sys.argv
THREADS = int(ARGUMENTS[0]) if ARGUMENTS else 1
SECONDS = float(ARGUMENTS[1]) if len(ARGUMENTS) > 1 else 2
torch.set_num_threads(THREADS)
now = time.process_time if os.environ.get("BP_CPU_TIME") else time.perf_counter

CASES = {  # name: layer, depth, units, words, streams, steps, optimiser
    "f": (nn.LSTM, 2, 200, 10000, 20, 20, "sgd"),
    "g": (nn.RNN, 1, 256, 64, 32, 64, "adam"),
    "h": (nn.LSTM, 1, 256, 64, 32, 64, "adam"),
    "i": (nn.GRU, 1, 256, 64, 32, 64, "adam"),
}


def run(name, loops):
    layer, depth, units, words, streams, steps, rule = CASES[name]
    torch.manual_seed(1)
    table, rnn, out = nn.Embedding(words, units), layer(units, units, depth), nn.Linear(units, words)
    table.weight.requires_grad_(TRAINED)
    parameters = [p for m in (table, rnn, out) for p in m.parameters() if p.requires_grad]
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
    best, end = 0.0, now() + SECONDS
    while now() < end:
        start = now()
        for _ in range(5):
            step()
        best = max(best, 5 * steps * streams / (now() - start))
    return best


for case in ARGUMENTS[2:] or CASES:
    variants = [{}, {"foreach": True}, {"fused": True}]
    print(f"{case}: {max(run(case, loops) for loops in variants):.0f} tokens/s, {THREADS} thread(s), "
          f"{'trained' if TRAINED else 'fixed'} table, PyTorch {torch.__version__}", flush=True)
