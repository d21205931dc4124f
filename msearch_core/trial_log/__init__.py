"""The filesystem trial database: Parquet files that any number of trainers append to and anyone reads with pandas."""

from msearch_core.trial_log.board import MAX_ATTEMPTS, Board
from msearch_core.trial_log.claims import Claim, take_key
from msearch_core.trial_log.leases import Heartbeat, Identity
from msearch_core.trial_log.log import TrialLog
from msearch_core.trial_log.openings import opening
from msearch_core.trial_log.reader import CorruptChunkError
from msearch_core.trial_log.records import (
    ProductionRecord,
    RefreshRecord,
    RunRecord,
    SearchRecord,
    StopRecord,
    TrainersRecord,
    WinnerRecord,
)

__all__ = [
    "MAX_ATTEMPTS",
    "Board",
    "Claim",
    "CorruptChunkError",
    "Heartbeat",
    "Identity",
    "ProductionRecord",
    "RefreshRecord",
    "RunRecord",
    "SearchRecord",
    "StopRecord",
    "TrainersRecord",
    "TrialLog",
    "WinnerRecord",
    "opening",
    "take_key",
]
