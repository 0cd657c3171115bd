"""Random jobs over texts and tagged sentences, over REST, against PyTorch's autograd, in float64: same data, same
first weights (a job of no epochs), the rules of the contract; weights after about a hundred steps must agree to
1e-10, and with them all that is told of a training and of its model.

    python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy
    venv/bin/python tests/torch/compare_words.py [--jobs 200] [--seed 1] [--first 0] [--daemon build/release/backpropd]

Vocabularies, streams, windows and what is counted are written out from the contract (words_rules.py); cells
are PyTorch's own. Of every job (words_draw.py) are compared: the vocabulary, and vectors that the embedding begins with; loss, accuracy,
rate, norm of the gradient and penalty of every step, and what each epoch says of the validation part; the final
weights; and by these, losses, accuracies and entities of all parts, scores of a text and greedy writing, or tags of
sentences. Every fourth job, and all of pairs, has its gradients checked by differences as well.

Corrupted windows are drawn, so losses of pairs are compared where there is one to draw only (one token that is no
entity, or two words); elsewhere the loss of the first weights must lie between those of the best and of the
worst draws. Distances, and which trainings cannot be judged, are as in compare.py.
Prints a line per job that disagrees and a summary; exits 1 when one does.
"""
import argparse
import json
import math
import random
import sys

import torch

import words_rules
from compare import Daemon
from rules import TOLERANCE, distance_of
from words_draw import give_vectors, members_of, random_words, tagging_job, text_job
from words_rules import Pairs, Text, Windows, accuracy_bounds, data_loss, entity_counts, forward, perplexity


# ---- comparisons ----

class Judge:
    """Collects what is not as it should be, and the largest distance of what is judged by a tolerance."""

    def __init__(self):
        self.faults, self.worst = [], 0.0

    def equal(self, what, ours, theirs):
        if ours != theirs:
            self.faults.append(f"{what}: {ours!r}, should be {theirs!r}")

    def near(self, what, ours, theirs, tolerance=TOLERANCE):
        ours, theirs = float(ours), float(theirs)
        if ours == theirs or ours != ours and theirs != theirs:
            return
        distance = abs(ours - theirs) / max(1.0, abs(theirs))
        self.worst = max(self.worst, distance if distance == distance else math.inf)
        if not distance <= tolerance:
            self.faults.append(f"{what}: {ours!r}, should be {theirs!r}")

    def between(self, what, ours, low, high):
        if not low - 1e-9 <= ours <= high + 1e-9:
            self.faults.append(f"{what}: {ours!r}, should be in [{low}, {high}]")


def compare_points(judge, points, told):
    judge.equal("steps with a point", [point["step"] for point in points], list(range(1, len(told) + 1)))
    for point, expected in zip(points, told):
        values, place = point["values"], f"step {point['step']}"
        for name, value in expected.items():
            if name not in values:
                judge.faults.append(f"{place}: no {name}")
            elif isinstance(value, tuple):
                judge.between(f"{place} {name}", values[name], *value)
            elif value is not None:
                judge.near(f"{place} {name}", values[name], value)
        if judge.faults:
            return


def compare_classes(judge, name, evaluated, classes, truth, said):
    judge.equal(f"{name} labels", [entry["label"] for entry in evaluated["per_class"]], classes)
    for number, entry in enumerate(evaluated["per_class"]):
        support, found = truth.count(number), said.count(number)
        correct = sum(a == b == number for a, b in zip(truth, said))
        judge.equal(f"{name} support of {classes[number]}", entry["support"], support)
        for key, above, below in (("precision", correct, found), ("recall", correct, support),
                                  ("f1", 2 * correct, support + found)):
            judge.near(f"{name} {key} of {classes[number]}", entry[key], above / below if below else 0)
    for key in ("precision", "recall", "f1"):
        own = [entry[key] for entry in evaluated["per_class"]]
        judge.near(f"{name} {key}", evaluated[key], sum(own) / len(own))


