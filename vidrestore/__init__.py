"""Video restoration with a small temporal diffusion model."""

import importlib
from typing import Any

__version__ = "0.1.0"

# By name, since this very module is imported by all others: what it imported, they would.
_HOMES = {
    **dict.fromkeys(("restore", "restore_many", "restore_frames", "read_frames"), "api"),
    **dict.fromkeys(("probe", "plan", "compare", "score", "estimate_noise"), "api"),
    "RestoreSettings": "settings",
    "EncodeSettings": "encoders.codecs",
    "VidrestoreError": "errors",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Load what is used, when it is used: torch alone takes a second."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
