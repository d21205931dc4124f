"""Convolutional networks that repeat one cell, with reductions in between (NASNet; Zoph et al. 2018)."""

from __future__ import annotations

from msearch_core.blocks.cells import nasnet_normal, nasnet_reduction
from msearch_core.blocks.convolution import convolution, separable_convolution
from msearch_core.blocks.dense import dense
from msearch_core.blocks.flatten import global_average_pool, global_max_pool
from msearch_core.blocks.inception import inception_convolution
from msearch_core.blocks.mobile import inverted_bottleneck, squeeze_excitation
from msearch_core.blocks.residual import residual_convolution
from msearch_core.space import IMAGE, Cells, Choice, SearchSpace, Uniform

DENSE = dense.variants(units=(64, 128), activation=("relu",), batch_norm=(False, True))

space = SearchSpace(
    name="image_cell",
    input=IMAGE,
    blocks=(
        *convolution.variants(filters=(16, 32, 64), kernel=(3,)),
        *separable_convolution.variants(filters=(32, 64), kernel=(3, 5)),
        *residual_convolution.variants(filters=(16, 32, 64), kernel=(3,)),
        *inverted_bottleneck.variants(expansion=(2, 4), kernel=(3, 5)),
        inception_convolution(filters=32),
        squeeze_excitation(ratio=4),
        *nasnet_normal.variants(filters=(8, 16)),
        *global_average_pool.variants(filters=(64, 128)),
        global_max_pool(filters=64),
        *DENSE,
    ),
    hyperparameters={
        "optimizer": Choice(("adam", "adamw", "rmsprop")),
        "learning_rate": Uniform(1e-3, 1e-2, log=True),
        "decay": Choice(("cosine",)),
        "dropout": Choice((0.1, 0.2, 0.3, 0.4)),
        "l2": Choice((0.0, 1e-5, 1e-4)),
        "clip_norm": Choice((0.0, 1.0, 5.0)),
    },
    min_depth=3,
    max_depth=7,
    cells=Cells(repeats=(1, 2, 3, 4, 6), reduction=nasnet_reduction(filters=16, stride=2), every=2),
    head_blocks=tuple(DENSE),
    suggestions=(
        ("residual_convolution(filters=32,kernel=3)", "repeat(times=3)", "global_average_pool(filters=64)"),
        (
            "convolution(filters=32,kernel=3)",
            "squeeze_excitation(ratio=4)",
            "repeat(times=3)",
            "global_average_pool(filters=128)",
        ),
        ("nasnet_normal(filters=8)", "repeat(times=3)", "global_average_pool(filters=64)"),
    ),
)
