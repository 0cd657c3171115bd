"""Random texts, tagged sentences and vectors, and random jobs over them, for compare_words.py: everything that a
job over REST can say of words, but dropout and shuffling, whose draws are the daemon's.
"""
import words_rules
from compare import INITIALIZERS

LETTERS = list("abcdefgh ABC.,\n\t") + list("éèßΣσςЖжÅİı\u0301\u00a0\u2028\u0085\u3000\ufeff漢字😀") + ["\r", "\x1c"]
STEMS = ["the", "The", "sea", "SEA", "Straße", "ÉTÉ", "été", "e\u0301te\u0301", "ΣΟΦΟΣ", "σοφος", "İstanbul",
         "Жук", "жук", "漢字", "😀", "<unk>", "<pad>", "it's", "10,000", "a\u200bb", "#", "B-x", "zero\u2060width"]
SPACES = [" ", " ", " ", " ", "  ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u2028", "\u3000", "\u0085", "\x1c"]
TYPES = ["person", "place", "B-odd"]


# ---- random data ----

def random_letters(rng, alphabet, length):
    """Some pairs come often, so that there is something to learn; every letter stands at the beginning too."""
    after = {letter: rng.choice(alphabet) for letter in alphabet}
    found = rng.sample(alphabet, len(alphabet))
    while len(found) < length:
        found.append(after[found[-1]] if rng.random() < 0.6 else rng.choice(alphabet))
    return "".join(found)


def random_words(rng, words, length):
    after = {word: rng.choice(words) for word in words}
    text, last = "", rng.choice(words)
    for _ in range(length):
        last = after[last] if rng.random() < 0.5 else words[min(int(rng.expovariate(4 / len(words))), len(words) - 1)]
        text += last + rng.choice(SPACES)
    return text if rng.random() < 0.5 else rng.choice(SPACES) + text.rstrip()


def vocabulary_of_words(rng):
    return rng.sample(STEMS, rng.randint(2, len(STEMS))) + [f"w{index}" for index in range(rng.choice([0, 5, 20, 300]))]


def random_sentences(rng, words, tags, count):
    sentences = []
    for _ in range(count):
        sentence, tag = [], rng.choice(tags)
        for _ in range(rng.choice([1, 2, 3, 5, 8, 13])):
            inside = "I" + tag[1:]
            tag = inside if tag != "O" and inside in tags and rng.random() < 0.4 else rng.choice(tags)
            # A tag has favourite words.
            own = words[(tags.index(tag) * 7 + rng.randint(0, 2)) % len(words)]
            word = own if rng.random() < 0.7 else rng.choice(words)
            sentence.append((word, tag))
        sentences.append(sentence)
    return sentences


def conll(rng, sentences):
    tab, end, middle = rng.random() < 0.5, rng.choice(["\n", "\r\n"]), rng.random() < 0.3
    between = "\t" if tab else " "
    lines = ["-DOCSTART-", ""] if rng.random() < 0.2 else []
    for sentence in sentences:
        if tab and rng.random() < 0.1:
            lines.append("# text of a comment")
        lines += [between.join([word, *(["NN"] if middle else []), tag]) for word, tag in sentence]
        lines += [rng.choice(["", "", "  ", "\t"])] * rng.choice([1, 1, 2])
    return ("\ufeff" if rng.random() < 0.1 else "") + end.join(lines) + rng.choice(["", end])


# ---- random jobs ----

def width(rng, least, most):
    """Some networks are wide enough for every path through blocks and vectors."""
    return rng.randint(least, most) if rng.random() < 0.85 else rng.choice([31, 64, 75])


def draw_optimizer(rng, known, sparse):
    rule = {"type": rng.choice(known["optimizer"]), "learning_rate": 10 ** rng.uniform(-3, -1.3)}
    if rule["type"] == "momentum":
        rule.update(momentum=rng.choice([0.5, 0.9]), nesterov=rng.random() < 0.5)
    if rule["type"] == "adam":
        rule.update(bias_correction=rng.random() < 0.7, weight_decay=0 if sparse else rng.choice([0, 0.01]))
    return rule


