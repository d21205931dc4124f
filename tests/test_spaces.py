"""The built-in search spaces: valid without TensorFlow, and what they hold can be built."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from msearch_core.data.problem import Problem, Target, default_space
from msearch_core.listing import built_in_blocks, built_in_spaces
from msearch_core.loading import load_space
from msearch_core.space import IMAGE, SEQUENCE, VECTOR, Choice, SearchSpace

SPACES = {space.name: space for space, _ in built_in_spaces()}
NAMES = {"audio", "image", "image_cell", "image_full", "sequence", "sequence_labels", "tabular", "tabular_full"}
# What the trainer understands.
HYPERPARAMETERS = {
    *("optimizer", "learning_rate", "decay", "dropout", "l2", "clip_norm", "label_smoothing"),
    *("noise", "flip", "shift", "step_dropout", "feature_dropout"),
}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def problem_for(space: SearchSpace) -> Problem:
    """A small problem of the kind that the space is for; that of the audio space is a spectrogram."""
    target = Target("y", "classification", ("a", "b", "c"), per_step=space.output == SEQUENCE)
    if space.name == "audio":
        return Problem(SEQUENCE, (20, 16), {"kind": "audio"}, (target,))
    if space.input == IMAGE:
        return Problem(IMAGE, (16, 16, 3), {"kind": "image", "mean": [0.0] * 3, "variance": [1.0] * 3}, (target,))
    shape = (12,) if space.input == VECTOR else (20, 4)
    return Problem(space.input, shape, {"kind": "table" if space.input == VECTOR else "sequence"}, (target,))


def test_the_spaces_are_found_by_name() -> None:
    assert set(SPACES) == NAMES
    assert all(load_space(name) is SPACES[name] for name in NAMES)
    assert all(summary for _, summary in built_in_spaces())


def test_each_space_is_found_for_its_own_kind_of_data() -> None:
    for name in NAMES - {"tabular_full", "image_full", "image_cell"}:
        assert default_space(problem_for(SPACES[name])) == name


@every_space
def test_suggestions_and_draws_are_valid(space: SearchSpace) -> None:
    from msearch_core.data.problem import fitted_space

    fitted = fitted_space(space, problem_for(space))
    rng = np.random.default_rng(0)
    assert 2 <= len(fitted.suggestions) <= 4
    assert len(set(fitted.suggestions)) == len(fitted.suggestions)
    for architecture in (*fitted.suggestions, *(fitted.random_architecture(rng) for _ in range(50))):
        assert fitted.why_invalid(architecture) is None


@every_space
def test_every_block_and_option_can_come_up(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    drawn = {name for _ in range(3000) for name in space.random_architecture(rng)}
    assert {block.name for block in space.blocks} <= drawn
    assert set(space.hyperparameters) <= HYPERPARAMETERS
    for distribution in space.hyperparameters.values():
        if isinstance(distribution, Choice):
            assert len(set(distribution.options)) == len(distribution.options)


def test_every_block_family_stands_in_a_space() -> None:
    used = {block.family.name for space in SPACES.values() for block in space.blocks}
    assert {family.name for family in built_in_blocks()} == used


def test_spaces_import_without_tensorflow() -> None:
    code = (
        "import sys; from msearch_core.listing import built_in_spaces; built_in_spaces();"
        " print(sorted({'tensorflow', 'keras', 'prefect'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# From here on TensorFlow is needed.


@every_space
def test_what_a_space_holds_can_be_built(space: SearchSpace) -> None:
    """Its suggestions and some draws, on data whose examples differ in length where there is a time."""
    from msearch_core.data.problem import fitted_space
    from msearch_core.training.build import build_model

    problem = problem_for(space)
    fitted = fitted_space(space, problem)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, *problem.input_shape)).astype(np.float32)
    if problem.input == SEQUENCE:
        x[1, 5:] = np.nan
    for architecture in (*fitted.suggestions, *(fitted.random_architecture(rng) for _ in range(3))):
        model = build_model(problem, fitted, architecture, fitted.random_hyperparameters(rng))
        outputs = np.asarray(model(x)["y"])
        assert outputs.shape == ((2, 20, 3) if problem.per_step else (2, 3)), architecture
        assert np.isfinite(outputs).all(), architecture
