"""The contract's rules of language over PyTorch's autograd: what a text and tagged sentences become, networks over
tokens, a training on them and what it reports. Updates, penalties and schedules are those of rules.py. float64.

theta maps the names of the weights file to tensors; a tied layer has none of its own.
"""
import math

import torch

import rules
from rules import MERGED, activate, is_weight

UNKNOWN, PADDING = "<unk>", "<pad>"
SAME = 1e-9  # outputs that lie closer are as good as equal


# ---- vocabularies ----

def folded(data, word):
    """Each code point by itself: no final sigma, and of İ the letter alone."""
    return "".join(letter.lower()[0] for letter in word) if data.get("lowercase") else word


def tokens_of(data, text):
    return [folded(data, word) for word in text.split()] if data["unit"] == "word" else list(text)


class Vocabulary:
    def __init__(self, tokens):
        self.tokens = tokens
        self.numbers = {token: number for number, token in enumerate(tokens)}

    def id(self, token):
        return self.numbers[token] if token in self.numbers else self.numbers[UNKNOWN]


def vocabulary_of(data, tokens, padded):
    """Of the training part's tokens, folded already."""
    if data.get("unit") == "character":
        return Vocabulary(sorted(set(tokens)))
    special = [UNKNOWN, PADDING] if padded else [UNKNOWN]
    counts = {}
    for token in tokens:
        counts[token] = counts.get(token, 0) + 1
    words = sorted((word for word in counts if counts[word] >= data.get("min_count", 1) and word not in special),
                   key=lambda word: (-counts[word], word))
    return Vocabulary((special + words)[:data.get("max_vocabulary")])


# ---- what a network reads ----

class Text:
    """batches(): (ids (steps, streams), targets (steps, streams)) in order; streams(): all of it at once."""

    def __init__(self, ids, batch, steps):
        self.count = min(batch, len(ids) - 1)
        self.length = (len(ids) - 1) // self.count
        self.steps, self.ids = steps, torch.tensor(ids)
        self.rows = self.count * self.length

    def steps_per_epoch(self, _):
        return -(-self.length // self.steps)

    def streams(self):
        cut = lambda first: torch.stack([self.ids[first + s * self.length:first + (s + 1) * self.length]
                                         for s in range(self.count)], 1)
        return cut(0), cut(1)

    def batches(self, _, nudged):
        x, y = self.streams()
        if nudged:
            x, y = x.flip(1), y.flip(1)
        for at in range(0, self.length, self.steps):
            yield x[at:at + self.steps], y[at:at + self.steps].flatten()

    def evaluate(self, specification, theta):
        x, y = self.streams()
        with torch.no_grad():
            return forward(specification, theta, x, None)[0], y.flatten()


def width_of(specification):
    return next((layer["width"] for layer in specification["network"]["layers"] if layer["type"] == "window"), 1)


def windows_of(sentences, width, vocabulary):
    """(tokens, width) ids, of sentences of ids."""
    side = [vocabulary.tokens.index(PADDING)] * (width // 2)
    rows = []
    for sentence in sentences:
        padded = side + sentence + side
        rows += [padded[at:at + width] for at in range(len(sentence))]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), width)


