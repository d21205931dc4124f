"""Sound from WAV files, and its log-mel spectrogram.

`msearch_core.training.preprocessing` computes the same spectrogram with Keras, so that a model takes the waveform.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from msearch_core.data.blobs import Blobs, content
from msearch_core.errors import UserError

ENDINGS = (".wav", ".wave")
FRAME_SECONDS = 0.025
HOP_SECONDS = 0.010
MELS = 40
EPSILON = 1e-6
MAX_SECONDS = 10.0
LONG_QUANTILE = 0.995
"""Clips longer than this share of all are cut, since every batch is padded to the longest."""


@dataclass(frozen=True)
class Clips:
    """Encoded sounds that are decoded when they are needed, by batches.

    Attributes:
        blobs: WAV files.
        rate: the samples a second that they are brought to.
        samples: ``int64 (n,)``, how many samples each has at that rate.
        content: ``uint64 (n,)``, a hash of each file.
    """

    blobs: Blobs
    rate: int
    samples: np.ndarray
    content: np.ndarray

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self) -> Iterator[list[np.ndarray]]:
        """The sounds in order, some at a time: each ``float32 (samples,)`` from -1 to 1, one channel.

        Raises:
            UserError: a file cannot be read.
        """
        row = 0
        for batch in self.blobs.batches():
            decoded = (decode(self.blobs.name(row + index), blob) for index, blob in enumerate(batch))
            yield [resample(sound, rate, self.rate) for rate, sound in decoded]
            row += len(batch)


def open_clips(blobs: Blobs, rate: int | None = None) -> Clips:
    """Look through sounds.

    Args:
        blobs: WAV files of 8, 16, 24 or 32 bits or floating point, of one or more channels.
        rate: the samples a second that they are brought to; the commonest if not given.

    Raises:
        UserError: one cannot be read, or is empty.
    """
    lengths: list[tuple[int, int]] = []
    hashes: list[np.ndarray] = []
    for batch in blobs.batches():
        hashes.append(content(batch))
        for blob in batch:
            own_rate, sound = decode(blobs.name(len(lengths)), blob)
            lengths.append((own_rate, len(sound)))
    if rate is None:
        rates = Counter(own_rate for own_rate, _ in lengths)
        rate = max(rates, key=lambda each: (rates[each], each))
    samples = np.array([_resampled_length(count, own_rate, rate) for own_rate, count in lengths], np.int64)
    return Clips(blobs, rate, samples, np.concatenate(hashes))


def decode(name: str, blob: bytes) -> tuple[int, np.ndarray]:
    """Decode a WAV file.

    Args:
        name: what to call it in a message.
        blob: the file.

    Returns:
        Samples a second, and ``float32 (samples,)`` from -1 to 1, the mean of the channels.

    Raises:
        UserError: it is no such file, is empty, or holds values that are no numbers.
    """
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # chunks that hold no sound
            rate, data = wavfile.read(io.BytesIO(blob))
    except (ValueError, EOFError, struct.error, UnboundLocalError, TypeError, ZeroDivisionError) as error:
        reason = " ".join(str(error).split()) or "it is cut off"
        raise UserError(f"cannot read {name}: not a WAV file ({reason}); repair or remove it") from None
    if not data.size:
        raise UserError(f"{name} holds no sound: it has no samples; remove it")
    if data.dtype == np.uint8:
        sound = (data.astype(np.float32) - 128) / 128
    elif data.dtype.kind == "i":
        sound = data.astype(np.float32) / np.float32(-np.float64(np.iinfo(data.dtype).min))
    else:
        sound = data.astype(np.float32)
    if not np.isfinite(sound).all():
        raise UserError(f"{name} holds samples that are NaN or infinite; repair or remove it")
    return int(rate), sound.mean(axis=1, dtype=np.float32) if sound.ndim == 2 else sound


def resample(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Bring a sound to another number of samples a second, by a polyphase filter.

    Args:
        sound: ``float32 (samples,)``.
        rate: its samples a second.
        wanted: those of the result.
    """
    if rate == wanted:
        return sound
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    return np.asarray(resample_poly(sound, wanted // common, rate // common), np.float32)


def is_sound(blob: bytes) -> bool:
    """Whether bytes begin like a WAV file."""
    return blob[:4] == b"RIFF" and blob[8:12] == b"WAVE"


def front_end(rate: int, samples: np.ndarray) -> dict[str, Any]:
    """How sounds become log-mel spectrograms, apart from their standardisation.

    Args:
        rate: samples a second.
        samples: ``int64 (train,)``, how many samples each sound has.

    Returns:
        ``kind`` ``"audio"``, ``sample_rate``, ``frame`` and ``hop`` (samples: 25 and 10 ms), ``fft`` (the power of two
        that holds a frame), ``mels``, ``epsilon``, and ``samples``, what a model takes of a sound at most: 10 s, or
        what 99.5 % of them have.
    """
    frame, hop = max(2, round(FRAME_SECONDS * rate)), max(1, round(HOP_SECONDS * rate))
    longest = int(np.quantile(samples, LONG_QUANTILE, method="higher"))
    return {
        "kind": "audio",
        "sample_rate": rate,
        "frame": frame,
        "hop": hop,
        "fft": 1 << (frame - 1).bit_length(),
        "mels": MELS,
        "epsilon": EPSILON,
        "samples": max(frame, min(longest, round(MAX_SECONDS * rate))),
    }


def frames(spec: Mapping[str, Any], samples: int) -> int:
    """How many whole frames a sound has, one at least, since a shorter one is filled up with silence."""
    beyond_first = max(0, min(samples, int(spec["samples"])) - int(spec["frame"]))
    return 1 + beyond_first // int(spec["hop"])


def window(spec: Mapping[str, Any]) -> np.ndarray:
    """The periodic Hann window, ``float32 (frame,)``."""
    phase = 2 * np.pi * np.arange(spec["frame"]) / spec["frame"]
    return np.asarray(0.5 - 0.5 * np.cos(phase), np.float32)


def mel_matrix(spec: Mapping[str, Any]) -> np.ndarray:
    """Weights that sum the power at each frequency into mel bands.

    Triangles of height 1, evenly spaced on the scale of Stevens, Volkmann and Newman (1937) in O'Shaughnessy's formula,
    2595 log10(1 + f / 700), from 0 Hz to half the sample rate.

    Args:
        spec: what `front_end` returned.

    Returns:
        ``float32 (fft // 2 + 1, mels)``.
    """
    frequencies = np.arange(spec["fft"] // 2 + 1) * spec["sample_rate"] / spec["fft"]
    corners = np.linspace(0, _mel(spec["sample_rate"] / 2), spec["mels"] + 2)
    position = _mel(frequencies)[:, np.newaxis]
    rising = (position - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - position) / (corners[2:] - corners[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float32)


def log_mel(spec: Mapping[str, Any], sound: np.ndarray) -> np.ndarray:
    """The spectrogram of one sound: ``log(mel power + epsilon)`` of each whole frame, without centring or emphasis.

    Args:
        spec: what `front_end` returned.
        sound: ``float32 (samples,)`` from -1 to 1.

    Returns:
        ``float32 (frames, mels)``.
    """
    count = frames(spec, len(sound))
    needed = (count - 1) * spec["hop"] + spec["frame"]
    filled = np.pad(sound[:needed], (0, max(0, needed - len(sound))))
    framed = np.lib.stride_tricks.sliding_window_view(filled, spec["frame"])[:: spec["hop"]]
    spectrum = np.fft.rfft(framed * window(spec), spec["fft"])
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return np.asarray(np.log(power @ mel_matrix(spec) + np.float32(spec["epsilon"])))


def _mel(frequency: Any) -> Any:
    return 2595 * np.log10(1 + np.asarray(frequency) / 700)


def _resampled_length(samples: int, rate: int, wanted: int) -> int:
    common = math.gcd(rate, wanted)
    return -(-samples * (wanted // common) // (rate // common))
