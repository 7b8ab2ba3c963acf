"""Files that mean harm: bombs, references, and names that are anything but names."""

from __future__ import annotations

import ast
import json
import os
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from inspect import signature
from pathlib import Path
from typing import Any
from unittest import mock

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Clips, decode_all, run_ffmpeg
from tests.test_cli import run
from vidrestore import arguments
from vidrestore.errors import ExitCode, InputError, UsageError, VidrestoreError
from vidrestore.media import inspection
from vidrestore.media.ffmpeg import SAFE_INPUT, media_url
from vidrestore.media.inspection import inspect
from vidrestore.media.limits import Limits
from vidrestore.media.probe import probe
from vidrestore.media.timeline import Rate, Retiming, timeline

ROOT = Path(__file__).parent.parent
DOCUMENTED = {int(code) for code in ExitCode} - {int(ExitCode.UNEXPECTED)}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )  # fmt: skip


def png_bomb() -> bytes:
    """A PNG of 100 KB that claims 65535x65535 pixels, with rows that unpack well."""
    head = struct.pack(">IIBBBBB", 65535, 65535, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(20_000_000), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif_bomb() -> bytes:
    palette = struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6)
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + palette + picture * 3 + b"\x3b"


def jpeg_bomb(clips: Clips) -> bytes:
    """A JPEG whose frame header says 65500x65500."""
    path = clips.folder / "one.jpg"
    if not path.exists():
        clips.make(path.name, "-frames:v", "1", "-update", "1", source=clips.picture(frames=1))
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", 65500, 65500)
    return bytes(content)


BOMBS = {
    "bomb.png": lambda clips: png_bomb(),
    "bomb.gif": lambda clips: gif_bomb(),
    "bomb.jpg": jpeg_bomb,
    "bomb.y4m": lambda clips: b"YUV4MPEG2 W65535 H65535 F25:1 C420\nFRAME\n" + bytes(100_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_claims_huge_frames_is_refused(
    name: str, clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name](clips))
    assert path.stat().st_size < 110_000
    assert run("probe", path) == ExitCode.INPUT
    assert run("restore", path, "-o", tmp_path / "out.mp4") == ExitCode.INPUT
    assert re.fullmatch(r"(error: .*\(try: .*\)\n){2}", capsys.readouterr().err)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_bomb_that_is_let_in_by_its_size_stops_at_the_memory_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_bomb())
    with pytest.raises(InputError):
        inspect(path, limits=Limits(pixels=1 << 40, memory=512 << 20))


def test_limits_let_through_what_is_within_and_say_how_to_raise_them(clips: Clips) -> None:
    size_px = 96 * 64
    assert inspect(clips.plain, limits=Limits(pixels=size_px, streams=2)).width == 96
    with pytest.raises(InputError, match="96x64") as caught:
        inspect(clips.plain, limits=Limits(pixels=size_px - 1))
    assert f"pixels={size_px}" in str(caught.value.hint)
    with pytest.raises(InputError, match="2 streams") as caught:
        inspect(clips.plain, limits=Limits(streams=1))
    assert "streams=2" in str(caught.value.hint)


def test_the_limits_have_an_option(clips: Clips, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["probe"], ["restore", "-o", "nowhere.mp4"], ["compare", str(clips.plain)]):
        assert run(*command, clips.plain, "--limits", "streams=1") == ExitCode.INPUT
        assert "--limits streams=2" in capsys.readouterr().err
    assert run("probe", clips.plain, "--limits", "streams=1k,pixels=1M,memory=1G,seconds=60") == 0
    for wrong in ("streams", "bytes=3", "streams=-1", "memory=1k", "streams=0", ","):
        assert run("probe", clips.plain, "--limits", wrong) == ExitCode.USAGE


def test_what_the_other_process_found_is_what_this_one_finds(clips: Clips, tmp_path: Path) -> None:
    for path in (clips.rich, clips.ten_bit, clips.interlaced, clips.rotated, clips.images):
        assert inspect(path, Fraction(12)) == probe(path, Fraction(12))
    for path in (clips.text, clips.empty, clips.without_index, tmp_path / "none", tmp_path):
        raised = []
        for look in (probe, inspect):
            with pytest.raises(VidrestoreError) as caught:
                look(path)
            raised.append((type(caught.value), str(caught.value), caught.value.hint))
        assert raised[0] == raised[1]


def test_devices_and_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.mkv")
    for path in (tmp_path / "endless.mkv", Path("/dev/zero")):
        with pytest.raises(InputError, match="device or a pipe"):
            inspect(path)


