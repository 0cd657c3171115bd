"""The experiments on words of docs/EXPERIMENTS.md: plays by characters, and a tagger of tweets, over REST.

    /usr/bin/python3 tests/experiments/language.py [--daemon build/release/backpropd]
        [--shakespeare ../shared/data/tinyshakespeare/input.txt] [--wnut ../shared/data/wnut17]
        [--figures docs/figures] [--only plays|dropout|tagger]

Prints bits per character, a sample of a play, entity F1. Not part of the suite: minutes on two cores.
tests/torch/words.py trains the same networks in PyTorch.
"""
import argparse
import os

from experiment import call, draw, running, train


def play_job(name, units, epochs=12, **layer):
    """A character LSTM; 90 % of the text to train on, 5 % to choose by, 5 % to judge by."""
    return {"name": name,
            "data": {"dataset": "plays", "unit": "character", "validation": {"fraction": 0.05},
                     "test": {"fraction": 0.05}},
            "network": {"layers": [{"type": "embedding", "dimension": 64},
                                   {"type": "lstm", "units": units, **layer},
                                   {"type": "dense", "units": "auto"}]},
            "optimizer": {"type": "adam", "learning_rate": 0.002},
            "schedule": {"type": "cosine"},
            "training": {"epochs": epochs, "batch_size": 32, "sequence_length": 64, "clip_norm": 5, "threads": 2},
            "metrics": {"every_steps": 100}}


# Long enough for a network of 256 units to begin to learn the text by heart.
DROPOUT_EPOCHS = 30
DROPOUT_JOBS = [("no dropout", {}),
                ("variational, keep 0.8 of inputs and 0.8 of the state",
                 {"dropout": {"keep": 0.8, "variational": True, "keep_recurrent": 0.8}})]


def tagger_job(name, seed, epochs=10):
    """Windows of five words, one hidden layer; the epoch with the best entities in the dev part is kept."""
    return {"name": name,
            "data": {"dataset": "wnut-train", "validation": {"dataset": "wnut-dev"}, "test": {"dataset": "wnut-test"}},
            "network": {"layers": [{"type": "window", "width": 5}, {"type": "embedding", "dimension": 50},
                                   {"type": "dense", "units": 128, "activation": "tanh"},
                                   {"type": "dense", "units": "auto"}]},
            "optimizer": {"type": "adam", "learning_rate": 0.001},
            "training": {"epochs": epochs, "batch_size": 64, "seed": seed, "threads": 2,
                         "early_stopping": {"metric": "validation.entity_f1", "patience": epochs,
                                            "restore_best": True}},
            "metrics": {"every_steps": 500}}


def upload_plays(base, path):
    with open(path, "rb") as file:
        call(base, "PUT", "/api/v1/datasets/plays?format=text", raw=file.read())


def upload_wnut(base, folder):
    for part in ("train", "dev", "test"):
        with open(f"{folder}/{part}.conll", "rb") as file:
            call(base, "PUT", f"/api/v1/datasets/wnut-{part}?format=conll", raw=file.read())


def curve(points, name):
    return [(point["epoch"], point["values"][name]) for point in points if name in point["values"]]


def plays(base, figures):
    curves = []
    for units in (128, 256):
        answer, points = train(base, play_job(f"plays-{units}", units))
        curves.append((f"{units} units", curve(points, "validation.bits_per_character")))
        print(f"LSTM of {units} units: {answer['metrics']['validation']['bits_per_character']:.4f} bits per character "
              f"of the validation part, {answer['metrics']['test']['bits_per_character']:.4f} of the test part",
              flush=True)
    draw(f"{figures}/plays.svg", "Tiny Shakespeare, character LSTM, Adam, cosine", "epoch",
         "bits per character, validation", curves, 3, 1.8)
    sample = call(base, "POST", "/api/v1/models/plays-256/generate",
                  {"prompt": "ROMEO:\n", "length": 500, "temperature": 0.8, "seed": 1})
    print(sample["prompt"] + sample["text"], flush=True)


def dropout(base, figures):
    curves = []
    for index, (name, fields) in enumerate(DROPOUT_JOBS):
        answer, points = train(base, play_job(f"dropout-{index}", 256, DROPOUT_EPOCHS, **fields))
        found = curve(points, "validation.bits_per_character")
        curves.append((name, found))
        print(f"{name}: {found[-1][1]:.4f} bits per character of the validation part after {DROPOUT_EPOCHS} epochs, "
              f"{min(y for _, y in found):.4f} at best; "
              f"{answer['metrics']['train']['bits_per_character']:.4f} of the training part", flush=True)
    draw(f"{figures}/variational.svg", "Tiny Shakespeare, character LSTM of 256 units", "epoch",
         "bits per character, validation", curves, 2.8, 1.8)


def tagger(base, seeds=range(1, 6)):
    found = []
    for seed in seeds:
        answer, _ = train(base, tagger_job(f"tagger-{seed}", seed))
        entities = answer["metrics"]["test"]["entities"]
        found.append(entities["f1"])
        print(f"seed {seed}: test entities precision {100 * entities['precision']:.2f}, recall "
              f"{100 * entities['recall']:.2f}, F1 {100 * entities['f1']:.2f}; token accuracy "
              f"{100 * answer['metrics']['test']['accuracy']:.2f} %", flush=True)
    print(f"F1 in the mean {100 * sum(found) / len(found):.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--daemon", default="build/release/backpropd")
    parser.add_argument("--shakespeare", default="../shared/data/tinyshakespeare/input.txt")
    parser.add_argument("--wnut", default="../shared/data/wnut17")
    parser.add_argument("--figures", default="docs/figures")
    parser.add_argument("--only", choices=["plays", "dropout", "tagger"])
    options = parser.parse_args()
    os.makedirs(options.figures, exist_ok=True)
    with running(options.daemon) as base:
        if options.only != "tagger":
            upload_plays(base, options.shakespeare)
        if options.only in (None, "plays"):
            plays(base, options.figures)
        if options.only in (None, "dropout"):
            dropout(base, options.figures)
        if options.only in (None, "tagger"):
            upload_wnut(base, options.wnut)
            tagger(base)


if __name__ == "__main__":
    main()
