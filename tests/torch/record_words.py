"""Records trainings of networks over tokens by PyTorch in float64 for the core suite, which replays them
(test_torch_words):

    python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy
    venv/bin/python tests/torch/record_words.py   # writes tests/data/torch_words.txt, the same each time

Window networks and language models on PyTorch's own Embedding (with dense and with sparse gradients), Linear, LSTM
and GRU, MarginRankingLoss and cross-entropy; updates are torch.optim's. Optimisers with a memory that PyTorch has
not for sparse gradients, or has otherwise (SparseAdam's ε), are written out for the rows that a step has read
(Lazy). Every batch leaves out some tokens and has others several times. No case is recorded whose end depends on
rounding.
"""
import pathlib

import torch

import rules
from record import grid, number

OUTPUT = pathlib.Path(__file__).parents[1] / "data" / "torch_words.txt"
HEAD = """\
# Trainings over tokens recorded from PyTorch {version} by tests/torch/record_words.py: do not edit. Numbers are
# exact. Tensors are those of a network in its order; output, loss and gradient are those of the first batch, final is
# what the last update leaves. "tokens" are vocabulary, rows of a batch, width of a row, streams, and batches.
"""
TOKENS, DIMENSION, WIDTH, STREAMS, STEPS, BATCHES, UPDATES, TAGS = 11, 4, 3, 3, 4, 4, 100, 3
PAIRS = 4  # a power of 2: the score's bias cancels to 0 exactly, and no optimiser blows rounding up

RULES = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.2),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, eps=0, initial_accumulator_value=1e-8),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.002, alpha=0.9, eps=1e-8),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02),
}
OF_TORCH = ("sgd", "adagrad")  # sparse gradients as they are