class Windows:
    def __init__(self, rows, labels, sentences, batch):
        self.x, self.y, self.sentences, self.batch = rows, torch.tensor(labels), sentences, batch
        self.rows = len(rows)

    def steps_per_epoch(self, batch):
        return -(-self.rows // min(batch, self.rows))

    def batches(self, batch, _):
        for at in range(0, self.rows, batch):
            yield self.x[at:at + batch], self.y[at:at + batch]

    def evaluate(self, specification, theta):
        with torch.no_grad():
            return forward(specification, theta, self.x, None)[0], self.y


class Pairs:
    """True windows and corrupted ones; wrong: (pairs, width), None where more than one could have been drawn."""

    def __init__(self, specification, rows, tags, vocabulary_size):
        self.by_other = specification["loss"].get("corruption", "other_window") == "other_window"
        entity = torch.tensor([tag != "O" for tag in tags])
        self.true, self.others = (rows[entity], rows[~entity]) if self.by_other else (rows, None)
        self.size, self.rows = vocabulary_size, len(self.true)
        self.middle = rows.shape[1] // 2
        centre = self.true[:, self.middle]
        self.wrong = None
        if self.by_other and len(self.others) == 1:
            self.wrong = self.others.expand(self.rows, -1)
        if not self.by_other and vocabulary_size == 4 and bool((centre >= 2).all()):
            self.wrong = self.true.clone()
            self.wrong[:, self.middle] = 5 - centre

    def steps_per_epoch(self, batch):
        return -(-self.rows // min(batch, self.rows))

    def batches(self, batch, _):
        for at in range(0, self.rows, batch):
            yield torch.cat([self.true[at:at + batch], self.wrong[at:at + batch]]), None

    def evaluate(self, specification, theta):
        with torch.no_grad():
            return forward(specification, theta, torch.cat([self.true, self.wrong]), None)[0], None

    def bounds(self, specification, theta):
        """Least and greatest loss, whatever is drawn."""
        with torch.no_grad():
            true = forward(specification, theta, self.true, None)[0]
            if self.by_other:
                wrong = forward(specification, theta, self.others, None)[0].T.expand(self.rows, -1)
            else:
                wrong = []
                for word in range(2, self.size):
                    changed = self.true.clone()
                    changed[:, self.middle] = word
                    score = forward(specification, theta, changed, None)[0][:, 0]
                    score[self.true[:, self.middle] == word] = math.nan
                    wrong.append(score)
                wrong = torch.stack(wrong, 1)
        margin = specification["loss"].get("margin", 1)
        least = torch.where(wrong.isnan(), math.inf, wrong).amin(1)
        most = torch.where(wrong.isnan(), -math.inf, wrong).amax(1)
        return tuple(float(torch.relu(margin + worst - true[:, 0]).mean()) for worst in (least, most))


# ---- networks and losses ----

def cell(layer, theta, i, x, state):
    """(outputs, state) of PyTorch's own cells; x (steps, streams, width)."""
    weights = [theta[f"layers.{i}.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    if state is None:
        zero = torch.zeros(1, x.shape[1], layer["units"])
        state = (zero, zero) if layer["type"] == "lstm" else zero
    rest = (weights, True, 1, 0.0, False, False, False)
    if layer["type"] == "lstm":
        outputs, h, c = torch.lstm(x, state, *rest)
        return outputs, (h.detach(), c.detach())
    run = torch.gru if layer["type"] == "gru" else {
        "tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[layer.get("activation", "tanh")]
    outputs, h = run(x, state, *rest)
    return outputs, h.detach()


def table_of(specification):
    """Name of the embedding's tensor, and its layer."""
    return next((f"layers.{i}.weight", layer) for i, layer in enumerate(specification["network"]["layers"])
                if layer["type"] == "embedding")


def forward(specification, theta, ids, state):
    """(logits or scores (rows, outputs), state of each layer): ids are windows, or (steps, streams) of a text."""
    layers = specification["network"]["layers"]
    merged, table = MERGED.get(specification["loss"]["type"]), table_of(specification)[0]
    following, x = [None] * len(layers), ids
    for i, layer in enumerate(layers):
        if layer["type"] == "embedding":
            x = torch.nn.functional.embedding(ids, theta[table])
            if specification["task"] == "tagging":
                x = x.flatten(1)
        elif layer["type"] in ("rnn", "gru", "lstm"):
            x, following[i] = cell(layer, theta, i, x, state[i] if state else None)
        elif layer["type"] == "dense":
            z = x @ (theta[table] if layer.get("tied") else theta[f"layers.{i}.weight"]).T
            if layer.get("bias", True):
                z = z + theta[f"layers.{i}.bias"]
            choice = layer.get("activation", "identity")
            x = z if i + 1 == len(layers) and choice == merged else activate(choice, z)
    return x.reshape(-1, x.shape[-1]), following


def data_loss(specification, output, target, class_weight):
    if specification["loss"]["type"] != "max_margin":
        return rules.data_loss(specification, output, target, class_weight)
    true, wrong = output[:, 0].chunk(2)
    return torch.relu(specification["loss"].get("margin", 1) + wrong - true).mean()


def class_weights(specification, part, tags):
    """Of each tag; "balanced": rows / (tags × rows of the tag)."""
    given = specification["loss"].get("class_weights")
    if given == "balanced":
        return part.rows / (len(tags) * torch.bincount(part.y))
    return torch.tensor([float(given.get(tag, 1)) for tag in tags]) if given is not None else None


# ---- what is counted ----

def perplexity(loss):
    return math.exp(loss) if loss < 709.7 else math.inf


def decided(output):
    return ((output[:, 0] > 0).long() if output.shape[1] == 1 else output.argmax(1)).tolist()


def ambiguous(output):
    if output.shape[1] == 1:
        return bool((output.abs() < SAME).any())
    best = torch.topk(output, 2, dim=1).values
    return bool((best[:, 0] - best[:, 1] < SAME).any())


def accuracy_bounds(specification, output, target):
    """Least and greatest accuracy, however outputs that are as good as equal are decided."""
    if specification["loss"]["type"] == "max_margin":
        true, wrong = output[:, 0].chunk(2)
        ahead = true - wrong
        sure, maybe = ahead > SAME, ahead > -SAME
    elif output.shape[1] == 1:
        ahead = output[:, 0] * (2 * target - 1)
        sure, maybe = ahead > SAME, ahead > -SAME
    else:
        own = output[torch.arange(len(target)), target][:, None]
        sure, maybe = (output > own - SAME).sum(1) == 1, (output > own + SAME).sum(1) == 0
    return float(sure.double().mean()), float(maybe.double().mean())


def is_iob(tags):
    return all(tag == "O" or tag[:2] in ("B-", "I-") and len(tag) > 2 for tag in tags) and set(tags) != {"O"}


def entities(tags):
    """{(begin, end, type)} as conlleval finds them: an I that continues nothing of its type begins an entity."""
    found, begin, kind = set(), None, None
    for at, tag in enumerate([*tags, "O"]):
        if begin is not None and tag != "I-" + kind:
            found.add((begin, at, kind))
            begin = None
        if begin is None and tag != "O":
            begin, kind = at, tag[2:]
    return found


def entity_counts(sentences, said):
    """A function of a type, or None for all: how many entities there are, were found, and correctly so."""
    truth, found, at = set(), set(), 0
    for number, sentence in enumerate(sentences):
        truth |= {(number, *one) for one in entities([tag for _, tag in sentence])}
        found |= {(number, *one) for one in entities(said[at:at + len(sentence)])}
        at += len(sentence)
    of = lambda group, kind: sum(kind in (None, one[3]) for one in group)
    return lambda kind: (of(truth, kind), of(found, kind), of(truth & found, kind))


# ---- training ----

def moved(told, otherwise):
    """By how much what two trainings report differs at most, as distances are; accuracies left out."""
    if len(told) != len(otherwise):
        return math.inf
    return max(abs(ours[name] - value) / max(1, abs(value)) for ours, theirs in zip(told, otherwise)
               for name, value in theirs.items() if not isinstance(value, tuple) and ours[name] != value)


def penalty_of(specification, theta):
    chosen = specification["regularization"]
    total = 0.0
    for name, w in theta.items():
        if is_weight(name):
            total += (chosen.get("l2", 0) * float((w * w).sum()) + chosen.get("l1", 0) * float(w.abs().sum()) +
                      chosen.get("frobenius", 0) * float(w.norm()))
    return total


def watched_values(specification, theta, data, class_weight, tags):
    """What an epoch ends with, by name. Accuracies and F1 are as decided."""
    values = {}
    for name in ("train", "validation"):
        if name not in data:
            continue
        output, target = data[name].evaluate(specification, theta)
        loss = float(data_loss(specification, output, target, class_weight))
        values[f"{name}.loss"] = loss
        values[f"{name}.accuracy"] = accuracy_bounds(specification, output, target)
        if name == "validation" and isinstance(data[name], Text):
            values["validation.perplexity"] = perplexity(loss)
            if specification["data"]["unit"] == "character":
                values["validation.bits_per_character"] = loss / math.log(2)
        if name == "validation" and isinstance(data[name], Windows) and is_iob(tags):
            expected, found, correct = entity_counts(
                data[name].sentences, [tags[index] for index in decided(output)])(None)
            f1 = 2 * correct / (expected + found) if expected + found else 0.0
            values["validation.entity_f1"] = f1
    return values


def fall(values, metric):
    """A number that gets smaller as the metric gets better."""
    value = values[metric]
    return -value[0] if isinstance(value, tuple) else -value if metric.endswith("f1") else value


def rested(update, theta, gradient, rate_of, name, read):
    """An update that leaves the rows of a tensor, and their part of the memory, where nothing has read them."""
    old, slots = theta[name], list(update.slots.get(name, [torch.zeros_like(theta[name])] * 2))
    update(theta, gradient, rate_of)
    touched = torch.zeros(len(old), 1, dtype=torch.bool)
    touched[read.unique()] = True
    theta[name] = torch.where(touched, theta[name], old)
    update.slots[name] = [torch.where(touched, new, kept) for new, kept in zip(update.slots[name], slots)]


def train(specification, start, data, class_weight, tags, told, nudged=False):
    """The weights after training from `start`; told: filled with what each step reports. nudged: from weights, biases
    left out, of which each is longer or shorter by 1e-15, with streams backwards and windows in any order, and with
    logits less that of the true class, which rounds p − 1 otherwise."""
    signs = torch.Generator().manual_seed(1)
    theta = {name: value * (1 + 1e-15 * (2 * torch.randint(0, 2, value.shape, generator=signs) - 1))
             if nudged and is_weight(name) else value for name, value in start.items()}
    table, embedding = table_of(specification)
    still = {table: theta.pop(table)} if embedding.get("trainable") is False else {}
    training, schedule = specification["training"], specification["schedule"]
    bound = specification["regularization"].get("max_norm")
    per_epoch = data["train"].steps_per_epoch(training["batch_size"])
    total, step = per_epoch * training["epochs"], 0
    update, plateau = rules.Update(specification), rules.Plateau(schedule)
    stopping = rules.EarlyStopping(training.get("early_stopping", {"patience": math.inf}))
    for _ in range(training["epochs"]):
        state = None
        for x, y in data["train"].batches(training["batch_size"], nudged):
            leaf = {name: value.clone().requires_grad_(True) for name, value in theta.items()}
            shuffled = nudged and specification["task"] == "tagging"
            order = torch.randperm(len(x), generator=signs) if shuffled else torch.arange(len(x))
            output, state = forward(specification, leaf | still, x[order], state)
            output = output[order.argsort()] if shuffled else output
            if nudged and output.shape[1] > 1:
                output = output - output.gather(1, y[:, None])
            loss = data_loss(specification, output, y, class_weight)
            gradient = dict(zip(leaf, torch.autograd.grad(loss, list(leaf.values()))))
            told.append({"loss": float(loss.detach()), "accuracy": accuracy_bounds(specification, output.detach(), y)})
            if set(specification["regularization"]) - {"max_norm"}:
                told[-1]["penalty"] = penalty_of(specification, theta)
            rules.add_regularisers(specification, theta, gradient)
            told[-1]["gradient_norm"] = math.sqrt(sum(float((g * g).sum()) for g in gradient.values()))
            if training.get("clip_norm"):
                rules.clip(gradient, training["clip_norm"])
            rate = rules.scheduled(specification, step, per_epoch, total, plateau.reductions)
            told[-1]["learning_rate"] = rate
            rate_of = lambda name, w: rate / math.sqrt(w.shape[1]) if (
                schedule.get("fan_in_scaled") and is_weight(name)) else rate
            if embedding.get("sparse"):
                rested(update, theta, gradient, rate_of, table, x)
            else:
                update(theta, gradient, rate_of)
            if bound:
                rules.project(theta, bound)
            step += 1
        values = watched_values(specification, theta | still, data, class_weight, tags)
        chosen = {part["metric"] for part in (schedule, training.get("early_stopping", {})) if "metric" in part}
        told[-1].update({name: value for name, value in values.items()
                         if name.startswith("validation") or name in chosen})
        if schedule["type"] == "plateau":
            plateau.observe(fall(values, schedule["metric"]))
        if "early_stopping" in training and stopping.observe(fall(values, training["early_stopping"]["metric"]), theta):
            break
    wanted = "early_stopping" in training and training["early_stopping"].get("restore_best", True)
    return (stopping.theta if wanted else theta) | still
