"""The worked example of docs/CONTRIBUTING.md is formatted, compiles without warnings in every variant,
and takes steps, measured and not."""

import platform
import re
import subprocess

import pytest

import house_tree

FLAGS = {"baseline": []}
if platform.machine() == "x86_64":
    FLAGS["avx2"] = ["-mavx2", "-mfma"]
    FLAGS["avx512"] = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"]


def example():
    text = (house_tree.ROOT / "docs/CONTRIBUTING.md").read_text()
    blocks = re.findall(r"^```c\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if "#include" in block)


# Three steps along the same gradient; what is learned is the same whether it is measured or not.
RUN = """
#include <string.h>
#include "core/optimizer/optimizer.h"
extern const bp_optimizer bp_optimizer_signum_64_baseline;
int main(void)
{
    enum { COUNT = 21 };
    const bp_optimizer *signum = &bp_optimizer_signum_64_baseline;
    double theta[2][COUNT] = {{0}}, mean[2][COUNT] = {{0}}, gradient[COUNT];
    double squares[2] = {0, 0}, scalar[BP_STEP_SCALAR_LIMIT];
    const double value[] = {0.5, 0.9};
    for (int i = 0; i < COUNT; i++)
        gradient[i] = i - 10;
    for (int t = 0; t < 3; t++) {
        const bp_update_context context = {.learning_rate = 0.5, .t = t, .is_weight = true};
        signum->prepare(scalar, value, &context);
        signum->update(NULL, theta[0], gradient, (void *[]){mean[0]}, COUNT, scalar);
        signum->update(squares, theta[1], gradient, (void *[]){mean[1]}, COUNT, scalar);
    }
    for (int i = 0; i < COUNT; i++)
        if (theta[0][i] != (i < 10 ? 1.5 : i > 10 ? -1.5 : 0))
            return 1;
    return memcmp(theta[0], theta[1], sizeof theta[0]) || squares[0] != 20 || squares[1] != 5;
}
"""


def compile_example(tmp_path, bits, isa):
    (tmp_path / "signum.c").write_text(example())
    subprocess.run(
        ["cc", "-std=c17", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion",
         "-Wmissing-prototypes", "-Werror", "-D_GNU_SOURCE", f"-DBP_VARIANT_BITS={bits}",
         f"-DBP_VARIANT_ISA={isa}", "-DBP_OPTIMIZER_signum=99", *FLAGS[isa], f"-I{house_tree.ROOT}",
         "-c", tmp_path / "signum.c", "-o", tmp_path / "signum.o"], check=True)


@pytest.mark.parametrize("isa", sorted(FLAGS))
@pytest.mark.parametrize("bits", [32, 64])
def test_worked_example_compiles(tmp_path, bits, isa):
    compile_example(tmp_path, bits, isa)


def test_worked_example_takes_steps(tmp_path):
    compile_example(tmp_path, 64, "baseline")
    (tmp_path / "run.c").write_text(RUN)
    subprocess.run(
        ["cc", "-std=c17", "-D_GNU_SOURCE", f"-I{house_tree.ROOT}", tmp_path / "run.c",
         tmp_path / "signum.o", "-lm", "-o", tmp_path / "run"], check=True)
    subprocess.run([tmp_path / "run"], check=True)


def test_worked_example_is_formatted():
    formatted = subprocess.run(
        ["clang-format-14", "--style=file", "--assume-filename=signum.c"], cwd=house_tree.ROOT,
        input=example(), text=True, stdout=subprocess.PIPE, check=True).stdout
    assert formatted == example()
