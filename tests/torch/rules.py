"""The theory over PyTorch's autograd: networks, losses, penalties, schedules and update rules as the REST
contract states them, for a job specification in the contract's own form. float64 throughout.

theta maps "layers.<i>.weight" [out, in] and "layers.<i>.bias" [out] to tensors (of recurrent layers, as PyTorch
names them).
"""
import math

import torch

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
TOLERANCE = 1e-10
MERGED = {"softmax_cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}


def distance_of(ours, theirs):
    """Largest over the tensors of max |ours − theirs| / max(1, max |theirs|)."""
    return max(float((ours[name] - theirs[name]).abs().max() / max(1, float(theirs[name].abs().max())))
               for name in theirs)


def is_weight(name):
    return name.split(".")[-1].startswith("weight")  # of recurrent layers weight_ih and weight_hh


# ---- the network and its loss ----

def activate(choice, z):
    name = choice if isinstance(choice, str) else choice["type"]
    if name == "leaky_relu":
        slope = choice.get("slope", 0.01) if isinstance(choice, dict) else 0.01
        return torch.where(z > 0, z, slope * z)
    return {"identity": lambda v: v, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu,
            "hard_tanh": lambda v: torch.where(v.abs() <= 1, v, torch.sign(v)),
            "softsign": lambda v: v / (1 + v.abs()),
            "softmax": lambda v: torch.softmax(v, 1)}[name](z)


def forward(specification, theta, x):
    layers = specification["network"]["layers"]
    merged = MERGED.get(specification["loss"]["type"])
    for i, layer in enumerate(layers):
        z = x @ theta[f"layers.{i}.weight"].T
        if layer.get("bias", True):
            z = z + theta[f"layers.{i}.bias"]
        choice = layer.get("activation", "identity")
        last = i + 1 == len(layers)
        x = z if last and choice == merged else activate(choice, z)
    return x


def data_loss(specification, output, target, class_weight):
    loss = specification["loss"]
    kind = loss["type"]
    if kind == "mean_squared_error":
        return ((output - target) ** 2).mean()
    if kind == "softmax_cross_entropy":
        rows = -torch.log_softmax(output, 1)[torch.arange(len(target)), target]
    elif kind == "binary_cross_entropy":
        z = output[:, 0]
        # Not clamp(z) − z y + log1p(exp(−|z|)): autograd's slope of that at z = 0 is not σ(0) − y.
        rows = torch.nn.functional.binary_cross_entropy_with_logits(z, target.to(z.dtype), reduction="none")
    elif kind == "hinge":
        true = output[torch.arange(len(target)), target][:, None]
        margins = torch.relu(loss.get("margin", 1.0) + output - true)
        mask = torch.ones_like(margins)
        mask[torch.arange(len(target)), target] = 0
        rows = (margins * mask).sum(1)
    if class_weight is not None:
        rows = rows * class_weight[target]
    return rows.mean()


# ---- a step, in its order ----

def add_regularisers(specification, theta, gradient):
    chosen = specification.get("regularization", {})
    for name, w in theta.items():
        if not is_weight(name):
            continue
        g = gradient[name]
        if "l2" in chosen:
            g = g + 2 * chosen["l2"] * w
        if "l1" in chosen:
            g = g + chosen["l1"] * torch.sign(w)
        if "frobenius" in chosen:
            norm = w.norm()
            g = g + (chosen["frobenius"] * w / norm if norm > 0 else 0)
        gradient[name] = g


def clip(gradient, bound):
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradient.values()))
    if norm > bound:
        for name in gradient:
            gradient[name] = gradient[name] * (bound / norm)


