"""The worked example of docs/CONTRIBUTING.md is formatted and compiles, without warnings, in every
variant."""

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


@pytest.mark.parametrize("isa", sorted(FLAGS))
@pytest.mark.parametrize("bits", [32, 64])
def test_worked_example_compiles(tmp_path, bits, isa):
    (tmp_path / "signum.c").write_text(example())
    subprocess.run(
        ["cc", "-std=c17", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion",
         "-Wmissing-prototypes", "-Werror", "-D_GNU_SOURCE", f"-DBP_VARIANT_BITS={bits}",
         f"-DBP_VARIANT_ISA={isa}", "-DBP_OPTIMIZER_signum=99", *FLAGS[isa], f"-I{house_tree.ROOT}",
         "-c", tmp_path / "signum.c", "-o", tmp_path / "signum.o"], check=True)


def test_worked_example_is_formatted():
    formatted = subprocess.run(
        ["clang-format-14", "--style=file", "--assume-filename=signum.c"], cwd=house_tree.ROOT,
        input=example(), text=True, stdout=subprocess.PIPE, check=True).stdout
    assert formatted == example()
