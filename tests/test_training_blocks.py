"""Every block family goes through one harness, on each kind of data that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from msearch_core.blocks.layers import BATCH_NORM_MOMENTUM
from msearch_core.blocks.masking import Masked, mask_of, values_of
from msearch_core.listing import built_in_blocks
from msearch_core.space import IMAGE, SEQUENCE, VECTOR, Block

pytestmark = pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")

FAMILIES = {family.name: family for family in built_in_blocks()}

# The parameters that each family is tried with.
PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "attention_pool": [{"units": 4}],
    "average_pool": [{"stride": 2}, {"stride": 3}],
    "bidirectional": [{"units": 3, "cell": cell} for cell in ("rnn", "gru", "lstm")],
    "bottleneck_dense": [{"units": 2}],
    "channel_mean": [{}],
    "channel_mean_and_max": [{}],
    "concatenated_dense": [{"units": 4}, {"units": 4, "batch_norm": True}],
    "conv1d": [
        {"filters": 4, "kernel": 3},
        {"filters": 4, "kernel": 5, "stride": 2},
        {"filters": 4, "kernel": 3, "stride": 3, "causal": True, "batch_norm": False},
        {"filters": 4, "kernel": 2, "dilation": 2, "causal": True},
    ],
    "convolution": [{"filters": 4, "kernel": 3}, {"filters": 4, "kernel": 3, "batch_norm": False}],
    "dense": [{"units": 4}, {"units": 4, "batch_norm": True, "activation": "swish"}],
    "dilated_convolution": [{"filters": 4, "kernel": 3}],
    "downsampling_bottleneck": [{"factor": 2, "squeeze": True, "stride": 2}],
    "downsampling_convolution": [{"factor": 2, "kernel": 3, "stride": 2}, {"factor": 1, "kernel": 5, "stride": 3}],
    "dual_residual_convolution": [{"filters": 4, "kernel": 3}],
    "feed_forward": [{"units": 8}],
    "flatten": [{}],
    "flatten_sequence": [{}],
    "frames": [{}],
    "gated_dense": [{"units": 4}],
    "global_average_pool": [{"filters": 4}],
    "global_max_pool": [{"filters": 4}],
    "gru": [{"units": 4}],
    "identity": [{}],
    "image_identity": [{}],
    "inception_convolution": [{"filters": 3}],
    "inverted_bottleneck": [{"expansion": 2, "squeeze": squeeze} for squeeze in (False, True)],
    "last_state": [{}],
    "layer_norm": [{}],
    "low_rank_dense": [{"units": 8, "rank": 0.25}],
    "lstm": [{"units": 4}],
    "max_pool": [{"stride": 2}, {"stride": 3}],
    "nasnet_normal": [{"filters": 3}],
    "nasnet_reduction": [{"filters": 3, "stride": 2}],
    "oblong_convolution": [{"filters": 4, "height": 1, "width": 3}, {"filters": 4, "height": 5, "width": 1}],
    "projected_dense": [{"units": 4, "batch_norm": True}],
    "pyramid_dense": [{"units": 8, "depth": 3}],
    "repeated_dense": [{"units": 4, "depth": 2, "batch_norm": True}],
    "residual_conv1d": [{"filters": 4, "kernel": 3, "dilation": 2}],
    "residual_convolution": [{"filters": 4, "kernel": 3}],
    "residual_dense": [{"units": 4}, {"units": 4, "batch_norm": True}],
    "rnn": [{"units": 4}],
    "self_attention": [{"heads": 2, "units": 4}, {"heads": 1, "units": 4, "positions": False}],
    "separable_conv1d": [{"filters": 4, "kernel": 3, "stride": 2}, {"filters": 4, "kernel": 3, "causal": True}],
    "separable_convolution": [{"filters": 4, "kernel": 3}],
    "sequence_identity": [{}],
    "squeeze_excitation": [{"ratio": 2}],
    "step_dense": [{"units": 4, "batch_norm": True}],
    "svdf": [{"units": 4, "memory": 3}, {"units": 4, "memory": 3, "rank": 2, "projection": 3}],
    "svdf_convolution": [{"units": 4, "memory": 3, "rank": 2}],
    "time_average_pool": [{"stride": 2}, {"stride": 3}],
    "time_max_pool": [{"stride": 2}, {"stride": 3}],
    "time_max": [{}],
    "time_mean": [{}],
    "widening_convolution": [{"factor": 2, "kernel": 3}],
}

EXAMPLES, STEPS = 6, 7
LENGTHS = np.array([STEPS, 5, 4, 1, 6, 3])
# Without the batch. A spectrogram is an image whose examples end at different rows.
SHAPES = {
    "vector": (12,),
    "image": (5, 8, 3),
    "spectrogram": (STEPS, 6, 3),
    "mono": (STEPS, 6, 1),
    "sequence": (STEPS, 6),
}
# The width of these depends on how far a batch is padded.
PADDING_IS_DATA = ("flatten", "flatten_sequence")
MODELS: dict[str, keras.Model] = {}


class Case(NamedTuple):
    """A block and the kind of data that it is given."""

    block: Block
    data: str

    @property
    def masked(self) -> bool:
        return self.data not in ("vector", "image")

    def __str__(self) -> str:
        return f"{self.block.name}-{self.data}"


def cases() -> list[Case]:
    return list(_cases())


def _cases() -> Iterator[Case]:
    kinds = {VECTOR: ["vector"], IMAGE: ["image", "spectrogram"], SEQUENCE: ["sequence"]}
    for name, choices in PARAMETERS.items():
        for parameters in choices:
            block = FAMILIES[name](**parameters)
            for data in kinds[block.family.takes]:
                yield Case(block, data)


every_case = pytest.mark.parametrize("case", cases(), ids=str)
MASKED = [case for case in cases() if case.masked and case.block.family.name not in PADDING_IS_DATA]
# One channel is a case of its own: Keras squeezes the statistics of a masked batch norm.
MASKED += [
    Case(case.block, "mono") for case in MASKED if case.block.family.name in ("residual_convolution", "max_pool")
]


def examples(data: str, longer: int = 0) -> np.ndarray:
    """Random examples; those that end early have NaN from there on."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(EXAMPLES, *SHAPES[data])).astype(np.float32)
    if data in ("vector", "image"):
        return x
    x = np.concatenate([x, np.zeros((EXAMPLES, longer, *x.shape[2:]), np.float32)], axis=1)
    for row, length in zip(x, LENGTHS, strict=True):
        row[length:] = np.nan
    return x


