"""`--task auto`: which weights a video needs, from what a look at it has found."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vidrestore.network.diffuse import Levels
from vidrestore.picture.diagnosis import fitting
from vidrestore.picture.survey import NoiseSurvey
from vidrestore.settings import RestoreSettings


@dataclass(frozen=True)
class Choice:
    """What will be done to a video.

    Attributes:
        settings: Those of the user, with every task named.
        levels: What the network is told.
        reason: Why, in one line; None if the user has chosen.
    """

    settings: RestoreSettings
    levels: Levels
    reason: str | None

    @classmethod
    def of(cls, settings: RestoreSettings, survey: NoiseSurvey) -> Choice:
        """Choose what the user has left open: the weights, and the noise level they are told."""
        sigma, reason = settings.sigma, None
        if "auto" in settings.tasks:
            found = fitting(survey.samples, survey.sigma, survey.tones, settings.weights)
            task = found.task if sigma is None else "denoise"  # who names a level wants it gone
            tasks = tuple(task if name == "auto" else name for name in settings.tasks)
            settings = replace(settings, tasks=tasks)
            if sigma is None:
                sigma, reason = found.sigma, f"{task}: {found.reason}"
        sigma = survey.sigma if sigma is None else sigma
        return cls(settings, Levels(sigma, clipped=survey.is_clipped(sigma)), reason)