HARM = {
    "crash": "os.kill(os.getpid(), signal.SIGSEGV)",
    "hang": "time.sleep(60)",
    "spin": "\n    while True: pass",
    "fill": "held = [bytearray(1 << 20) for _ in range(1 << 13)]",
    "flood": "os.write(1, b'x' * 100); os.kill(os.getpid(), 9)",
    "write": f"open({str(ROOT / 'harm.txt')!r}, 'w').write('x' * 9999)",
    "exit": "os._exit(0)",
}


@pytest.fixture
def harmful(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A server of its own for one test."""
    server = inspection._Server()
    monkeypatch.setattr(inspection, "_SERVER", server)
    yield monkeypatch
    server.close()


@pytest.mark.parametrize("harm", HARM)
def test_harm_done_while_looking_stays_there_and_is_one_line(
    harm: str, clips: Clips, harmful: pytest.MonkeyPatch
) -> None:
    look = f"def look(path, *_):\n  if 'plain' in path.name: {HARM[harm]}\n  return probe(path)\n"
    setup = f"import os, signal, time\nfrom vidrestore.media.probe import probe\n{look}"
    program = "import sys; sys.path[:] = sys.argv[1:]\nfrom vidrestore.media import inspection\n"
    program += f"exec({setup!r}); inspection.probe = look; inspection.serve()"
    harmful.setattr(inspection, "_PROGRAM", program)
    start_s = time.monotonic()
    with pytest.raises(InputError) as caught:
        inspect(clips.plain, limits=Limits(seconds=2, memory=512 << 20))
    assert time.monotonic() - start_s < 30
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert inspect(clips.odd).width == 67, "the next look must not suffer"
    (ROOT / "harm.txt").unlink(missing_ok=True)


def test_a_killed_server_is_started_again(clips: Clips, harmful: pytest.MonkeyPatch) -> None:
    assert inspect(clips.plain).width == 96
    process = inspection._SERVER._process
    assert process is not None
    process.kill()
    process.wait()
    assert inspect(clips.plain).width == 96


def test_who_looks_ends_with_us(tmp_path: Path, clips: Clips) -> None:
    program = (
        "import sys, time; from pathlib import Path; from vidrestore.media import inspection\n"
        f"inspection.inspect(Path({str(clips.plain)!r}))\n"
        "print(inspection._SERVER._process.pid, flush=True); time.sleep(60)"
    )
    ours = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert ours.stdout is not None
    group = int(ours.stdout.readline())
    ours.kill()
    ours.communicate()
    deadline_s = time.monotonic() + 20
    while (Path("/proc") / str(group)).exists():
        assert time.monotonic() < deadline_s, "it outlived us"
        time.sleep(0.02)


def references(folder: Path, clip: Path) -> dict[str, bytes]:
    """Files that hold nothing but the way to another file."""
    there = str(clip)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{there}\n#EXT-X-ENDLIST\n"
    kinds = '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
    dash = f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>{kinds}<BaseURL>'
    dash += f"{there}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    session = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    texts = {
        "hls.m3u8": playlist,
        "hls.mp4": playlist.replace(there, f"file:{there}"),
        "concat.txt": f"ffconcat version 1.0\nfile '{there}'\n",
        "concat.mkv": f"ffconcat version 1.0\nfile '{there}'\n",
        "dash.mpd": f'<?xml version="1.0"?>{dash}',
        "stream.sdp": f"{session}m=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "redirect.asx": f'<asx version="3.0"><entry><ref href="{there}"/></entry></asx>',
        "rtsptext.mov": f"RTSPtextRTSP://127.0.0.1/{there}",
    }
    return {name: text.encode() for name, text in texts.items()}


@pytest.mark.parametrize("name", [*references(Path(), Path())])
def test_a_file_that_names_another_is_refused(
    name: str, clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(references(tmp_path, clips.plain)[name])
    assert run("restore", path, "-o", tmp_path / "out.mkv") == ExitCode.INPUT
    assert capsys.readouterr().err.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "name",
    ["lavfi:testsrc", "subfile,,start,0,end,0,,:{clip}", "concat:{clip}|{clip}", "http://[::1]/a",
     "pipe:0", "fd:0", "data:video/mp4;base64,AAAA", "file:{clip}", "crypto:{clip}", "-i"],
)  # fmt: skip
def test_a_path_is_nothing_but_a_path(
    name: str, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run("probe", "--", name.format(clip=clips.plain)) == ExitCode.INPUT
    assert "no such file" in capsys.readouterr().err


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def with_reference(movie: bytes, there: str) -> bytes:
    """A movie whose video lies in another file, by a Macintosh alias."""
    path = there.encode()
    path += bytes(len(path) % 2)
    target = struct.pack(">HH", 2, len(path)) + path + b"\xff\xff\0\0"
    alias = bytes(10) + b"\0" + bytes(27 + 12) + b"\1x" + bytes(62 + 16) + b"\0\0\0\0" + bytes(16)
    dref = box(b"dref", bytes(4), struct.pack(">I", 1), box(b"alis", bytes(4), alias, target))

    def rebuilt(content: bytes) -> bytes:
        made, at = b"", 0
        while at < len(content):
            (size,) = struct.unpack(">I", content[at : at + 4])
            kind, inside = content[at + 4 : at + 8], content[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                made += box(kind, rebuilt(inside))
            elif kind == b"mdat":
                made += box(kind, bytes(len(inside)))
            else:
                made += dref if kind == b"dref" else content[at : at + size]
            at += size
        return made

    return rebuilt(movie)


def test_a_movie_whose_frames_lie_in_another_file_is_not_followed(
    clips: Clips, ffmpeg: str, tmp_path: Path
) -> None:
    movie, path = tmp_path / "whole.mov", tmp_path / "reference.mov"
    run_ffmpeg(ffmpeg, "-i", clips.plain, "-map", "0:v", "-c", "copy", movie)
    path.write_bytes(with_reference(movie.read_bytes(), str(movie)))
    followed = {**SAFE_INPUT, "enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(media_url(path), options=followed) as container:  # the reference is a true one
        assert sum(1 for _ in container.decode(video=0)) == 24
    with pytest.raises(InputError):
        inspect(path)
    with pytest.raises(InputError):
        decode_all(path, ffmpeg)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the package, with a name for messages."""
    for module in sorted((ROOT / "vidrestore").glob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call):
                yield f"{module.name}:{node.lineno}: {ast.unparse(node)}", node


def test_everything_is_opened_with_a_list_of_what_may_be_opened() -> None:
    """PyAV: options, or the format of our segments; ffmpeg: the source's options, or a pipe."""
    found = []
    for text, call in calls():
        name, words = ast.unparse(call.func), {word.arg for word in call.keywords}
        if name == "av.open":
            written = any(ast.unparse(word) == "'w'" for word in call.args[1:2])
            own = any(word.arg == "format" and "nut" in ast.unparse(word) for word in call.keywords)
            if not (written or own or "options" in words):
                found.append(text)
        elif name.endswith(("ffmpeg.input", "compose.input")):
            url = ast.unparse(call.args[0])
            starred = None in words  # the options of `VideoInfo.source`
            if url != "'pipe:0'" and not starred:
                found.append(text)
    own_output = [text for text in found if text.startswith("mux.py")]
    assert set(found) - set(own_output) == set()
    assert len(own_output) <= 1


def test_no_shell_is_ever_used() -> None:
    assert [text for text, call in calls() if any(w.arg == "shell" for w in call.keywords)] == []


NAMES = [
    b"-y.mp4",
    b"100%d %s.mp4",
    b"%05d.mp4",
    b"a\nb.mp4",
    b"q'\"[red].mp4",
    b"\xff\xfe.mp4",
    b":x: \x1b[31m.mp4",
    b"concat:a|b.mp4",
    b" lead.mp4",
    b"$(touch x);`y`.mp4",
]


@pytest.mark.parametrize("name", NAMES, ids=[repr(name)[2:-1] for name in NAMES])
def test_every_name_is_shown_safely(
    name: bytes, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = os.fsdecode(name)
    Path(given).write_bytes(clips.plain.read_bytes())
    assert run("probe", "--", given) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert run("probe", "--json", "--", given) == 0
    assert json.loads(capsys.readouterr().out)["input"]["path"] == given
    assert run("probe", "--", f"{given}.none") == ExitCode.INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert os.listdir(os.fsencode(tmp_path)) == [name]  # noqa: PTH208  # bytes are wanted


@pytest.mark.parametrize("name", [b"-y.mp4", b"%05d\n\xff'\".mp4"])
def test_every_name_is_safe_from_end_to_end(
    name: bytes, clips: Clips, ffmpeg: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given, made = Path(os.fsdecode(name)), Path(os.fsdecode(b"-o " + name))
    given.write_bytes(clips.plain.read_bytes())
    few = ("--end", "3", "--sigma", "5", "--codec", "ffv1", "-q")
    made = made.with_suffix(".mkv")
    assert run("restore", *few, f"--output={made}", "--", given) == 0
    assert len(decode_all(made, ffmpeg)) == 3
    assert run("compare", "--", given, made) == 0
    assert sorted(Path().iterdir()) == sorted([given, made])


def test_folders_of_images_may_have_any_name(clips: Clips, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"-50% %d\n\xff'")
    folder.mkdir()
    for image in clips.images.iterdir():
        (folder / os.fsdecode(b"%d-\xff" + os.fsencode(image.name))).write_bytes(image.read_bytes())
    output = tmp_path / "out.mkv"
    assert run("restore", folder, "-o", output, "--sigma", "5", "--codec", "ffv1", "-q") == 0
    assert inspect(output).frames == 8


def test_an_image_whose_name_is_a_pattern_stands_for_no_others(
    clips: Clips, tmp_path: Path
) -> None:
    first = min(clips.images.iterdir())
    (tmp_path / "shot_0001.png").write_bytes(first.read_bytes())
    pattern = tmp_path / "shot_%04d.png"
    pattern.write_text("not an image")
    with pytest.raises(InputError) as caught:
        inspect(pattern)
    assert "rename" in str(caught.value.hint)


def test_a_gap_of_years_is_not_filled() -> None:
    plan = timeline(Fraction(1, 1000), 0, Fraction(25), Retiming(cfr=Fraction(60)))
    assert len(plan.between(0, 1000)) == 60
    with pytest.raises(InputError, match="apart"):
        plan.between(0, 10**12)


PARSERS = {
    name: parser
    for name, parser in vars(arguments).items()
    if name.startswith("parse_") and name != "parse_tasks"
}

_NUMBERS = st.sampled_from("0123456789\u00b2\u0663\uff11") | st.just("9" * 5000) | st.just("1e400")
_PIECES = _NUMBERS | st.sampled_from(
    ["nan", "inf", "-", "+", ".", ":", "/", "x", "s", "k", "M", "G", ",", "=", " ", "pixels"]
)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=30) | st.lists(_PIECES, max_size=6).map("".join))
def test_no_argument_raises_anything_but_a_usage_error(name: str, text: str) -> None:
    parser = PARSERS[name]
    more = ["--option"] if "option" in signature(parser).parameters else []
    hint: str | None = "needs none"
    try:
        parser(text, *more)
    except UsageError as error:
        hint = error.hint
    assert hint


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=10) | st.sampled_from(arguments.TASKS), max_size=4), st.booleans())
def test_no_task_raises_anything_but_a_usage_error(names: list[str], timed: bool) -> None:
    with suppress(UsageError):
        assert set(arguments.parse_tasks(names, timed=timed)) <= set(arguments.TASKS)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["-", "a.mkv", "--", "", "%d.png"]).map(Path),
    st.none() | st.sampled_from(["-", "a.mkv", "x", "a.y4m"]).map(Path),
    st.booleans(),
    st.none() | st.sampled_from([*arguments.PIPED, "mp4", ""]),
    st.sampled_from(["normal", "low"]),
)
def test_pipes_are_taken_or_refused(
    source: Path, output: Path | None, as_json: bool, piped: str | None, latency: Any
) -> None:
    with suppress(UsageError):
        through = arguments.check_pipes(
            source, output, as_json=as_json, piped=piped, latency=latency
        )
        assert through == (Path("-") in (source, output))
        assert piped is None or output == Path("-")


