"""Networks for sequences in which each time step has an answer: no block changes the number of steps."""

from __future__ import annotations

from msearch_core.blocks.attention import self_attention
from msearch_core.blocks.convolution1d import conv1d, residual_conv1d, separable_conv1d
from msearch_core.blocks.per_step import feed_forward, layer_norm, step_dense
from msearch_core.blocks.recurrent import bidirectional, gru, lstm
from msearch_core.blocks.skip import sequence_identity
from msearch_core.blocks.svdf import svdf, svdf_convolution
from msearch_core.space import SEQUENCE, Choice, SearchSpace, Uniform

space = SearchSpace(
    name="sequence_labels",
    input=SEQUENCE,
    output=SEQUENCE,
    blocks=(
        sequence_identity(),
        *conv1d.variants(filters=(32, 64, 128), kernel=(3, 5, 9)),
        *conv1d.variants(filters=(32, 64), kernel=(3,), dilation=(2, 4)),
        *residual_conv1d.variants(filters=(32, 64), kernel=(3,), dilation=(1, 2, 4)),
        separable_conv1d(filters=64, kernel=9),
        *svdf.variants(units=(64,), memory=(8, 16), rank=(1,)),
        svdf_convolution(units=64, memory=9, rank=2, projection=32),
        *gru.variants(units=(32, 64)),
        *lstm.variants(units=(32, 64)),
        *bidirectional.variants(units=(32, 64), cell=("gru", "lstm")),
        *self_attention.variants(heads=(4,), units=(32, 64)),
        feed_forward(units=128),
        layer_norm(),
        *step_dense.variants(units=(32, 64, 128)),
    ),
    hyperparameters={
        "optimizer": Choice(("adam", "adamw", "rmsprop")),
        "learning_rate": Uniform(1e-3, 1e-2, log=True),
        "decay": Choice(("cosine",)),
        "dropout": Choice((0.0, 0.1, 0.2)),
        "l2": Choice((0.0, 1e-5, 1e-4)),
        # Recurrent layers need it: a long product of gradients can be of any size.
        "clip_norm": Choice((1.0, 5.0)),
        "noise": Choice((0.0, 0.05, 0.1)),
        "feature_dropout": Choice((0.0, 0.1)),
    },
    max_depth=5,
    suggestions=(
        ("bidirectional(units=32,cell=gru)",),
        (
            "conv1d(filters=64,kernel=5)",
            "residual_conv1d(filters=64,kernel=3,dilation=2)",
            "residual_conv1d(filters=64,kernel=3,dilation=4)",
        ),
        ("conv1d(filters=64,kernel=5)", "bidirectional(units=32,cell=gru)"),
    ),
)
