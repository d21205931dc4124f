"""One search by each of those that `benchmarks.peers` compares."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import PreparedData, open_prepared

METHODS = ("msearch", "kerastuner random", "kerastuner hyperband", "optuna tpe", "scikit-learn", "autokeras")
STEPS, BATCH_SIZE = 500, 64
"""Of a trial: msearch's defaults."""
ENSEMBLE_EVERY = 5
"""Of msearch's trials one in so many is an ensemble of those before it."""
MOST_TRIALS = 10_000
FINISH_SECONDS = 11.0
"""So much less msearch is told to search: its clock starts with its trainers and stops before the winner is named."""
TOWER, DENSE = 3, 1
"""The peers' images go through up to so many blocks, then become a vector, then go through up to so many more."""

Choose = Callable[[str, Sequence[Any]], Any]
Draw = Callable[[str, float, float, bool], float]
Figures = dict[str, Any]
"""What came of a search: ``trials``, ``validation`` and ``test`` (accuracies), ``cpu`` where it tells its CPU seconds
itself, and, where it takes its time, ``curve``: (time.time(), best validation accuracy so far) whenever that rose."""


@dataclass(frozen=True)
class Found:
    """What a peer had come to when a deadline was over.

    Attributes:
        trials: begun by then.
        validation: the best accuracy.
        model: that reached it, and with which weights.
        weights: as ``model.get_weights`` gives them.
        cpu: seconds.
    """

    trials: int
    validation: float
    model: Any
    weights: Any
    cpu: float


class Peer:
    """The models of a peer's trials, and the best of them so far.

    Args:
        data: a classification with one target.
        space: import name of msearch's space for it.
        deadlines: by ``time.time``, ascending; an epoch under way then still counts, and a trial under way at the last
            one ends with it.
    """

    def __init__(self, data: PreparedData, space: str, deadlines: Sequence[float]) -> None:
        from msearch_core.data.problem import fitted_space
        from msearch_core.loading import load_space

        self.data, self.deadlines = data, deadlines
        self.space = fitted_space(load_space(space), data.problem)
        self.target = data.problem.targets[0].name
        self.epochs = max(1, round(STEPS * BATCH_SIZE / len(data.splits["train"].x)))
        self.trials, self.validation = 0, 0.0
        self.curve: list[tuple[float, float]] = []
        self.found: list[Found] = []

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.time() >= self.deadlines[-1]

    def build(self, choose: Choose, draw: Draw) -> Any:
        """A compiled model, of whatever the peer chooses."""
        import keras

        from msearch_core.distributions import Choice
        from msearch_core.training.build import build_model
        from msearch_core.training.steps import make_optimizer

        values = {
            name: choose(name, each.options) if isinstance(each, Choice) else draw(name, each.low, each.high, each.log)
            for name, each in self.space.hyperparameters.items()
            if name != "l2"
        }
        built = build_model(self.data.problem, self.space, self._architecture(choose), values)
        model = keras.Model(built.inputs, built.outputs[0])
        model.compile(
            optimizer=make_optimizer(values, STEPS),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    def _architecture(self, choose: Choose) -> list[str]:
        def stack(kind: str, names: list[str], least: int, most: int) -> list[str]:
            depth = choose(f"{kind} depth", range(least, most + 1))
            return [choose(f"{kind} {number}", names) for number in range(depth)]

        by_kind = {
            kinds: [block.name for block in self.space.blocks if (block.family.takes, block.family.gives) == kinds]
            for kinds in itertools.product(("image", "vector"), repeat=2)
        }
        if self.space.input == "vector":
            return stack("dense", by_kind["vector", "vector"], 1, self.space.max_depth)
        tower = stack("tower", by_kind["image", "image"], 1, TOWER)
        end = choose("end", by_kind["image", "vector"])
        return [*tower, end, *stack("dense", by_kind["vector", "vector"], 0, DENSE)]

    def fit(self, model: Any, **options: Any) -> float:
        """Train a model and give its best validation accuracy."""
        import keras

        best = keras.callbacks.LambdaCallback(on_epoch_end=lambda _epoch, logs: self.note(model, logs))
        train, validation = self.data.splits["train"], self.data.splits["validation"]
        self.trials += 1
        history = model.fit(
            np.asarray(train.x), train.y[self.target], batch_size=BATCH_SIZE, verbose=0,
            validation_data=(np.asarray(validation.x), validation.y[self.target]),
            **{"epochs": self.epochs, **options, "callbacks": [*options.get("callbacks", ()), best]},
        )  # fmt: skip
        return float(max(history.history["val_accuracy"]))

    def note(self, model: Any, logs: dict[str, float]) -> None:
        """Keep what a model has come to with an epoch if nothing was as good, and end it when the time is up."""
        if logs["val_accuracy"] > self.validation:
            self.validation, self._best = logs["val_accuracy"], (model, model.get_weights())
            self.curve.append((time.time(), self.validation))
        self._look_back()
        if self.over:
            model.stop_training = True

    def _look_back(self) -> None:
        for _ in range(len(self.found), sum(time.time() >= each for each in self.deadlines)):
            self.found.append(Found(self.trials, self.validation, *self._best, time.process_time()))

    def finish(self) -> list[Figures]:
        """The figures by deadline, with the test split opened for the best model by then."""
        self._look_back()
        test = self.data.splits["test"]
        figures = []
        for each, deadline in zip(self.found, self.deadlines, strict=True):
            each.model.set_weights(each.weights)
            outputs = each.model.predict(np.asarray(test.x), verbose=0)
            # AutoKeras has one output for two labels.
            answers = outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] > 0.5
            accuracy = float(np.mean(answers == test.y[self.target]))
            curve = [point for point in self.curve if point[0] <= deadline]
            said = {"trials": each.trials, "validation": each.validation, "test": accuracy, "cpu": each.cpu}
            figures.append({**said, "curve": curve})
        return figures