def draw_schedule(rng, known, watched):
    kind = rng.choice(known["schedule"])
    schedule = {"type": kind, "per": rng.choice(["step", "epoch"]), "warmup_steps": rng.choice([0, 0, 10]),
                "fan_in_scaled": rng.random() < 0.3}
    return schedule | {"step": {"factor": 0.7, "every": 10}, "exponential": {"k": 0.01}, "inverse_time": {"tau": 20},
                       "cosine": {"minimum": rng.choice([0, 0.001])},
                       "plateau": {"factor": 0.5, "patience": rng.choice([0, 2]), "metric": rng.choice(watched),
                                   "min_delta": rng.choice([0.001, 0.05]), "minimum": rng.choice([0, 0.002])},
                       }.get(kind, {})


def draw_dense(rng, known):
    name = rng.choice([name for name in known["activation"] if name != "softmax"])
    return {"type": "dense", "units": width(rng, 2, 12), "bias": rng.random() < 0.8,
            "activation": {"type": "leaky_relu", "slope": 0.1} if name == "leaky_relu" else name,
            "init": rng.choice(INITIALIZERS)}


def draw_cell(rng):
    layer = {"type": rng.choice(["rnn", "gru", "lstm"]), "units": width(rng, 1, 10)}
    if rng.random() < 0.7:
        layer["init"] = rng.choice(INITIALIZERS)
    if layer["type"] == "rnn" and rng.random() < 0.7:
        layer["activation"] = rng.choice(["tanh", "relu"])
    return layer


def draw_embedding(rng):
    layer = {"type": "embedding", "dimension": width(rng, 1, 8), "init": rng.choice(INITIALIZERS)}
    kind = rng.choice(["dense", "dense", "sparse", "frozen"])
    return layer | {"sparse": {"sparse": True}, "frozen": {"trainable": False}}.get(kind, {})


def draw(rng, known, task, data, layers, loss, watched):
    """All but the layers and the data."""
    sparse = any(layer.get("sparse") for layer in layers)
    specification = {
        "name": "compared", "task": task, "data": data, "network": {"layers": layers}, "loss": loss,
        "optimizer": draw_optimizer(rng, known, sparse), "schedule": draw_schedule(rng, known, watched),
        "regularization": {} if sparse else {
            name: {"l2": 0.01, "l1": 0.003, "frobenius": 0.02, "max_norm": 0.8}[name]
            for name in known["regularizer"] if rng.random() < 0.25},
        "training": {"batch_size": rng.choice([1, 2, 3, 5, 8, 16, 37]), "shuffle": False, "dtype": "float64",
                     "seed": rng.randint(1, 10 ** 6), "threads": rng.choice([1, 2])},
        "metrics": {"every_steps": 1}}
    if rng.random() < 0.4:
        specification["training"]["clip_norm"] = rng.choice([0.1, 0.5])
    if rng.random() < 0.2:
        specification["training"]["early_stopping"] = {
            "metric": rng.choice(watched), "patience": rng.choice([1, 3]), "restore_best": rng.random() < 0.5,
            "min_delta": rng.choice([0, 0.01])}
    return specification


def draw_vocabulary_fields(rng):
    return {key: value for key, value, share in (
        ("lowercase", True, 0.5), ("min_count", rng.choice([2, 3]), 0.4),
        ("max_vocabulary", rng.choice([4, 6, 10]), 0.3)) if rng.random() < share}


