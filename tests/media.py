"""Files such as people have: one of each kind that is easily damaged on the way.

Every function makes its file the first time it is asked for, with the bundled ffmpeg, and gives
its path. All are 96x64 unless their name says otherwise, and at most a second long.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests.conftest import CHAPTERS, SUBTITLES, Clips, run_ffmpeg

STYLED = """[Script Info]
ScriptType: v4.00+
PlayResX: 96
PlayResY: 64

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Italic, Alignment
Style: Default,Letters,20,&H00FFFFFF,0,1,2

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.10,0:00:00.40,Default,,0,0,0,,{\\i1}first line
Dialogue: 0,0:00:00.50,0:00:00.90,Default,,0,0,0,,{\\b1}second line
"""

FONT = bytes(range(256)) * 4
"""Stands for a font: what is attached is copied, not read."""

MASTERING = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):"
    "max-cll=1000,400"
)

_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2")
_AAC = ("-c:a", "aac")


def _once(clips: Clips, name: str, *arguments: str | Path, source: list[str]) -> Path:
    path = clips.folder / name
    return path if path.exists() else clips.make(name, *arguments, source=source)


def _copied(clips: Clips, name: str, *arguments: str | Path) -> Path:
    """A file made of other files; `arguments` end before the output."""
    path = clips.folder / name
    if not path.exists():
        run_ffmpeg(clips.ffmpeg, *arguments, path)
    return path


def _written(clips: Clips, name: str, content: str | bytes) -> Path:
    path = clips.folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _tagged(
    *,
    pix_fmt: str = "yuv420p",
    colours: str = "range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709",
    more: str = "",
    size: str = "96x64",
    frames: int = 12,
) -> list[str]:
    *options, graph = Clips.picture(size=size, frames=frames)
    return [*options, f"{graph},format={pix_fmt},setparams={colours}{more}"]


def variable(clips: Clips) -> Path:
    """MP4 in 1/90000 whose frames lie irregularly, with sound."""
    return clips.vfr


def phone(clips: Clips) -> Path:
    """MOV turned by 90 degrees, with the place, the time and the camera, as phones write."""
    upright = _once(
        clips, "upright.mov", *clips.tone(0.5), *_H264, *_AAC, "-metadata:s:a", "language=und",
        source=_tagged(),
    )  # fmt: skip
    tags = {
        "creation_time": "2024-05-06T07:08:09.000000Z",
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 15",
        "com.apple.quicktime.location.ISO6709": "+48.1374+011.5755+519.000/",
        "com.apple.quicktime.creationdate": "2024-05-06T09:08:09+0200",
    }
    given = [word for key, value in tags.items() for word in ("-metadata", f"{key}={value}")]
    kept = ("-map", "0", "-c", "copy", "-movflags", "use_metadata_tags")
    return _copied(
        clips, "phone.mov", "-display_rotation", "90", "-i", upright, *kept, *given
    )  # fmt: skip


def turned(clips: Clips, rotation_deg: int, *, mirrored: bool) -> Path:
    """MP4 with one of the eight display matrices that need no resampling."""
    mirror = ("-display_hflip",) if mirrored else ()
    name = f"turned-{rotation_deg}-{mirrored}.mp4"
    matrix = ("-display_rotation", str(rotation_deg), *mirror)
    return _copied(clips, name, *matrix, "-i", _flat(clips), "-c", "copy")


def _flat(clips: Clips) -> Path:
    return _once(clips, "flat.mp4", *_H264, source=_tagged(frames=6))


def hdr10(clips: Clips) -> Path:
    """MP4, HEVC Main 10, PQ, with mastering display and content light level."""
    video = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params")
    parameters = f"log-level=error:hdr10=1:repeat-headers=1:chromaloc=2:{MASTERING}"
    colours = "range=tv:colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
    return _once(
        clips, "hdr10.mp4", *video, parameters,
        source=_tagged(pix_fmt="yuv420p10le", colours=colours),
    )  # fmt: skip


def hlg(clips: Clips) -> Path:
    """Matroska, HEVC Main 10, HLG."""
    video = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
    colours = "range=tv:colorspace=bt2020nc:color_primaries=bt2020:color_trc=arib-std-b67"
    source = _tagged(pix_fmt="yuv420p10le", colours=colours)
    return _once(clips, "hlg.mkv", *video, source=source)


def standard_definition(clips: Clips) -> Path:
    """MP4 with the colours of PAL: BT.601 by its 625-line primaries."""
    colours = "range=tv:colorspace=bt470bg:color_primaries=bt470bg:color_trc=bt470bg"
    return _once(clips, "sd.mp4", *_H264, source=_tagged(colours=colours))


def untagged(clips: Clips) -> Path:
    """MP4 that says nothing about its colours."""
    return _once(
        clips, "untagged.mp4", *_H264, "-pix_fmt", "yuv420p", source=clips.picture(frames=12)
    )  # fmt: skip


def full_range(clips: Clips) -> Path:
    """MP4, H.264, full range."""
    colours = "range=pc:colorspace=bt709:color_primaries=bt709:color_trc=iec61966-2-1"
    return _once(clips, "full.mp4", *_H264, source=_tagged(colours=colours))


def four_two_two(clips: Clips) -> Path:
    """MOV, ProRes, 4:2:2 of 10 bits."""
    source = _tagged(pix_fmt="yuv422p10le")
    return _once(clips, "422.mov", "-c:v", "prores_ks", "-profile:v", "3", source=source)


def four_four_four(clips: Clips) -> Path:
    """Matroska, H.264, 4:4:4."""
    return _once(clips, "444.mkv", *_H264, source=_tagged(pix_fmt="yuv444p"))


def odd(clips: Clips) -> Path:
    """Matroska, FFV1, 4:2:0 of 67x35."""
    return _once(clips, "odd-size.mkv", "-c:v", "ffv1", source=_tagged(size="67x35"))


def anamorphic(clips: Clips) -> Path:
    """MP4 whose pixels are 64:45, as in wide PAL."""
    source = _tagged(more=",setsar=64/45")
    return _once(clips, "wide.mp4", *_H264, source=source)


def cropped(clips: Clips) -> Path:
    """Matroska that takes 11 and 2 pixels off the sides, 8 off the top and 5 off the bottom."""
    whole = _once(clips, "whole.mkv", *_H264, "-write_crc32", "0", source=_tagged())
    data = whole.read_bytes()
    begin = data.index(b"\x55\xb0")  # the colours, which H.264 states, too
    size = 3 + (data[begin + 2] & 0x7F)
    sides = {b"\x54\xcc": 11, b"\x54\xdd": 2, b"\x54\xbb": 8, b"\x54\xaa": 5}
    stated = b"".join(name + bytes((0x81, pixels)) for name, pixels in sides.items())
    nothing = size - len(stated) - 2
    void = b"\xec" + bytes((0x80 | nothing,)) + bytes(nothing)
    return _written(clips, "cropped.mkv", data[:begin] + stated + void + data[begin + size :])


def cropped_mp4(clips: Clips) -> Path:
    """The same in MP4."""
    return _copied(clips, "cropped.mp4", "-i", cropped(clips), "-c", "copy")


def surround(clips: Clips) -> Path:
    """Matroska with 5.1 sound and a commentary in stereo."""
    sounds = [*clips.tone(0.5), *clips.tone(0.5, pitch_hz=660)]
    maps = ("-map", "0", "-map", "1", "-map", "2", "-c:a:0", "ac3", "-c:a:1", "aac")
    channels = ("-ac:a:0", "6", "-ac:a:1", "2")
    named = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:0", "title=Main"]
    named += ["-metadata:s:a:1", "language=fra", "-metadata:s:a:1", "title=Commentary"]
    flags = ("-disposition:a:0", "default", "-disposition:a:1", "comment")
    return _once(
        clips, "surround.mkv", *sounds, *maps, *_H264, *channels, *named, *flags, source=_tagged()
    )  # fmt: skip


def plain_subtitles(clips: Clips) -> Path:
    """Matroska with SubRip lines in two languages, one of them forced."""
    lines = _written(clips, "plain.srt", SUBTITLES)
    named = ["-metadata:s:s:0", "language=deu", "-metadata:s:s:1", "language=eng"]
    flags = ("-disposition:s:0", "default", "-disposition:s:1", "forced")
    return _once(
        clips, "srt.mkv", "-i", lines, "-i", lines, "-map", "0", "-map", "1", "-map", "2",
        *_H264, "-c:s", "srt", *named, *flags, source=_tagged(frames=24),
    )  # fmt: skip


def styled_subtitles(clips: Clips) -> Path:
    """Matroska with ASS lines and the font that they want."""
    lines, font = _written(clips, "styled.ass", STYLED), _written(clips, "letters.ttf", FONT)
    attached = ("-attach", font, "-metadata:s:t", "mimetype=font/ttf")
    return _once(
        clips, "ass.mkv", "-i", lines, "-map", "0", "-map", "1", *_H264, "-c:s", "copy", *attached,
        source=_tagged(frames=24),
    )  # fmt: skip


def pgs_subtitles(clips: Clips) -> Path:
    """Matroska with subtitles as pictures, as on Blu-ray."""
    lines = _written(clips, "lines.sup", presentation_graphics())
    return _once(
        clips, "pgs.mkv", "-i", lines, "-map", "0", "-map", "1", *_H264, "-c:s", "copy",
        "-metadata:s:s", "language=spa", source=_tagged(frames=24),
    )  # fmt: skip


def dvb_subtitles(clips: Clips) -> Path:
    """MPEG-TS with subtitles as pictures, as in broadcasts."""
    lines = _written(clips, "lines.sup", presentation_graphics())
    return _once(
        clips, "dvb.ts", "-i", lines, "-map", "0", "-map", "1", *_H264, "-c:s", "dvbsub",
        "-metadata:s:s", "language=spa", source=_tagged(frames=24),
    )  # fmt: skip


def chapters(clips: Clips) -> Path:
    """MP4 with two chapters and a title."""
    listed = _written(clips, "chapters.txt", CHAPTERS)
    return _once(
        clips, "chapters.mp4", "-i", listed, "-map", "0", "-map_metadata", "1", *_H264,
        source=_tagged(frames=24),
    )  # fmt: skip


def cover(clips: Clips) -> Path:
    """MP4 with a picture for its cover and the tags of a music shop."""
    art = _once(clips, "cover.png", "-frames:v", "1", source=clips.picture(frames=1))
    tags = {"title": "Holiday", "artist": "Somebody", "album": "Summer", "date": "2024",
            "genre": "Home video", "comment": "by the sea", "copyright": "mine",
            "encoding_tool": "a camera"}  # fmt: skip
    given = [word for key, value in tags.items() for word in ("-metadata", f"{key}={value}")]
    maps = ("-map", "0", "-map", "1", *_H264, "-c:v:1", "copy", "-disposition:v:1", "attached_pic")
    return _once(clips, "cover.mp4", "-i", art, *maps, *given, source=_tagged())


def cover_in_matroska(clips: Clips) -> Path:
    """Matroska with a picture for its cover, which there is an attachment."""
    art = _once(clips, "cover.png", "-frames:v", "1", source=clips.picture(frames=1))
    attached = ("-attach", art, "-metadata:s:t", "mimetype=image/png")
    return _once(
        clips, "cover.mkv", "-map", "0", *_H264, *attached, "-metadata:s:t", "filename=cover.png",
        source=_tagged(),
    )  # fmt: skip


def ten_hours(clips: Clips) -> Path:
    """MPEG-TS whose clock starts at 10 hours, with the name of the channel."""
    named = ("-metadata", "service_name=Channel 5", "-metadata", "service_provider=Somebody")
    given = ("-map", "0", "-c", "copy", "-output_ts_offset", "36000")
    return _copied(clips, "ten-hours.ts", "-i", clips.plain, *given, *named)


def interlaced(clips: Clips) -> Path:
    """MPEG-2 in MPEG-PS, top field first, fields taken from a moving picture."""
    *options, graph = Clips.picture(rate="50", frames=24)
    fields = (
        f"{graph},interlace,format=yuv420p,setparams=field_mode=tff:range=tv:colorspace=bt470bg"
    )
    video = ("-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ilme+ildct")
    return _once(clips, "interlaced.mpg", *video, source=[*options, fields])


def interlaced_h264(clips: Clips) -> Path:
    """Matroska, H.264, bottom field first."""
    *options, graph = Clips.picture(rate="50", frames=24)
    fields = f"{graph},interlace=scan=bff,format=yuv420p,setparams=field_mode=bff:range=tv"
    video = (*_H264, "-flags", "+ilme+ildct", "-x264opts", "bff=1")
    return _once(clips, "interlaced.mkv", *video, source=[*options, fields])


def telemetry(clips: Clips) -> Path:
    """MP4 with the track of measurements that action cameras write, and one of timecode."""
    points = _written(clips, "points.bin", bytes(range(256)) * 12)
    timed = ("-bsf:d", "setts=ts=N*3000:duration=3000:time_base=1/12000")
    read = ("-f", "data", "-raw_packet_size", "768", "-i", points)
    measured = _once(
        clips, "measured.mov", *read, "-map", "0", "-map", "1", *_H264, "-c:d", "copy", *timed,
        "-tag:d", "gpmd", source=_tagged(frames=24),
    )  # fmt: skip
    copied = ("-map", "0", "-c", "copy", "-timecode", "01:00:00:00")
    return _copied(clips, "telemetry.mp4", "-i", measured, *copied)


def timecode(clips: Clips) -> Path:
    """MOV with a timecode track."""
    return clips.timecode


def web(clips: Clips) -> Path:
    """WebM with VP9, Opus and WebVTT."""
    lines = _written(clips, "plain.srt", SUBTITLES)
    codecs = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus", "-c:s", "webvtt")
    maps = ("-map", "0", "-map", "1", "-map", "2")
    return _once(
        clips, "web.webm", *clips.tone(), "-i", lines, *maps, *codecs, source=_tagged(frames=24)
    )  # fmt: skip


def avi(clips: Clips) -> Path:
    """AVI with MPEG-4 and MP3."""
    codecs = ("-c:v", "mpeg4", "-q:v", "3", "-c:a", "libmp3lame")
    return _once(clips, "old.avi", *clips.tone(0.5), *codecs, source=_tagged())


def yuv4mpeg(clips: Clips) -> Path:
    """Y4M, 4:2:0."""
    return _once(clips, "raw.y4m", source=_tagged(frames=6))


def gif(clips: Clips) -> Path:
    """GIF at 20 frames a second."""
    return _once(clips, "small.gif", source=clips.picture(rate="20", frames=6))


def presentation_graphics() -> bytes:
    """Two lines of bitmap subtitles as a Blu-ray has them: a white bar, shown and taken away."""
    shown = [(0.1, 0.4), (0.5, 0.9)]
    out = b""
    for number, (begin_s, end_s) in enumerate(shown):
        out += _display_set(round(begin_s * 90000), 2 * number, _bar(width=40, height=8))
        out += _display_set(round(end_s * 90000), 2 * number + 1, None)
    return out


def _bar(width: int, height: int) -> bytes:
    """Run-length code of a rectangle in colour 1; every line ends with two zeros."""
    return (bytes((0, 0x80 | width, 1)) + b"\0\0") * height


def _display_set(pts: int, number: int, picture: bytes | None) -> bytes:
    """What is shown from a time on, in ticks of 1/90000 s; None clears the screen."""
    objects = b"" if picture is None else struct.pack(">HBBHH", 0, 0, 0, 28, 50)
    composition = struct.pack(">HHBHBBBB", 96, 64, 0x10, number, 0x80, 0, 0, len(objects) // 8)
    segments = [(0x16, composition + objects), (0x17, struct.pack(">BBHHHH", 1, 0, 28, 50, 40, 8))]
    if picture is not None:
        data = struct.pack(">HBB", 0, 0, 0xC0) + (len(picture) + 4).to_bytes(3, "big")
        segments.append((0x14, bytes((0, 0, 1, 235, 128, 128, 255))))
        segments.append((0x15, data + struct.pack(">HH", 40, 8) + picture))
    segments.append((0x80, b""))
    return b"".join(
        b"PG" + struct.pack(">IIBH", pts, 0, kind, len(content)) + content
        for kind, content in segments
    )


MATRIX: dict[str, Callable[[Clips], Path]] = {
    "variable rate": variable,
    "rotated phone": phone,
    "HDR10": hdr10,
    "HLG": hlg,
    "BT.601": standard_definition,
    "untagged": untagged,
    "full range": full_range,
    "4:2:2": four_two_two,
    "4:4:4": four_four_four,
    "odd size": odd,
    "anamorphic": anamorphic,
    "5.1 and commentary": surround,
    "SRT": plain_subtitles,
    "ASS and font": styled_subtitles,
    "PGS": pgs_subtitles,
    "DVB": dvb_subtitles,
    "chapters": chapters,
    "cover": cover,
    "cover in Matroska": cover_in_matroska,
    "MPEG-TS at 10 h": ten_hours,
    "interlaced": interlaced,
    "interlaced H.264": interlaced_h264,
    "telemetry": telemetry,
    "timecode": timecode,
    "WebM": web,
    "AVI": avi,
    "Y4M": yuv4mpeg,
    "GIF": gif,
}
"""What must come through a run that changes nothing."""
