"""Scores of a run against its reference: before encoding as it goes, the files at the end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from vidrestore.measure.compare import Comparison, RgbReader, align, compare
from vidrestore.measure.metrics import ClipScorer
from vidrestore.media.decode import Frame


@dataclass(frozen=True)
class ReferenceScores:
    """Scores against a reference.

    Attributes:
        output: Of the finished file, decoded again.
        input: Of the degraded input; None where its frames are not those of the output.
        before_encoding_psnr_db: Mean RGB PSNR of the restored frames before they were encoded; None
            where not all of them were seen.
    """

    output: Comparison
    input: Comparison | None
    before_encoding_psnr_db: float | None


class Scoring:
    """Collects the scores of one run.

    Args:
        reference: The clean video, cut like the input.
        degraded: The input.

    Raises:
        InputError: If the two do not show the same content at the same size.
    """

    def __init__(self, reference: RgbReader, degraded: RgbReader) -> None:
        self._reference = reference
        self._degraded = degraded
        self._offset = align(reference, degraded).offset_frames
        self._expected = islice(reference.frames(), max(0, -self._offset), None)
        self._scorer = ClipScorer(with_ssim=False)
        self._seen = False

    def add(self, restored: Frame) -> None:
        """Score a restored frame that is about to be encoded; called for all or none of them."""
        self._seen = True
        if restored.index < self._offset:
            return
        expected = next(self._expected, None)
        if expected is not None:
            self._scorer.add(self._reference.rgb(expected), self._degraded.rgb(restored))

    def finish(self, output: RgbReader) -> ReferenceScores:
        """Score the finished file and the input."""
        return ReferenceScores(
            output=compare(self._reference, output),
            input=compare(self._reference, self._degraded),
            before_encoding_psnr_db=self._scorer.summary().psnr_db if self._seen else None,
        )