def text_job(rng, known, upload):
    """(specification, parts by name, vocabulary, words to choose from)"""
    words = rng.random() < 0.5
    chosen = vocabulary_of_words(rng) if words else rng.sample(LETTERS, rng.randint(2, len(LETTERS)))
    make = random_words if words else random_letters
    text = make(rng, chosen, rng.choice([130, 300, 700, 2000]))
    name = upload("text", text)
    data = {"dataset": name, "unit": "word" if words else "character", **(draw_vocabulary_fields(rng) if words else {})}
    parts = {}
    for part in ("validation", "test"):
        kind = rng.choice(["none", "fraction", "fraction", "dataset"])
        if kind == "fraction":
            data[part] = {"fraction": rng.choice([0.05, 0.1, 0.2, 0.31])}
        elif kind == "dataset":
            parts[part] = make(rng, chosen, rng.randint(40, 150))
            data[part] = {"dataset": upload("text", parts[part])}
    tokens = words_rules.tokens_of(data, text)
    for part in ("test", "validation"):  # the test part is last
        if "fraction" in data.get(part, {}):
            length = int(data[part]["fraction"] * len(words_rules.tokens_of(data, text)) + 0.5)
            tokens, parts[part] = tokens[:len(tokens) - length], tokens[len(tokens) - length:]
        elif part in parts:
            parts[part] = words_rules.tokens_of(data, parts[part])
    parts["train"] = tokens
    vocabulary = words_rules.vocabulary_of(data, tokens, padded=False)
    embedding = draw_embedding(rng)
    layers = [embedding]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3])):
        if rng.random() < 0.2:
            layers.append(draw_dense(rng, known))
        layers.append(draw_cell(rng))
    if rng.random() < 0.25:
        layers.append(draw_dense(rng, known))
    last = {"type": "dense", "units": "auto", "bias": rng.random() < 0.8}
    if rng.random() < 0.3:
        last["tied"] = True
        for kind in ("trainable", "sparse"):
            embedding.pop(kind, None)
        if len(layers) > 1:
            layers[-1]["units"] = embedding["dimension"]
    elif rng.random() < 0.5:
        last["init"] = rng.choice(INITIALIZERS)
    if rng.random() < 0.3:
        last["activation"] = "softmax"
    watched = ["train.loss"] + (["validation.loss", "validation.accuracy"] if "validation" in parts else [])
    specification = draw(rng, known, "language_model", data, [*layers, last], {"type": "softmax_cross_entropy"},
                         watched)
    specification["training"]["sequence_length"] = rng.choice([1, 2, 5, 9, 16, 40])
    if rng.random() < 0.05:
        specification["training"]["batch_size"] = 100000
    return specification, parts, vocabulary, chosen


def tagging_job(rng, known, upload):
    kind = rng.choice(["tags", "tags", "tags", "plain", "two", "one other window", "two words", "drawn", "drawn"])
    words = vocabulary_of_words(rng)
    tags = {"plain": ["N", "V", "X"], "two": ["yes", "no"]}.get(
        kind, ["O"] + [f"{begin}-{kind}" for kind in rng.sample(TYPES, rng.randint(1, 2)) for begin in "BI"])
    sentences = random_sentences(rng, words, tags, rng.randint(10, 40))
    other = random_sentences(rng, words, tags, rng.randint(3, 12))
    fields = draw_vocabulary_fields(rng)
    loss = {"type": rng.choice(["softmax_cross_entropy", "softmax_cross_entropy", "hinge"])}
    if kind == "two" and rng.random() < 0.6:
        loss = {"type": "binary_cross_entropy"}
    if kind == "one other window":  # all are entities but one token
        for part in (sentences, other):
            for sentence in part:
                sentence[:] = [(word, "B-place" if tag == "O" else tag) for word, tag in sentence]
            chosen = rng.choice(part)
            at = rng.randrange(len(chosen))
            chosen[at] = (chosen[at][0], "O")
        loss = {"type": "max_margin", "corruption": "other_window", "margin": rng.choice([0.5, 1])}
    if kind == "two words":
        words = rng.sample(["sea", "漢字", "Straße", "10,000"], 2)
        fields = {}
        for part in (sentences, other):
            for sentence in part:
                sentence[:] = [(rng.choice(words), tag) for _, tag in sentence]
        sentences[0][:] = [(word, "O") for word in words]
        loss = {"type": "max_margin", "corruption": "centre", "margin": rng.choice([0.5, 1])}
    if kind == "drawn":
        for part in (sentences, other):  # some of either
            part.append([(rng.choice(words), tag) for tag in tags[:2]])
        loss = {"type": "max_margin", "corruption": rng.choice(["centre", "other_window"]), "margin": 1}
    if loss["type"] == "hinge":
        loss["margin"] = rng.choice([0.5, 1.0])
    present = sorted({tag for sentence in sentences for _, tag in sentence})
    for sentence in other:
        sentence[:] = [(word, tag if tag in present else present[0]) for word, tag in sentence]
    for part in (sentences, other):  # a file may begin with a comment, which looks like this token
        part[0][0] = (part[0][0][0].replace("#", "sea"), part[0][0][1])
    if loss["type"] != "max_margin" and rng.random() < 0.4:
        loss["class_weights"] = rng.choice([
            "balanced", {tag: round(rng.uniform(0.2, 3), 3) for tag in present if rng.random() < 0.8}])
    data = {"dataset": upload("conll", conll(rng, sentences)), **fields}
    parts = {"train": sentences}
    for part in ("validation", "test"):
        if rng.random() < 0.6:
            parts[part] = other
            data[part] = {"dataset": upload("conll", conll(rng, other))}
    read = {part: [[word for word, _ in sentence] for sentence in parts[part]] for part in parts}
    vocabulary = words_rules.vocabulary_of(
        data, [words_rules.folded(data, word) for sentence in read["train"] for word in sentence], padded=True)
    first = [draw_embedding(rng)]
    around = rng.choice([1, 3, 3, 5, 7])
    if around > 1:
        first.insert(rng.randint(0, 1), {"type": "window", "width": around})
    layers = first + [draw_dense(rng, known) for _ in range(rng.randint(0, 2))]
    last = {"type": "dense", "units": "auto", "bias": rng.random() < 0.8}
    merged = words_rules.MERGED.get(loss["type"])
    if merged and rng.random() < 0.3:
        last["activation"] = merged
    watched = ["train.loss"] + (["validation.loss", "validation.accuracy"] if "validation" in parts else [])
    if "validation" in parts and loss["type"] != "max_margin" and words_rules.is_iob(present):
        watched += ["validation.entity_f1"] * 2
    specification = draw(rng, known, "tagging", data, layers + [last], loss, watched)
    if loss["type"] == "max_margin" and specification["optimizer"]["type"] in ("rmsprop", "adam"):
        last["bias"] = False  # its gradient is 0 but for rounding, which these blow up
    return specification, parts, vocabulary, words


