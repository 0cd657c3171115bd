"""Records trainings by PyTorch in float64 for the core suite, which replays them (test_torch_fixtures):

    python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy
    venv/bin/python tests/torch/record.py        # writes tests/data/torch_fixtures.txt, the same each time

A case whose formulas PyTorch's own classes share is recorded from them (torch_own.py), after rules.py has
been seen to agree; any other from rules.py over autograd. No case is recorded whose end depends on rounding.
"""
import pathlib
import re

import torch

import rules
import torch_own

OUTPUT = pathlib.Path(__file__).parents[1] / "data" / "torch_fixtures.txt"
HEAD = """\
# Trainings recorded from PyTorch {version} by tests/torch/record.py: do not edit. Numbers are exact.
# data NAME ROWS WIDTH class|value TARGETS, then a line per row: features, then its class or values
# case NAME, `by` what it was recorded from, the job, start and final: all tensors in the network's order
"""


# ---- data and first weights, on a coarse grid so that they are short ----

def grid(generator, shape, scale):
    return torch.randint(-64, 65, shape, generator=generator) / 64.0 * scale


def made_up_data():
    """name → (x, y, classes or 0). Every class is there."""
    generator = torch.Generator().manual_seed(1)
    sets = {}
    for name, rows, width, classes in (("two", 24, 3, 2), ("three", 24, 3, 3), ("values", 24, 3, 0),
                                       ("wide", 600, 21, 3), ("zeros", 24, 3, 3)):
        x = grid(generator, (rows, width), 2.0)
        if name == "wide":
            x = x.round()
        if name == "zeros":  # rows on which only biases count
            x[::5] = 0
        noise = torch.randint(0, 8, (rows,), generator=generator)
        y = (torch.arange(rows) + (noise == 0)) % classes if classes else grid(generator, (rows, 2), 1.0)
        if classes:
            x[:, 0] += y / 2
        sets[name] = (x, y, classes)
    return sets