def scheduled(specification, step, steps_per_epoch, total_steps, reductions):
    base = specification["optimizer"]["learning_rate"]
    s = specification.get("schedule", {"type": "constant"})
    per_epoch = s.get("per", "step") == "epoch"
    t = step // steps_per_epoch if per_epoch else step
    total = total_steps // steps_per_epoch if per_epoch else total_steps
    least = s.get("minimum", 0)
    rate = {"constant": lambda: base,
            "step": lambda: base * s["factor"] ** (t // s["every"]),
            "exponential": lambda: base * math.exp(-s["k"] * t),
            "inverse_time": lambda: base * s["tau"] / max(t, s["tau"]),
            "cosine": lambda: least + (base - least) * 0.5 * (1 + math.cos(math.pi * min(t / total, 1))),
            "plateau": lambda: max(base * s["factor"] ** reductions, min(least, base))}[s["type"]]()
    warm = s.get("warmup_steps", 0)
    return rate * (step + 1) / warm if step < warm else rate


class Update:
    def __init__(self, specification):
        self.rule = specification["optimizer"]
        self.slots = {}
        self.t = 0

    def __call__(self, theta, gradient, rate_of):
        self.t += 1
        rule, kind = self.rule, self.rule["type"]
        for name, w in theta.items():
            g, rate = gradient[name], rate_of(name, w)
            slot = self.slots.setdefault(name, [torch.zeros_like(w), torch.zeros_like(w)])
            if kind == "sgd":
                change = -rate * g
            elif kind == "momentum":
                mu = rule.get("momentum", 0.9)
                slot[0] = mu * slot[0] - rate * g
                change = mu * slot[0] - rate * g if rule.get("nesterov") else slot[0]
            elif kind == "adagrad":
                slot[0] = slot[0] + g * g
                change = -rate * g / torch.sqrt(slot[0] + rule.get("epsilon", 1e-8))
            elif kind == "rmsprop":
                rho = rule.get("decay", 0.9)
                slot[0] = rho * slot[0] + (1 - rho) * g * g
                change = -rate * g / (torch.sqrt(slot[0]) + rule.get("epsilon", 1e-8))
            elif kind == "adam":
                b1, b2 = rule.get("beta1", 0.9), rule.get("beta2", 0.999)
                slot[0] = b1 * slot[0] + (1 - b1) * g
                slot[1] = b2 * slot[1] + (1 - b2) * g * g
                c1, c2 = (1 - b1 ** self.t, 1 - b2 ** self.t) if rule.get("bias_correction", True) else (1, 1)
                change = -rate * (slot[0] / c1) / (torch.sqrt(slot[1] / c2) + rule.get("epsilon", 1e-8))
            new = w + change
            decay = rule.get("weight_decay", 0)
            if decay and is_weight(name):
                new = new - rate * decay * new  # after the optimiser: of what it has left
            theta[name] = new


def project(theta, bound):
    for name, w in theta.items():
        if is_weight(name):
            length = w.norm(dim=1, keepdim=True)
            theta[name] = torch.where(length > bound, w * (bound / length), w)


# ---- what is watched at the end of an epoch: "train.loss" ----

class Plateau:
    def __init__(self, schedule):
        self.schedule, self.best, self.waited, self.reductions = schedule, math.inf, 0, 0

    def observe(self, metric):
        if self.best - metric > self.schedule.get("min_delta", 1e-4):
            self.best, self.waited = metric, 0
            return
        self.waited += 1
        if self.waited > self.schedule.get("patience", 10):
            self.waited = 0
            self.reductions += 1


class EarlyStopping:
    def __init__(self, chosen):
        self.chosen, self.best, self.waited, self.theta = chosen, math.inf, 0, None

    def observe(self, metric, theta):
        """Whether the run is over."""
        if self.best - metric > self.chosen.get("min_delta", 0):
            self.best, self.waited, self.theta = metric, 0, dict(theta)
        else:
            self.waited += 1
        return self.waited >= self.chosen.get("patience", 5)


def train(specification, start, x, y, class_weight=None, nudged=False):
    """The weights after training from `start` with rows in file order. nudged: from weights, biases left out, that
    are 1e-15 longer, with the rows of each batch backwards, which sums otherwise what is the same."""
    theta = {name: value * (1 + 1e-15 * (nudged and is_weight(name))) for name, value in start.items()}
    training = specification["training"]
    batch = min(training["batch_size"], len(x))
    per_epoch = -(-len(x) // batch)
    total = per_epoch * training["epochs"]
    update = Update(specification)
    schedule = specification.get("schedule", {})
    bound = specification.get("regularization", {}).get("max_norm")
    plateau = Plateau(schedule)
    watching = schedule.get("type") == "plateau" or "early_stopping" in training
    stopping = EarlyStopping(training.get("early_stopping", {"patience": math.inf}))
    for step in range(total):
        first = step % per_epoch * batch
        rows, targets = x[first:first + batch], y[first:first + batch]
        if nudged:
            rows, targets = rows.flip(0), targets.flip(0)
        leaf = {name: value.clone().requires_grad_(True) for name, value in theta.items()}
        loss = data_loss(specification, forward(specification, leaf, rows), targets, class_weight)
        gradient = dict(zip(leaf, torch.autograd.grad(loss, list(leaf.values()))))
        add_regularisers(specification, theta, gradient)
        if training.get("clip_norm"):
            clip(gradient, training["clip_norm"])
        rate = scheduled(specification, step, per_epoch, total, plateau.reductions)
        update(theta, gradient, lambda name, w: rate / math.sqrt(w.shape[1])
               if schedule.get("fan_in_scaled") and is_weight(name) else rate)
        if bound:
            project(theta, bound)
        if watching and (step + 1) % per_epoch == 0:
            metric = float(data_loss(specification, forward(specification, theta, x), y, class_weight))
            plateau.observe(metric)
            if stopping.observe(metric, theta):
                break
    wanted = "early_stopping" in training and training["early_stopping"].get("restore_best", True)
    return stopping.theta if wanted else theta
