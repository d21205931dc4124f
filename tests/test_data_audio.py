"""Sound: every usual WAV file, brought to one rate, and its spectrogram."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile
from scipy.signal import ShortTimeFFT

from msearch_core.data import audio
from msearch_core.data.audio import Clips
from msearch_core.data.inputs import read_inputs
from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import prepare
from msearch_core.data.preprocessing import encode, to_model_inputs
from msearch_core.data.source import load

RATE = 8000


def tone(hertz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(sound: np.ndarray, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, sound)
    return buffer.getvalue()


def wav24(sound: np.ndarray) -> bytes:
    """24 bits, which SciPy reads but does not write."""
    whole = wav((sound * (2**31 - 1)).astype(np.int32))
    samples = np.frombuffer(whole[44:], np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    head = bytearray(whole[:44])
    head[28:32] = (RATE * 3).to_bytes(4, "little")
    head[32:36] = (3).to_bytes(2, "little") + (24).to_bytes(2, "little")
    head[40:44] = len(samples).to_bytes(4, "little")
    return bytes(head) + samples


def folder_of_tones(folder: Path, seconds: Any = lambda number: 0.1 + 0.01 * number) -> str:
    for label, hertz in (("high", 2000), ("low", 300)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(12):
            sound = tone(hertz + number, seconds(number))
            (folder / label / f"{number:02}.wav").write_bytes(wav((sound * 32767).astype(np.int16)))
    return str(folder)


@pytest.mark.parametrize(
    "encoded",
    [
        lambda sound: wav(sound),
        lambda sound: wav(sound.astype(np.float64)),
        lambda sound: wav((sound * 32767).astype(np.int16)),
        lambda sound: wav((sound * (2**31 - 1)).astype(np.int32)),
        lambda sound: wav(np.round(sound * 127 + 128).astype(np.uint8)),
        wav24,
        lambda sound: wav(np.stack([sound * 1.5, sound * 0.5], axis=1)),
    ],
    ids=["float32", "float64", "16 bits", "32 bits", "8 bits", "24 bits", "stereo"],
)
def test_every_encoding_is_the_same_sound(encoded: Any) -> None:
    sound = tone(440, 0.05)
    rate, found = audio.decode("a.wav", encoded(sound))
    assert (rate, found.dtype) == (RATE, np.float32)
    np.testing.assert_allclose(found, sound, atol=0.01)


def test_another_rate_is_brought_to_the_commonest(tmp_path: Path) -> None:
    path = folder_of_tones(tmp_path, lambda number: 0.1)
    sound = tone(300, 0.1, 44100)
    (tmp_path / "low" / "00.wav").write_bytes(wav(sound, 44100))
    raw = load(path)
    assert isinstance(raw.inputs, Clips)
    assert (raw.inputs.rate, set(raw.inputs.samples)) == (RATE, {800})
    decoded = [each for batch in raw.inputs.batches() for each in batch]
    assert [len(each) for each in decoded] == list(raw.inputs.samples)
    middle = slice(100, 700)  # the filter's ends apart
    np.testing.assert_allclose(decoded[12][middle], tone(300, 0.1)[middle], atol=0.01)


def test_the_spectrogram_is_the_textbook_one() -> None:
    sound = tone(1000, 0.3) + np.random.default_rng(0).normal(0, 0.01, 2400).astype(np.float32)
    spec = audio.front_end(RATE, np.array([2400]))
    assert (spec["frame"], spec["hop"], spec["fft"], spec["samples"]) == (200, 80, 256, 2400)
    found = audio.log_mel(spec, sound)
    assert found.shape == (audio.frames(spec, 2400), 40) == (28, 40)
    transform = ShortTimeFFT(audio.window(spec).astype(np.float64), 80, RATE, mfft=256)
    power = np.abs(transform.stft(sound, p0=2, p1=25)) ** 2  # the slices that lie in the sound, centred on k * hop
    centred = [np.fft.rfft(sound[80 * k : 80 * k + 200] * audio.window(spec), 256) for k in range(28)]
    expected = np.log((np.abs(np.array(centred)) ** 2) @ audio.mel_matrix(spec) + 1e-6)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert power.shape[0] == 129
    loudest = audio.mel_matrix(spec)[:, found.mean(axis=0).argmax()] @ (np.arange(129) * RATE / 256)
    weights = audio.mel_matrix(spec)[:, found.mean(axis=0).argmax()].sum()
    assert loudest / weights == pytest.approx(1000, abs=60)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_every_mel_band_hears_something(rate: int) -> None:
    spec = audio.front_end(rate, np.array([rate]))
    matrix = audio.mel_matrix(spec)
    assert matrix.shape == (spec["fft"] // 2 + 1, 40)
    assert (matrix.sum(axis=0) > 0).all()
    assert matrix.min() == 0
    assert matrix.max() <= 1


def test_padding_changes_no_frame_and_only_whole_frames_count(tmp_path: Path) -> None:
    prepared = prepare(load(folder_of_tones(tmp_path)), 0)
    problem, train = prepared.problem, prepared.splits["train"]
    spec = problem.preprocessing
    assert (problem.input, problem.input_shape) == ("sequence", (audio.frames(spec, spec["samples"]), 40))
    assert problem.targets[0].labels == ("high", "low")
    valid = ~np.isnan(train.x).all(axis=2)
    assert (valid == ~np.isnan(train.x).any(axis=2)).all()
    assert (valid[:, 1:] <= valid[:, :-1]).all()
    np.testing.assert_allclose(train.x[valid].mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(train.x[valid].std(axis=0), 1, atol=0.01)
    # The waveform that a model takes, framed as it is with its NaN, gives the same.
    clips = read_inputs(str(tmp_path), problem)
    encoded, waves = encode(spec, clips), to_model_inputs(problem, clips)
    assert isinstance(waves, np.ndarray)
    assert waves.shape == (24, spec["samples"])
    mean, deviation = np.array(spec["mean"], np.float32), np.array(spec["deviation"], np.float32)
    for wave, expected in zip(waves, encoded, strict=True):
        framed = np.lib.stride_tricks.sliding_window_view(wave, spec["frame"])[:: spec["hop"]]
        power = np.abs(np.fft.rfft(framed * audio.window(spec), spec["fft"])) ** 2
        values = (np.log(power @ audio.mel_matrix(spec) + spec["epsilon"]) - mean) / deviation
        np.testing.assert_allclose(values, expected, atol=1e-3)


def test_a_sound_shorter_than_a_frame_is_filled_with_silence(tmp_path: Path) -> None:
    problem = prepare(load(folder_of_tones(tmp_path / "train")), 0).problem
    (tmp_path / "short.wav").write_bytes(wav(tone(300, 0.01)))
    clips = read_inputs(str(tmp_path / "short.wav"), problem)
    encoded = encode(problem.preprocessing, clips)
    assert (~np.isnan(encoded[0]).all(axis=1)).sum() == 1
    waves = to_model_inputs(problem, clips)
    assert isinstance(waves, np.ndarray)
    assert (~np.isnan(waves[0])).sum() == problem.preprocessing["frame"]


def test_parquet_with_sounds(tmp_path: Path) -> None:
    sounds = [wav((tone(300 + 40 * number, 0.1) * 32767).astype(np.int16)) for number in range(20)]
    table = pd.DataFrame({"audio": [{"bytes": each, "path": None} for each in sounds], "word": ["u", "v"] * 10})
    table.to_parquet(tmp_path / "a.parquet")
    raw = load(str(tmp_path / "a.parquet"))
    assert isinstance(raw.inputs, Clips)
    assert (raw.targets[0].name, raw.targets[0].labels) == ("word", ("u", "v"))


def test_held_out_sounds_are_brought_to_the_rate_of_the_others(tmp_path: Path) -> None:
    train = folder_of_tones(tmp_path / "train")
    for label, hertz in (("high", 2000), ("low", 300)):
        (tmp_path / "test" / label).mkdir(parents=True)
        (tmp_path / "test" / label / "1.wav").write_bytes(wav(tone(hertz, 0.15, 16000), 16000))
    prepared = prepare(load(DataOptions(train, test=str(tmp_path / "test"))), 0)
    assert len(prepared.splits["test"]) == 2
    assert prepared.problem.preprocessing["sample_rate"] == RATE


def test_one_long_sound_does_not_pad_all_others() -> None:
    samples = np.append(np.full(999, 800), 80_000)
    assert audio.front_end(RATE, samples)["samples"] == 800
    assert audio.front_end(RATE, np.full(10, 10**7))["samples"] == 10 * RATE