def first_weights(specification, width, seed, zero):
    generator, theta = torch.Generator().manual_seed(seed), {}
    for i, layer in enumerate(specification["network"]["layers"]):
        scale = 0 if zero else 2.0 ** -(width.bit_length() // 2)
        theta[f"layers.{i}.weight"] = grid(generator, (layer["units"], width), scale)
        if layer.get("bias", True):
            theta[f"layers.{i}.bias"] = grid(generator, (layer["units"],), 0 if zero else 0.25)
        width = layer["units"]
    return theta


# ---- the cases ----

def case(data, hidden="tanh", last="identity", loss=None, optimizer=None, schedule=None, regularization=None,
         units=(8, 5), bias=True, weights=None, **training):
    outputs = {"two": 2, "values": 2}.get(data, 3)
    loss = loss or ({"type": "mean_squared_error"} if data == "values" else {"type": "softmax_cross_entropy"})
    if loss["type"] == "binary_cross_entropy":
        outputs = 1
    choice = hidden if isinstance(hidden, list) else [hidden] * len(units)
    layers = [{"type": "dense", "units": n, "bias": bias, "activation": a} for n, a in zip(units, choice)]
    layers.append({"type": "dense", "units": outputs, "bias": bias, "activation": last})
    if weights:
        loss = loss | {"class_weights": weights}
    specification = {"data": data, "network": {"layers": layers}, "loss": loss,
                     "optimizer": optimizer or {"type": "sgd", "learning_rate": 0.2},
                     "training": {"batch_size": 7, "epochs": 25} | training}
    if schedule:
        specification["schedule"] = schedule
    if regularization:
        specification["regularization"] = regularization
    return specification


ADAM = {"type": "adam", "learning_rate": 0.01}
MOMENTUM = {"type": "momentum", "learning_rate": 0.05, "momentum": 0.8}
LEAKY = {"type": "leaky_relu", "slope": 0.1}
HINGE = {"type": "hinge", "margin": 0.75}
BINARY = {"type": "binary_cross_entropy"}
SQUARED = {"type": "mean_squared_error"}
EVERYTHING = {"l2": 0.01, "l1": 0.002, "frobenius": 0.02, "max_norm": 0.8}


def all_cases():
    cases = {}
    hidden = ["identity", "sigmoid", "tanh", "hard_tanh", "softsign", "relu", LEAKY]
    for choice in hidden:
        name = choice if isinstance(choice, str) else choice["type"]
        cases[f"hidden {name}"] = case("three", choice)
        cases[f"last {name}"] = case("values", last=choice)
    cases["last softmax under squares"] = case("values", last="softmax")
    cases["last softmax under hinge"] = case("three", last="softmax", loss=HINGE)
    cases["last softmax merged"] = case("two", last="softmax")
    cases["last sigmoid merged"] = case("two", last="sigmoid", loss=BINARY)

    for loss in ({"type": "softmax_cross_entropy"}, HINGE, BINARY):
        data = "two" if loss is BINARY else "three"
        weights = [0.5, 2.0, 1.25][:2 if loss is BINARY else 3]
        cases[f"loss {loss['type']}"] = case(data, loss=loss, optimizer=ADAM)
        cases[f"class weights under {loss['type']}"] = case(data, loss=loss, optimizer=MOMENTUM, weights=weights)
    cases["loss mean_squared_error"] = case("values", optimizer=ADAM)

    for name, rule in {
            "sgd": {"type": "sgd", "learning_rate": 0.3},
            "momentum": {"type": "momentum", "learning_rate": 0.05, "momentum": 0.9},
            "nesterov": {"type": "momentum", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
            "adagrad": {"type": "adagrad", "learning_rate": 0.05},
            "adagrad with a large epsilon": {"type": "adagrad", "learning_rate": 0.05, "epsilon": 0.01},
            "rmsprop": {"type": "rmsprop", "learning_rate": 0.002, "decay": 0.9},
            "rmsprop with a large epsilon": {"type": "rmsprop", "learning_rate": 0.01, "decay": 0.5, "epsilon": 0.1},
            "adam": ADAM | {"beta1": 0.8, "beta2": 0.95},
            "adam with a large epsilon": ADAM | {"epsilon": 0.05},
            "adam uncorrected": ADAM | {"bias_correction": False},
            "adam with decay": ADAM | {"weight_decay": 0.5},
            "adam uncorrected with decay": ADAM | {"bias_correction": False, "weight_decay": 0.2}}.items():
        cases[f"optimizer {name}"] = case("three", optimizer=rule)

    for schedule in ({"type": "step", "factor": 0.5, "every": 9}, {"type": "exponential", "k": 0.02},
                     {"type": "inverse_time", "tau": 12.5}, {"type": "cosine", "minimum": 0.02}):
        name = schedule["type"]
        cases[f"schedule {name}"] = case("three", schedule=schedule)
        cases[f"schedule {name} per epoch"] = case("values", schedule=schedule | {"per": "epoch"})
        cases[f"schedule {name} warmed up"] = case("three", optimizer=MOMENTUM, schedule=schedule | {
            "warmup_steps": 15, "fan_in_scaled": True})
    cases["schedule constant warmed up"] = case("three", schedule={"type": "constant", "warmup_steps": 30})
    cases["schedule constant by fan-in"] = case("three", schedule={"type": "constant", "fan_in_scaled": True})
    cases["adam by fan-in with decay"] = case("three", optimizer=ADAM | {"weight_decay": 0.5}, schedule={
        "type": "constant", "fan_in_scaled": True})
    plateau = {"type": "plateau", "factor": 0.5, "patience": 2, "metric": "train.loss"}
    cases["schedule plateau"] = case("values", schedule=plateau | {"min_delta": 0.01})
    cases["schedule plateau to its minimum"] = case("three", schedule=plateau | {
        "min_delta": 1.0, "minimum": 0.03})

    for data, rule in (("three", None), ("values", ADAM)):
        for name, value in EVERYTHING.items():
            cases[f"{name} under {'adam' if rule else 'sgd'}"] = case(
                data, optimizer=rule, regularization={name: value})
    cases["all regularisers"] = case("three", optimizer=MOMENTUM, regularization=EVERYTHING)
    cases["clipped always"] = case("three", clip_norm=0.05)
    cases["clipped at times"] = case("values", clip_norm=0.4, optimizer=MOMENTUM)
    cases["clipped with penalties"] = case("three", clip_norm=0.3, regularization={"l2": 0.05, "l1": 0.01})
    cases["early stopping"] = case("values", optimizer={"type": "momentum", "learning_rate": 0.15, "momentum": 0.95},
                                   early_stopping={"metric": "train.loss", "patience": 1})
    cases["early stopping without the best"] = case(
        "values", optimizer={"type": "momentum", "learning_rate": 0.15, "momentum": 0.95},
        early_stopping={"metric": "train.loss", "patience": 1, "restore_best": False})

    cases["without bias"] = case("three", bias=False, optimizer=ADAM)
    cases["one layer"] = case("three", units=())
    cases["one row a step"] = case("two", batch_size=1, epochs=5, loss=BINARY)
    cases["one batch"] = case("values", batch_size=1000, epochs=100)
    # Large enough for the core to use more than one thread.
    cases["wide"] = case("wide", units=(41, 9), optimizer=ADAM | {"weight_decay": 0.1},
                         regularization={"l2": 0.01}, clip_norm=0.1, batch_size=600, epochs=100)

    for choice in ("relu", LEAKY, "hard_tanh"):
        name = choice if isinstance(choice, str) else choice["type"]
        cases[f"kinks of {name}"] = case("zeros", choice)
    cases["kinks of hinge and penalties"] = case("zeros", loss={"type": "hinge", "margin": 0.0}, regularization={
        "l1": 0.01, "frobenius": 0.05})

    cases["mixed 1"] = case("three", [LEAKY, "softsign"], loss=HINGE, weights=[1.0, 0.25, 3.0],
                            optimizer={"type": "rmsprop", "learning_rate": 0.004, "decay": 0.8, "epsilon": 0.01},
                            schedule={"type": "cosine", "per": "epoch", "warmup_steps": 10, "fan_in_scaled": True},
                            regularization={"l2": 0.02, "max_norm": 0.6}, clip_norm=0.5)
    cases["mixed 2"] = case("two", ["hard_tanh", "sigmoid"], last="sigmoid", loss=BINARY, weights=[0.75, 2.0],
                            optimizer=MOMENTUM | {"nesterov": True},
                            schedule={"type": "inverse_time", "tau": 20.0, "warmup_steps": 5},
                            regularization={"frobenius": 0.03, "l1": 0.004}, clip_norm=0.2)
    cases["mixed 3"] = case("values", ["tanh", "relu"], last="tanh",
                            optimizer=ADAM | {"bias_correction": False, "weight_decay": 0.3, "epsilon": 0.01},
                            schedule={"type": "exponential", "k": 0.03, "fan_in_scaled": True},
                            regularization=EVERYTHING, clip_norm=0.3, batch_size=5, epochs=20)
    cases["mixed 4"] = case("three", ["softsign", "hard_tanh"], bias=False,
                            optimizer={"type": "adagrad", "learning_rate": 0.1, "epsilon": 0.1},
                            schedule={"type": "step", "factor": 0.7, "every": 6, "per": "epoch"},
                            regularization={"l2": 0.01, "frobenius": 0.01}, weights=[2.0, 1.0, 0.5])
    cases["mixed 5"] = case("three", ["sigmoid", LEAKY], optimizer=ADAM | {"beta1": 0.5, "beta2": 0.9},
                            schedule=plateau | {"min_delta": 0.05, "warmup_steps": 8}, clip_norm=0.15,
                            regularization={"max_norm": 0.9})
    return cases


# ---- writing ----

def number(value):
    return min(re.sub(r"\.?0*p", "p", float(value).hex()), repr(float(value)).removesuffix(".0"), key=len)


def setting(value):
    if isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, (bool, int)) else number(value)


def member(family, chosen):
    if isinstance(chosen, str):
        chosen = {"type": chosen}
    return " ".join([family, chosen["type"]] + [
        f"{key}={setting(value)}" for key, value in chosen.items() if key not in ("type", "class_weights")])


def numbers(word, theta):
    flat = torch.cat([value.flatten() for value in theta.values()])
    return " ".join([word, str(len(flat))] + [number(value) for value in flat.tolist()])


def job_lines(specification):
    training = specification["training"]
    lines = []
    for layer in specification["network"]["layers"]:
        lines.append(member("layer", {key: value for key, value in layer.items() if key != "activation"}))
        lines.append(member("activation", layer["activation"]))
    lines.append(member("loss", specification["loss"]))
    if "class_weights" in specification["loss"]:
        lines.append(" ".join(["class_weight"] + [number(v) for v in specification["loss"]["class_weights"]]))
    lines.append(member("optimizer", specification["optimizer"]))
    lines.append(member("schedule", specification.get("schedule", "constant")))
    for name, value in specification.get("regularization", {}).items():
        lines.append(member("regularizer", {"type": name, "limit" if name == "max_norm" else "lambda": float(value)}))
    if "early_stopping" in training:
        lines.append(member("stopping", {"type": "early_stopping"} | training["early_stopping"]))
    lines.append(" ".join(["training"] + [f"{key}={setting(training[key])}" for key in (
        "batch_size", "epochs", "clip_norm") if key in training]))
    return lines


def record(name, specification, sets, seed):
    """Lines of the case."""
    x, y, _ = sets[specification["data"]]
    start = first_weights(specification, x.shape[1], seed, name.startswith("kinks of hinge"))
    if name.startswith("kinks of") and "hinge" not in name:  # a row of zeros meets the kink at once
        start["layers.0.bias"] = torch.full((8,), 1.0 if "hard_tanh" in name else 0.0)
    class_weight = specification["loss"].get("class_weights")
    class_weight = torch.tensor(class_weight) if class_weight else None
    final = rules.train(specification, start, x, y, class_weight)
    source = "rules.py"
    own = None if name.startswith("kinks") else torch_own.train(specification, start, x, y, class_weight)
    if own:
        assert rules.distance_of(own[1], final) < 1e-12, f"{name}: {rules.distance_of(own[1], final)}"
        source, final = ", ".join(own[0]), own[1]
    moved = rules.distance_of(rules.train(specification, start, x, y, class_weight, True), final)
    assert moved < rules.TOLERANCE / 10, f"{name} depends on rounding"
    print(f"{name}: {source}, moved by {rules.distance_of(start, final):.3g}")
    return [f"case {name}", f"by {source}", f"rows {specification['data']}", *job_lines(specification),
            numbers("start", start), numbers("final", final), ""]


def main():
    sets = made_up_data()
    lines = [HEAD.format(version=torch.__version__.split("+")[0])]
    for name, (x, y, classes) in sets.items():
        lines.append(f"data {name} {len(x)} {x.shape[1]} {'class' if classes else 'value'} {classes or y.shape[1]}")
        targets = [[str(int(t))] for t in y] if classes else [[number(v) for v in row] for row in y.tolist()]
        lines += [" ".join([number(v) for v in row] + t) for row, t in zip(x.tolist(), targets)] + [""]
    cases = all_cases()
    for seed, (name, specification) in enumerate(cases.items(), 100):
        lines += record(name, specification, sets, seed)
    OUTPUT.write_text("\n".join(lines))
    print(f"{len(cases)} cases, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
