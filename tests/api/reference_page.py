"""docs/reference.md from the catalogue: `python3 tests/api/reference_page.py` writes it anew, from the
daemon of the release build (or of BACKPROPD_BINARY)."""

import pathlib
import tempfile

import requests

import daemon_process

PAGE = daemon_process.ROOT / "docs" / "reference.md"

# Where a family's members stand in a job, and what belongs to all of them.
PLACES = {
    "layer": "`network.layers[]`, each an object with `type`.",
    "dropout": "`dropout` of a layer: `{\"keep\": p}`, and `\"of\"`, which is `units` where absent. `dense` "
               "layers take each, an `embedding` `units`, recurrent layers `units` and, variational, "
               "`connections`.",
    "activation": "`activation` of a layer: a name, or an object with `type`. `dense` layers have one, `identity` "
                  "where absent; `rnn` layers `tanh` or `relu`, `tanh` where absent.",
    "initializer": "`init` of a layer, for its weights; biases begin at 0. In recurrent layers the block of rows "
                   "of each gate is a matrix W of its own, so that fan_out is the number of units. A model's weights "
                   "are taken instead with `\"initial\": {\"model\": …, \"version\": …}`.",
    "loss": "`loss`: a name, or an object with `type`. Losses of classes take `class_weights` as well: "
            "an object of weights by class (1 where absent), or `\"balanced\"`, n / (k n_c) for a class of "
            "n_c among n training rows, k classes in all. The loss of a row is multiplied by the weight of "
            "its class; the mean stays one over rows (in PyTorch: `reduction='none'`, then `.mean()`, "
            "because `weight=` with `reduction='mean'` divides by the sum of the weights).",
    "optimizer": "`optimizer`: a name, or an object with `type`. t counts finished updates, 0 at the "
                 "first.",
    "schedule": "`schedule`: a name, or an object with `type`.",
    "regularizer": "`regularization`: each under its name, as the one number that it takes, such as "
                   "`{\"l2\": 0.0001, \"max_norm\": 3}`. They concern weight matrices, never biases. "
                   "Penalties add to the gradient before clipping; `max_norm` works after the update.\n\n"
                   "**λ and ½λ.** `l2` is λ‖W‖², without a half, so its gradient is 2λW. A tool or text "
                   "that prints ½λ′‖W‖², with the gradient λ′W, means λ′ = 2λ: `\"l2\": 0.0005` here is its "
                   "0.001, and so is PyTorch's `weight_decay=0.001`. Where the penalty there is "
                   "divided by the number of rows, as in λ′/(2n)‖W‖² beside a mean loss, λ = λ′/(2n).",
    "stopping": "`training.early_stopping`: an object of these hyperparameters. Whatever is watched must "
                "exist: `validation.…` needs `data.validation`, an accuracy needs classes.",
    "scale": "`preprocess.scale`. With `\"whiten\": true` the scaled features are projected on the right "
             "singular vectors of the training rows and divided by max(s/√N, ε), ε being "
             "`preprocess.epsilon` (1e-5).",
    "missing": "`preprocess.missing`, for numeric features.",
    "target": "`preprocess.target`, for the targets of a regression.",
}

HEAD = """# Reference

Every formula that a job can name, read from the same records that check jobs and answer
`GET /api/v1/catalog`. Made by `python3 tests/api/reference_page.py`; not to be edited.

Letters: x input, W weights `[out, in]`, b bias, z = W x + b, a = f(z), y target, J loss, g gradient of J,
θ parameters, α learning rate, p the probability that something is kept.
"""