def compare_evaluation(judge, name, specification, evaluated, part, theta, class_weight, classes):
    output, target = part.evaluate(specification, theta)
    loss = float(data_loss(specification, output, target, class_weight))
    judge.near(f"{name} loss", evaluated["loss"], loss)
    judge.equal(f"{name} rows", evaluated["rows"], part.rows)
    judge.between(f"{name} accuracy", evaluated["accuracy"], *accuracy_bounds(specification, output, target))
    if isinstance(part, Text):
        judge.near(f"{name} perplexity", evaluated["perplexity"], perplexity(loss))
        if specification["data"]["unit"] == "character":
            judge.near(f"{name} bits", evaluated["bits_per_character"], loss / math.log(2))
        judge.equal(f"{name} has bits", "bits_per_character" in evaluated, specification["data"]["unit"] == "character")
    if isinstance(part, Windows):
        if specification["loss"]["type"] != "hinge":
            judge.near(f"{name} log loss", evaluated["log_loss"], data_loss(specification, output, target, None))
        if not words_rules.ambiguous(output):
            compare_classes(judge, name, evaluated, classes, target.tolist(), words_rules.decided(output))
        judge.equal(f"{name} has entities", "entities" in evaluated, words_rules.is_iob(classes))
    if isinstance(part, Windows) and words_rules.is_iob(classes):
        if not words_rules.ambiguous(output):
            said = [classes[index] for index in words_rules.decided(output)]
            counts = entity_counts(part.sentences, said)
            for one, entry in [(None, evaluated["entities"])] + [
                    (entry["type"], entry) for entry in evaluated["entities"]["by_type"]]:
                expected, found, correct = counts(one)
                where = f"{name} entities {one or ''} "
                judge.equal(where + "counts", [entry["expected"], entry["found"], entry["correct"]],
                            [expected, found, correct])
                for key, above, below in (("precision", correct, found), ("recall", correct, expected),
                                          ("f1", 2 * correct, expected + found)):
                    judge.near(where + key, entry[key], above / below if below else 0)


def compare_writing(judge, daemon, rng, specification, path, theta, vocabulary, chosen):
    words = specification["data"]["unit"] == "word"
    known = [token for token in vocabulary.tokens if token != "<unk>"]
    if words:
        text = random_words(rng, chosen + ["never seen before"], rng.randint(2, 60))
    else:
        text = "".join(rng.choice(known) for _ in range(rng.randint(2, 120)))
    tokens = words_rules.tokens_of(specification["data"], text)
    ids = [vocabulary.id(token) for token in tokens]
    answer = daemon.call("POST", path + "/score", {"text": text, "tokens": True})
    output, _ = forward(specification, theta, torch.tensor(ids[:-1])[:, None], None)
    logs = torch.log_softmax(output, 1)[torch.arange(len(ids) - 1), ids[1:]]
    judge.equal("score tokens", answer["tokens"], len(ids) - 1)
    judge.equal("score names", [score["token"] for score in answer["scores"]], [vocabulary.tokens[i] for i in ids[1:]])
    for score, log in zip(answer["scores"], logs.tolist()):
        judge.near("log probability", score["log_probability"], log)
    judge.near("score loss", answer["loss"], -logs.mean())
    judge.near("score perplexity", answer["perplexity"], perplexity(-float(logs.mean())))
    if words:
        judge.equal("score unknown", answer["unknown"], ids[1:].count(0))
    else:
        judge.near("score bits", answer["bits_per_character"], -logs.mean() / math.log(2))
    unknown = rng.random() < 0.5
    length = 40
    if words and not unknown and len(vocabulary.tokens) == 1:
        return
    prompt = text[:rng.randint(0, len(text))]
    read = words_rules.tokens_of(specification["data"], prompt)
    if not words and not prompt and "\n" in known:
        read = ["\n"]
    if not read:
        return
    answer = daemon.call("POST", path + "/generate", {
        "prompt": prompt, "length": length, "temperature": 0, "unknown": unknown} if words else {
        "prompt": prompt, "length": length, "temperature": 0})
    said, state, following = [], None, torch.tensor([vocabulary.id(token) for token in read])[:, None]
    sure = True
    while len(said) < length and sure:
        output, state = forward(specification, theta, following, state)
        last = output[-1].clone()
        if words and not unknown:
            last[0] = -math.inf
        best = torch.topk(last, min(2, len(last))).values
        sure = len(best) < 2 or float(best[0] - best[1]) > 1e-9
        if sure:
            said.append(int(last.argmax()))
            following = torch.tensor([[said[-1]]])
    expected = (" " if words else "").join(vocabulary.tokens[i] for i in said)
    judge.equal("written", answer["text"] if sure else answer["text"][:len(expected)], expected)
    judge.equal("written tokens", answer["tokens"], length)


