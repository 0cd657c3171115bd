"""A job specification trained by PyTorch's own modules, losses, optimizers and schedulers, with the settings
that the catalogue names for each member; None where its formulas are not ours."""
import math

import torch
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler

from rules import MERGED, is_weight

ACTIVATIONS = {"identity": lambda v: v, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": functional.relu,
               "hard_tanh": functional.hardtanh, "softsign": functional.softsign,
               "softmax": lambda v: functional.softmax(v, 1)}


def loss_of(specification, class_weight):
    """(name, function of output and target), or None."""
    kind = specification["loss"]["type"]
    if kind == "mean_squared_error":
        return "torch.nn.MSELoss", nn.MSELoss()
    if kind == "softmax_cross_entropy":
        rows = nn.CrossEntropyLoss(weight=class_weight, reduction="none")
        return "torch.nn.CrossEntropyLoss", lambda output, target: rows(output, target).mean()
    if kind == "binary_cross_entropy" and class_weight is None:
        whole = nn.BCEWithLogitsLoss()
        return "torch.nn.BCEWithLogitsLoss", lambda output, target: whole(output[:, 0], target.to(output.dtype))
    if kind == "hinge":
        margin = nn.MultiMarginLoss(p=1, margin=specification["loss"].get("margin", 1.0), weight=class_weight)
        return "torch.nn.MultiMarginLoss", lambda output, target: margin(output, target) * output.shape[1]
    return None


def optimizer_of(specification, parameters):
    """(optimizer, …) or None. Weights and biases are groups apart, for penalties and rates by fan-in."""
    rule, schedule = specification["optimizer"], specification.get("schedule", {"type": "constant"})
    kind, rate = rule["type"], rule["learning_rate"]
    groups = []
    for name, p in parameters.items():
        scaled = is_weight(name) and schedule.get("fan_in_scaled", False)
        groups.append({"params": [p], "lr": rate / math.sqrt(p.shape[1]) if scaled else rate,
                       "weight_decay": 2 * specification.get("regularization", {}).get("l2", 0)
                       if is_weight(name) else 0})
    if kind == "sgd":
        return torch.optim.SGD(groups)
    if kind == "momentum" and schedule["type"] == "constant" and not schedule.get("warmup_steps"):
        return torch.optim.SGD(groups, momentum=rule.get("momentum", 0.9), nesterov=rule.get("nesterov", False))
    if kind == "adagrad":
        return torch.optim.Adagrad(groups, eps=0, initial_accumulator_value=rule.get("epsilon", 1e-8))
    if kind == "rmsprop":
        return torch.optim.RMSprop(groups, alpha=rule.get("decay", 0.9), eps=rule.get("epsilon", 1e-8))
    if kind == "adam" and rule.get("bias_correction", True) and not rule.get("weight_decay"):
        return torch.optim.Adam(groups, betas=(rule.get("beta1", 0.9), rule.get("beta2", 0.999)),
                                eps=rule.get("epsilon", 1e-8))
    return None


def scheduler_of(specification, optimizer, total_steps, per_epoch):
    """A scheduler of lr_scheduler, False where none is needed, None where there is none."""
    s = specification.get("schedule", {"type": "constant"})
    kind, warm = s["type"], s.get("warmup_steps", 0)
    if warm and kind != "constant":
        return None
    total = total_steps // per_epoch if s.get("per", "step") == "epoch" else total_steps
    if kind == "constant":
        return lr_scheduler.LinearLR(optimizer, start_factor=1 / warm, total_iters=warm - 1) if warm > 1 else False
    if kind == "step":
        return lr_scheduler.StepLR(optimizer, step_size=s["every"], gamma=s["factor"])
    if kind == "exponential":
        return lr_scheduler.ExponentialLR(optimizer, gamma=math.exp(-s["k"]))
    if kind == "inverse_time":
        return lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda t: s["tau"] / max(t, s["tau"]))
    if kind == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=total, eta_min=s.get("minimum", 0))
    return lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="min", factor=s["factor"], patience=s.get("patience", 10),
        threshold=s.get("min_delta", 1e-4), threshold_mode="abs", min_lr=s.get("minimum", 0), eps=0)


def train(specification, start, x, y, class_weight=None):
    """(names of the classes, weights after training) or None."""
    training, layers = specification["training"], specification["network"]["layers"]
    beyond = set(specification.get("regularization", {})) - {"l2"}
    loss = loss_of(specification, class_weight)
    if beyond or not loss or "clip_norm" in training or "early_stopping" in training:
        return None
    modules = []
    for i, layer in enumerate(layers):
        weight = start[f"layers.{i}.weight"]
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=layer.get("bias", True))
        with torch.no_grad():
            linear.weight.copy_(weight)
            if linear.bias is not None:
                linear.bias.copy_(start[f"layers.{i}.bias"])
        modules.append(linear)
    parameters = {f"layers.{i}.{name}": p for i, module in enumerate(modules) for name, p in module.named_parameters()}
    batch = min(training["batch_size"], len(x))
    per_epoch = -(-len(x) // batch)
    optimizer = optimizer_of(specification, parameters)
    if optimizer is None:
        return None
    scheduler = scheduler_of(specification, optimizer, per_epoch * training["epochs"], per_epoch)
    if scheduler is None:
        return None

    def forward(rows):
        for module, layer in zip(modules, layers):
            rows, choice = module(rows), layer.get("activation", "identity")
            if module is modules[-1] and choice == MERGED.get(specification["loss"]["type"]):
                break
            if isinstance(choice, dict):
                rows = functional.leaky_relu(rows, choice["slope"])
            else:
                rows = functional.leaky_relu(rows) if choice == "leaky_relu" else ACTIVATIONS[choice](rows)
        return rows

    watches = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
    for _ in range(training["epochs"]):
        for first in range(0, len(x), batch):
            optimizer.zero_grad()
            loss[1](forward(x[first:first + batch]), y[first:first + batch]).backward()
            optimizer.step()
            if scheduler and not watches and specification["schedule"].get("per", "step") == "step":
                scheduler.step()
        if watches:
            with torch.no_grad():
                scheduler.step(float(loss[1](forward(x), y)))
        elif scheduler and specification["schedule"].get("per", "step") == "epoch":
            scheduler.step()
    names = [f"torch.optim.{type(optimizer).__name__}", loss[0]]
    if scheduler:
        names.append(f"torch.optim.lr_scheduler.{type(scheduler).__name__}")
    return names, {name: p.detach().clone() for name, p in parameters.items()}
