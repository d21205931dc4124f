"""Dense networks for a table, or for anything that is one vector an example."""

from __future__ import annotations

from msearch_core.blocks.dense import bottleneck_dense, dense, gated_dense
from msearch_core.blocks.residual_dense import concatenated_dense, residual_dense
from msearch_core.space import Choice, SearchSpace, Uniform

space = SearchSpace(
    name="tabular",
    blocks=(
        *dense.variants(units=(32, 64, 128, 256), activation=("relu", "swish"), batch_norm=(False, True)),
        *residual_dense.variants(units=(32, 64, 128)),
        *concatenated_dense.variants(units=(32, 64, 128)),
        *bottleneck_dense.variants(units=(8, 16, 32)),
        *gated_dense.variants(units=(32, 64, 128)),
    ),
    hyperparameters={
        "optimizer": Choice(("adam", "adamw", "rmsprop")),
        "learning_rate": Uniform(5e-4, 5e-3, log=True),
        "decay": Choice(("none", "cosine")),
        "dropout": Choice((0.1, 0.2, 0.3, 0.4)),
        "l2": Choice((0.0, 1e-5, 1e-4, 1e-3)),
        "clip_norm": Choice((0.0, 1.0, 5.0)),
    },
    max_depth=4,
    head_blocks=tuple(dense.variants(units=(32, 64), activation=("relu",), batch_norm=(False, True))),
    suggestions=(
        ("dense(units=128,activation=relu,batch_norm=True)", "residual_dense(units=64)"),
        (
            "dense(units=128,activation=relu,batch_norm=False)",
            "dense(units=64,activation=relu,batch_norm=False)",
        ),
        ("concatenated_dense(units=64)",),
    ),
)
