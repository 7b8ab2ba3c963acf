"""The before/after video."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import Clips, run_ffmpeg
from vidrestore.errors import OutputError
from vidrestore.measure.compare import RgbReader
from vidrestore.runs import split
from vidrestore.runs.split import LINE_PX, write_split


def readers(clips: Clips, after: Path, folder: Path) -> tuple[RgbReader, RgbReader]:
    """The input, much darker, and the result."""
    before = folder / "before.mkv"
    dark = ("-map", "0:v", "-vf", "lutyuv=y=16+(val-16)/3", "-c:v", "ffv1")
    run_ffmpeg(clips.ffmpeg, "-i", after, *dark, before)
    return RgbReader(before, clips.ffmpeg), RgbReader(after, clips.ffmpeg)


def rgb_of(reader: RgbReader) -> np.ndarray:
    return np.stack([reader.rgb(frame) for frame in reader.frames()])


@pytest.mark.parametrize("name", ["plain", "ten_bit", "ntsc"])
def test_the_input_is_left_the_result_right_of_a_white_line(
    clips: Clips, tmp_path: Path, name: str
) -> None:
    before, after = readers(clips, getattr(clips, name), tmp_path)
    target = tmp_path / "split.mp4"
    write_split(before, after, target, overwrite=False, speed=Fraction(1))
    shown = rgb_of(RgbReader(target, clips.ffmpeg))
    old, new = rgb_of(before), rgb_of(after)
    assert shown.shape == new.shape
    middle = shown.shape[2] // 2
    apart = 4  # chroma is shared by neighbours, and the encoder is not lossless
    left, right = np.s_[:, :, : middle - apart], np.s_[:, :, middle + apart :]
    assert np.abs(shown[left] - old[left]).mean() < 0.03
    assert np.abs(shown[right] - new[right]).mean() < 0.03
    assert np.abs(old[left] - new[left]).mean() > 0.1  # the two could be told apart
    line = shown[:, :, middle - LINE_PX // 2 : middle + LINE_PX // 2]
    assert line.mean() > 0.9


def test_it_has_the_timing_and_the_sound_of_the_result(clips: Clips, tmp_path: Path) -> None:
    before, after = readers(clips, clips.vfr, tmp_path)
    target = tmp_path / "split.mp4"
    write_split(before, after, target, overwrite=False, speed=Fraction(1))
    packets = []
    for path in (clips.vfr, target):
        with av.open(str(path)) as container:
            sound = [bytes(p) for p in container.demux(audio=0) if p.size]
        with av.open(str(path)) as container:
            times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
        packets.append((times, sound))
    assert packets[0] == packets[1]
    assert packets[0][1]


def test_odd_sizes_are_split_as_well(clips: Clips, tmp_path: Path) -> None:
    before, after = readers(clips, clips.odd, tmp_path)
    target = tmp_path / "split.mkv"
    write_split(before, after, target, overwrite=False, speed=Fraction(1))
    assert rgb_of(RgbReader(target, clips.ffmpeg)).shape == (6, 35, 67, 3)


def test_an_existing_file_is_kept_unless_told_otherwise(clips: Clips, tmp_path: Path) -> None:
    before, after = readers(clips, clips.plain, tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "split.mp4"
    target.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        write_split(before, after, target, overwrite=False, speed=Fraction(1))
    assert target.read_text() == "precious"
    assert list(folder.iterdir()) == [target]
    write_split(before, after, target, overwrite=True, speed=Fraction(1))
    assert rgb_of(RgbReader(target, clips.ffmpeg)).shape == (24, 64, 96, 3)
    assert list(folder.iterdir()) == [target]


def test_a_failure_half_way_leaves_nothing_behind(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = readers(clips, clips.plain, tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    draw, drawn = split._split, []

    def fail_at_ten(*arguments: object) -> object:
        drawn.append(None)
        if len(drawn) == 10:
            raise ZeroDivisionError
        return draw(*arguments)

    monkeypatch.setattr(split, "_split", fail_at_ten)
    with pytest.raises(ZeroDivisionError):
        write_split(before, after, folder / "split.mp4", overwrite=False, speed=Fraction(1))
    assert list(folder.iterdir()) == []
