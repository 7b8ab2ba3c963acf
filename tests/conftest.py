"""Small real clips, each made by the bundled ffmpeg the first time a test asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg
from vidrestore.media.probe import probe

OLD_FFMPEG = Path("/usr/bin/ffmpeg")
TAGGED = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"

SUBTITLES = """1
00:00:00,100 --> 00:00:00,400
first line

2
00:00:00,500 --> 00:00:00,900
second line
"""

CHAPTERS = """;FFMETADATA1
title=Holiday
[CHAPTER]
TIMEBASE=1/1000
START=0
END=500
title=Morning
[CHAPTER]
TIMEBASE=1/1000
START=500
END=1000
title=Evening
"""


def run_ffmpeg(ffmpeg: str, *arguments: str | Path) -> None:
    """Run ffmpeg to its end; an error fails the test."""
    with FfmpegProcess([ffmpeg, *map(str, arguments)]) as process:
        process.finish()


def decode_all(path: Path, ffmpeg: str) -> list[Frame]:
    with Decoder(probe(path), ffmpeg=ffmpeg) as decoder:
        return list(decoder)


def chosen_ffmpeg(which: str, bundled: str) -> str:
    """The bundled ffmpeg, or the system's older one if `which` is anything but "bundled"."""
    if which == "bundled":
        return bundled
    if not OLD_FFMPEG.exists():
        pytest.skip(f"there is no {OLD_FFMPEG}")
    return str(OLD_FFMPEG)


