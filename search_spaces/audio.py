"""Networks for sound: convolutions over time and pitch, then pools or recurrent layers."""

from __future__ import annotations

from msearch_core.blocks.convolution import (
    convolution,
    downsampling_convolution,
    oblong_convolution,
    separable_convolution,
    widening_convolution,
)
from msearch_core.blocks.convolution1d import conv1d, residual_conv1d
from msearch_core.blocks.dense import dense
from msearch_core.blocks.flatten import channel_mean_and_max, global_average_pool, global_max_pool
from msearch_core.blocks.frames import frames
from msearch_core.blocks.mobile import inverted_bottleneck
from msearch_core.blocks.pooling import average_pool, max_pool
from msearch_core.blocks.recurrent import bidirectional, gru
from msearch_core.blocks.residual import residual_convolution
from msearch_core.blocks.summary import attention_pool, time_max, time_mean
from msearch_core.blocks.svdf import svdf
from msearch_core.space import IMAGE, Choice, SearchSpace, Uniform

DENSE = tuple(dense.variants(units=(64, 128), activation=("relu",), batch_norm=(False, True)))

space = SearchSpace(
    name="audio",
    # A spectrogram: one row a frame, one column a band of pitch, one channel.
    input=IMAGE,
    blocks=(
        *convolution.variants(filters=(16, 32, 64), kernel=(3,)),
        *widening_convolution.variants(factor=(2,), kernel=(3,)),
        *downsampling_convolution.variants(factor=(1, 2), kernel=(3, 5), stride=(2,)),
        *separable_convolution.variants(filters=(32, 64), kernel=(3,)),
        *oblong_convolution.variants(filters=(32,), height=(1,), width=(7,)),
        *residual_convolution.variants(filters=(16, 32), kernel=(3,)),
        inverted_bottleneck(expansion=4, kernel=3),
        max_pool(stride=2),
        average_pool(stride=2),
        channel_mean_and_max(),
        *global_average_pool.variants(filters=(64, 128)),
        global_max_pool(filters=64),
        frames(),
        conv1d(filters=64, kernel=3),
        residual_conv1d(filters=64, kernel=3),
        svdf(units=64, memory=8, rank=1),
        gru(units=64),
        bidirectional(units=32, cell="gru"),
        time_mean(),
        time_max(),
        attention_pool(units=32),
        *DENSE,
    ),
    hyperparameters={
        "optimizer": Choice(("adam", "adamw")),
        "learning_rate": Uniform(1e-3, 6e-3, log=True),
        "decay": Choice(("cosine",)),
        "dropout": Choice((0.1, 0.2, 0.3, 0.4)),
        "l2": Choice((0.0, 1e-5, 1e-4)),
        "clip_norm": Choice((1.0, 5.0)),
        "noise": Choice((0.0, 0.1, 0.2)),
        # After SpecAugment (Park et al. 2019).
        "step_dropout": Choice((0.0, 0.1)),
        "feature_dropout": Choice((0.0, 0.1, 0.2)),
        "label_smoothing": Choice((0.0, 0.1)),
    },
    min_depth=3,
    max_depth=7,
    head_blocks=DENSE,
    suggestions=(
        (
            "downsampling_convolution(factor=1,kernel=5,stride=2)",
            "downsampling_convolution(factor=2,kernel=3,stride=2)",
            "frames()",
            "bidirectional(units=32,cell=gru)",
            "attention_pool(units=32)",
        ),
        (
            "downsampling_convolution(factor=1,kernel=5,stride=2)",
            "downsampling_convolution(factor=2,kernel=3,stride=2)",
            "convolution(filters=64,kernel=3)",
            "max_pool(stride=2)",
            "global_average_pool(filters=128)",
        ),
        (
            "downsampling_convolution(factor=1,kernel=5,stride=2)",
            "residual_convolution(filters=32,kernel=3)",
            "downsampling_convolution(factor=2,kernel=3,stride=2)",
            "residual_convolution(filters=32,kernel=3)",
            "global_average_pool(filters=64)",
        ),
    ),
)
