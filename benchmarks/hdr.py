"""Ten bits and HDR: the gain on the same light stored as SDR, PQ and HLG, and a ramp without bands.

    python benchmarks/hdr.py [--sigma 20] [--frames 10]

Photos that ship with scikit-image under a moving camera are taken for light, 203 or 1000 cd/m2 in
white, given BT.2020's primaries and coded as PQ (SMPTE ST 2084) or HLG (ARIB STD-B67, BT.2100's
reference display of 1000 cd/m2); SDR is the photo as it is, BT.709. Noise of equal level in code
values is added to R'G'B', all is rounded to the planes of yuv420p10le, and those are restored as
`restore --task denoise` does it, the level told or not. The gain is that of PSNR of RGB code values
over the noisy planes, mean over clips; wanted: PQ within 0.5 dB of SDR. Codes of HDR spread less
than those of SDR: the standard deviation of clean luma is in 8-bit units.

The ramp goes through every luma code of ten bits, a code every two columns, with noise of half an
8-bit code, as a file of FFV1 that `restore` makes another one of. Of each column's mean over rows
and frames, but for eight columns at either border: distinct levels once rounded, the largest step
to the next column, and the most columns in a row that round to one level. Beside them what the
clean ramp has when it is cut down to 8 bits.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidrestore.degrade import GaussianNoise
from vidrestore.degrade.curve import to_linear
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.measure.compare import RgbReader
from vidrestore.measure.generated import MOVING
from vidrestore.measure.metrics import luma, score_clip
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.picture.colour import PlaneConverter, PlaneFormat
from vidrestore.picture.drift import DriftGuard
from vidrestore.picture.estimate import noise_is_clipped, noise_sigma
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings

Clip = NDArray[np.float32]

PIX_FMT = "yuv420p10le"
FFV1 = EncodeSettings(codec="ffv1")
BORDER_PX = 8
TO_BT2020 = np.array(  # of linear light; ITU-R BT.2087
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]], np.float32
)
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
HLG_PEAK, HLG_GAMMA = 1000, 1.2


def pq(light: Clip) -> Clip:
    """Code values of light in cd/m2: the inverse EOTF of SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    bent = (light / 10000) ** m1
    return np.asarray(((c1 + c2 * bent) / (1 + c3 * bent)) ** m2, np.float32)


def hlg(light: Clip) -> Clip:
    """Code values of light in cd/m2: BT.2100's inverse OOTF, then the OETF of ARIB STD-B67."""
    shown = light / HLG_PEAK
    bright = np.maximum(shown @ BT2020_LUMA, 1e-6)[..., None]
    scene = shown * bright ** (1 / HLG_GAMMA - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    upper = a * np.log(np.maximum(12 * scene - b, 1e-6)) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper).astype(np.float32)


@dataclass(frozen=True)
class Coding:
    """How light becomes code values.

    Attributes:
        code: From light (T, H, W, 3) in cd/m2 with BT.2020's primaries; None for the photo itself.
        white: cd/m2 in the photo's white.
        matrix: ffmpeg's name of the matrix.
    """

    code: Callable[[Clip], Clip] | None
    white: int
    matrix: str = "bt2020nc"

    def of(self, photo: Clip) -> Clip:
        """Code values of a photo's."""
        if self.code is None:
            return photo
        light = np.maximum(to_linear(photo) @ TO_BT2020.T, 0) * self.white
        return self.code(light)