@dataclass(frozen=True)
class Clips:
    """Paths of the clips; every property makes its file once in a session."""

    folder: Path
    ffmpeg: str

    def make(self, name: str, *arguments: str | Path, source: Sequence[str] = ()) -> Path:
        """Encode a moving test picture, or `source`, into a file."""
        path = self.folder / name
        given = source or self.tagged()
        run_ffmpeg(self.ffmpeg, *given, *arguments, path)
        return path

    @staticmethod
    def picture(size: str = "96x64", rate: str = "24", frames: int = 24) -> list[str]:
        """Arguments for a noisy RGB picture; testsrc keeps odd sizes, testsrc2 rounds them."""
        picture = f"testsrc=size={size}:rate={rate},noise=alls=12:allf=t:all_seed=7"
        return ["-f", "lavfi", "-i", f"{picture},trim=end_frame={frames}"]

    @classmethod
    def tagged(cls, rate: str = "24", pix_fmt: str = "yuv420p") -> list[str]:
        """Arguments for the same picture in YUV, tagged as BT.709 in limited range."""
        *options, graph = cls.picture(rate=rate)
        return [*options, f"{graph},format={pix_fmt},{TAGGED}"]

    @staticmethod
    def tone(duration_s: float = 1.0, rate_hz: int = 48000, pitch_hz: int = 440) -> list[str]:
        return ["-f", "lavfi", "-i", f"sine=f={pitch_hz}:r={rate_hz}:d={duration_s}"]

    @cached_property
    def plain(self) -> Path:
        """MP4, H.264 with B-frames, BT.709, one AAC track with priming."""
        video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "3")
        return self.make("plain.mp4", *self.tone(), *video, "-c:a", "aac")

    @cached_property
    def ntsc(self) -> Path:
        """MP4 at 30000/1001, with sound that starts a third of a second late."""
        video = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
        late = ("-itsoffset", "0.35", *self.tone(rate_hz=44100))
        return self.make(
            "ntsc.mp4", *late, *video, "-c:a", "aac", source=self.tagged(rate="30000/1001")
        )

    @cached_property
    def vfr(self) -> Path:
        """MP4 in 1/90000 whose frames lie irregularly, B-frames, first frame at 0."""
        times = "settb=1/90000,setpts='N*3000+N*N*37+mod(N,3)*411'"
        timing = ("-vf", times, "-fps_mode", "passthrough", "-enc_time_base", "1/90000")
        video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "3", "-g", "10")
        return self.make("vfr.mp4", *self.tone(), *timing, *video, "-c:a", "aac")

    @cached_property
    def ten_bit(self) -> Path:
        """MP4, HEVC 10-bit 4:2:0, chroma sited top left."""
        video = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le")
        located = ("-x265-params", "log-level=error:chromaloc=2")
        return self.make("ten.mp4", *video, *located, source=self.tagged(pix_fmt="yuv420p10le"))

    @cached_property
    def full_range(self) -> Path:
        """Motion JPEG in AVI: full range, chroma sited in the centre."""
        video = ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "3")
        return self.make("full.avi", *video, source=self.picture())

    @cached_property
    def odd(self) -> Path:
        """FFV1 of 67x35 in 4:2:0."""
        video = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
        return self.make("odd.mkv", *video, source=self.picture("67x35", frames=6))

    def lossless(self, pix_fmt: str) -> Path:
        """FFV1 in Matroska, 6 frames, of the pixel format given."""
        path = self.folder / f"{pix_fmt}.mkv"
        if path.exists():
            return path
        video = ("-c:v", "ffv1", "-pix_fmt", pix_fmt)
        return self.make(path.name, *video, source=self.picture(frames=6))

    def raw(self, pix_fmt: str) -> Path:
        """Raw video in NUT, 3 frames, of the pixel format given."""
        path = self.folder / f"raw-{pix_fmt}.nut"
        if path.exists():
            return path
        video = ("-c:v", "rawvideo", "-pix_fmt", pix_fmt)
        return self.make(path.name, *video, source=self.picture(frames=3))

    @cached_property
    def rich(self) -> Path:
        """Matroska with two languages of sound, subtitles, chapters, a font and a title."""
        subtitles = self.folder / "lines.srt"
        subtitles.write_text(SUBTITLES)
        chapters = self.folder / "chapters.txt"
        chapters.write_text(CHAPTERS)
        font = self.folder / "letters.ttf"
        font.write_bytes(bytes(range(256)) * 4)
        sounds = [*self.tone(), *self.tone(pitch_hz=660)]
        inputs = [*sounds, "-i", str(subtitles), "-i", str(chapters)]
        maps = ("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map_metadata", "4")
        codecs = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-c:s", "srt")
        named = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra"]
        named += ["-metadata:s:a:1", "title=Commentary", "-disposition:a:1", "comment"]
        named += ["-metadata:s:s:0", "language=deu", "-disposition:s:0", "forced"]
        attached = ("-attach", str(font), "-metadata:s:t", "mimetype=font/ttf")
        return self.make("rich.mkv", *inputs, *maps, *codecs, *named, *attached)

    @cached_property
    def sound_first(self) -> Path:
        """MP4 whose first stream is the sound, as some cameras write."""
        path = self.folder / "sound-first.mp4"
        maps = ("-map", "0:1", "-map", "0:0", "-c", "copy", "-metadata:s:a", "language=jpn")
        run_ffmpeg(self.ffmpeg, "-i", self.plain, *maps, path)
        return path

    @cached_property
    def rotated(self) -> Path:
        """MP4 with a display matrix of 90 degrees, as phones write."""
        path = self.folder / "rotated.mp4"
        run_ffmpeg(self.ffmpeg, "-display_rotation", "90", "-i", self.plain, "-c", "copy", path)
        return path

    @cached_property
    def mirrored(self) -> Path:
        """MP4 that is shown turned and mirrored."""
        path = self.folder / "mirrored.mp4"
        turned = ("-display_rotation", "90", "-display_hflip")
        run_ffmpeg(self.ffmpeg, *turned, "-i", self.plain, "-c", "copy", path)
        return path

    @cached_property
    def anamorphic(self) -> Path:
        """Matroska with pixels of 4:3."""
        video = ("-vf", "setsar=4/3", "-c:v", "libx264", "-pix_fmt", "yuv420p")
        return self.make("wide.mkv", *video)

    @cached_property
    def broadcast(self) -> Path:
        """MPEG-TS whose clock starts at one hour."""
        path = self.folder / "broadcast.ts"
        late = ("-output_ts_offset", "3600")
        run_ffmpeg(self.ffmpeg, "-i", self.plain, "-map", "0", "-c", "copy", *late, path)
        return path

    @cached_property
    def interlaced(self) -> Path:
        """MPEG-2, bottom field first."""
        fields = ("-vf", "setfield=bff", "-flags", "+ilme+ildct")
        return self.make("fields.mpg", *fields, "-c:v", "mpeg2video", "-pix_fmt", "yuv420p")

    @cached_property
    def timecode(self) -> Path:
        """MOV with a timecode track."""
        video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-timecode", "01:00:00:00")
        return self.make("timecode.mov", *self.tone(), *video, "-c:a", "aac")

    @cached_property
    def images(self) -> Path:
        """Folder of 8 PNG images numbered from 5, with a percent sign in its name."""
        folder = self.folder / "50% grey"
        folder.mkdir()
        run_ffmpeg(
            self.ffmpeg, *self.picture(frames=8), "-start_number", "5",
            f"{str(folder).replace('%', '%%')}/shot_%04d.png",
        )  # fmt: skip
        return folder

    @cached_property
    def truncated(self) -> Path:
        """MP4 with its index in front, cut off after two thirds."""
        whole = self.folder / "whole.mp4"
        fast = ("-c", "copy", "-movflags", "+faststart")
        run_ffmpeg(self.ffmpeg, "-i", self.plain, *fast, whole)
        return self._cut(whole, "truncated.mp4")

    @cached_property
    def truncated_mkv(self) -> Path:
        """Matroska cut off after two thirds."""
        whole = self.folder / "whole.mkv"
        run_ffmpeg(self.ffmpeg, "-i", self.plain, "-c", "copy", whole)
        return self._cut(whole, "truncated.mkv")

    @cached_property
    def truncated_ts(self) -> Path:
        """MPEG-TS cut off after two thirds."""
        return self._cut(self.broadcast, "truncated.ts")

    @cached_property
    def without_index(self) -> Path:
        """MP4 cut off before its index, which is at the end."""
        return self._cut(self.plain, "without-index.mp4")

    def _cut(self, whole: Path, name: str) -> Path:
        path = self.folder / name
        content = whole.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
        return path

    @cached_property
    def audio_only(self) -> Path:
        return self.make("sound.m4a", "-c:a", "aac", source=self.tone())

    @cached_property
    def text(self) -> Path:
        path = self.folder / "text.mp4"
        path.write_text("Dear diary, this is not a video.\n" * 20)
        return path

    @cached_property
    def empty(self) -> Path:
        path = self.folder / "empty.mp4"
        path.touch()
        return path


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    return find_ffmpeg()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, ffmpeg: str) -> Clips:
    return Clips(tmp_path_factory.mktemp("clips"), ffmpeg)
