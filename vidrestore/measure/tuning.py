"""Settings of ffmpeg's filters, chosen on another clip than those that are scored."""

from __future__ import annotations

import math

import numpy as np

from vidrestore.errors import FfmpegError
from vidrestore.measure.baselines import run_setting
from vidrestore.measure.filters import FfmpegFilter, Setting
from vidrestore.measure.item import Item


class Tuner:
    """Tries settings of filters and remembers which was best on what.

    Args:
        ffmpeg: Path of the ffmpeg executable.
    """

    def __init__(self, ffmpeg: str) -> None:
        self._ffmpeg = ffmpeg
        self._best: dict[tuple[str, str], Setting] = {}

    def best(self, candidate: FfmpegFilter, item: Item) -> Setting:
        """The setting with the best RGB PSNR on a clip.

        Args:
            candidate: Whose settings to try.
            item: The clip, all of whose frames are known.

        Raises:
            FfmpegError: ffmpeg lacks the filter, or it failed at every setting.
        """
        key = candidate.name, item.truth_id + item.given.digest
        if key not in self._best:
            self._best[key] = self._search(candidate, item)
        return self._best[key]

    def _search(self, candidate: FfmpegFilter, item: Item) -> Setting:
        settings = candidate.settings(item.level)
        errors: dict[int, float] = {}
        failures: list[FfmpegError] = []

        def error(place: int) -> float:
            """Mean squared error at a setting; infinite where it fails, or there is none."""
            if not 0 <= place < len(settings):
                return math.inf
            if place not in errors:
                try:
                    errors[place] = self._error(settings[place], item)
                except FfmpegError as failure:
                    failures.append(failure)
                    errors[place] = math.inf
            return errors[place]

        if candidate.ordered:
            best = len(settings) // 2
            step = 1 if error(best + 1) < error(best) else -1
            while error(best + step) < error(best):
                best += step
        else:
            best = min(range(len(settings)), key=error)
        if math.isinf(error(best)):
            raise failures[0]
        return settings[best]

    def _error(self, setting: Setting, item: Item) -> float:
        filtered = run_setting(setting, item.given.in_file, self._ffmpeg)
        return float(np.square(filtered.clip(0, 1) - item.truth, dtype=np.float64).mean())