def model_of(case: Case, longer: int = 0, prefix: str = "b3_block") -> keras.Model:
    """A model of one block: to its values, and to its mask where it gives one."""
    keras.utils.set_random_seed(0)
    shape = SHAPES[case.data]
    inputs: Any = keras.Input((shape[0] + longer, *shape[1:]) if case.masked else shape)
    outputs = case.block.build(entered(inputs) if case.masked else inputs, prefix)
    return keras.Model(inputs, list(outputs) if isinstance(outputs, Masked) else outputs)


def entered(inputs: Any) -> Masked:
    """What ends with NaN as what travels between blocks."""
    true = keras.ops.logical_not(keras.ops.isnan(inputs))
    return Masked(keras.ops.where(true, inputs, 0.0), keras.ops.all(true, axis=tuple(range(2, len(inputs.shape)))))


def built(case: Case) -> keras.Model:
    """The same model each time, which no test may change."""
    if str(case) not in MODELS:
        MODELS[str(case)] = model_of(case)
    return MODELS[str(case)]


def run(model: keras.Model, x: np.ndarray, training: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Values and mask."""
    outputs = model(x, training=training)
    values, mask = outputs if isinstance(outputs, list) else (outputs, None)
    return values.numpy(), None if mask is None else mask.numpy()


def norms(model: keras.Model) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_every_family_is_tried_and_says_what_it_is() -> None:
    assert set(FAMILIES) == set(PARAMETERS)
    assert all(family.summary for family in FAMILIES.values())
    assert {family.morph for family in FAMILIES.values()} == {"exact", "zero_residual", "none"}


@every_case
def test_shape_kind_and_names(case: Case) -> None:
    model, block = built(case), case.block
    x = examples(case.data)
    values, mask = run(model, x)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert len(values) == EXAMPLES
    assert values.ndim == {VECTOR: 2, IMAGE: 4, SEQUENCE: 3}[block.family.gives]
    sides = {VECTOR: 0, IMAGE: 2, SEQUENCE: 1}[block.family.gives]
    assert values.shape[1 : 1 + sides] == tuple(-(-side // block.stride) for side in x.shape[1 : 1 + sides])
    assert (mask is not None) == (block.family.gives == SEQUENCE or (case.masked and block.family.gives == IMAGE))
    if mask is not None:
        lengths = LENGTHS if case.masked else np.full(EXAMPLES, x.shape[1])
        assert mask.dtype == bool
        assert (mask == (np.arange(mask.shape[1]) < -(-lengths // block.stride)[:, np.newaxis])).all()
        assert (values[~mask] == 0).all()

    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert all(layer.name.startswith("b3_block_") for layer in layers)
    assert all(variable.path.startswith("b3_block_") for variable in model.weights)


@every_case
def test_a_block_can_be_used_twice(case: Case) -> None:
    inputs = keras.Input(SHAPES[case.data])
    begun = entered(inputs) if case.masked else inputs
    outputs = case.block.build(begun, "b0_block")
    again = case.block.build(outputs if case.block.family.gives == case.block.family.takes else begun, "b1_block")
    model = keras.Model(inputs, [values_of(outputs), values_of(again)])
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", MASKED, ids=str)
def test_padding_never_changes_a_result(case: Case) -> None:
    """Neither the outputs of the true steps nor the statistics of batch normalisation, while training as well."""
    short, long = model_of(case), model_of(case, longer=4)
    for source, variable in zip(short.weights, long.weights, strict=True):
        variable.assign(source)
    for training in (False, True):
        values, mask = run(short, examples(case.data), training)
        padded, padded_mask = run(long, examples(case.data, longer=4), training)
        if mask is not None:
            assert padded_mask is not None
            assert mask.sum() == padded_mask.sum()
            values, padded = values[mask], padded[padded_mask]
        np.testing.assert_allclose(padded, values, rtol=1e-4, atol=1e-5)
    for source, variable in zip(short.weights, long.weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), source.numpy(), rtol=1e-4, atol=1e-5)


@every_case
def test_training_reaches_every_weight_and_evaluation_follows(case: Case) -> None:
    model = model_of(case)
    assert [each.path for each in model.weights] == [each.path for each in built(case).weights]
    x = examples(case.data)
    before = [(layer.moving_mean.numpy(), layer.moving_variance.numpy()) for layer in norms(model)]
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        values = outputs[0] if isinstance(outputs, list) else outputs
        target = np.random.default_rng(1).normal(size=values.shape).astype(np.float32)
        loss = tf.reduce_sum(tf.square(values - target))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for gradient, variable in zip(gradients, model.trainable_variables, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        # The bias of an attention's keys changes no softmax.
        if not variable.path.endswith("/key/bias"):
            assert np.abs(gradient).max() > 0, variable.path

    for layer, (mean, variance) in zip(norms(model), before, strict=True):
        assert layer.momentum == BATCH_NORM_MOMENTUM
        assert np.abs(layer.moving_variance.numpy() - variance).max() > 0
        # Where the statistics would end if training went on with this batch.
        for moving, start in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(start + (moving.numpy() - start) / (1 - BATCH_NORM_MOMENTUM))
    np.testing.assert_allclose(run(model, x)[0], values.numpy(), rtol=1e-2, atol=2e-3)


@every_case
def test_a_saved_block_answers_the_same(case: Case, tmp_path: Any) -> None:
    """Loaded in safe mode: nothing but Keras' own layers and operations."""
    built(case).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    x = examples(case.data)
    np.testing.assert_allclose(run(loaded, x)[0], run(built(case), x)[0], rtol=1e-5, atol=1e-6)


@every_case
def test_mixed_precision(case: Case) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = model_of(case)
    finally:
        keras.config.set_dtype_policy("float32")
    values, _ = run(model, examples(case.data), training=True)
    assert np.isfinite(values).all()
    layers = [layer for layer in model.layers if layer.weights]
    assert all(layer.compute_dtype == "float16" for layer in layers)
    assert all(variable.dtype == "float32" for variable in model.weights if "seed" not in variable.path)
    if layers:
        assert values.dtype == np.float16


@pytest.mark.parametrize("case", [case for case in cases() if case.block.family.morph != "none"], ids=str)
def test_what_can_be_morphed_keeps_its_kind_and_size(case: Case) -> None:
    family = case.block.family
    assert family.gives == family.takes
    if family.morph == "exact":
        return
    model = model_of(case)
    zeroed = [each for each in model.trainable_variables if each.path.startswith("b3_block_project")]
    assert zeroed
    for variable in zeroed:
        variable.assign(np.zeros(variable.shape))
    x = np.abs(examples(case.data))
    values, mask = run(model, x)
    np.testing.assert_allclose(values if mask is None else values[mask], x if mask is None else x[mask], rtol=1e-6)


def test_a_backward_direction_begins_at_the_true_end() -> None:
    """Each example by itself, without padding, says the same."""
    case = Case(FAMILIES["bidirectional"](units=3, cell="lstm"), "sequence")
    x = examples("sequence")
    values, _ = run(built(case), x)
    for row, length, value in zip(x, LENGTHS, values, strict=True):
        alone = model_of(case, longer=int(length) - STEPS)
        alone.set_weights(built(case).get_weights())
        np.testing.assert_allclose(run(alone, row[np.newaxis, :length])[0][0], value[:length], atol=1e-6)


def test_causal_blocks_do_not_look_ahead() -> None:
    for family, parameters in (
        ("svdf", {"units": 4, "memory": 3}),
        ("conv1d", {"filters": 4, "kernel": 3, "causal": True}),
    ):
        model = built(Case(FAMILIES[family](**parameters), "sequence"))
        x = examples("sequence")[:1]
        changed = x.copy()
        changed[:, 4:] += 1
        before, after = run(model, x)[0], run(model, changed)[0]
        np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-6)
        assert np.abs(after[:, 4:] - before[:, 4:]).max() > 0


def test_pools_ignore_what_lies_after_the_end() -> None:
    x = examples("sequence")
    true = [row[:length] for row, length in zip(x, LENGTHS, strict=True)]
    expected = {
        "time_mean": [row.mean(axis=0) for row in true],
        "time_max": [row.max(axis=0) for row in true],
        "last_state": [row[-1] for row in true],
    }
    for family, values in expected.items():
        np.testing.assert_allclose(run(built(Case(FAMILIES[family](), "sequence")), x)[0], values, rtol=1e-5, atol=1e-6)


def test_an_example_without_any_step_gives_a_finite_answer() -> None:
    for family in ("time_mean", "last_state", "attention_pool", "self_attention", "bidirectional", "conv1d"):
        model = built(Case(FAMILIES[family](**PARAMETERS[family][0]), "sequence"))
        assert np.isfinite(run(model, np.full((2, *SHAPES["sequence"]), np.nan, np.float32))[0]).all()


def test_mask_helpers_see_through_plain_tensors() -> None:
    plain = keras.Input((3,))
    assert values_of(plain) is plain
    assert mask_of(plain) is None
