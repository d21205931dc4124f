"""Dense networks for a table, from every dense block and to greater depths: for searches of many trials."""

from __future__ import annotations

from msearch_core.blocks.dense import (
    bottleneck_dense,
    dense,
    gated_dense,
    low_rank_dense,
    pyramid_dense,
    repeated_dense,
)
from msearch_core.blocks.residual_dense import concatenated_dense, projected_dense, residual_dense
from msearch_core.blocks.skip import identity
from msearch_core.space import Choice, SearchSpace, Uniform

NORMED = (False, True)

space = SearchSpace(
    name="tabular_full",
    blocks=(
        identity(),
        *dense.variants(units=(16, 32, 64, 128, 256, 512), activation=("relu", "swish", "tanh"), batch_norm=NORMED),
        *repeated_dense.variants(units=(32, 64, 128), depth=(2, 3), batch_norm=NORMED),
        *pyramid_dense.variants(units=(64, 128, 256), depth=(2, 3), batch_norm=NORMED),
        *residual_dense.variants(units=(32, 64, 128, 256), activation=("relu", "swish"), batch_norm=NORMED),
        *projected_dense.variants(units=(32, 64, 128), batch_norm=NORMED),
        *concatenated_dense.variants(units=(32, 64, 128), batch_norm=NORMED),
        *bottleneck_dense.variants(units=(8, 16, 32)),
        *low_rank_dense.variants(units=(64, 128, 256), rank=(0.125, 0.25)),
        *gated_dense.variants(units=(32, 64, 128, 256)),
    ),
    hyperparameters={
        "optimizer": Choice(("adam", "adamw", "rmsprop", "sgd")),
        "learning_rate": Uniform(3e-4, 1e-2, log=True),
        "decay": Choice(("none", "cosine")),
        "dropout": Choice((0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        "l2": Choice((0.0, 1e-5, 1e-4, 1e-3)),
        "clip_norm": Choice((0.0, 1.0, 5.0)),
        "noise": Choice((0.0, 0.05, 0.1)),
        "label_smoothing": Choice((0.0, 0.05, 0.1)),
    },
    max_depth=8,
    head_blocks=tuple(dense.variants(units=(32, 64), activation=("relu",), batch_norm=(False,))),
    suggestions=(
        (
            "dense(units=128,activation=relu,batch_norm=True)",
            "residual_dense(units=64,activation=relu,batch_norm=False)",
        ),
        ("dense(units=256,activation=relu,batch_norm=False)", "dense(units=64,activation=relu,batch_norm=False)"),
        ("gated_dense(units=128)", "residual_dense(units=128,activation=swish,batch_norm=True)"),
    ),
)
