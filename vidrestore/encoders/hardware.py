"""Encoders of graphics cards. Which of them opens is found by trying, not by ffmpeg's list."""

from __future__ import annotations

from vidrestore.encoders.codecs import Encoder

_RENDER_NODE = "/dev/dri/renderD128"

_CODECS = frozenset({"h264", "hevc", "av1"})


def hardware_encoders(codec: str) -> tuple[Encoder, ...]:
    """List what could encode a codec on a graphics card, the likeliest first.

    Args:
        codec: ffmpeg's name of the codec.

    Returns:
        The encoders; none if cards do not encode this codec.
    """
    if codec not in _CODECS:
        return ()
    return (
        Encoder(
            *(f"{codec}_nvenc", codec, 19, "p5"),
            options={"rc": "vbr", "forced-idr": "1"},
            quality=("cq",),
            constant={"b:v": "0"},
            even=True,
        ),
        Encoder(
            *(f"{codec}_qsv", codec, 19, "slow"),
            quality=("global_quality",),
            even=True,
        ),
        Encoder(
            *(f"{codec}_vaapi", codec, 19, None),
            quality=("qp",),
            constant={"rc_mode": "CQP"},
            even=True,
            device={"vaapi_device": _RENDER_NODE},
            uploads=("nv12", "p010le"),
        ),
        Encoder(
            *(f"{codec}_videotoolbox", codec, None, None),
            options={"allow_sw": "0"},
            constant={"q:v": "70"},
            even=True,
        ),
        Encoder(
            *(f"{codec}_amf", codec, 19, "quality"),
            quality=("qp_i", "qp_p"),
            constant={"rc": "cqp"},
            even=True,
        ),
    )
