"""The networks of tests/experiments/language.py in PyTorch, from the same first weights (a job of no epochs,
exported), on the same data and budget:

    venv/bin/python tests/torch/words.py [--daemon build/release/backpropd] [--only plays|tagger]
        [--shakespeare ../shared/data/tinyshakespeare/input.txt] [--wnut ../shared/data/wnut17] [--seeds 5] [--threads 2]

Prints, beside each other, bits per character of the validation part and seconds of training, and entity F1 of
the test part. Float32; --threads are PyTorch's, ours are the jobs' two. PyTorch draws its
own order of windows.
"""
import argparse
import json
import math
import pathlib
import sys
import time

import numpy
import torch
from torch import nn
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/experiments"))

import language  # noqa: E402
from experiment import call, running, train  # noqa: E402



def first_weights(base, job):
    """(weights by name, vocabulary, tags) that the job would begin with."""
    job = {**job, "name": "first-" + job["name"], "training": {**job["training"], "epochs": 0}}
    answer, _ = train(base, job)
    path = f"/api/v1/models/{answer['model']['name']}/versions/{answer['model']['version']}"
    content = call(base, "GET", path + "/weights?format=safetensors")
    begin = 8 + int.from_bytes(content[:8], "little")
    weights = {}
    for name, entry in json.loads(content[8:begin]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            array = numpy.frombuffer(content[begin + first:begin + last], dtype="<f4").reshape(entry["shape"])
            weights[name] = torch.tensor(array.copy())
    version = call(base, "GET", path)
    return weights, version["vocabulary"], version.get("tags")


def cosine(optimizer, rate, step, steps):
    for group in optimizer.param_groups:
        group["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2


# ---- plays ----

class CharacterModel(nn.Module):
    def __init__(self, weights):
        super().__init__()
        words, dimension = weights["layers.0.weight"].shape
        units = weights["layers.1.weight_hh"].shape[1]
        self.table, self.lstm = nn.Embedding(words, dimension), nn.LSTM(dimension, units)
        self.out = nn.Linear(units, words)
        with torch.no_grad():
            self.table.weight.copy_(weights["layers.0.weight"])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(self.lstm, name + "_l0").copy_(weights["layers.1." + name])
            self.out.weight.copy_(weights["layers.2.weight"])
            self.out.bias.copy_(weights["layers.2.bias"])

    def forward(self, x, state):
        z, state = self.lstm(self.table(x), state)
        return self.out(z), state


def streams(ids, count):
    """(inputs, targets), (length, count) each, as the contract cuts a text."""
    length = (len(ids) - 1) // count
    return (ids[:length * count].view(count, length).T.contiguous(),
            ids[1:length * count + 1].view(count, length).T.contiguous())


def bits(model, x, y, steps):
    total, state = 0.0, None
    with torch.no_grad():
        for at in range(0, len(x), steps):
            z, state = model(x[at:at + steps], state)
            total += float(F.cross_entropy(z.flatten(0, 1), y[at:at + steps].flatten(), reduction="sum"))
    return total / y.numel() / math.log(2)


def train_plays(job, weights, vocabulary, text):
    training = job["training"]
    number = {character: index for index, character in enumerate(vocabulary["tokens"])}
    test = validation = int(len(text) * 0.05)
    ids = torch.tensor([number[c] for c in text[:len(text) - test - validation]])
    held = torch.tensor([number[c] for c in text[len(text) - test - validation:len(text) - test]])
    model = CharacterModel(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=job["optimizer"]["learning_rate"], fused=True)
    x, y = streams(ids, training["batch_size"])
    steps, step = training["sequence_length"], 0
    last = training["epochs"] * math.ceil(len(x) / steps)
    start = time.perf_counter()
    for _ in range(training["epochs"]):
        state = None
        for at in range(0, len(x), steps):
            cosine(optimizer, job["optimizer"]["learning_rate"], step, last)
            step += 1
            optimizer.zero_grad(set_to_none=True)
            z, state = model(x[at:at + steps], state)
            state = tuple(part.detach() for part in state)
            F.cross_entropy(z.flatten(0, 1), y[at:at + steps].flatten()).backward()
            nn.utils.clip_grad_norm_(model.parameters(), training["clip_norm"])
            optimizer.step()
    seconds = time.perf_counter() - start
    return bits(model, *streams(held, training["batch_size"]), steps), seconds


def plays(base, path):
    language.upload_plays(base, path)
    text = pathlib.Path(path).read_text(encoding="utf-8")
    for units in (128, 256):
        job = language.play_job(f"plays-{units}", units)
        weights, vocabulary, _ = first_weights(base, job)
        theirs, their_seconds = train_plays(job, weights, vocabulary, text)
        start = time.perf_counter()
        answer, _ = train(base, job)
        seconds = time.perf_counter() - start
        ours = answer["metrics"]["validation"]["bits_per_character"]
        print(f"LSTM of {units} units, {job['training']['epochs']} epochs: {ours:.4f} bits per character of the validation "
              f"part, in PyTorch {theirs:.4f} ({100 * (ours / theirs - 1):+.2f} %); {seconds:.1f} s with evaluations, "
              f"in PyTorch {their_seconds:.1f} s without", flush=True)


# ---- the tagger ----

def read_sentences(path):
    """[[(token, tag)]]"""
    sentences, sentence = [], []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            fields = line.split("\t")
            sentence.append((fields[0].strip(), fields[-1].strip()))
        elif sentence:
            sentences.append(sentence)
            sentence = []
    return sentences + [sentence] if sentence else sentences


def entities(tags):
    """{(begin, end, type)} of an IOB2 sentence; an I that continues nothing begins an entity."""
    found, begin, kind = set(), None, None
    for at, tag in enumerate([*tags, "O"]):
        if begin is not None and not (tag.startswith("I-") and tag[2:] == kind):
            found.add((begin, at, kind))
            begin = None
        if tag != "O" and begin is None:
            begin, kind = at, tag[2:]
    return found


class Windows:
    def __init__(self, sentences, number, tags, width):
        self.sentences, self.tags = sentences, tags
        half, rows, labels = width // 2, [], []
        for sentence in sentences:
            ids = [number["<pad>"]] * half
            ids += [number.get(token, number["<unk>"]) for token, _ in sentence] + ids
            rows += [ids[at:at + width] for at in range(len(sentence))]
            labels += [tags.index(tag) for _, tag in sentence]
        self.rows, self.labels = torch.tensor(rows), torch.tensor(labels)

    def f1(self, model):
        model.eval()
        with torch.no_grad():
            decided = [self.tags[i] for i in model(self.rows).argmax(1)]
        expected = found = correct = at = 0
        for sentence in self.sentences:
            truth, said = (entities([tag for _, tag in sentence]), entities(decided[at:at + len(sentence)]))
            at += len(sentence)
            expected, found, correct = expected + len(truth), found + len(said), correct + len(truth & said)
        return 2 * correct / max(1, expected + found)


class Tagger(nn.Module):
    def __init__(self, weights):
        super().__init__()
        for name, layer in (("1", nn.Embedding), ("2", nn.Linear), ("3", nn.Linear)):
            weight = weights[f"layers.{name}.weight"]
            module = layer(*weight.shape) if layer is nn.Embedding else layer(*reversed(weight.shape))
            with torch.no_grad():
                module.weight.copy_(weight)
                if layer is nn.Linear:
                    module.bias.copy_(weights[f"layers.{name}.bias"])
            setattr(self, "layer" + name, module)

    def forward(self, x):
        return self.layer3(torch.tanh(self.layer2(self.layer1(x).flatten(1))))


def train_tagger(job, weights, parts):
    training = job["training"]
    torch.manual_seed(training["seed"])
    model = Tagger(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=job["optimizer"]["learning_rate"], fused=True)
    best, kept = -1.0, None
    for _ in range(training["epochs"]):
        model.train()
        for rows in torch.randperm(len(parts["train"].rows)).split(training["batch_size"]):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(parts["train"].rows[rows]), parts["train"].labels[rows]).backward()
            optimizer.step()
        score = parts["dev"].f1(model)
        if score > best:
            best, kept = score, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return parts["test"].f1(model)


def tagger(base, folder, seeds):
    language.upload_wnut(base, folder)
    ours, theirs = [], []
    for seed in range(1, seeds + 1):
        job = language.tagger_job(f"tagger-{seed}", seed)
        weights, vocabulary, tags = first_weights(base, job)
        number = {token: index for index, token in enumerate(vocabulary["tokens"])}
        parts = {part: Windows(read_sentences(pathlib.Path(folder) / f"{part}.conll"), number, tags, 5)
                 for part in ("train", "dev", "test")}
        theirs.append(100 * train_tagger(job, weights, parts))
        ours.append(100 * train(base, job)[0]["metrics"]["test"]["entities"]["f1"])
        print(f"seed {seed}: entity F1 of the test part {ours[-1]:.2f}, in PyTorch {theirs[-1]:.2f}", flush=True)
    ours, theirs = sum(ours) / seeds, sum(theirs) / seeds
    print(f"in the mean {ours:.2f}, in PyTorch {theirs:.2f}: {ours - theirs:+.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--daemon", default="build/release/backpropd")
    parser.add_argument("--shakespeare", default="../shared/data/tinyshakespeare/input.txt")
    parser.add_argument("--wnut", default="../shared/data/wnut17")
    parser.add_argument("--only", choices=["plays", "tagger"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with running(options.daemon) as base:
        if options.only in (None, "plays"):
            plays(base, options.shakespeare)
        if options.only in (None, "tagger"):
            tagger(base, options.wnut, options.seeds)


if __name__ == "__main__":
    main()
