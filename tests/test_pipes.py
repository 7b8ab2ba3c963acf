"""Video from and into pipes: one pass, bounded memory, a stated look-ahead, a clean end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import pytest

from tests import media
from tests.conftest import SUBTITLES, Clips, chosen_ffmpeg, decode_all, run_ffmpeg
from vidrestore.cli import main
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import CheckError, InputError, OutputError, UsageError
from vidrestore.measure.compare import RgbReader
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.probe import probe
from vidrestore.media.timeline import Rate, Retiming
from vidrestore.media.tracks import Track, read_tracks
from vidrestore.runs.stream import StreamResult, restore_stream
from vidrestore.settings import RestoreSettings
from vidrestore.timing.cuts import label_shots
from vidrestore.timing.shots import FLASH_FRAMES

REPOSITORY = Path(__file__).parent.parent
WIDTH, HEIGHT = 64, 48
PATIENCE_S = 120
SAME = {"strength": 0.0, "sigma": 5.0}
UNTOUCHED: dict[str, Any] = {"tasks": ()}
LOSSLESS = EncodeSettings(codec="ffv1")


@pytest.fixture(params=["bundled", "old"])
def any_ffmpeg(request: pytest.FixtureRequest, ffmpeg: str) -> str:
    return chosen_ffmpeg(request.param, ffmpeg)


def through(
    source: Path, output: Path, container: str = "matroska", **settings: Any
) -> StreamResult:
    """From a pipe into a pipe; files that are read and written from front to back stand in."""
    with source.open("rb", buffering=0) as stdin, output.open("wb", buffering=0) as stdout:
        return restore_stream(stdin, stdout, RestoreSettings(**settings), container=container)


def packets(path: Path, index: int) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(container.streams[index]) if p.size]


def assert_same_sound(before: list[bytes], after: list[bytes]) -> None:
    """A broadcast's packets of AAC begin with seven bytes that other containers hold apart."""
    assert len(after) == len(before) > 10
    assert all(old.endswith(new) and len(old) - len(new) in {0, 7}
               for old, new in zip(before, after, strict=True))  # fmt: skip


def assert_same_frames(before: list[Frame], after: list[Frame]) -> None:
    assert len(after) == len(before) > 0
    for old, new in zip(before, after, strict=True):
        for plane, other in zip(old.planes, new.planes, strict=True):
            np.testing.assert_array_equal(plane, other)


def streamable(clips: Clips, name: str, *options: str) -> Path:
    """The plain clip in another container."""
    path = clips.folder / f"streamable-{name}"
    if not path.exists():
        run_ffmpeg(clips.ffmpeg, "-i", clips.plain, "-map", "0", "-c", "copy", *options, path)
    return path


STREAMABLE = {
    "a.mkv": (), "a.ts": (), "a.nut": (), "a.flv": (),
    "fast.mp4": ("-movflags", "+faststart"),
    "parts.mp4": ("-movflags", "+frag_keyframe+empty_moov"),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMABLE)
def test_every_streamable_container_passes_bit_exact_with_its_sound(
    clips: Clips, ffmpeg: str, tmp_path: Path, name: str
) -> None:
    source, output = streamable(clips, name, *STREAMABLE[name]), tmp_path / "out.mkv"
    result = through(source, output, encode=LOSSLESS, **SAME)
    assert_same_frames(decode_all(source, ffmpeg), decode_all(output, ffmpeg))
    assert result.losses == ()
    assert result.warnings == ()
    before, after = probe(source), probe(output)
    sounds = [next(s.index for s in i.streams if s.kind == "audio") for i in (before, after)]
    assert_same_sound(packets(source, sounds[0]), packets(output, sounds[1]))