TAIL = """## Fields outside the families

| field | formula and meaning | default | range | PyTorch |
|---|---|---|---|---|
| `training.clip_norm` | c: where the norm n of the gradient over all parameters, biases and penalties included, exceeds c, g ← g (c / n) | no clipping | > 0 | `torch.nn.utils.clip_grad_norm_(parameters, c)`, but for the 1e-6 that it adds to n |
| `training.batch_size` | rows of a step; more than there are rows is one batch, and the last short one is taken | 64 | whole, ≥ 1 | `DataLoader(batch_size=…, drop_last=False)` |
| `training.sequence_length` | of a text: tokens of each of the `batch_size` streams that a step reads; the state goes on into the next step, no gradient goes back from it (truncated backpropagation through time) | 64 | whole, ≥ 1 | `x[:, i:i + n]`, and `state.detach()` between the steps |
| `training.shuffle` | a new order of the rows in each epoch, from the seed; `false`: file order, as a text always is | `true`, of a text `false` | `true`, `false` | `DataLoader(shuffle=…)` (other random numbers) |
| `training.gradient_check` | compare the gradient of the first batch with central differences before training, and fail the job where they disagree | `false` | `true`, `false` | `torch.autograd.gradcheck`, with other bounds |
| `preprocess.center` | subtract the mean of the training rows | `true` | `true`, `false` | none: data preparation is outside PyTorch |
| `preprocess.whiten` | X' = U S Vᵀ, the centred and scaled training rows: x ← Vᵀ x / max(s/√N, ε); needs `center` | `false` | `true`, `false` | none: data preparation is outside PyTorch |
| `preprocess.epsilon` | ε of whitening, in units of the scaled features | 1e-05 | > 0 | none |
| `data.unit` | what a token of a text is: each code point as it is, or what stands between white space; tagged sentences consist of words | `character`; of sentences `word` | `character`, `word` | none: data preparation is outside PyTorch |
| `data.lowercase` | words are put in lower case before they are counted and looked up | `false` | `true`, `false` | none |
| `data.min_count` | words of the training part that come more rarely are the unknown token `<unk>` | 1 | whole, ≥ 1 | `torchtext.vocab.build_vocab_from_iterator(min_freq=…)` |
| `data.max_vocabulary` | most entries of a vocabulary of words, `<unk>` and the `<pad>` of sentences included: the most frequent words | no limit | whole, ≥ 1, or `null` | `build_vocab_from_iterator(max_tokens=…)` |
| `vectors` of an embedding | rows of its table to begin with, from a data set of a word and its numbers a line; words that it lacks begin as `init` says | none | a data set of kind `vectors` | `Embedding.from_pretrained`, for a table made by hand |
| `initial` | begin with the weights of `{"model": …, "version": …}`, the newest version where absent; all tensors must have the same shapes, and the model's layers are taken where `network` is absent; over a text or sentences its vocabulary is taken too | initialised weights | a model | `load_state_dict` |

A step goes in this order: gradient of the loss; gradients of the penalties; clipping; the optimiser's update, with Adam's
decoupled decay last; `max_norm`. An error of a gradient check is judged by |a − n| ≤ 1e-7 max(|a|, |n|) + 2e-10 max(1, |J|).
"""


def number(value):
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, str):
        return f"`{value}`"
    return f"{value:.15g}"


def range_of(parameter):
    """The allowed values, as an interval or a list."""
    if parameter["kind"] == "boolean":
        return "`true`, `false`"
    if parameter["kind"] == "choice":
        return ", ".join(f"`{choice}`" for choice in parameter["choices"])
    low = high = ""
    if "minimum" in parameter:
        low = (">" if parameter["exclusive_minimum"] else "≥") + f" {parameter['minimum']:.15g}"
    if "maximum" in parameter:
        bound = "2⁵³ − 1" if parameter["maximum"] == 2**53 - 1 else f"{parameter['maximum']:.15g}"
        high = ("<" if parameter["exclusive_maximum"] else "≤") + " " + bound
    words = " and ".join(part for part in (low, high) if part) or "any"
    return ("whole, " if parameter["kind"] == "integer" else "") + words


def default_of(parameter):
    if parameter["accepts_auto"]:
        return "`auto` allowed" if parameter["required"] else "`auto`"
    return "required" if parameter["required"] else number(parameter["default"])


def cell(text):
    return text.replace("|", "\\|")


def code(text):
    fence = "``" if "`" in text else "`"
    return fence + text + fence


def member_lines(member):
    lines = [f"### `{member['name']}`", "", member["summary"][0].upper() + member["summary"][1:] + ".", "",
             f"- Formula: {code(member['formula'])}", f"- Source: {member['reference']}",
             f"- PyTorch: {member['pytorch']}", ""]
    if member["hyperparameters"]:
        lines += ["| hyperparameter | meaning | default | range |", "|---|---|---|---|"]
        lines += [f"| `{parameter['name']}` | {cell(parameter['meaning'])} | {default_of(parameter)} | "
                  f"{range_of(parameter)} |" for parameter in member["hyperparameters"]]
        lines.append("")
    return lines


def page(catalog):
    lines = [HEAD]
    for family in catalog["families"]:
        lines += [f"## {family['title']}", "", PLACES[family["name"]], ""]
        for member in family["members"]:
            lines += member_lines(member)
    return "\n".join(lines + [TAIL]).rstrip("\n") + "\n"


def page_of_daemon(base):
    return page(requests.get(base + "/api/v1/catalog", timeout=60).json())


def main():
    with tempfile.TemporaryDirectory() as directory:
        daemon = daemon_process.Daemon(pathlib.Path(directory) / "data")
        try:
            PAGE.write_text(page_of_daemon(daemon.base), encoding="utf-8")
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