_WORDS = st.sampled_from(
    [
        "restore",
        "probe",
        "compare",
        "plan",
        "clean",
        "train",
        "-o",
        "-",
        "--",
        "--end",
        "--json",
        "-q",
        "--fps",
        "--cfr",
        "2x",
        "0",
        "-1",
        "nan",
        "inf",
        "1e999",
        "99999999999999999999",
        "--sigma",
        "--limits",
        "pixels=1",
        "--codec",
        "h264",
        "--slow",
        "--crf",
        "--steps",
        "auto",
        "--strength",
        "--task",
        "--format",
        "nut",
        "--start",
        "1:2:3",
        "nowhere.mp4",
        "%d",
        "�",
        "\n",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_WORDS, max_size=7))
def test_no_command_line_ends_in_a_traceback(words: list[str]) -> None:
    if "-" in words or {"train", "clean"} & set(words[:1]):
        return  # they would read standard input, or write what they are told to
    assert run(*words) in DOCUMENTED


@settings(max_examples=200, deadline=None)
@given(
    st.fractions(Fraction(1, 10**9), 1000),
    st.integers(-(2**63), 2**63),
    st.fractions(Fraction(1, 10**6), 10**6),
    st.lists(st.integers(1, 2**62), min_size=1, max_size=3),
    st.sampled_from([Retiming(), Retiming(fps=Rate(Fraction(2), relative=True))])
    | st.fractions(1, 120).map(lambda rate: Retiming(cfr=rate)),
)
def test_planning_of_any_timestamps_ends(
    time_base: Fraction, start: int, rate: Fraction, steps: list[int], asked: Retiming
) -> None:
    with mock.patch("vidrestore.media.timeline.MOST_SLOTS", 2000), suppress(VidrestoreError):
        plan = timeline(time_base, start, rate, asked)
        for step in steps:
            assert plan.between(start, start + step) is not None
            start += step


def test_the_threat_model_is_stated() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    defaults = Limits()
    assert f"({defaults.streams})" in text
    assert f"({defaults.seconds})" in text
    assert f"{round(defaults.pixels / 1e6)} million" in text
