"""What docs/ERRATA.md claims: its outputs come out again, number for number, and they agree with the
right form of each formula and not with the printed one."""

import json
import math

import pytest

import daemon_process
import errata_page
import rest_client

ALPHA, MU, LAMBDA = 0.125, 0.5, 0.5  # of the runs with dropout


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """[(request, output now, output on the page, values)]."""
    text = errata_page.PAGE.read_text(encoding="utf-8")
    daemon = daemon_process.Daemon(tmp_path_factory.mktemp("errata") / "data")
    client = rest_client.Client(daemon)
    errata_page.upload(client, text)
    done = []
    for request, written in errata_page.RUN.findall(text):
        body = json.loads(request)
        output, values = errata_page.run(client, body)
        done.append((body, output, written, values))
    daemon.stop()
    return done


def values_of(runs, name, key="name"):
    (found,) = [values for body, _, _, values in runs if body.get(key) == name]
    return found


def weights_of(runs, name, layer=0):
    arrays = values_of(runs, name)
    return arrays[f"layers.{layer}.weight"].ravel(), arrays[f"layers.{layer}.bias"].ravel()


def test_the_page_shows_what_comes_out(runs):
    assert len(runs) == 14
    for body, output, written, _ in runs:
        assert output == written, f"{body}: run python3 tests/api/errata_page.py"


def test_sigma_has_a_minus_sign(runs):
    for z, value in zip((2, -2, 0), values_of(runs, "errata-sigma", key="model")):
        assert value == pytest.approx(1 / (1 + math.exp(-z)), rel=1e-14)
        assert z == 0 or abs(value - 1 / (1 + math.exp(z))) > 0.7


def test_adam_has_two_betas(runs):
    def first_step(gradient, beta1, beta2):
        return -0.001 * (1 - beta1) * gradient / (math.sqrt((1 - beta2) * gradient**2) + 1e-8)

    for name, beta2 in (("errata-adam", 0.999), ("errata-adam-one-beta", 0.9)):
        (weight,), (bias,) = weights_of(runs, name)
        assert weight == pytest.approx(first_step(6, 0.9, beta2), rel=1e-12)
        assert bias == pytest.approx(first_step(-2, 0.9, beta2), rel=1e-12)
    ratio = weights_of(runs, "errata-adam")[0][0] / weights_of(runs, "errata-adam-one-beta")[0][0]
    assert ratio == pytest.approx(10, rel=1e-6)


def test_the_derivative_of_softsign_is_positive(runs):
    (weight,), (bias,) = weights_of(runs, "errata-softsign")
    x, y, z = -3, 1, -3
    slope = 1 / (1 + abs(z)) ** 2
    gradient = 2 * (z / (1 + abs(z)) - y) * slope
    assert (weight, bias) == (1 - gradient * x, -gradient) == (0.34375, 0.21875)
    assert (weight, bias) != (1 + gradient * x, gradient)


def test_the_slope_of_leaky_relu_is_between_0_and_1(runs):
    (weight,), (bias,) = weights_of(runs, "errata-leaky-relu")
    gradient = 2 * (0.25 * -3 - 1) * 0.25
    assert (weight, bias) == (1 - 0.5 * gradient * -3, -0.5 * gradient) == (-0.3125, 0.4375)
    assert values_of(runs, "errata-slopes") is None  # refused


def test_dropped_units_are_moved_all_the_same(runs):
    first, biases = weights_of(runs, "errata-dropped-sgd-1")
    out, _ = weights_of(runs, "errata-dropped-sgd-1", layer=1)
    dropped = [unit for unit in range(4) if first[unit] == 0.25]
    assert dropped == [1, 2]
    assert all(biases[unit] == 0 and out[unit] == 0.25 for unit in dropped)

    decayed, decayed_biases = weights_of(runs, "errata-dropped-l2")
    decayed_out, _ = weights_of(runs, "errata-dropped-l2", layer=1)
    for unit in dropped:
        assert decayed[unit] == decayed_out[unit] == 0.25 * (1 - 2 * ALPHA * LAMBDA) == 0.21875
        assert decayed_biases[unit] == 0

    # The second step drops the first unit, which has a history, and the third, which has none.
    second, _ = weights_of(runs, "errata-dropped-sgd-2")
    assert [unit for unit in range(4) if second[unit] == first[unit]] == [0, 2]
    moved, _ = weights_of(runs, "errata-dropped-momentum")
    assert moved[0] == pytest.approx(first[0] + MU * (first[0] - 0.25), rel=1e-14)
    assert moved[0] != first[0] and moved[2] == 0.25

    adam_first, _ = weights_of(runs, "errata-dropped-adam-1")
    adam_second, _ = weights_of(runs, "errata-dropped-adam-2")
    assert adam_first[2] == adam_second[2] == 0.25
    # Without a gradient: m̂ = β₁ (1 − β₁) g / (1 − β₁²) and v̂ likewise, so that g shortens but for ε.
    step = -0.125 * (0.9 * 0.1 / (1 - 0.9**2)) / math.sqrt(0.999 * 0.001 / (1 - 0.999**2))
    sign = -1 if adam_first[0] > 0.25 else 1
    assert adam_second[0] - adam_first[0] == pytest.approx(sign * step, rel=1e-6)


def test_differences_agree_with_the_right_forms(runs):
    report = values_of(runs, "central", key="method")
    assert report["pass"] and report["skipped"] == 0
    assert report["checked"] == sum(tensor["elements"] for tensor in report["tensors"]) == 53