@pytest.mark.parametrize("container", ["matroska", "nut", "mpegts", "y4m"])
def test_every_piped_container_can_be_read_again(
    clips: Clips, any_ffmpeg: str, tmp_path: Path, container: str
) -> None:
    source, output = streamable(clips, "a.mkv"), tmp_path / "out"
    settings = {"ffmpeg": any_ffmpeg, **UNTOUCHED}
    if container != "mpegts":
        settings["encode"] = LOSSLESS
    result = through(source, output, container, **settings)
    before, after = decode_all(source, any_ffmpeg), decode_all(output, any_ffmpeg)
    if container != "mpegts":
        assert_same_frames(before, after)
    old, new = probe(source), probe(output)
    times = [
        [float(f.pts * i.time_base - i.start_pts * i.time_base) for f in frames]
        for frames, i in ((before, old), (after, new))
    ]
    np.testing.assert_allclose(times[1], times[0], atol=0.0011)
    told = {loss.subject for loss in result.losses}
    assert ("stream 1" in told) == (container == "y4m")
    for name in ("range", "matrix", "primaries", "transfer"):
        kept = getattr(new.colour, name) == getattr(old.colour, name)
        assert kept != (f"colour {name}" in told), name


def test_streams_tags_and_chapters_come_along(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    result = through(clips.rich, output, **UNTOUCHED)
    assert result.losses == ()
    before, after = probe(clips.rich), probe(output)
    kept = [(s.kind, s.codec, s.language, s.dispositions) for s in after.streams]
    assert kept == [(s.kind, s.codec, s.language, s.dispositions) for s in before.streams]
    for index in (1, 2, 3):
        assert packets(output, index) == packets(clips.rich, index)
    with av.open(str(clips.rich)) as old, av.open(str(output)) as new:
        assert new.metadata["title"] == old.metadata["title"] == "Holiday"
        assert new.streams[2].metadata["title"] == "Commentary"
        assert [c["metadata"] for c in new.chapters()] == [c["metadata"] for c in old.chapters()]
        assert bytes(new.streams[4].data) == bytes(range(256)) * 4


def test_orientation_and_pixel_shape_come_along(clips: Clips, tmp_path: Path) -> None:
    for name, whole in (("turned", clips.rotated), ("mirror", clips.mirrored),
                        ("wide", clips.anamorphic)):  # fmt: skip
        source, output = tmp_path / f"{name}.mp4", tmp_path / f"{name}.mkv"
        run_ffmpeg(clips.ffmpeg, "-i", whole, "-c", "copy", "-movflags", "+faststart", source)
        through(source, output, **UNTOUCHED)
        before, after = probe(source), probe(output)
        assert after.sar == before.sar
        assert (after.rotation_deg, after.mirrored) == (before.rotation_deg, before.mirrored), name


def test_variable_times_survive_and_y4m_refuses_them(clips: Clips, tmp_path: Path) -> None:
    source = tmp_path / "vfr.mp4"
    run_ffmpeg(clips.ffmpeg, "-i", clips.vfr, "-c", "copy", "-movflags", "+faststart", source)
    output = tmp_path / "out.nut"
    through(source, output, "nut", **UNTOUCHED)
    seconds = []
    for path in (source, output):
        info = probe(path)
        seconds.append([f.pts * info.time_base for f in decode_all(path, clips.ffmpeg)])
    late_s = seconds[1][0] - seconds[0][0]  # NUT holds no decode times below 0
    assert [second - late_s for second in seconds[1]] == seconds[0]
    with pytest.raises(UsageError, match="constant rate") as caught:
        through(source, tmp_path / "out.y4m", "y4m", **UNTOUCHED)
    assert "--cfr" in str(caught.value.hint)
    through(source, tmp_path / "even.y4m", "y4m", retiming=Retiming(cfr=Fraction(25)), **UNTOUCHED)
    assert probe(tmp_path / "even.y4m").frame_rate == 25


def test_a_pipe_becomes_a_whole_file_under_its_name(clips: Clips, tmp_path: Path) -> None:
    source, output = streamable(clips, "a.ts"), tmp_path / "out.mp4"
    with source.open("rb", buffering=0) as stdin:
        result = restore_stream(stdin, output, RestoreSettings(**UNTOUCHED))
    assert list(tmp_path.iterdir()) == [output]
    after = probe(output)
    assert after.frames == result.frames == 24
    assert float(after.duration_s or 0) == pytest.approx(1, abs=0.03)
    assert_same_sound(packets(source, 1), packets(output, 1))
    with source.open("rb", buffering=0) as stdin, pytest.raises(OutputError, match="exists"):
        restore_stream(stdin, output, RestoreSettings(**UNTOUCHED))


@pytest.mark.parametrize(
    ("suffix", "harm", "said"),
    [
        (".mkv", "frame", "24 frames went in, 23 came out"),
        (".mkv", "sound", "packets, "),
        (".mp4", "late", "frame 5 is at"),
        (".y4m", "frame", "24 frames went in, 23 came out"),
    ],
)
def test_a_file_that_lacks_what_was_sent_never_gets_its_name(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, harm: str, said: str
) -> None:
    whole = read_tracks

    def harmed(url: str, options: Mapping[str, str]) -> list[Track]:
        tracks = whole(url, options)
        number = int(harm == "sound")
        if harm == "late":
            tracks[0].pts[list(tracks[0].pts).index(tracks[0].shown()[5])] += round(
                Fraction(1, 500) / tracks[0].tick
            )
        else:
            tracks[number].pts.pop()
        return tracks

    monkeypatch.setattr("vidrestore.media.ledger.read_tracks", harmed)
    source = streamable(clips, "a.mkv")
    with source.open("rb", buffering=0) as stdin, pytest.raises(CheckError, match=said):
        restore_stream(stdin, tmp_path / f"out{suffix}", RestoreSettings(**UNTOUCHED))
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_becomes_y4m_but_no_images(clips: Clips, ffmpeg: str, tmp_path: Path) -> None:
    source, output = streamable(clips, "a.mkv"), tmp_path / "out.y4m"
    with source.open("rb", buffering=0) as stdin:
        restore_stream(stdin, output, RestoreSettings(**UNTOUCHED))
    assert_same_frames(decode_all(source, ffmpeg), decode_all(output, ffmpeg))
    with source.open("rb", buffering=0) as stdin, pytest.raises(UsageError, match="images"):
        restore_stream(stdin, tmp_path / "frames" / "%03d.png", RestoreSettings(**UNTOUCHED))


@pytest.mark.parametrize("source", [media.cover, media.pgs_subtitles, media.surround])
@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_every_kind_of_stream_passes_the_check(
    clips: Clips, tmp_path: Path, source: Callable[[Clips], Path], suffix: str
) -> None:
    path = source(clips)
    result = restore_stream(path, tmp_path / f"out{suffix}", RestoreSettings(**UNTOUCHED))
    lost = {loss.subject for loss in result.losses}
    kept = [s.kind for s in probe(path).streams if f"stream {s.index}" not in lost]
    assert [s.kind for s in probe(tmp_path / f"out{suffix}").streams][: len(kept)] == kept


def test_a_file_goes_into_a_pipe_and_can_be_cut(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    settings = RestoreSettings(start=Fraction(1, 4), end=Fraction(3, 4), **UNTOUCHED)
    with output.open("wb", buffering=0) as stdout:
        result = restore_stream(clips.plain, stdout, settings)
    assert result.frames == 12
    with av.open(str(output)) as container:
        assert container.streams.video[0].start_time in {0, None}
        sound = [p.pts * p.time_base for p in container.demux(audio=0) if p.size]
    assert 0 <= sound[0] < 0.03
    assert 0.45 < sound[-1] < 0.51


def test_fields_in_a_pipe_become_frames(clips: Clips, tmp_path: Path) -> None:
    source, output = media.interlaced_h264(clips), tmp_path / "out.mkv"
    through(source, output, encode=LOSSLESS, **UNTOUCHED)
    whole = RgbReader(source, clips.ffmpeg, deinterlace="auto")
    assert whole.fields is not None
    assert whole.fields.done == "deinterlaced"
    assert_same_frames(list(whole.frames()), decode_all(output, clips.ffmpeg))
    assert not probe(output).interlaced


def test_more_frames_are_made_in_a_pipe(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    retiming = Retiming(fps=Rate(Fraction(2), relative=True))
    result = through(
        streamable(clips, "a.mkv"), output, retiming=retiming, latency="low", **UNTOUCHED
    )
    assert result.frames == len(decode_all(output, clips.ffmpeg)) == 48
    assert result.made_frames == 24
    assert probe(output).frame_rate == 48


def test_filters_and_formats_work_in_a_pipe(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    encode = EncodeSettings(codec="ffv1", post="scale=48:32", pix_fmt="yuv444p")
    through(streamable(clips, "a.mkv"), output, encode=encode, **UNTOUCHED)
    after = probe(output)
    assert (after.width, after.height, after.pix_fmt) == (48, 32, "yuv444p")


@pytest.mark.parametrize(
    ("name", "said"),
    [("plain", "faststart"), ("text", "Matroska"), ("empty", "failed"), ("audio_only", "video")],
)
def test_what_cannot_be_streamed_says_what_can(
    clips: Clips, tmp_path: Path, name: str, said: str
) -> None:
    source: Path = getattr(clips, name)
    if name == "audio_only":
        source = tmp_path / "sound.mkv"
        run_ffmpeg(clips.ffmpeg, "-i", clips.audio_only, "-c", "copy", source)
    with pytest.raises(InputError) as caught:
        through(source, tmp_path / "out.mkv", **UNTOUCHED)
    assert said in str(caught.value.hint)


@pytest.mark.parametrize("name", ["truncated_mkv", "truncated_ts", "truncated"])
def test_a_pipe_that_breaks_off_is_restored_as_far_as_it_goes(
    clips: Clips, tmp_path: Path, name: str
) -> None:
    source, output = getattr(clips, name), tmp_path / "out.mkv"
    result = through(source, output, **UNTOUCHED)
    assert 4 < result.frames < 24
    assert len(decode_all(output, clips.ffmpeg)) == result.frames


def test_silent_subtitles_hold_nothing_up(clips: Clips, tmp_path: Path) -> None:
    """The next line of subtitles may be minutes away: the picture must not wait for it."""
    lines, source = tmp_path / "late.srt", tmp_path / "late.mkv"
    lines.write_text(SUBTITLES.replace("00:00:00,500", "00:00:08,000"))
    run_ffmpeg(
        clips.ffmpeg, *Clips.picture(frames=240), "-i", lines,
        "-c:v", "libx264", "-preset", "ultrafast", "-c:s", "srt", source,
    )  # fmt: skip
    seen: list[int] = []
    with _Tunnel(latency="low", container="nut", **UNTOUCHED) as tunnel:
        content = source.read_bytes()
        tunnel.feed(content[: len(content) // 2])
        with av.open(tunnel.out, format="nut") as output:
            for packet in output.demux(video=0):
                seen.append(packet.size)
                if len(seen) == 60:  # of about 120 that were fed, 10 s before the next line
                    break
    assert len(seen) == 60


class _Tunnel:
    """A running restore_stream with a pipe on either side."""

    def __init__(self, *, container: str, **settings: Any) -> None:
        there, self._in = os.pipe()
        out, back = os.pipe()
        self.out = os.fdopen(out, "rb", buffering=0)
        self.result: StreamResult | None = None
        self.error: BaseException | None = None

        def run() -> None:
            try:
                with (
                    os.fdopen(there, "rb", buffering=0) as stdin,
                    os.fdopen(back, "wb", buffering=0) as stdout,
                ):
                    self.result = restore_stream(
                        stdin, stdout, RestoreSettings(**settings), container=container
                    )
            except BaseException as error:
                self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def feed(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._in, left) :]

    def end(self) -> None:
        if self._in >= 0:
            os.close(self._in)
        self._in = -1

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "restore_stream never ended"

    def __enter__(self) -> _Tunnel:
        return self

    def __exit__(self, *_: object) -> None:
        self.out.close()
        self.end()
        self.join()


def raw_frame(number: int) -> bytes:
    """A Y4M frame of a square that moves, with a little noise."""
    luma = np.random.default_rng(number).integers(60, 66, (HEIGHT, WIDTH), np.uint8)
    left = 3 * number % 40
    luma[10:30, left : left + 16] += 100
    return b"FRAME\n" + luma.tobytes() + bytes([128]) * (WIDTH * HEIGHT // 2)


HEADER = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip A1:1 C420jpeg\n".encode()


class _Counter:
    """Counts the frames of a Y4M stream as they arrive."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.frames = 0
        self._changed = threading.Condition()
        self._pipe = pipe
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        got = 0
        header: int | None = None
        size = len(raw_frame(0))
        while chunk := self._pipe.read(1 << 16):
            if header is None:
                header = chunk.index(b"\n") + 1
            got += len(chunk)
            with self._changed:
                self.frames = (got - header) // size
                self._changed.notify_all()

    def wait_for(self, frames: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.frames >= frames, PATIENCE_S)


LOOKAHEADS = {
    "low": ({"latency": "low", **SAME}, 1),
    "normal": ({"latency": "normal", **SAME}, 1),
    "given cuts": ({"latency": "low", "cuts": "CUTS", **SAME}, 1),
    "twice": ({"latency": "low", "retiming": Retiming(fps=Rate(Fraction(2), relative=True)),
               **UNTOUCHED}, 2),
}  # fmt: skip


@pytest.mark.parametrize("case", LOOKAHEADS)
def test_a_frame_comes_out_after_the_look_ahead_that_is_stated(
    case: str, any_ffmpeg: str, tmp_path: Path
) -> None:
    """Through the whole program: no frame is fed before those that are due have come out."""
    settings, ratio = LOOKAHEADS[case]
    if "cuts" in settings:
        cuts = tmp_path / "cuts.csv"
        cuts.write_text("Start Time (seconds)\n0.0\n")
        settings = {**settings, "cuts": cuts}
    stated = {"low": 15, "normal": 43, "given cuts": 11, "twice": 17}[case]
    frames = stated + 20
    with _Tunnel(container="y4m", ffmpeg=any_ffmpeg, **settings) as tunnel:
        counter = _Counter(tunnel.out)
        tunnel.feed(HEADER + b"".join(raw_frame(i) for i in range(stated)))
        for last in range(stated, frames):
            tunnel.feed(raw_frame(last))
            due = (last - stated) * ratio + 1
            assert counter.wait_for(due), (case, last, counter.frames, tunnel.error)
        tunnel.end()
        tunnel.join()
        assert tunnel.error is None
        assert tunnel.result is not None
        assert tunnel.result.lookahead_frames == stated
        assert tunnel.result.frames == frames * ratio


def test_low_latency_still_finds_cuts(clips: Clips, tmp_path: Path) -> None:
    source = tmp_path / "cut.mkv"
    graph = "testsrc=s=96x64:r=24:d=1[a];mandelbrot=s=96x64:r=24,trim=end_frame=24[b];[a][b]concat"
    video = ("-pix_fmt", "yuv420p", "-c:v", "ffv1")
    run_ffmpeg(clips.ffmpeg, "-f", "lavfi", "-i", graph, *video, source)
    info = probe(source)
    with Decoder(info, ffmpeg=clips.ffmpeg) as decoder:
        shots = [f.shot for f in label_shots(decoder, info, ahead_frames=FLASH_FRAMES)]
    assert shots == [0] * 24 + [1] * 24


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "vidrestore", "restore", *map(str, arguments)]


def start(*arguments: str | Path, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(*arguments), cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True, **more,
    )  # fmt: skip


def nobody_left(process: subprocess.Popen[bytes]) -> bool:
    """Whether every process of the session is gone."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def peak_kib(process: subprocess.Popen[bytes]) -> int:
    """Most memory that the process itself has held so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def test_memory_is_bounded_however_slow_the_reader(tmp_path: Path) -> None:
    """1,000 frames: 4.6 MB of raw video for each 1,000, of which no more than a few are held."""
    frames = 1000
    process = start("-", "-o", "-", "--format", "y4m", "--latency", "low", "-q", "--cfr", "25")
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout
    fed = 0

    def feed() -> None:
        nonlocal fed
        with stdin:
            stdin.write(HEADER)
            for number in range(frames):
                stdin.write(raw_frame(number))
                stdin.flush()
                fed = number + 1

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    size = len(raw_frame(0))
    stdout.readline()
    most_ahead = 0
    peaks = []
    for number in range(frames):
        assert len(stdout.read(size)) == size
        if number % 50 == 49:
            time.sleep(0.05)  # everything before us fills up meanwhile
            most_ahead = max(most_ahead, fed - number)
            peaks.append(peak_kib(process))
    assert stdout.read() == b""
    _, said = process.stdout, process.stderr.read() if process.stderr else b""
    assert process.wait(PATIENCE_S) == 0, said
    feeder.join(PATIENCE_S)
    assert peaks[-1] - peaks[3] < 24 * 1024, peaks
    # Look-ahead, queues, and what the pipes of the system and buffers of programs hold.
    assert most_ahead < frames // 4
    assert nobody_left(process)


@pytest.mark.parametrize("container", ["matroska", "y4m"])
def test_a_reader_that_leaves_ends_everything_quietly(container: str) -> None:
    process = start("-", "-o", "-", "--format", container, "--latency", "low", "--cfr", "25")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(HEADER + b"".join(raw_frame(i) for i in range(60)))
    process.stdin.flush()
    process.stdout.read(1000)
    process.stdout.close()
    with suppress(BrokenPipeError):
        while process.poll() is None:  # as a live source, which never ends by itself
            process.stdin.write(raw_frame(0))
            process.stdin.flush()
            time.sleep(0.01)
    assert process.wait(PATIENCE_S) == 141
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert "Traceback" not in said
    assert "error" not in said
    assert nobody_left(process)
    with suppress(BrokenPipeError):
        process.stdin.close()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_stream_that_waits_for_input(
    sent: signal.Signals, code: int, tmp_path: Path
) -> None:
    process = start("-", "-o", "-", "--format", "y4m", "--latency", "low", "--cfr", "25")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(HEADER + b"".join(raw_frame(i) for i in range(40)))
    process.stdin.flush()
    process.stdout.read(1000)
    process.send_signal(sent)  # nothing comes any more, and the pipe stays open
    assert process.wait(PATIENCE_S) == code
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read().decode()
    assert nobody_left(process)
    process.stdin.close()


REFUSED = {
    "json into a pipe": (["-", "-o", "-", "--json"], "--report"),
    "no output": (["-"], "-o -"),
    "fill": (["-", "-o", "-", "--fill"], "files"),
    "reference": (["-", "-o", "out.mkv", "--reference", "-"], "files"),
    "self-test": (["-", "-o", "-", "--self-test"], "files"),
    "compare": (["-", "-o", "-", "--compare", "both.mp4"], "files"),
    "slow": (["-", "-o", "-", "--slow", "2x"], "files"),
    "unknown container": (["-", "-o", "-", "--format", "mp4"], "matroska"),
    "latency of a file": (["in.mkv", "-o", "out.mkv", "--latency", "low"], "leave it out"),
    "format of a file": (["-", "-o", "out.mkv", "--format", "nut"], "name of a file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_pipe_cannot_do_is_refused_with_a_remedy(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, hint = REFUSED[case]
    with pytest.raises(SystemExit) as caught:
        main(["restore", *arguments])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert hint in captured.err
    assert captured.err.startswith("error: ")


def test_the_command_line_pipes_and_reports(clips: Clips, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    source = streamable(clips, "a.mkv")
    done = subprocess.run(
        command("-", "-o", "-", "--report", report, "--strength", "0", "--codec", "ffv1"),
        cwd=REPOSITORY, input=source.read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    output = tmp_path / "out.mkv"
    output.write_bytes(done.stdout)
    assert_same_frames(decode_all(source, clips.ffmpeg), decode_all(output, clips.ffmpeg))
    assert b"24 frames" in done.stderr
    document = json.loads(report.read_text())
    assert document["schema"] == "vidrestore.stream/1"
    assert document["settings"]["lookahead_frames"] == 43
    assert document["output"]["frames"] == 24