class Lazy:
    """Updates rows that a step has read, and their part of the memory; t counts all steps."""

    def __init__(self, rule):
        self.rule, self.t = rule, 0
        self.rate = RULES[rule]([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"]

    def __call__(self, table, gradient, read):
        if self.t == 0:
            self.slots = [torch.zeros_like(table), torch.zeros_like(table)]
        self.t += 1
        g, (first, second) = gradient[read], (slot[read] for slot in self.slots)
        if self.rule == "momentum":
            first = 0.9 * first - self.rate * g
            change = first
        elif self.rule == "rmsprop":
            first = 0.9 * first + 0.1 * g * g
            change = -self.rate * g / (first.sqrt() + 1e-8)
        else:
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
            change = (-self.rate * (first / (1 - 0.9 ** self.t)) /
                      ((second / (1 - 0.999 ** self.t)).sqrt() + 1e-8))
        self.slots[0][read], self.slots[1][read] = first, second
        table[read] += change


# name: (loss, begin, layers above as "dense units activation", "cell units" or "tied", rule, sparse, trainable, clip)
WINDOW = ["dense 5 sigmoid", "dense 1 identity"]
TAGGER = ["dense 6 tanh", f"dense {TAGS} identity"]
CASES = {}
for rule in RULES:
    CASES[f"margin, {rule}"] = ("max_margin", "window", WINDOW, rule, False, True, 0)
    CASES[f"margin, sparse {rule}"] = ("max_margin", "embedding", WINDOW, rule, True, True, 0)
    CASES[f"tagger, {rule}"] = ("softmax_cross_entropy", "embedding", TAGGER, rule, False, True, 0)
    CASES[f"tagger, sparse {rule}"] = ("softmax_cross_entropy", "window", TAGGER, rule, True, True, 0)
CASES |= {
    "margin, clipped": ("max_margin", "window", WINDOW, "adagrad", False, True, 0.1),
    "tagger, clipped": ("softmax_cross_entropy", "window", TAGGER, "sgd", False, True, 0.1),
    "tagger, sparse and clipped": ("softmax_cross_entropy", "window", TAGGER, "adam", True, True, 0.1),
    "tagger, frozen": ("softmax_cross_entropy", "window", TAGGER, "momentum", False, False, 0),
    "language model": ("softmax_cross_entropy", "alone", ["lstm 5", f"dense {TOKENS} identity"], "sgd", False, True, 0),
    "language model, sparse": ("softmax_cross_entropy", "alone", ["gru 5", f"dense {TOKENS} identity"], "adam", True,
                               True, 0.5),
    "language model, tied": ("softmax_cross_entropy", "alone", [f"lstm {DIMENSION}", "tied"], "sgd", False, True, 0),
    "language model, tied, stacked": ("softmax_cross_entropy", "alone", ["lstm 6", f"lstm {DIMENSION}", "tied"], "adam",
                                      False, True, 0.5),
    "language model, tied to its vectors": ("softmax_cross_entropy", "alone", ["tied"], "adagrad", False, True, 0),
}


def made_up(case, seed):
    loss, begin, above, rule, sparse, trainable, _ = case
    generator = torch.Generator().manual_seed(seed)
    table = torch.nn.Embedding(TOKENS, DIMENSION, sparse=sparse and rule in OF_TORCH)
    modules, width = [table], DIMENSION * (1 if begin == "alone" else WIDTH)
    for text in above:
        kind, units = (text.split() + [str(TOKENS)])[:2]
        if kind in ("lstm", "gru"):
            modules.append({"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](width, int(units)))
        else:
            modules.append(torch.nn.Linear(width, int(units)))
        width = int(units)
    with torch.no_grad():
        for one in modules:
            for parameter in one.parameters():
                parameter.copy_(grid(generator, parameter.shape, 0.75))
    if above[-1] == "tied":
        modules[-1].weight = table.weight
    table.weight.requires_grad_(trainable)
    rows = STREAMS * STEPS if begin == "alone" else 2 * PAIRS
    ids = torch.randint(0, TOKENS, (BATCHES, rows) if begin == "alone" else (BATCHES, rows, WIDTH), generator=generator)
    for batch in range(BATCHES):  # left out of this one
        ids[batch][ids[batch] == 2 * batch + 1] = 2 * batch
    classes = TOKENS if begin == "alone" else TAGS
    labels = torch.randint(0, classes, (BATCHES, rows), generator=generator)
    return modules, ids, labels


def forward(case, modules, ids, state):
    _, begin, above, *_ = case
    x = modules[0](ids)
    x = x.reshape(STEPS, STREAMS, -1) if begin == "alone" else x.reshape(len(ids), -1)
    following = []
    for text, one in zip(above, modules[1:]):
        if text.split()[0] in ("lstm", "gru"):
            x, after = one(x, state.pop(0) if state else None)
            following.append(tuple(t.detach() for t in after) if isinstance(after, tuple) else after.detach())
        else:
            x = rules.activate("identity" if text == "tied" else text.split()[2], one(x))
    return x.reshape(len(ids), -1), following


def loss_of(case, output, labels):
    if case[0] == "max_margin":
        s = output[:, 0]
        return torch.nn.functional.margin_ranking_loss(s[:PAIRS], s[PAIRS:], torch.ones(PAIRS), margin=1.0)
    return torch.nn.functional.cross_entropy(output, labels)


def train(case, seed, nudge):
    _, begin, above, rule, sparse, trainable, clip = case
    modules, ids, labels = made_up(case, seed)
    table = modules[0].weight
    own = {id(p): p for one in modules for p in one.parameters()}  # a tied table once, in the network's order
    parameters = list(own.values())
    named = lambda: {str(i): p.detach().clone() for i, p in enumerate(parameters)}
    if nudge:
        with torch.no_grad():
            for p in parameters:
                p.mul_(1 + 1e-15)
    record = {"ids": {"x": ids.double()}, "label": {"y": labels.double()}, "start": named()}
    lazy = Lazy(rule) if sparse and rule not in OF_TORCH else None
    optimizer = RULES[rule]([p for p in parameters if p.requires_grad and not (lazy and p is table)])
    for step in range(UPDATES):
        batch = step % BATCHES
        if batch == 0:
            state = []
        for p in parameters:
            p.grad = None
        output, state = forward(case, modules, ids[batch], state)
        loss = loss_of(case, output, labels[batch])
        loss.backward()
        dense = {str(i): torch.zeros_like(p) if p.grad is None else p.grad.to_dense() for i, p in enumerate(parameters)}
        if step == 0:
            record |= {"output": {"z": output.detach()}, "loss": {"j": loss.detach()},
                       "gradient": {name: g.clone() for name, g in dense.items()}}
        if clip:
            rules.clip(dense, clip)
            for i, p in enumerate(parameters):
                p.grad = dense[str(i)] if p.requires_grad else None
        optimizer.step()
        if lazy:
            with torch.no_grad():
                lazy(table, dense["0"], ids[batch].unique())
    return record | {"final": named()}


def layer_lines(case):
    _, begin, above, _, sparse, trainable, _ = case
    lines = [f"layer embedding {DIMENSION} {int(trainable)} {int(sparse)}"]
    if begin != "alone":
        lines.insert(0 if begin == "window" else 1, f"layer window {WIDTH}")
    for text in above:
        if text == "tied":
            lines.append(f"layer dense {TOKENS} identity 1")
        elif text.startswith("dense"):
            lines.append(f"layer {text} 0")
        else:
            lines.append(f"layer {text}")
    return lines


def line(word, tensors):
    flat = torch.cat([t.flatten() for t in tensors.values()]).tolist()
    return " ".join([word, str(len(flat))] + [number(v) for v in flat])


def main():
    lines = [HEAD.format(version=torch.__version__.split("+")[0])]
    for seed, (name, case) in enumerate(CASES.items(), 500):
        record, nudged = (train(case, seed, nudge) for nudge in (False, True))
        moved = rules.distance_of(nudged["final"], record["final"])
        assert moved < rules.TOLERANCE / 10, f"{name} depends on rounding: {moved}"
        far = rules.distance_of(record["start"], record["final"])
        print(f"{name}: moved by {far:.3g}, by rounding {moved:.3g}, first loss {float(record['loss']['j']):.3g}")
        loss, begin, _, rule, _, _, clip = case
        rate = RULES[rule]([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"]
        alone = begin == "alone"
        shape = (TOKENS, STREAMS * STEPS if alone else 2 * PAIRS, 1 if alone else WIDTH, STREAMS if alone else 0, BATCHES)
        lines += [f"case {name}"] + layer_lines(case) + [f"update {rule} {number(rate)} {number(clip)} {UPDATES}"]
        lines += [f"tokens {' '.join(map(str, shape))}", f"loss {loss}"]
        lines += [line(word if word != "loss" else "value", tensors) for word, tensors in record.items()] + [""]
    OUTPUT.write_text("\n".join(lines))
    print(f"{len(CASES)} cases, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
