"""Small spaces for the tests of training, so that a change of the built-in ones does not concern them; an objective."""

from __future__ import annotations

from msearch_core.blocks.convolution import convolution, downsampling_convolution
from msearch_core.blocks.convolution1d import conv1d
from msearch_core.blocks.dense import dense
from msearch_core.blocks.flatten import flatten, global_average_pool
from msearch_core.blocks.per_step import step_dense
from msearch_core.blocks.recurrent import bidirectional, gru
from msearch_core.blocks.residual_dense import residual_dense
from msearch_core.blocks.summary import last_state, time_mean
from msearch_core.space import IMAGE, SEQUENCE, SearchSpace

DENSE = dense(units=32, activation="relu", batch_norm=False).name
NORM = dense(units=64, activation="relu", batch_norm=True).name
CONV = convolution(filters=16, kernel=3).name
FLAT = flatten().name
DOWN = downsampling_convolution(factor=2, kernel=3, stride=2).name
POOL = global_average_pool(filters=16).name
CONV1D = conv1d(filters=16, kernel=3).name
GRU = gru(units=16).name
BOTH = bidirectional(units=8, cell="gru").name
STEP = step_dense(units=16).name
LAST, MEAN = last_state().name, time_mean().name

_dense = [dense(units=units, activation="relu", batch_norm=norm) for units in (32, 64, 128) for norm in (False, True)]
TABLES = SearchSpace(
    "tables",
    (*_dense, residual_dense(units=32)),
    {},
    head_blocks=(dense(units=32, activation="relu", batch_norm=False),),
    max_head_depth=2,
)
IMAGES = SearchSpace(
    "images",
    (
        convolution(filters=16, kernel=3),
        convolution(filters=16, kernel=5),
        downsampling_convolution(factor=2, kernel=3, stride=2),
        flatten(),
        global_average_pool(filters=16),
        *_dense,
    ),
    {},
    input=IMAGE,
)
_steps = (conv1d(filters=16, kernel=3), gru(units=16), bidirectional(units=8, cell="gru"), step_dense(units=16))
SEQUENCES = SearchSpace("sequences", (*_steps, last_state(), time_mean(), *_dense), {}, input=SEQUENCE)
STEPS = SearchSpace("steps", _steps, {}, input=SEQUENCE, output=SEQUENCE, head_blocks=(step_dense(units=16),))


def missed(y, outputs):
    """An objective of one's own: the share of examples that are not recognised."""
    return float((outputs.argmax(axis=-1) != y).mean())


missed.direction = "min"
