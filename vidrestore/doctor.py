"""Whether everything that a restoration needs is there and works, each answer with its remedy."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidrestore.errors import ExitCode, VidrestoreError

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo

LEAST_PYTHON = (3, 11)
OLDEST_FFMPEG = (5, 1)
"""The oldest that is tested with."""

LITTLE_DISK_BYTES = 5_000_000_000
LEAST_DISK_BYTES = 200_000_000

_LIBRARIES = ("av", "numpy", "opencv-python-headless", "safetensors", "scikit-image")
_NEEDED_CODEC = "h264"
_CLIP = "testsrc2=size=128x96:rate=25"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        status: Whether it is as it must be; "warn" if most works without it.
        found: What was found.
        remedy: What to do about it; None if nothing.
        exit_code: What a command that needs it would exit with.
    """

    name: str
    status: Literal["pass", "warn", "fail"]
    found: str
    remedy: str | None = None
    exit_code: ExitCode = ExitCode.SUCCESS


@dataclass(frozen=True)
class Subject:
    """What is to be looked at.

    Attributes:
        ffmpeg: Path of the ffmpeg executable; None for the default.
        weights: File or folder of weights; None for those of the package.
        device: "auto", "cpu", "cuda" or "mps".
        folder: Where outputs are to go.
    """

    ffmpeg: str | None = None
    weights: Path | None = None
    device: str = "auto"
    folder: Path = Path()


def examine(subject: Subject | None = None) -> Iterator[Check]:
    """Look at everything, one thing after the other; nothing that is wrong is raised.

    Args:
        subject: What is to be looked at; None for the defaults.

    Yields:
        What was found.
    """
    subject = subject or Subject()
    looks: tuple[Callable[[Subject], Iterator[Check]], ...] = (
        _python,
        _libraries,
        _device,
        _weights,
        _ffmpeg,
        _encoders,
        _disk,
    )
    for look in looks:
        try:
            yield from look(subject)
        except VidrestoreError as error:
            yield Check(_name(look), "fail", str(error), error.hint, error.exit_code)
        except Exception as error:
            found = " ".join(str(error).split()) or type(error).__name__
            remedy = "install vidrestore again, in an environment of its own"
            yield Check(_name(look), "fail", found, remedy, ExitCode.UNEXPECTED)


def _name(look: Callable[[Subject], Iterator[Check]]) -> str:
    return look.__name__.removeprefix("_")


def _python(_: Subject) -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < LEAST_PYTHON:
        yield Check("python", "fail", found, "install Python 3.11 or newer", ExitCode.UNEXPECTED)
    elif sys.platform != "linux":
        yield Check("python", "warn", found, "tested on Linux only: please report what fails")
    else:
        yield Check("python", "pass", found)


def _libraries(_: Subject) -> Iterator[Check]:
    missing, found = [], []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        remedy = f"pip install {' '.join(missing)}"
        yield Check("libraries", "warn", f"{', '.join(missing)} not installed by pip", remedy)
    else:
        yield Check("libraries", "pass", ", ".join(found))