CODINGS = {
    "SDR": Coding(None, 100, "bt709"),
    "PQ, white 203": Coding(pq, 203),
    "PQ, white 1000": Coding(pq, 1000),
    "HLG, white 203": Coding(hlg, 203),
    "HLG, white 1000": Coding(hlg, 1000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sigma", type=float, nargs="+", default=[20])
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--scenes", nargs="+", choices=list(MOVING), default=list(MOVING))
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    print("| ramp | levels | largest step | longest run |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, columns in ramp(given.task, given.weights, Path(folder)).items():
            print(f"| {name} | {' | '.join(banding(columns))} |", flush=True)
    print("\n| noise | coding | spread | input | restored | gain | to SDR | blind | to SDR |")
    print("|---|---|---|---|---|---|---|---|---|")
    restorer = Restorer(given.task, given.weights)
    photos = [MOVING[name]()[: given.frames] for name in given.scenes]
    for sigma in given.sigma:
        gains(photos, sigma, restorer)


def gains(photos: list[Clip], sigma: float, restorer: Restorer) -> None:
    """Print how much is gained at one level of noise, coding by coding."""
    of_sdr: tuple[float, ...] = ()
    for name, coding in CODINGS.items():
        scores = [scored(coding.of(photo), sigma, coding, restorer) for photo in photos]
        spread, before, told, blind = (mean(column) for column in zip(*scores, strict=True))
        of_sdr = of_sdr or (told - before, blind - before)
        cells = [f"{sigma:g}", name, f"{spread:.0f}", f"{before:.2f}", f"{told:.2f}"]
        for after, sdr in zip((told, blind), of_sdr, strict=True):
            cells += [f"{after - before:.2f}", f"{after - before - sdr:+.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def scored(clean: Clip, sigma: float, coding: Coding, restorer: Restorer) -> tuple[float, ...]:
    """Spread of the luma; PSNR in dB of the noisy planes and restored, the level told and not."""
    height, width = clean.shape[1:3]
    converter = PlaneConverter(
        PlaneFormat.from_name(PIX_FMT), width, height, matrix=coding.matrix, colour_range="tv"
    )
    noisy, _ = GaussianNoise(sigma).apply(clean, 0)
    reference, before = (rgb(converter, stored(converter, clip)) for clip in (clean, noisy))
    found = [255 * float(luma(reference).std())]
    planes = stored(converter, noisy)
    after = [rgb(converter, restored(planes, converter, restorer, told)) for told in (sigma, None)]
    for clip in (before, *after):
        found.append(score_clip(reference, clip, with_ssim=False).psnr_db or 0.0)
    return tuple(found)


def stored(converter: PlaneConverter, clip: Clip) -> list[Tensor]:
    """RGB (T, H, W, 3) as planes of ten bits, in limited range."""
    black = [
        torch.full((len(clip), *shape), code, dtype=torch.uint16)
        for code, shape in zip((64, 512, 512), converter.shapes_px, strict=True)
    ]
    pictures = torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2)
    return converter.add_residual(black, pictures)


def rgb(converter: PlaneConverter, planes: list[Tensor]) -> Clip:
    return converter.to_rgb(planes).permute(0, 2, 3, 1).numpy()


def restored(
    planes: list[Tensor], converter: PlaneConverter, restorer: Restorer, told: float | None
) -> list[Tensor]:
    """Planes of one shot, shorter than a window, as the pipeline restores them."""
    window = converter.to_rgb(planes)
    clip = window.permute(0, 2, 3, 1).numpy()
    sigma = noise_sigma(clip) if told is None else told
    levels = Levels(sigma, clipped=noise_is_clipped(clip, sigma))
    residual = restorer.residual(window, levels, steps=None).cpu()
    guard = DriftGuard(levels)
    for picture, change in zip(window, residual, strict=True):
        guard.hold(picture, change, shot=0)
    return converter.add_residual(planes, residual)


def ramp(task: str, weights: Path | None, folder: Path) -> dict[str, NDArray[np.float64]]:
    """Mean luma code of each column of a ramp: clean, with noise, and restored."""
    codes = np.repeat(np.arange(64, 941), 2)[:-1]
    clean = np.broadcast_to(codes, (8, 64, len(codes))).astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 0.5 * 4 * 219 / 255, clean.shape)
    noisy = np.rint(clean + noise).astype(np.uint16)
    source, target = folder / "ramp.mkv", folder / "ramp.restored.mkv"
    write_grey(source, noisy)
    restore(source, target, RestoreSettings((task,), encode=FFV1, weights=weights))
    reader = RgbReader(target, find_ffmpeg())
    made = np.stack([frame.planes[0] for frame in reader.frames()])
    cut_down = 64 + 4 * np.rint((clean - 64) / 4)
    clips = {"clean": clean, "clean, 8 bits": cut_down, "with noise": noisy, "restored": made}
    return {name: clip.mean((0, 1), dtype=np.float64) for name, clip in clips.items()}


def write_grey(path: Path, codes: NDArray[np.uint16]) -> None:
    """Store luma (T, H, W) of ten bits as video without colour or loss."""
    frames, height, width = codes.shape
    tags = ["-color_range", "tv", "-colorspace", "bt709"]
    raw = ["-f", "rawvideo", "-pix_fmt", PIX_FMT, "-s", f"{width}x{height}", "-r", "25", *tags]
    argv = [find_ffmpeg(), *raw, "-i", "pipe:0", "-c:v", "ffv1", *tags, media_url(path)]
    grey = np.full(2 * -(-height // 2) * -(-width // 2), 512, np.uint16).tobytes()
    with FfmpegProcess(argv, stdin=True) as process:
        process.feed(codes[index].tobytes() + grey for index in range(frames))
        process.finish()


def banding(columns: NDArray[np.float64]) -> list[str]:
    """What bands would change of the columns' means."""
    columns = columns[BORDER_PX:-BORDER_PX]
    rounded = np.rint(columns)
    ends = np.flatnonzero(np.diff(rounded, prepend=np.nan, append=np.nan))
    step = np.abs(np.diff(columns)).max()
    return [str(len(np.unique(rounded))), f"{step:.2f}", str(int(np.diff(ends).max()))]


if __name__ == "__main__":
    main()
