"""Synthetic degradations with known truth, for training, the benchmark, test clips and tests.

A degradation is a frozen value made from a spec such as ``awgn:25``, ``drop:2`` or
``blur:motion=6,awgn8:20,x264:32``. What it does to frames is a pure function of the clip and a
seed, and its randomness belongs to the absolute frame index: degrading a clip whole or window by
window gives the same frames, and noise is drawn once per clip, never per window. Only the video
encoders need the whole clip.
"""

from vidrestore.degrade.blur import Defocus, FrameMean, ShakeBlur
from vidrestore.degrade.coding import Jpeg, VideoCodec
from vidrestore.degrade.degradation import Clip, Degradation, Stage, stored
from vidrestore.degrade.flowblur import FlowBlur
from vidrestore.degrade.light import Darkening, SensorNoise
from vidrestore.degrade.mixture import Mixture, parts_of
from vidrestore.degrade.noise import FilmGrain, GaussianNoise
from vidrestore.degrade.specs import SPECS, parse
from vidrestore.degrade.transport import CorruptFrames, HeldFrames, LostFrames, MissingFrames

__all__ = [
    "SPECS",
    "Clip",
    "CorruptFrames",
    "Darkening",
    "Defocus",
    "Degradation",
    "FilmGrain",
    "FlowBlur",
    "FrameMean",
    "GaussianNoise",
    "HeldFrames",
    "Jpeg",
    "LostFrames",
    "MissingFrames",
    "Mixture",
    "SensorNoise",
    "ShakeBlur",
    "Stage",
    "VideoCodec",
    "parse",
    "parts_of",
    "stored",
]
