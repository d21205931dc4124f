"""Networks for sequences of any length, each with one answer."""

from __future__ import annotations

from msearch_core.blocks.attention import self_attention
from msearch_core.blocks.convolution1d import (
    conv1d,
    residual_conv1d,
    separable_conv1d,
    time_average_pool,
    time_max_pool,
)
from msearch_core.blocks.dense import dense
from msearch_core.blocks.per_step import feed_forward, step_dense
from msearch_core.blocks.recurrent import bidirectional, gru, lstm, rnn
from msearch_core.blocks.summary import attention_pool, flatten_sequence, last_state, time_max, time_mean
from msearch_core.blocks.svdf import svdf
from msearch_core.space import SEQUENCE, Choice, SearchSpace, Uniform

DENSE = tuple(dense.variants(units=(32, 64, 128), activation=("relu",), batch_norm=(False, True)))

space = SearchSpace(
    name="sequence",
    input=SEQUENCE,
    blocks=(
        *conv1d.variants(filters=(32, 64, 128), kernel=(3, 5), stride=(1, 2)),
        *residual_conv1d.variants(filters=(32, 64), kernel=(3,), dilation=(1, 2)),
        separable_conv1d(filters=64, kernel=5),
        time_max_pool(stride=2),
        time_average_pool(stride=2),
        *svdf.variants(units=(64,), memory=(8,), rank=(1, 2)),
        rnn(units=64),
        *gru.variants(units=(32, 64)),
        *lstm.variants(units=(32, 64)),
        *bidirectional.variants(units=(32,), cell=("gru", "lstm")),
        *self_attention.variants(heads=(4,), units=(32, 64)),
        feed_forward(units=128),
        *step_dense.variants(units=(32, 64)),
        last_state(),
        time_mean(),
        time_max(),
        attention_pool(units=32),
        flatten_sequence(),
        *DENSE,
    ),
    hyperparameters={
        "optimizer": Choice(("adam", "adamw", "rmsprop")),
        "learning_rate": Uniform(1e-3, 1e-2, log=True),
        "decay": Choice(("cosine",)),
        "dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "l2": Choice((0.0, 1e-5, 1e-4)),
        # Recurrent layers need it: a long product of gradients can be of any size.
        "clip_norm": Choice((1.0, 5.0)),
        "noise": Choice((0.0, 0.05, 0.1)),
        "step_dropout": Choice((0.0, 0.1)),
    },
    min_depth=2,
    max_depth=6,
    head_blocks=DENSE,
    suggestions=(
        (
            "conv1d(filters=64,kernel=5,stride=1)",
            "conv1d(filters=64,kernel=3,stride=2)",
            "residual_conv1d(filters=64,kernel=3,dilation=1)",
            "time_mean()",
        ),
        ("conv1d(filters=64,kernel=5,stride=2)", "gru(units=64)", "last_state()"),
        ("bidirectional(units=32,cell=gru)", "attention_pool(units=32)"),
    ),
)
