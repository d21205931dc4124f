"""Whole models: every kind of problem is learned, padding changes nothing, and nothing depends on how data arrives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.io import wavfile

from msearch_core.data.prepare import prepare
from msearch_core.data.prepared import PreparedData
from msearch_core.data.preprocessing import encode, to_model_inputs
from msearch_core.data.problem import Problem, Split, fitted_space
from msearch_core.data.source import load
from msearch_core.objectives import evaluate
from msearch_core.training import feed
from msearch_core.training.build import build_model
from msearch_core.training.checkpoints import assign_weights, weights_of
from msearch_core.training.feed import Streamed, make_feed
from msearch_core.training.loop import make_predict
from msearch_core.training.losses import make_loss
from msearch_core.training.predict import tabulate
from msearch_core.training.resume import load_progress, save_progress
from msearch_core.training.steps import TrainSteps, make_optimizer
from msearch_core.training.winner import complete_model
from tests import training_data
from tests.training_runs import build, trained
from tests.training_spaces import (
    BOTH,
    CONV,
    CONV1D,
    DENSE,
    DOWN,
    FLAT,
    GRU,
    IMAGES,
    LAST,
    MEAN,
    NORM,
    POOL,
    SEQUENCES,
    STEP,
    STEPS,
    TABLES,
)

AUGMENTED = {"dropout": 0.1, "noise": 0.1, "step_dropout": 0.1, "feature_dropout": 0.1, "label_smoothing": 0.05}
HEADS = (DENSE, f"side/of it/{DENSE}", f"Größe/{DENSE}", f"Größe/{DENSE}")
PROBLEMS = {
    "two tasks": (training_data.two_tasks(), TABLES, HEADS, {"mean_score": 0.85}),
    "labels": (training_data.tags(), TABLES, (NORM, DENSE), {"f1_micro": 0.85}),
    "sequences": (training_data.sequences(), SEQUENCES, (CONV1D, MEAN, DENSE), {"accuracy": 0.65}),
    "flat sequences": (training_data.sequences(), TABLES, (DENSE,), {"accuracy": 0.6}),
    "pictures of sequences": (training_data.sequences(), IMAGES, (CONV, FLAT), {"accuracy": 0.6}),
    "steps": (training_data.steps(), STEPS, (GRU, f"sum/{STEP}"), {"sign/accuracy": 0.8, "sum/r2": 0.7}),
    "one target a step": (
        training_data.one_target(training_data.steps(), "sign"),
        STEPS,
        (CONV1D, GRU),
        {"accuracy": 0.8},
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_is_learned(name: str) -> None:
    data, space, architecture, wanted = PROBLEMS[name]
    assert fitted_space(space, data.problem).why_invalid(architecture) is None
    ended, progress = trained(data, build(data, space, architecture), 150, {"learning_rate": 1e-2})
    assert ended.ending == "completed"
    validation = data.splits["validation"]
    scores = evaluate(data.problem, validation.y, ended.outputs)
    for score, least in wanted.items():
        assert scores[score] > least, (score, scores)
    for target in data.problem.targets:
        outputs, y = ended.outputs[target.name], validation.y[target.name]
        assert outputs.dtype == np.float32
        assert outputs.shape == (y.shape if target.task != "classification" else (*y.shape, target.outputs))
    assert len(progress.curve) == 10


@pytest.mark.parametrize("name", ["two tasks", "steps", "labels"])
def test_a_finished_model_answers_by_target_from_raw_input(name: str, tmp_path: Path) -> None:
    """Saved and loaded in safe mode, whatever the targets are called."""
    data, space, architecture, _ = PROBLEMS[name]
    x = data.splits["test"].x
    tower = build(data, space, architecture)
    complete_model(data.problem, tower).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    raw = {f"input_x{each}": x[:, each : each + 1] for each in range(x.shape[-1])} if x.ndim == 2 else {}
    answers = model.predict_on_batch(raw or {"input_sequence": x})
    expected = make_predict(tower, data.problem, np.float32)(x)
    if len(data.problem.targets) == 1:
        assert isinstance(answers, np.ndarray)
        answers = {data.problem.targets[0].name: answers}
    assert set(answers) == set(expected)
    for target in data.problem.targets:
        own = answers[target.name][..., 0] if target.task == "regression" else answers[target.name]
        np.testing.assert_allclose(own, expected[target.name], rtol=1e-4, atol=1e-5)

    table = tabulate(data.problem, answers, np.full(len(x), 3) if data.problem.per_step else None)
    if name == "labels":
        chosen = [set(filter(None, row.split("|"))) for row in table["prediction"]]
        for label, likely in zip("abc", expected["tags"].T, strict=True):
            assert [label in each for each in chosen] == (likely >= 0.5).tolist()
    else:
        prefix = "Größe" if name == "two tasks" else "sum"
        column = table[f"{prefix}_prediction"]
        assert len(column) == len(x)
        assert np.shape(column[0]) == (() if name == "two tasks" else (3,))


def test_a_model_of_sound_takes_waveforms(tmp_path: Path) -> None:
    """Of any length: what it says is what the tower says of the encoded sounds, one by one or all together."""
    rng = np.random.default_rng(0)
    for number in range(20):
        kind = "low" if number % 2 else "high"
        (tmp_path / "wav" / kind).mkdir(parents=True, exist_ok=True)
        time = np.arange(rng.integers(1000, 4000)) / 8000
        sound = np.sin(2 * np.pi * (300 if number % 2 else 2000) * time) + 0.1 * rng.normal(size=len(time))
        wavfile.write(tmp_path / "wav" / kind / f"{number}.wav", 8000, (8000 * sound).astype(np.int16))
    raw = load(str(tmp_path / "wav"))
    problem = prepare(raw, 0).problem
    keras.utils.set_random_seed(0)
    tower = build_model(problem, IMAGES, (CONV, DOWN, POOL), {})
    complete_model(problem, tower).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    waves = to_model_inputs(problem, raw.inputs)
    encoded = encode(problem.preprocessing, raw.inputs)
    assert np.isnan(encoded).any()
    expected = make_predict(tower, problem, np.float32)(encoded)[problem.targets[0].name]
    np.testing.assert_allclose(model.predict_on_batch(waves), expected, atol=1e-3)
    np.testing.assert_allclose(model.predict_on_batch(waves[3:4]), expected[3:4], atol=1e-3)


def padded(data: PreparedData, more: int) -> PreparedData:
    """The same examples, padded with more steps."""

    def longer(values: np.ndarray, filler: float) -> np.ndarray:
        return np.pad(values, [(0, 0), (0, more), *([(0, 0)] * (values.ndim - 2))], constant_values=filler)

    steps = {each.name: each.task for each in data.problem.targets if each.per_step}
    fillers = {name: -1 if task == "classification" else np.nan for name, task in steps.items()}
    splits = {
        side: Split(
            longer(split.x, np.nan),
            {name: longer(y, fillers[name]) if name in fillers else y for name, y in split.y.items()},
        )
        for side, split in data.splits.items()
    }
    shape = (data.problem.input_shape[0] + more, data.problem.input_shape[1])
    return PreparedData(dataclasses.replace(data.problem, input_shape=shape), splits, {}, "")


@pytest.mark.parametrize(
    ("data", "space", "architecture"),
    [
        (training_data.sequences(), SEQUENCES, (CONV1D, BOTH, LAST, NORM)),
        (training_data.sequences(), SEQUENCES, (CONV1D, CONV1D, MEAN)),
        (training_data.sequences(), IMAGES, (CONV, DOWN, POOL)),
        (training_data.steps(), STEPS, (CONV1D, BOTH, f"sign/{STEP}")),
    ],
    ids=["last state", "mean", "picture", "steps"],
)
def test_padding_changes_nothing(data: PreparedData, space, architecture) -> None:
    """More padding gives the same outputs, the same training step and the same batch-norm statistics."""
    longer = padded(data, 5)
    model, other = (build(each, space, architecture, feature_dropout=0.0) for each in (data, longer))
    assign_weights(other, weights_of(model))
    for each, own in ((data, model), (longer, other)):
        take = TrainSteps(own, keras.optimizers.SGD(0.1), each.problem, each.splits["train"], {}, 32)
        take(make_feed(each.splits["train"], 0, 32, 3, 1 << 30).take(0, 3))
        take.scatter()
    for path, value in weights_of(model).items():
        np.testing.assert_allclose(weights_of(other)[path], value, rtol=1e-4, atol=1e-5, err_msg=path)

    time = data.problem.input_shape[0]
    predict, again = (make_predict(m, d.problem, np.float32) for m, d in ((model, data), (other, longer)))
    outputs, more = predict(data.splits["validation"].x), again(longer.splits["validation"].x)
    true = ~np.isnan(data.splits["validation"].x[:, :, 0])
    for target in data.problem.targets:
        one, two = outputs[target.name], more[target.name]
        if target.per_step:
            one, two = one[true], two[:, :time][true]
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sequences", "two tasks"])
def test_streamed_data_trains_the_same_model(name: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(feed, "PIECE_BYTES", 20_000)
    data, space, architecture, _ = PROBLEMS[name]
    np.save(tmp_path / "x.npy", data.splits["train"].x)
    split = Split(np.load(tmp_path / "x.npy", mmap_mode="r"), data.splits["train"].y)
    data = PreparedData(data.problem, {**data.splits, "train": split}, {}, "")
    assert isinstance(make_feed(split, 0, 32, 40, 100), Streamed)
    found = [trained(data, build(data, space, architecture), 40, in_memory=limit) for limit in (1 << 30, 100)]
    (ended, progress), (streamed, streamed_progress) = found
    assert progress.curve == streamed_progress.curve
    assert all(np.array_equal(ended.outputs[each], streamed.outputs[each]) for each in ended.outputs)


@pytest.mark.parametrize("kind", ["sequence", "image"])
def test_a_checkpoint_holds_all_random_generators(kind: str, tmp_path: Path) -> None:
    """Forty steps at once, or in two parts with a checkpoint in between, lead to the very same weights."""
    if kind == "sequence":
        data, space, architecture, options = training_data.sequences(), SEQUENCES, (CONV1D, MEAN, NORM), AUGMENTED
    else:
        rng = np.random.default_rng(0)
        data = training_data.prepared(
            rng.integers(0, 255, (99, 8, 8, 1), np.uint8),
            {"y": rng.integers(0, 2, 99).astype(np.int32)},
            training_data.Target("y", "classification", ("a", "b")),
        )
        space, architecture, options = IMAGES, (CONV, FLAT, NORM), {"flip": True, "shift": 0.2, **AUGMENTED}
    train = data.splits["train"]
    source = make_feed(train, 0, 32, 40, 1 << 30)

    def begin():
        model = build(data, space, architecture, **options)
        optimizer = make_optimizer({"optimizer": "adam", "decay": "cosine"}, 40)
        return model, optimizer, TrainSteps(model, optimizer, data.problem, train, options, 32)

    def go(take, start: int, stop: int) -> None:
        take.gather()
        take(source.take(start, stop))
        take.scatter()

    model, _, take = begin()
    go(take, 0, 40)
    first, optimizer, take = begin()
    go(take, 0, 15)
    save_progress(tmp_path / "c", 32, first, optimizer, training_progress(15))
    second, optimizer, take = begin()
    assert load_progress(tmp_path / "c", 32, second, optimizer).step == 15
    go(take, 15, 40)
    for path, value in weights_of(model).items():
        assert np.array_equal(weights_of(second)[path], value), path


def training_progress(step: int):
    from msearch_core.training.loop import Progress

    return Progress(step=step)


@pytest.mark.parametrize("option", ["flip", "shift", "noise", "step_dropout", "feature_dropout"])
def test_augmentation_acts_in_training_only(option: str) -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(30, 8, 8, 1)).astype(np.float32)
    target = training_data.Target("y", "regression")
    data = training_data.prepared(images, {"y": np.zeros(30, np.float32)}, target)
    space, architecture = IMAGES, (FLAT,)
    if option in ("step_dropout", "feature_dropout"):
        data, space, architecture = training_data.sequences(), SEQUENCES, (LAST,)
    x = data.splits["train"].x.astype(np.float32)
    plain, changed = (build(data, space, architecture, **options) for options in ({}, {option: 0.4}))
    assign_weights(changed, weights_of(plain))
    name = data.problem.targets[0].name
    assert np.array_equal(plain(x, training=False)[name], changed(x, training=False)[name])
    assert not np.allclose(plain(x, training=True)[name], changed(x, training=True)[name])
    other = "step_dropout" if data.problem.input == "image" else "flip"
    ignoring = build(data, space, architecture, **{other: 0.4})
    assert len(ignoring.layers) == len(plain.layers)


def test_augmented_sequences_stay_zero_after_their_end() -> None:
    data = training_data.sequences()
    model = build(data, SEQUENCES, (CONV1D, MEAN), **AUGMENTED)
    x = data.splits["train"].x
    noise = model.get_layer("augment_noise").output
    convolution = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D))
    noisy, entering = keras.Model(model.inputs[0], [noise, convolution.input])(x, training=True)
    ended = np.isnan(x[:, :, 0])
    assert np.abs(noisy.numpy()[ended]).max() > 0
    assert np.abs(entering.numpy()[:, : x.shape[1]][ended]).max() == 0


def test_sample_weights_choose_what_is_learned() -> None:
    """Where one input has two answers, the heavier one is learned."""
    x = np.repeat(np.eye(2, dtype=np.float32), 90, axis=0)
    y = {"y": np.tile([0, 1, 1], 60).astype(np.int32)}
    weight = np.tile([10.0, 1.0, 1.0], 60).astype(np.float32)
    target = training_data.Target("y", "classification", ("a", "b"))
    order = np.random.default_rng(0).permutation(180)
    arrays = x[order], {"y": y["y"][order]}, target
    data, plain = training_data.prepared(*arrays, weight=weight[order]), training_data.prepared(*arrays)
    for each, wanted in ((data, 0), (plain, 1)):
        ended, _ = trained(each, build(each, TABLES, (DENSE,)), 60, {"learning_rate": 1e-2})
        assert (ended.outputs["y"].argmax(axis=1) == wanted).all()


def test_a_tower_of_less_precision_has_outputs_of_full() -> None:
    data = training_data.sequences()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build_model(data.problem, SEQUENCES, (CONV1D, LAST, NORM), AUGMENTED)
    finally:
        keras.config.set_dtype_policy("float32")
    outputs = model(data.splits["train"].x, training=True)["trend"]
    assert outputs.dtype == "float32"
    assert model.get_layer("b2_dense_dense").compute_dtype == "float16"
    assert np.isfinite(outputs.numpy()).all()
    problem: Problem = data.problem
    assert np.isfinite(float(make_loss(problem)(data.splits["train"].y, {"trend": outputs}, None)))
