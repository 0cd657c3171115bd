"""The experiments of docs/EXPERIMENTS.md: trains on MNIST over REST and draws what the daemon's own metrics say.

    /usr/bin/python3 tests/experiments/feed_forward.py [--daemon build/release/backpropd]
        [--mnist ../shared/data/mnist] [--figures docs/figures] [--only dropout|initialisation]

Prints the final test errors. The curves of the dropout pair are drawn from the evaluation after every epoch, for
which the test rows are named as validation rows; nothing is chosen by them. Not part of the suite: the dropout
pair trains for some minutes.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time
import urllib.request

COLOURS = ["#1f6fb4", "#d1561d", "#3a8f3a"]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(base, method, path, body=None, raw=None):
    data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(base + path, data=data, method=method)
    if body is not None:
        request.add_header("Content-Type", "application/json")
    with opener.open(request) as answer:
        return json.loads(answer.read())


def specification(name, layers, **fields):
    return {"name": name,
            "data": {"dataset": "mnist-train", "features": ["images"], "target": "labels",
                     "validation": {"dataset": "mnist-test"}, "test": {"dataset": "mnist-test"}},
            "network": {"layers": layers}, **fields}


def dropout_jobs():
    """784-800-800-10 ReLU, 60 epochs: with and without dropout, everything else the same."""
    def job(name, inputs, hidden):
        layers = [{"type": "dropout", "keep": inputs}]
        layers += [{"type": "dense", "units": 800, "activation": "relu", "init": "he_normal",
                    "dropout": {"keep": hidden}} for _ in range(2)]
        return specification(name, layers + [{"type": "dense", "units": "auto"}],
                             preprocess={"center": False, "scale": "minmax"},
                             optimizer={"type": "adam", "learning_rate": 0.001}, schedule={"type": "cosine"},
                             training={"epochs": 60, "batch_size": 128, "threads": 2},
                             metrics={"every_steps": 469})
    return [("dropout: keep 0.8 of inputs, 0.5 of hidden units", job("dropout", 0.8, 0.5)),
            ("no dropout", job("plain", 1, 1))]


def initialisation_jobs():
    """Five hidden tanh layers of 100 units under plain SGD."""
    def job(name, init):
        layers = [{"type": "dense", "units": 100, "activation": "tanh", "init": init} for _ in range(5)]
        return specification(name, layers + [{"type": "dense", "units": "auto", "init": init}],
                             preprocess={"center": True, "scale": "minmax"},
                             optimizer={"type": "sgd", "learning_rate": 0.05},
                             training={"epochs": 5, "batch_size": 64}, metrics={"every_steps": 20})
    return [("Xavier uniform", job("xavier", {"type": "xavier_uniform"})),
            ("normal, deviation 0.01", job("small-normal", {"type": "normal", "std": 0.01}))]


def train(base, job):
    answer = call(base, "POST", "/api/v1/jobs", job)
    while answer["state"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(1)
        answer = call(base, "GET", f"/api/v1/jobs/{answer['id']}")
    assert answer["state"] == "succeeded", answer["reason"]
    points, after = [], 0
    while True:
        page = call(base, "GET", f"/api/v1/jobs/{answer['id']}/metrics?after={after}&limit=10000")
        points += page["points"]
        after = page["next"]
        if not page["points"]:
            return answer, points


def moving_mean(curve, width=9):
    return [(x, sum(v for _, v in curve[max(0, i - width):i + 1]) / (i + 1 - max(0, i - width)))
            for i, (x, _) in enumerate(curve)]


def draw(path, title, x_label, y_label, curves, top):
    width, height, left, bottom, right, head = 720, 420, 60, 50, 24, 64
    x_most = max(x for _, curve in curves for x, _ in curve)
    at_x = lambda x: left + (width - left - right) * x / x_most
    at_y = lambda y: height - bottom - (height - bottom - head) * min(y, top) / top
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
             f'font-size="13"><rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="{left}" y="22" font-size="15">{title}</text>',
             f'<text x="{width / 2}" y="{height - 10}" text-anchor="middle">{x_label}</text>',
             f'<text x="16" y="{height / 2}" text-anchor="middle" transform="rotate(-90 16 {height / 2})">{y_label}</text>']
    for i in range(6):
        y, x = top * i / 5, x_most * i / 5
        lines.append(f'<path d="M{left} {at_y(y):.1f}H{width - right}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
                     f'<text x="{at_x(x):.1f}" y="{height - bottom + 18}" text-anchor="middle">{x:g}</text>')
    legend_x = left
    for i, (name, curve) in enumerate(curves):
        points = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in curve)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[i]}" stroke-width="1.8"/>'
                     f'<path d="M{legend_x} 42h20" stroke="{COLOURS[i]}" stroke-width="3"/>'
                     f'<text x="{legend_x + 26}" y="46">{name}</text>')
        legend_x += 60 + 7 * len(name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines + ["</svg>"]) + "\n")


def run(base, figures, only):
    if only in (None, "dropout"):
        curves = []
        for name, job in dropout_jobs():
            answer, points = train(base, job)
            print(f"{name}: test error {100 - 100 * answer['metrics']['test']['accuracy']:.2f} %", flush=True)
            curves.append((name, [(p["epoch"], 100 - 100 * p["values"]["validation.accuracy"])
                                  for p in points if "validation.accuracy" in p["values"]]))
        draw(f"{figures}/dropout.svg", "MNIST, 784-800-800-10 ReLU, Adam, cosine", "epoch", "test error, %",
             curves, 4)
    if only in (None, "initialisation"):
        curves = []
        for name, job in initialisation_jobs():
            answer, points = train(base, job)
            print(f"{name}: test error {100 - 100 * answer['metrics']['test']['accuracy']:.2f} %", flush=True)
            curves.append((name, moving_mean([(p["step"], p["values"]["loss"]) for p in points])))
        draw(f"{figures}/initialisation.svg", "MNIST, five hidden tanh layers of 100 units, SGD", "step",
             "training loss, mean of 10 points", curves, 2.5)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--daemon", default="build/release/backpropd")
    parser.add_argument("--mnist", default="../shared/data/mnist")
    parser.add_argument("--figures", default="docs/figures")
    parser.add_argument("--only", choices=["dropout", "initialisation"])
    options = parser.parse_args()
    os.makedirs(options.figures, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen([options.daemon, "--data", directory, "--listen", "127.0.0.1:0",
                                    "--log-level", "error"], stderr=subprocess.PIPE, text=True)
        base = next(line for line in process.stderr if line.startswith("listening")).split()[-1]
        try:
            for part, prefix in (("train", "train"), ("test", "t10k")):
                for column, kind in (("images", "images-idx3"), ("labels", "labels-idx1")):
                    with open(f"{options.mnist}/{prefix}-{kind}-ubyte.gz", "rb") as file:
                        call(base, "PUT", f"/api/v1/datasets/mnist-{part}/columns/{column}", raw=file.read())
            run(base, options.figures, options.only)
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main()
