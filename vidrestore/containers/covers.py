"""Cover pictures taken out of the source, for containers that attach them as files."""

from __future__ import annotations

from pathlib import Path

from vidrestore.containers.carry import COVER_TYPES, Carriage
from vidrestore.media.probe import VideoInfo


def extract_covers(info: VideoInfo, carried: Carriage, folder: Path) -> dict[int, Path]:
    """Write the covers that are to be attached into a folder.

    Args:
        info: The source.
        carried: What becomes of its streams.
        folder: An empty folder.

    Returns:
        The file of each, by the index of its stream; named as the source names it, since the
        name travels with it.
    """
    import av

    wanted = [index for index, codec in carried.codecs.items() if codec == "attach"]
    if not wanted:
        return {}
    files: dict[int, Path] = {}
    url, options = info.source
    with av.open(url, options=options) as source:
        for packet in source.demux([source.streams[index] for index in wanted]):
            index = packet.stream.index
            if not packet.size or index in files:
                continue
            suffix, _ = COVER_TYPES[info.streams[index].codec or ""]
            named = Path(packet.stream.metadata.get("filename", f"cover{suffix}")).name
            (folder / str(index)).mkdir()
            files[index] = folder / str(index) / (named or f"cover{suffix}")
            files[index].write_bytes(bytes(packet))
            if len(files) == len(wanted):
                break
    return {index: files[index] for index in wanted}