def compare_tagging(judge, daemon, rng, specification, path, theta, vocabulary, chosen, tags):
    sentences = [[rng.choice(chosen + ["unseen", "Σ"]) for _ in range(rng.randint(0, 9))] for _ in range(6)]
    kind = specification["loss"]["type"]
    answer = daemon.call("POST", path + "/predict", {"sentences": sentences, "probabilities": kind != "max_margin"})
    ids = [[vocabulary.id(words_rules.folded(specification["data"], word)) for word in sentence]
           for sentence in sentences]
    rows = words_rules.windows_of(ids, words_rules.width_of(specification), vocabulary)
    tokens = [token for prediction in answer["predictions"] for token in prediction["tokens"]]
    judge.equal("tokens", [token["token"] for token in tokens], [word for sentence in sentences for word in sentence])
    if not tokens:
        return
    output, _ = forward(specification, theta, rows, None)
    if kind == "max_margin":
        for token, score in zip(tokens, output[:, 0].tolist()):
            judge.near("score of a window", token["score"], score)
        return
    judge.equal("tags", answer["tags"], tags)
    if kind == "softmax_cross_entropy":
        values = torch.softmax(output, 1)
    elif kind == "binary_cross_entropy":
        values = torch.cat([torch.sigmoid(-output), torch.sigmoid(output)], 1)
    else:
        values = output
    for token, row in zip(tokens, values.tolist()):
        given = token["scores" if kind == "hinge" else "probabilities"]
        judge.equal("probabilities", len(given), len(row))
        for a, b in zip(given, row):
            judge.near("probability", a, b)
        judge.near("score of the tag", token["score"], max(row))
        if sorted(row)[-1] - sorted(row)[-2] > 1e-9:
            judge.equal("tag", token["tag"], tags[row.index(max(row))])
    if words_rules.is_iob(tags):
        for sentence, prediction in zip(sentences, answer["predictions"]):
            said = [token["tag"] for token in prediction["tokens"]]
            judge.equal("entities", [[e["start"], e["end"], e["type"], e["text"]] for e in prediction["entities"]],
                        [[a, b, kind, " ".join(sentence[a:b])] for a, b, kind in sorted(words_rules.entities(said))])


def data_of(specification, parts, vocabulary, tags):
    """Each part as the contract lays it out; of pairs None where what is drawn is not known."""
    batch, found = specification["training"]["batch_size"], {}
    for name, part in parts.items():
        if specification["task"] == "language_model":
            found[name] = Text([vocabulary.id(token) for token in part], batch,
                               specification["training"]["sequence_length"])
            continue
        ids = [[vocabulary.id(words_rules.folded(specification["data"], word)) for word, _ in sentence]
               for sentence in part]
        rows = words_rules.windows_of(ids, words_rules.width_of(specification), vocabulary)
        of = [tag for sentence in part for _, tag in sentence]
        if specification["loss"]["type"] == "max_margin":
            found[name] = Pairs(specification, rows, of, len(vocabulary.tokens))
        else:
            found[name] = Windows(rows, [tags.index(tag) for tag in of], part, batch)
    return found


