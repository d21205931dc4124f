"""Convolutional networks for photographs: every image block, flips and shifts; for searches of many trials."""

from __future__ import annotations

from msearch_core.blocks.cells import nasnet_normal, nasnet_reduction
from msearch_core.blocks.convolution import (
    convolution,
    dilated_convolution,
    downsampling_convolution,
    oblong_convolution,
    separable_convolution,
    widening_convolution,
)
from msearch_core.blocks.dense import dense
from msearch_core.blocks.flatten import (
    channel_mean,
    channel_mean_and_max,
    flatten,
    global_average_pool,
    global_max_pool,
)
from msearch_core.blocks.inception import inception_convolution
from msearch_core.blocks.mobile import downsampling_bottleneck, inverted_bottleneck, squeeze_excitation
from msearch_core.blocks.pooling import average_pool, max_pool
from msearch_core.blocks.residual import dual_residual_convolution, residual_convolution
from msearch_core.blocks.skip import image_identity
from msearch_core.space import IMAGE, Choice, SearchSpace, Uniform

DENSE = tuple(dense.variants(units=(64, 128), activation=("relu",), batch_norm=(False, True)))

space = SearchSpace(
    name="image_full",
    input=IMAGE,
    blocks=(
        image_identity(),
        *convolution.variants(filters=(16, 32, 64, 128), kernel=(3, 5)),
        *oblong_convolution.variants(filters=(32, 64), height=(1,), width=(5,)),
        *oblong_convolution.variants(filters=(32, 64), height=(5,), width=(1,)),
        *dilated_convolution.variants(filters=(32, 64), kernel=(3,), dilation=(2,)),
        *separable_convolution.variants(filters=(32, 64, 128), kernel=(3, 5)),
        *widening_convolution.variants(factor=(2,), kernel=(3,)),
        *downsampling_convolution.variants(factor=(1, 2), kernel=(3, 5), stride=(2,)),
        *residual_convolution.variants(filters=(16, 32, 64), kernel=(3,)),
        *dual_residual_convolution.variants(filters=(16, 32), kernel=(3,)),
        *inception_convolution.variants(filters=(16, 32)),
        squeeze_excitation(ratio=4),
        *inverted_bottleneck.variants(expansion=(2, 4), kernel=(3, 5), squeeze=(False, True)),
        *downsampling_bottleneck.variants(factor=(2,), expansion=(2, 4), kernel=(3,), stride=(2,)),
        *nasnet_normal.variants(filters=(8, 16)),
        *nasnet_reduction.variants(filters=(16,), stride=(2,)),
        max_pool(stride=2),
        average_pool(stride=2),
        flatten(),
        channel_mean(),
        channel_mean_and_max(),
        *global_average_pool.variants(filters=(64, 128, 256)),
        global_max_pool(filters=64),
        *DENSE,
    ),
    hyperparameters={
        "optimizer": Choice(("adam", "adamw", "rmsprop")),
        "learning_rate": Uniform(1e-3, 1e-2, log=True),
        "decay": Choice(("cosine",)),
        "dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "l2": Choice((0.0, 1e-5, 1e-4)),
        "clip_norm": Choice((0.0, 1.0, 5.0)),
        "flip": Choice((0, 1)),
        "shift": Choice((0.0, 0.0625, 0.125)),
        "label_smoothing": Choice((0.0, 0.1)),
    },
    min_depth=2,
    max_depth=9,
    head_blocks=DENSE,
    suggestions=(
        (
            "convolution(filters=32,kernel=3)",
            "max_pool(stride=2)",
            "convolution(filters=64,kernel=3)",
            "max_pool(stride=2)",
            "residual_convolution(filters=64,kernel=3)",
            "global_average_pool(filters=128)",
        ),
        (
            "downsampling_convolution(factor=2,kernel=3,stride=2)",
            "widening_convolution(factor=2,kernel=3)",
            "residual_convolution(filters=32,kernel=3)",
            "downsampling_convolution(factor=2,kernel=3,stride=2)",
            "residual_convolution(filters=64,kernel=3)",
            "global_average_pool(filters=128)",
        ),
        (
            "convolution(filters=16,kernel=3)",
            "downsampling_bottleneck(factor=2,expansion=4,kernel=3,stride=2)",
            "inverted_bottleneck(expansion=4,kernel=3,squeeze=True)",
            "downsampling_bottleneck(factor=2,expansion=4,kernel=3,stride=2)",
            "global_average_pool(filters=128)",
        ),
    ),
)