def give_vectors(rng, upload, specification, vocabulary, chosen):
    """{id: numbers} of the table's rows that do not begin by "init"."""
    if specification["data"].get("unit") == "character" or rng.random() < 0.7:
        return {}
    embedding = words_rules.table_of(specification)[1]
    lines = [(rng.choice(chosen + ["elsewhere"]), [rng.gauss(0, 0.4) for _ in range(embedding["dimension"])])
             for _ in range(rng.randint(1, 12))]
    embedding["vectors"] = upload("vectors", "".join(
        " ".join([word, *map(repr, numbers)]) + rng.choice(["\n", "\r\n", "\n\n"]) for word, numbers in lines))
    found = {}
    for word, numbers in lines:  # a word's first line counts
        word = words_rules.folded(specification["data"], word)
        if word in vocabulary.numbers:
            found.setdefault(vocabulary.id(word), numbers)
    return found


def members_of(specification):
    """Names of what a job is made of, to count."""
    yield specification["task"]
    yield specification["data"].get("unit", "sentences")
    yield from (key for key in ("lowercase", "min_count", "max_vocabulary") if key in specification["data"])
    yield from (f"{key} {next(iter(specification['data'][key]))}" for key in ("validation", "test")
                if key in specification["data"])
    yield specification["optimizer"]["type"] + (" nesterov" if specification["optimizer"].get("nesterov") else "")
    yield specification["loss"]["type"] + " " + specification["loss"].get("corruption", "")
    yield from specification["regularization"]
    yield specification["schedule"]["type"]
    yield from (key for key in ("warmup_steps", "fan_in_scaled") if specification["schedule"].get(key))
    yield from (key for key in ("clip_norm", "early_stopping") if key in specification["training"])
    yield from (["class_weights"] if "class_weights" in specification["loss"] else [])
    layers = specification["network"]["layers"]
    cells = [layer["type"] for layer in layers if layer["type"] in ("rnn", "gru", "lstm")]
    yield from set(cells)
    yield from (["stacked"] if len(cells) > 1 else [])
    yield from (["window of vectors"] if layers[1]["type"] == "window" else [])
    yield from (["window of ids"] if layers[0]["type"] == "window" else [])
    yield from {key for layer in layers for key in ("tied", "sparse") if layer.get(key)}
    yield from (["vectors"] if any("vectors" in layer for layer in layers) else [])
    yield from (["frozen"] if any(layer.get("trainable") is False for layer in layers) else [])
    activations = (layer.get("activation") for layer in layers)
    yield from {a if isinstance(a, str) else a["type"] for a in activations if a}