def check_job(daemon, rng, number, known):
    """(judge, specification, outcome)"""
    uploaded = []

    def upload(form, text):
        uploaded.append(f"random-{number}-{len(uploaded)}")
        daemon.call("PUT", f"/api/v1/datasets/{uploaded[-1]}?format={form}", raw=text.encode())
        return uploaded[-1]

    judge = Judge()
    maker = text_job if rng.random() < 0.6 else tagging_job
    specification, parts, vocabulary, chosen = maker(rng, known, upload)
    tags = sorted({tag for sentence in parts["train"] for _, tag in sentence}) if maker is tagging_job else None
    data = data_of(specification, parts, vocabulary, tags)
    vectors = give_vectors(rng, upload, specification, vocabulary, chosen)
    steps = data["train"].steps_per_epoch(specification["training"]["batch_size"])
    specification["training"]["epochs"] = 0
    first = daemon.train(specification)
    if first["state"] != "succeeded":
        judge.faults.append(f"{first['state']} before training: {first['reason']}")
        return judge, specification, "refused"
    start = daemon.weights(first)
    model = f"/api/v1/models/compared/versions/{first['model']['version']}"
    about = daemon.call("GET", model)
    judge.equal("vocabulary", about["vocabulary"]["tokens"], vocabulary.tokens)
    if maker is tagging_job and specification["loss"]["type"] != "max_margin":
        judge.equal("tags", about["tags"], tags)
    for token, numbers in vectors.items():
        judge.equal(f"vector of {token}", start[words_rules.table_of(specification)[0]][token].tolist(), numbers)
    if judge.faults:
        return judge, specification, "judged"
    class_weight = words_rules.class_weights(specification, data["train"], tags)
    drawn = isinstance(data["train"], Pairs) and any(part.wrong is None for part in data.values())
    if drawn:  # the first weights only
        for name, part in data.items():
            judge.equal(f"{name} rows", first["metrics"][name]["rows"], part.rows)
            judge.between(f"{name} loss", first["metrics"][name]["loss"], *part.bounds(specification, start))
        compare_tagging(judge, daemon, rng, specification, model, start, vocabulary, chosen, tags)
    specification["training"]["epochs"] = max(1, -(-100 // steps))
    if isinstance(data["train"], Pairs) or number % 4 == 0:
        report = daemon.call("POST", "/api/v1/gradient-check", {**specification, "max_elements": 30})
        judge.equal("gradient check", report["pass"], True)
    if drawn:
        return judge, specification, "bounded"
    told = []
    theirs = words_rules.train(specification, start, data, class_weight, tags, told)
    job = daemon.train(specification)
    diverged = not all(bool(torch.isfinite(tensor).all()) for tensor in theirs.values())
    judge.equal("diverged", job["reason"] == "diverged", diverged)
    if diverged or judge.faults or job["state"] != "succeeded":
        judge.equal("state", job["state"], "failed" if diverged else "succeeded")
        return judge, specification, "diverged" if diverged else job["state"]
    ours = daemon.weights(job)
    distance = distance_of(ours, theirs)
    if not distance <= TOLERANCE:
        apart = max(theirs, key=lambda name: distance_of(ours, {name: theirs[name]}))
        judge.faults.append(f"distance {distance:.3g} of {apart}")
    worst, judge.worst = judge.worst, max(judge.worst, distance)
    judge.equal("tensors", sorted(ours), sorted(theirs))
    path = f"/api/v1/jobs/{job['id']}/metrics"
    compare_points(judge, daemon.call("GET", path + "?limit=10000")["points"], told)
    outcome = "judged"
    if judge.faults:
        otherwise = []
        nudged = words_rules.train(specification, start, data, class_weight, tags, otherwise, nudged=True)
        if max(distance_of(nudged, theirs), words_rules.moved(otherwise, told)) > TOLERANCE / 10:
            judge.faults, judge.worst, outcome = [], worst, "unstable"
    for name, part in data.items():
        compare_evaluation(judge, name, specification, job["metrics"][name], part, ours, class_weight, tags)
    model = f"/api/v1/models/compared/versions/{job['model']['version']}"
    if maker is text_job:
        compare_writing(judge, daemon, rng, specification, model, ours, vocabulary, chosen)
    else:
        compare_tagging(judge, daemon, rng, specification, model, ours, vocabulary, chosen, tags)
    return judge, specification, outcome


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first job; all that is drawn follows from it")
    parser.add_argument("--daemon", default="build/release/backpropd")
    options = parser.parse_args()
    daemon = Daemon(options.daemon)
    known = {family["name"]: [member["name"] for member in family["members"]]
             for family in daemon.call("GET", "/api/v1/catalog")["families"]}
    worst, failed, outcomes, seen = 0.0, 0, {}, {}
    try:
        for number in range(options.first, options.first + options.jobs):
            judge, specification, outcome = check_job(
                daemon, random.Random(options.seed * 100003 + number), number, known)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            for name in members_of(specification):
                seen[name] = seen.get(name, 0) + 1
            worst = max(worst, judge.worst)
            if judge.faults:
                failed += 1
                print(f"job {number}: {'; '.join(judge.faults[:4])}: {json.dumps(specification)}", flush=True)
    finally:
        daemon.stop()
    print(f"jobs with: {json.dumps(dict(sorted(seen.items())))}")
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(f"{sum(outcomes.values())} jobs ({kinds}), "
          f"largest distance {worst:.3g}, {failed} disagree (tolerance {TOLERANCE:g})")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
