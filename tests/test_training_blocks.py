"""Every block of every space goes through one harness."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from msearch_core.blocks.layers import BATCH_NORM_MOMENTUM
from msearch_core.space import IMAGE, Block, BlockFamily
from search_spaces import image, tabular

SHAPES = {"image": (5, 8, 3), "vector": (12,)}
BLOCKS = {block.name: block for space in (tabular.space, image.space) for block in space.blocks}


def built(block: Block) -> tuple[keras.Model, np.ndarray]:
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPES[block.family.takes])
    model = keras.Model(inputs, block.build(inputs, "b3_block"))
    return model, np.random.default_rng(0).normal(size=(16, *inputs.shape[1:])).astype(np.float32)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_block(block: Block, tmp_path) -> None:
    model, x = built(block)
    outputs = model(x).numpy()

    # Shape: of the kind promised, divided by the stride promised, valid on small images.
    assert np.isfinite(outputs).all()
    assert outputs.ndim == (4 if block.family.gives == IMAGE else 2)
    if block.family.gives == IMAGE:
        assert outputs.shape[1:3] == tuple(-(-side // block.stride) for side in x.shape[1:3])

    # Names: all prefixed, so that weights can be found by name.
    assert all(layer.name.startswith("b3_block_") for layer in model.layers[1:])
    assert all(variable.path.startswith("b3_block_") for variable in model.weights)

    # Training: every trainable variable gets a gradient, batch-norm statistics move at the right pace.
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.moving_variance.value.numpy() for layer in norms]
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    weights = [variable.value.numpy() for variable in model.trainable_variables]
    model.train_on_batch(x, outputs + np.random.default_rng(1).normal(size=outputs.shape))
    for old, variable in zip(weights, model.trainable_variables, strict=True):
        assert np.abs(variable.value.numpy() - old).max() > 0, variable.path
    for old, layer in zip(before, norms, strict=True):
        assert layer.momentum == BATCH_NORM_MOMENTUM
        assert np.abs(layer.moving_variance.value.numpy() - old).max() > 0

    # Saving: a plain Keras file, loaded in safe mode, answers the same.
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_allclose(loaded(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-5)


def test_every_block_family_stands_in_a_space() -> None:
    from msearch_core.blocks import convolution, dense, flatten, pooling, residual

    modules = (convolution, dense, flatten, pooling, residual)
    families = {each.name for module in modules for each in vars(module).values() if isinstance(each, BlockFamily)}
    assert families == {block.family.name for block in BLOCKS.values()}
    assert all(block.family.summary for block in BLOCKS.values())
