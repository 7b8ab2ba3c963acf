"""How the outputs of a batch are called."""

from __future__ import annotations

import difflib
import string
from functools import lru_cache
from pathlib import Path, PurePath

from vidrestore.arguments import default_output
from vidrestore.errors import UsageError

DEFAULT_TEMPLATE = "{stem}.restored{suffix}"

_FIELDS = ("stem", "suffix", "name")


class Template:
    """A pattern for the names of outputs.

    Args:
        text: A relative path in which {stem} stands for the input's name without its suffix,
            {suffix} for a suffix that the output can have, the input's own if possible, and
            {name} for the whole of the input's name.
        codec: What the outputs are encoded as, as in `EncodeSettings`.

    Raises:
        UsageError: If it is no such pattern, or leads out of the output folder.
    """

    def __init__(self, text: str, codec: str) -> None:
        self._text = text
        self._codec = codec
        hint = f"use {{stem}}, {{suffix}} and {{name}}, as in {DEFAULT_TEMPLATE}"
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise UsageError(f"--template {text} is not understood: {error}", hint=hint) from error
        used = {field for _, field, _, _ in parts if field is not None}
        for field in sorted(used - {*_FIELDS}):
            near = difflib.get_close_matches(field, _FIELDS, 1)
            more = f"did you mean {{{near[0]}}}?" if near else hint
            raise UsageError(f"--template {text}: there is no {{{field}}}", hint=more)
        if any(spec or conversion for _, _, spec, conversion in parts):
            raise UsageError(f"--template {text} may hold no formats", hint=hint)
        if not used & {"stem", "name"}:
            raise UsageError(f"--template {text} gives all outputs one name", hint=hint)
        if "%" in text:
            raise UsageError(
                "a batch writes videos, not images",
                hint="restore one video after the other with -o folder/%05d.png",
            )
        sample = PurePath(self._filled("a", "a.mkv", ".mkv"))
        if sample.is_absolute() or ".." in sample.parts:
            raise UsageError(f"--template {text} leads out of the output folder", hint=hint)
        if "suffix" not in used:
            _demand_writable(sample, codec)

    def place(self, source: Path, place: PurePath) -> PurePath:
        """Where the output of a file goes, relative to the output folder.

        Args:
            source: The file.
            place: Where it lies in the folder that is mirrored.
        """
        suffix = suffix_for(default_output(source).suffix, self._codec)
        return place.parent / self._filled(place.stem, place.name, suffix)

    def _filled(self, stem: str, name: str, suffix: str) -> str:
        return self._text.format(stem=stem, name=name, suffix=suffix)


@lru_cache
def suffix_for(suffix: str, codec: str) -> str:
    """The suffix itself if such files can hold a codec, or .mkv, which can."""
    from vidrestore.encoders.codecs import LIKE_INPUT

    if codec == LIKE_INPUT:
        return suffix
    try:
        _demand_writable(PurePath("a" + suffix), codec)
    except UsageError:
        return ".mkv"
    return suffix


def _demand_writable(path: PurePath, codec: str) -> None:
    from vidrestore.containers.mux import output_format
    from vidrestore.encoders.codecs import LIKE_INPUT

    output_format(Path(path), "h264" if codec == LIKE_INPUT else codec)
