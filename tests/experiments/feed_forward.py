"""The experiments of docs/EXPERIMENTS.md: trains on MNIST over REST and draws what the daemon's own metrics say.

    /usr/bin/python3 tests/experiments/feed_forward.py [--daemon build/release/backpropd]
        [--mnist ../shared/data/mnist] [--figures docs/figures] [--only dropout|initialisation]

Prints the final test errors. The curves of the dropout pair are drawn from the evaluation after every epoch, for
which the test rows are named as validation rows; nothing is chosen by them. Not part of the suite: the dropout
pair trains for some minutes.
"""
import argparse
import os

from experiment import call, draw, moving_mean, running, train


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
    with running(options.daemon) as base:
        for part, prefix in (("train", "train"), ("test", "t10k")):
            for column, kind in (("images", "images-idx3"), ("labels", "labels-idx1")):
                with open(f"{options.mnist}/{prefix}-{kind}-ubyte.gz", "rb") as file:
                    call(base, "PUT", f"/api/v1/datasets/mnist-{part}/columns/{column}", raw=file.read())
        run(base, options.figures, options.only)


if __name__ == "__main__":
    main()