def _device(subject: Subject) -> Iterator[Check]:
    import torch

    from vidrestore.network.diffuse import pick_device

    yield Check("torch", "pass", f"{torch.__version__}, {torch.get_num_threads()} threads")
    device = pick_device(subject.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    yield Check("device", "pass", f"{device} {name}".strip())


def _weights(subject: Subject) -> Iterator[Check]:
    from vidrestore.network.diffuse import Restorer
    from vidrestore.network.shelf import TASKS, packaged_folder

    dtype = None
    for task in TASKS:
        try:
            restorer = Restorer(task, subject.weights, subject.device)
        except VidrestoreError as error:
            # Weights of the user's own are for what they are for.
            own = subject.weights is not None
            status: Literal["warn", "fail"] = "warn" if own else "fail"
            code = ExitCode.SUCCESS if own else error.exit_code
            yield Check(f"weights: {task}", status, str(error), error.hint, code)
            continue
        for weights in restorer.sets:
            ours = weights.path.parent == packaged_folder()
            named = weights.path.name if ours else str(weights.path)
            said = f"{named}, SHA-256 {weights.sha256[:16]}"
            yield Check(f"weights: {weights.task}", "pass", said)
        dtype = dtype or restorer.dtype
    if dtype == "bfloat16":
        yield Check("number format", "pass", "bfloat16: it was timed, and is faster here")
    elif dtype is not None:
        yield Check("number format", "pass", "float32: bfloat16 was timed, and is not faster here")


def _ffmpeg(subject: Subject) -> Iterator[Check]:
    from vidrestore.media.ffmpeg import find_ffmpeg, version

    path = find_ffmpeg(subject.ffmpeg)
    found = version(path)
    said = f"{'.'.join(map(str, found))} at {path}"
    if found < OLDEST_FFMPEG:
        oldest = ".".join(map(str, OLDEST_FFMPEG))
        yield Check("ffmpeg", "warn", said, f"{oldest} or newer; the bundled one is, without it")
    else:
        yield Check("ffmpeg", "pass", said)


def _encoders(subject: Subject) -> Iterator[Check]:
    from vidrestore.encoders.codecs import ENCODERS, EncodeSettings
    from vidrestore.encoders.planning import plan_encoding
    from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url
    from vidrestore.media.inspection import inspect

    ffmpeg = find_ffmpeg(subject.ffmpeg)
    with tempfile.TemporaryDirectory(prefix="vidrestore-doctor-") as folder:
        clip = Path(folder) / "clip.mkv"
        made = ["-f", "lavfi", "-i", _CLIP, "-frames:v", "3", "-c:v", "ffv1"]
        made += ["-pix_fmt", "yuv420p", media_url(clip)]
        with FfmpegProcess([ffmpeg, *made]) as process:
            process.finish()
        info = inspect(clip)
    for codec in ENCODERS:
        try:
            plan = plan_encoding(info, EncodeSettings(codec=codec), ffmpeg)
        except VidrestoreError as error:
            needed = codec == _NEEDED_CODEC
            remedy = "leave out --ffmpeg, and unset $VIDRESTORE_FFMPEG, for the bundled one"
            status: Literal["warn", "fail"] = "fail" if needed else "warn"
            code = error.exit_code if needed else ExitCode.SUCCESS
            yield Check(f"encoder: {codec}", status, str(error), remedy, code)
            continue
        yield Check(f"encoder: {codec}", "pass", f"{plan.encoder.name} opens")
    cards = list(_cards(info, ffmpeg))
    yield Check("graphics card encodes", "pass", ", ".join(cards) or "nothing: the processor does")


def _cards(info: VideoInfo, ffmpeg: str) -> Iterator[str]:
    """Encoders of graphics cards that open."""
    from vidrestore.encoders.codecs import EncodeSettings
    from vidrestore.encoders.planning import plan_encoding

    larger = replace(info, width=256, height=256)  # some cards refuse what is smaller
    for codec in ("h264", "hevc", "av1"):
        try:
            plan = plan_encoding(larger, EncodeSettings(codec=codec, hardware=True), ffmpeg)
        except VidrestoreError:
            continue
        if not plan.warnings:
            yield plan.encoder.name


def _disk(subject: Subject) -> Iterator[Check]:
    places = {"disk": subject.folder, "disk for temporary files": Path(tempfile.gettempdir())}
    for name, folder in places.items():
        try:
            free = shutil.disk_usage(folder).free
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            found = f"cannot write into {folder.absolute()}: {error.strerror}"
            yield Check(name, "fail", found, "change its permissions", ExitCode.OUTPUT)
            continue
        found = f"{free / 1e9:.1f} GB free in {folder.absolute()}"
        if free < LEAST_DISK_BYTES:
            yield Check(name, "fail", found, "free some space", ExitCode.OUTPUT)
        elif free < LITTLE_DISK_BYTES:
            remedy = "free some space: unfinished work takes as much as the output"
            yield Check(name, "warn", found, remedy)
        else:
            yield Check(name, "pass", found)
