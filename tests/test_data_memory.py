"""Preparing images takes a small memory, however many they are."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

MEGABYTES = 200
CODE = """
import resource, sys
from pathlib import Path
from msearch_core.data.prepare import open_prepared, prepare_cached
import pyarrow.parquet, pandas  # counted as the interpreter's own

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folder = prepare_cached(sys.argv[1], seed=0, cache=Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((peak - before) / 1024)
"""


def test_images_pass_through_a_memory_smaller_than_they_are(tmp_path: Path) -> None:
    count = MEGABYTES * 1_000_000 // (256 * 256 * 3)
    blobs = []
    for number in range(count):
        buffer = io.BytesIO()
        Image.new("RGB", (256, 256), (number % 256, number // 256, 7)).save(buffer, "JPEG")
        blobs.append(buffer.getvalue())
    path = tmp_path / "images.parquet"
    pd.DataFrame({"image": blobs, "label": np.arange(count) % 2}).to_parquet(path)
    command = [sys.executable, "-c", CODE, str(path), str(tmp_path / "cache")]
    added = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    size = sum(each.stat().st_size for each in tmp_path.glob("cache/*/*_x.npy")) / 1e6
    assert size > MEGABYTES * 0.99
    assert added < MEGABYTES / 2
