"""Records trainings over sequences by PyTorch's own RNN, GRU and LSTM in float64 for the core suite, which replays
them (test_torch_sequences):

    python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy
    venv/bin/python tests/torch/record_sequences.py   # writes tests/data/torch_sequences.txt, the same each time

Truncated backpropagation through time: the state goes on from chunk to chunk, detached, and is zero at the begin of
each epoch. Updates are torch.optim's; the norm is clipped as the contract says (rules.py), without PyTorch's 1e-6.
No case is recorded whose end depends on rounding.
"""
import pathlib

import torch

import rules
from record import grid, number

OUTPUT = pathlib.Path(__file__).parents[1] / "data" / "torch_sequences.txt"
HEAD = """\
# Trainings over sequences recorded from PyTorch {version} by tests/torch/record_sequences.py: do not edit. Numbers
# are exact. Tensors are those of a network in its order; output, gradient and state are those of the first chunk, of
# which loss is too; final and carried those after the last.
"""
IN, OUT, STREAMS, STEPS, CHUNKS, UPDATES = 3, 4, 3, 5, 4, 100

RULES = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.2),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.002, alpha=0.9, eps=1e-8),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02),
}
CASES = {  # name: cells with their units from below, optimiser, clipping (0: none)
    "rnn tanh": ([("rnn tanh", 6)], "sgd", 0),
    "rnn tanh, stacked": ([("rnn tanh", 6), ("rnn tanh", 5)], "adam", 0.5),
    "rnn relu": ([("rnn relu", 6)], "momentum", 0.5),
    "rnn relu, stacked": ([("rnn relu", 6), ("rnn relu", 5)], "sgd", 0),
    "gru": ([("gru identity", 6)], "sgd", 0),
    "gru, stacked": ([("gru identity", 6), ("gru identity", 5)], "adam", 0),
    "gru, clipped": ([("gru identity", 7)], "momentum", 0.2),
    "lstm": ([("lstm identity", 6)], "sgd", 0),
    "lstm, stacked": ([("lstm identity", 6), ("lstm identity", 5)], "rmsprop", 0),
    "lstm, clipped": ([("lstm identity", 7)], "adam", 0.1),
    "all three": ([("gru identity", 5), ("rnn tanh", 6), ("lstm identity", 4)], "adam", 1.0),
}


def module(cell, width, units):
    kind, activation = cell.split()
    if kind == "rnn":
        return torch.nn.RNN(width, units, nonlinearity=activation)
    return {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](width, units)


def made_up(cells, seed):
    """Modules with weights on a coarse grid, so that they are short, and data."""
    generator = torch.Generator().manual_seed(seed)
    modules, width = [], IN
    for cell, units in cells:
        modules.append(module(cell, width, units))
        width = units
    modules.append(torch.nn.Linear(width, OUT))
    with torch.no_grad():
        for one in modules:
            for parameter in one.parameters():
                parameter.copy_(grid(generator, parameter.shape, 0.75))
    x = grid(generator, (CHUNKS, STEPS, STREAMS, IN), 2.0)
    y = torch.randint(0, OUT, (CHUNKS, STEPS, STREAMS), generator=generator)
    return modules, x, y


def forward(modules, x, state):
    """Logits (rows, OUT) and the next state, one entry for each recurrent module."""
    following = []
    for one, before in zip(modules, state):
        x, after = one(x, before)
        following.append(tuple(t.detach() for t in after) if isinstance(after, tuple) else after.detach())
    return modules[-1](x).reshape(-1, OUT), following


def flat_state(state):
    return {str(i): t for i, t in enumerate(
        t for entry in state for t in (entry if isinstance(entry, tuple) else (entry,)))}


def train(cells, rule, clip, seed, nudge):
    modules, x, y = made_up(cells, seed)
    parameters = [p for one in modules for p in one.parameters()]
    named = lambda: {str(i): p.detach().clone() for i, p in enumerate(parameters)}
    if nudge:
        with torch.no_grad():
            for p in parameters:
                p.mul_(1 + 1e-15)
    record = {"x": {"x": x}, "label": {"y": y.double()}, "start": named()}
    optimizer = RULES[rule](parameters)
    for step in range(UPDATES):
        if step % CHUNKS == 0:
            state = [None] * (len(modules) - 1)
        optimizer.zero_grad()
        output, state = forward(modules, x[step % CHUNKS], state)
        loss = torch.nn.functional.cross_entropy(output, y[step % CHUNKS].reshape(-1))
        loss.backward()
        gradient = {str(i): p.grad.clone() for i, p in enumerate(parameters)}
        if step == 0:
            record |= {"output": {"z": output.detach()}, "loss": {"j": loss.detach()}, "gradient": dict(gradient),
                       "state": flat_state(state)}
        if clip:
            rules.clip(gradient, clip)
        for i, p in enumerate(parameters):
            p.grad = gradient[str(i)]
        optimizer.step()
    return record | {"final": named(), "carried": flat_state(state)}


def check_stacks():
    """Modules on each other are what num_layers makes."""
    generator = torch.Generator().manual_seed(1)
    for kind in (torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM):
        both = kind(IN, 5, 2)
        single = [kind(IN, 5), kind(5, 5)]
        for i, one in enumerate(single):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(one, name + "_l0").data = getattr(both, f"{name}_l{i}").data
        x = grid(generator, (STEPS, STREAMS, IN), 2.0)
        assert torch.equal(both(x)[0], single[1](single[0](x)[0])[0])


def line(word, tensors):
    flat = torch.cat([t.flatten() for t in tensors.values()]).tolist()
    return " ".join([word, str(len(flat))] + [number(v) for v in flat])


def main():
    check_stacks()
    lines = [HEAD.format(version=torch.__version__.split("+")[0]),
             f"sizes {IN} {OUT} {STREAMS} {STEPS} {CHUNKS} {UPDATES}", ""]
    for seed, (name, (cells, rule, clip)) in enumerate(CASES.items(), 300):
        record, nudged = (train(cells, rule, clip, seed, nudge) for nudge in (False, True))
        moved = rules.distance_of(nudged["final"], record["final"])
        assert moved < rules.TOLERANCE / 10, f"{name} depends on rounding: {moved}"
        print(f"{name}: moved by {rules.distance_of(record['start'], record['final']):.3g}, by rounding {moved:.3g}")
        rate = RULES[rule]([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"]
        lines += [f"case {name}"] + [f"layer {cell} {units}" for cell, units in cells]
        lines += [f"update {rule} {number(rate)} {number(clip)}"]
        lines += [line(word, tensors) for word, tensors in record.items()] + [""]
    OUTPUT.write_text("\n".join(lines))
    print(f"{len(CASES)} cases, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
