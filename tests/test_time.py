"""Frame rates, slow motion, repair and cuts, through restore() on real files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import Clips, decode_all
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import InputError, UsageError, WeightsError
from vidrestore.media.timeline import Rate, Retiming
from vidrestore.network import weights
from vidrestore.network.model import ModelSpec, RestorationNet
from vidrestore.runs.pipeline import RestoreResult, restore
from vidrestore.settings import RestoreSettings
from vidrestore.timing.fill import CANDIDATES

LOSSLESS = EncodeSettings(codec="ffv1")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that leave every guess as it is, small enough to be quick."""
    net = RestorationNet(ModelSpec(channels=(8, 8, 8), candidates=CANDIDATES))
    folder = tmp_path_factory.mktemp("weights")
    return weights.save(net, folder, task="interpolate", size="test", card={})


def run(
    source: Path, output: Path, weights_path: Path, retiming: Retiming, **settings: object
) -> RestoreResult:
    asked = {"encode": LOSSLESS, "tasks": (), "weights": weights_path, **settings}
    return restore(source, output, RestoreSettings(retiming=retiming, **asked))  # type: ignore[arg-type]


def relative(value: str) -> Retiming:
    return Retiming(fps=Rate(Fraction(value), relative=True))


def audio_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.time_base is not None
        return [(p.pts * stream.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def times_s(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        return sorted(p.pts * stream.time_base for p in container.demux(stream) if p.size)


def close(found: Sequence[Fraction], wanted: Sequence[Fraction], tick_s: Fraction) -> bool:
    return len(found) == len(wanted) and all(
        abs(one - other) <= tick_s / 2 for one, other in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize(
    ("retiming", "rate"),
    [
        (relative("2"), Fraction(48)),
        (relative("2.5"), Fraction(60)),
        (Retiming(fps=Rate(Fraction(60000, 1001))), Fraction(60000, 1001)),
        (Retiming(fps=Rate(Fraction(20))), Fraction(20)),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_any_rate_with_exact_times_and_the_same_sound(
    clips: Clips, tmp_path: Path, untrained: Path, retiming: Retiming, rate: Fraction, suffix: str
) -> None:
    output = tmp_path / f"out{suffix}"
    encode = EncodeSettings(preset="ultrafast") if suffix == ".mp4" else LOSSLESS
    result = run(clips.plain, output, untrained, retiming, encode=encode)
    start_s = times_s(clips.plain)[0]
    count = -(-rate // 1)  # one second of video
    wanted = [start_s + i / rate for i in range(count)]
    tick_s = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 10**9)
    assert close(times_s(output), wanted, tick_s)
    assert result.frames == count == result.check.frames_planned
    assert result.check.audio[0].packets_in == result.check.audio[0].packets_out
    before, after = audio_packets(clips.plain), audio_packets(output)
    assert [data for _, data in after] == [data for _, data in before]


def test_frames_of_the_source_pass_unchanged(
    clips: Clips, ffmpeg: str, tmp_path: Path, untrained: Path
) -> None:
    output = tmp_path / "out.mkv"
    result = run(clips.plain, output, untrained, relative("2"))
    before, after = decode_all(clips.plain, ffmpeg), decode_all(output, ffmpeg)
    assert result.made_frames == len(before)
    for old, new in zip(before, after[::2], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old.planes, new.planes, strict=True))


def test_interpolate_alone_means_twice(clips: Clips, tmp_path: Path, untrained: Path) -> None:
    result = run(clips.plain, tmp_path / "out.mkv", untrained, Retiming(), tasks=("interpolate",))
    assert result.frames == 48


def test_variable_rates_stay_variable_when_doubled(
    clips: Clips, tmp_path: Path, untrained: Path
) -> None:
    output = tmp_path / "out.mp4"
    run(clips.vfr, output, untrained, relative("2"), encode=EncodeSettings(preset="ultrafast"))
    before, after = times_s(clips.vfr), times_s(output)
    assert after[::2] == before
    middles = [(a + b) / 2 for a, b in pairwise(before)]
    assert close(after[1:-1:2], middles, Fraction(1, 90000))


def test_constant_rate_of_a_variable_one(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    restore(
        clips.vfr,
        output,
        RestoreSettings(tasks=(), encode=LOSSLESS, retiming=Retiming(cfr=Fraction(25))),
    )
    times = times_s(output)
    assert close(times, [Fraction(i, 25) for i in range(len(times))], Fraction(1, 1000))


@pytest.mark.parametrize("sound", ["drop", "stretch"])
def test_slow_motion(clips: Clips, tmp_path: Path, untrained: Path, sound: str) -> None:
    output = tmp_path / "out.mkv"
    result = run(clips.plain, output, untrained, Retiming(slow=Fraction(2)), slow_audio=sound)
    assert result.frames == 48
    times = times_s(output)
    assert close(times, [times[0] + Fraction(i, 24) for i in range(48)], Fraction(1, 500))
    assert len(result.check.audio) == (sound == "stretch")


def test_frames_lost_from_the_timeline_are_made_anew(
    clips: Clips, ffmpeg: str, tmp_path: Path, untrained: Path
) -> None:
    source = clips.make(
        "holes.mkv",
        *("-vf", "select='not(eq(n,5)+between(n,10,12))'", "-fps_mode", "passthrough"),
        *("-c:v", "ffv1"),
    )
    output = tmp_path / "out.mkv"
    result = run(source, output, untrained, Retiming(), fill=True)
    assert result.damage is not None
    assert [interval.frames for interval in result.damage.intervals] == [1, 3]
    wanted = [Fraction(i, 24) for i in range(24)]
    assert close(times_s(output), wanted, Fraction(1, 500))
    assert result.made_frames == 4
    whole = {f.pts: f for f in decode_all(output, ffmpeg)}
    for frame in decode_all(source, ffmpeg):
        new = whole[frame.pts]
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, new.planes, strict=True))


def test_cuts_are_written_and_read(clips: Clips, tmp_path: Path, untrained: Path) -> None:
    source = clips.make(
        "cut.mkv", "-c:v", "ffv1",
        source=["-f", "lavfi", "-i", "testsrc=size=96x64:rate=24:duration=0.5",
                "-f", "lavfi", "-i", "mandelbrot=size=96x64:rate=24",
                "-filter_complex", "[1]trim=duration=0.5,format=rgb24[b];[0][b]concat=n=2"],
    )  # fmt: skip
    listed = tmp_path / "cuts.csv"
    found = run(source, tmp_path / "a.mkv", untrained, relative("2"), write_cuts=listed)
    assert [float(cut) for cut in found.cuts] == [0.5]
    given = run(source, tmp_path / "b.mkv", untrained, relative("2"), cuts=listed)
    assert given.cuts == found.cuts


def test_a_missing_list_of_cuts_is_an_input_error(
    clips: Clips, tmp_path: Path, untrained: Path
) -> None:
    with pytest.raises(InputError, match=r"missing\.csv"):
        run(clips.plain, tmp_path / "a.mkv", untrained, relative("2"), cuts=Path("missing.csv"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "retiming",
    [
        Retiming(fps=Rate(Fraction(10**6))),
        Retiming(fps=Rate(Fraction(0))),
        Retiming(fps=Rate(Fraction(60)), cfr=Fraction(60)),
        Retiming(fps=Rate(Fraction(65), relative=True)),
    ],
)
def test_rates_that_make_no_sense_are_refused(
    clips: Clips, tmp_path: Path, untrained: Path, retiming: Retiming
) -> None:
    with pytest.raises(UsageError) as caught:
        run(clips.plain, tmp_path / "out.mkv", untrained, retiming)
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_weights_for_another_task_are_refused(
    clips: Clips, tmp_path: Path, untrained: Path
) -> None:
    with pytest.raises(WeightsError, match="interpolate"):
        run(clips.plain, tmp_path / "out.mkv", untrained, Retiming(), tasks=("denoise",))