def kerastuner(peer: Peer, method: str, seed: int, folder: str) -> None:
    """Search with KerasTuner until the time is up."""
    import keras_tuner
    from keras_tuner.errors import FatalError

    class Models(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return peer.build(
                lambda name, options: hp.Choice(name, list(options)),
                lambda name, low, high, log: hp.Float(name, low, high, sampling="log" if log else "linear"),
            )

        def fit(self, _hp: Any, model: Any, *_args: Any, **options: Any) -> Figures:
            if peer.over:
                raise FatalError("the time is up")
            kept = {name: options[name] for name in ("epochs", "initial_epoch", "callbacks") if name in options}
            return {"val_accuracy": peer.fit(model, **kept)}

    common = {"objective": keras_tuner.Objective("val_accuracy", "max"), "seed": seed, "directory": folder}
    if method.endswith("hyperband"):
        tuner = keras_tuner.Hyperband(Models(), max_epochs=peer.epochs, hyperband_iterations=MOST_TRIALS, **common)
        train: dict[str, Any] = {}
    else:
        tuner = keras_tuner.RandomSearch(Models(), max_trials=MOST_TRIALS, **common)
        train = {"epochs": peer.epochs}
    try:
        tuner.search(**train, verbose=0)
    except FatalError:
        if not peer.over:
            raise


def optuna(peer: Peer, _method: str, seed: int, _folder: str) -> None:
    """Search with Optuna until the time is up."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))

    def score(trial: Any) -> float:
        draw: Draw = lambda name, low, high, log: trial.suggest_float(name, low, high, log=log)  # noqa: E731
        return peer.fit(peer.build(lambda name, options: trial.suggest_categorical(name, list(options)), draw))

    study.optimize(score, timeout=max(0.0, peer.deadlines[-1] - time.time()))


def autokeras(peer: Peer, _method: str, seed: int, folder: str) -> None:
    """Search with AutoKeras until the time is up. It has models, hyperparameters and early stopping of its own."""
    import autokeras
    import keras
    from keras_tuner.errors import FatalError

    class Noted(keras.callbacks.Callback):
        def on_train_batch_begin(self, *_: object, **_logs: object) -> None:
            if peer.over:
                raise FatalError("the time is up")

        def on_train_begin(self, *_: object, **_logs: object) -> None:
            peer.trials += 1

        def on_epoch_end(self, _epoch: int, logs: dict[str, float]) -> None:
            peer.note(self.model, logs)

        def __deepcopy__(self, _memo: object) -> Any:
            return self

    def arrays(split: str) -> tuple[np.ndarray, np.ndarray]:
        part = peer.data.splits[split]
        return np.asarray(part.x), np.asarray(part.y[peer.target])

    common = {"max_trials": MOST_TRIALS, "directory": folder, "seed": seed, "objective": "val_accuracy"}
    x, y = arrays("train")
    if x.ndim == 2:
        names = [str(index) for index in range(x.shape[1])]
        model = autokeras.StructuredDataClassifier(names, dict.fromkeys(names, "numerical"), **common)
    else:
        model = autokeras.ImageClassifier(**common)
    try:
        model.fit(x, y, validation_data=arrays("validation"), batch_size=BATCH_SIZE, callbacks=[Noted()], verbose=0)
    except FatalError:
        if not peer.over:
            raise


def scikit_learn(data: PreparedData, seed: int) -> Figures:
    """The best of four models by validation."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    target = data.problem.targets[0].name
    x = {name: np.asarray(split.x).reshape(len(split.x), -1) for name, split in data.splits.items()}
    y = {name: split.y[target] for name, split in data.splits.items()}
    models = [
        LogisticRegression(max_iter=2000),
        RandomForestClassifier(200, random_state=seed, n_jobs=-1),
        HistGradientBoostingClassifier(random_state=seed),
        SVC(),
    ]
    found = [(model.fit(x["train"], y["train"]).score(x["validation"], y["validation"]), model) for model in models]
    validation, best = max(found, key=lambda each: each[0])
    return {"trials": len(models), "validation": validation, "test": best.score(x["test"], y["test"])}


def msearch(options: dict[str, Any], seed: int, deadline: float, folder: str) -> Figures:
    """Search as a user does, with a trainer a core."""
    import msearch_core

    minutes, log = (deadline - FINISH_SECONDS - time.time()) / 60, f"{folder}/log"
    asked = {"steps": STEPS, "batch_size": BATCH_SIZE, "ensemble_every": ENSEMBLE_EVERY}
    found = msearch_core.search(**options, **asked, seed=seed, minutes=minutes, trainers=os.cpu_count(), log=log)
    scores = {"validation": found.winner.validation["accuracy"], "test": found.winner.test["accuracy"]}
    rows = found.trials.dropna(subset="objective").sort_values("finished_at")
    curve = zip(rows["finished_at"].map(pd.Timestamp.timestamp), rows["objective"].cummax(), strict=True)
    return {"trials": len(found.trials), **scores, "curve": list(curve)}


def run(options: dict[str, Any], method: str, seed: int, deadlines: Sequence[float]) -> list[Figures]:
    """One search, in this process: what came of it, by deadline."""
    from msearch_core.data.problem import default_space

    with tempfile.TemporaryDirectory(prefix="msearch-peers-") as folder:
        if method == "msearch":
            return [msearch(options, seed, *deadlines, folder)]
        target = (options["target"],) if "target" in options else ()
        data = open_prepared(prepare_cached(DataOptions(options["data"], target=target), seed=seed))
        if method == "scikit-learn":
            return [scikit_learn(data, seed)] * len(deadlines)
        import keras

        keras.utils.set_random_seed(seed)
        peer = Peer(data, options.get("space") or default_space(data.problem), deadlines)
        search = {"kerastuner": kerastuner, "optuna": optuna, "autokeras": autokeras}[method.split()[0]]
        search(peer, method, seed, folder)
        return peer.finish()
