"""Random jobs over REST against PyTorch's autograd, in float64: same data, same first weights, the update
rules of the contract (rules.py); weights after about a hundred steps must agree to 1e-10.

    python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy
    venv/bin/python tests/torch/compare.py [--jobs 200] [--seed 1] [--daemon build/release/backpropd]

Nothing of this is needed by the product or by its suite. The relative distance of a tensor is
max |ours − theirs| / max(1, max |theirs|). A job whose own PyTorch run moves by more than a tenth of the
tolerance when its first weights move by 1e-15 and its rows are added up backwards (an optimiser dividing rounding
by rounding, where a gradient is 0 but for that) cannot be judged and is counted apart. Prints a line per job that disagrees and a summary;
exits 1 when one does.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import numpy
import torch

from rules import MERGED, TOLERANCE, distance_of, train


# ---- the daemon ----

class Daemon:
    def __init__(self, binary):
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.directory = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [binary, "--data", self.directory.name, "--listen", "127.0.0.1:0"],
            stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if line.startswith("listening on "):
                self.base = line.split()[-1]
                break
        import threading
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()

    def call(self, method, path, body=None, raw=None):
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        request = urllib.request.Request(self.base + path, data=data, method=method)
        if raw is None and body is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with self.opener.open(request) as answer:
                content = answer.read()
                kind = answer.headers.get("Content-Type", "")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}\n{json.dumps(body)}")
        return json.loads(content) if "json" in kind else content

    def train(self, specification):
        job = self.call("POST", "/api/v1/jobs", specification)
        while job["state"] not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.01)
            job = self.call("GET", f"/api/v1/jobs/{job['id']}")
        return job

    def weights(self, job):
        model = job["model"]
        content = self.call(
            "GET", f"/api/v1/models/{model['name']}/versions/{model['version']}/weights?format=safetensors")
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8:8 + length])
        tensors = {}
        for name, entry in header.items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                flat = numpy.frombuffer(content[8 + length + first:8 + length + last], "<f8")
                tensors[name] = torch.tensor(flat.reshape(entry["shape"]).copy())
        return tensors

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0


# ---- random jobs ----

# None that gives units the same weights: what then differs between them is rounding.
INITIALIZERS = [{"type": "uniform", "low": -0.3, "high": 0.4}, {"type": "normal", "std": 0.3}] + [
    {"type": name} for name in ("xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "orthogonal")]


def draw(rng, known, dataset, classes, features):
    pick = lambda family: rng.choice(known[family])
    kinds = ["mean_squared_error"] if not classes else [
        name for name in known["loss"] if name in ("softmax_cross_entropy", "hinge")
        or (name == "binary_cross_entropy" and classes == 2)]
    loss = {"type": rng.choice(kinds)}
    if loss["type"] == "hinge":
        loss["margin"] = rng.choice([0.5, 1.0])
    hidden = [name for name in known["activation"] if name != "softmax"]
    layers = [{"type": "dense", "units": rng.randint(2, 40), "bias": rng.random() < 0.8,
               "activation": {"type": "leaky_relu", "slope": 0.1} if (name := rng.choice(hidden)) == "leaky_relu" else name,
               "init": rng.choice(INITIALIZERS)}
              for _ in range(rng.randint(0, 3))]
    layers.append({"type": "dense", "units": "auto"})
    merged = MERGED.get(loss["type"])
    if merged and rng.random() < 0.5:
        layers[-1]["activation"] = merged
    rule = {"type": pick("optimizer"), "learning_rate": 10 ** rng.uniform(-3, -1.3)}
    if rule["type"] == "momentum":
        rule.update(momentum=rng.choice([0.5, 0.9]), nesterov=rng.random() < 0.5)
    if rule["type"] == "adam":
        rule.update(bias_correction=rng.random() < 0.7, weight_decay=rng.choice([0, 0.01]))
    specification = {
        "name": "compared", "task": "classification" if classes else "regression",
        "data": {"dataset": dataset, "target": "y"},
        "preprocess": {"center": rng.random() < 0.5, "scale": rng.choice(["none", "standard", "minmax"]),
                       "missing": rng.choice(["mean", "median", "zero", "drop_row"])},
        "network": {"layers": layers}, "loss": loss, "optimizer": rule,
        "training": {"batch_size": rng.choice([7, 16, 64, 1000]), "shuffle": False, "dtype": "float64",
                     "seed": rng.randint(1, 10 ** 6), "threads": rng.choice([1, 2])}}
    if len(known["schedule"]) > 1:
        kind = pick("schedule")
        schedule = {"type": kind, "per": rng.choice(["step", "epoch"]),
                    "warmup_steps": rng.choice([0, 0, 10]), "fan_in_scaled": rng.random() < 0.3}
        schedule.update({"step": {"factor": 0.7, "every": 10}, "exponential": {"k": 0.01},
                         "inverse_time": {"tau": 20}, "cosine": {"minimum": rng.choice([0, 0.001])},
                         "plateau": {"factor": 0.5, "patience": rng.choice([0, 2]), "metric": "train.loss",
                                     "min_delta": rng.choice([0.001, 0.05]), "minimum": rng.choice([0, 0.002])},
                         }.get(kind, {}))
        specification["schedule"] = schedule
    if known.get("stopping") and rng.random() < 0.2:
        specification["training"]["early_stopping"] = {
            "metric": "train.loss", "patience": rng.choice([1, 3]), "restore_best": rng.random() < 0.5,
            "min_delta": rng.choice([0, 0.01])}
    if known.get("target") and not classes:
        specification["preprocess"]["target"] = pick("target")
    if known.get("regularizer"):
        specification["regularization"] = {
            name: {"l2": 0.01, "l1": 0.003, "frobenius": 0.02, "max_norm": 1.5}[name]
            for name in known["regularizer"] if rng.random() < 0.3}
        if rng.random() < 0.4:
            specification["training"]["clip_norm"] = rng.choice([0.1, 1.0])
        if classes and rng.random() < 0.4:
            loss["class_weights"] = rng.choice([
                "balanced", {str(c): round(rng.uniform(0.2, 3), 3) for c in range(classes)}])
    return specification


def prepared(specification, x):
    """Statistics of the values that are there; then what is missing is filled in, then all is scaled."""
    prepare = specification["preprocess"]
    mean = numpy.nanmean(x, 0)
    spread = {"none": numpy.ones(x.shape[1]), "standard": numpy.nanstd(x, 0),
              "minmax": numpy.nanmax(x, 0) - numpy.nanmin(x, 0)}[prepare["scale"]]
    spread[spread == 0] = 1
    fill = {"mean": mean, "median": numpy.nanmedian(x, 0)}.get(prepare["missing"], 0.0)
    x = numpy.where(numpy.isnan(x), fill, x)
    return torch.tensor((x - (mean if prepare["center"] else 0)) / spread)


def class_weights(specification, y, classes):
    """Of each class; "balanced": rows / (classes × rows of the class)."""
    given = specification["loss"].get("class_weights")
    if given == "balanced":
        return torch.tensor(len(y) / (classes * numpy.bincount(y)))
    return torch.tensor([given[str(c)] for c in range(classes)]) if given else None


def members_of(specification):
    """Names of what a job is made of, to count."""
    yield specification["optimizer"]["type"] + (" nesterov" if specification["optimizer"].get("nesterov") else "")
    yield specification["loss"]["type"]
    yield from specification.get("regularization", {})
    schedule = specification.get("schedule", {})
    yield schedule.get("type", "constant")
    yield from (key for key in ("warmup_steps", "fan_in_scaled") if schedule.get(key))
    yield from (key for key in ("clip_norm", "early_stopping") if key in specification["training"])
    yield from (["class_weights"] if "class_weights" in specification["loss"] else [])
    yield "missing " + specification["preprocess"]["missing"]
    yield from (["target"] if specification["preprocess"].get("target") == "standard" else [])
    activations = (layer.get("activation", "identity") for layer in specification["network"]["layers"])
    yield from {a if isinstance(a, str) else a["type"] for a in activations}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--daemon", default="build/release/backpropd")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    daemon = Daemon(options.daemon)
    known = {family["name"]: [member["name"] for member in family["members"]]
             for family in daemon.call("GET", "/api/v1/catalog")["families"]}
    worst, failed, unstable, seen = 0.0, 0, 0, {}
    for number in range(options.jobs):
        numbers = numpy.random.default_rng(options.seed * 100003 + number)
        rows, features, classes = rng.randint(20, 150), rng.randint(1, 20), rng.choice([0, 2, 3, 5])
        x = numbers.normal(size=(rows, features)) * numbers.uniform(0.5, 3, features) + numbers.normal(size=features)
        y = numbers.integers(0, classes, rows) if classes else numpy.tanh(x.sum(1)) + 0.1 * numbers.normal(size=rows)
        if classes:
            y[:classes] = numpy.arange(classes)
        if rng.random() < 0.3:  # but not in the first rows: every class and every feature stays
            holes = numbers.random(x.shape) < 0.02
            holes[:classes + 2] = False
            x[holes] = numpy.nan
        table = ",".join([f"x{i}" for i in range(features)] + ["y"]) + "\n" + "".join(
            ",".join(["" if v != v else repr(float(v)) for v in row] + [repr(int(t) if classes else float(t))]) + "\n"
            for row, t in zip(x, y))
        daemon.call("PUT", f"/api/v1/datasets/random-{number}?format=csv", raw=table.encode())
        specification = draw(rng, known, f"random-{number}", classes, features)
        if specification["preprocess"]["missing"] == "drop_row":
            kept = ~numpy.isnan(x).any(1)
            x, y, rows = x[kept], y[kept], int(kept.sum())
        batches = -(-rows // min(specification["training"]["batch_size"], rows))
        specification["training"]["epochs"] = 0
        start = daemon.weights(daemon.train(specification))
        specification["training"]["epochs"] = max(1, -(-100 // batches))
        job = daemon.train(specification)
        if job["state"] != "succeeded":
            print(f"job {number}: {job['state']} {job['reason']}: {json.dumps(specification)}")
            failed += job["reason"] != "diverged"
            continue
        ours = daemon.weights(job)
        weight = class_weights(specification, y, classes)
        if specification["preprocess"].get("target") == "standard":
            y = (y - y.mean()) / y.std()
        target = torch.tensor(y if classes else y[:, None])
        theirs = train(specification, start, prepared(specification, x), target, weight)
        distance = distance_of(ours, theirs)
        for name in members_of(specification):
            seen[name] = seen.get(name, 0) + 1
        if distance > TOLERANCE:
            moved = distance_of(train(specification, start, prepared(specification, x), target, weight, True), theirs)
            if moved > TOLERANCE / 10:
                unstable += 1
                continue
        worst = max(worst, distance)
        if not distance <= TOLERANCE:
            failed += 1
            print(f"job {number}: distance {distance:.3g}: {json.dumps(specification)}")
    daemon.stop()
    print(f"jobs with: {json.dumps(dict(sorted(seen.items())))}")
    print(f"{options.jobs} jobs, largest distance {worst:.3g}, {failed} disagree (tolerance {TOLERANCE:g}), "
          f"{unstable} not judged")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
