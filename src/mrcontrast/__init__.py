"""MRI contrast translation by latent diffusion, in 2D and 3D."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mrcontrast.errors import MrcontrastError, UsageError

if TYPE_CHECKING:
    from mrcontrast.api.phantoms import make_phantom
    from mrcontrast.api.scores import evaluate
    from mrcontrast.api.translation import load, models

__version__ = "0.1.0"
__all__ = [
    "MrcontrastError",
    "UsageError",
    "__version__",
    "evaluate",
    "load",
    "make_phantom",
    "models",
]
HOMES = {
    "evaluate": "scores",
    "load": "translation",
    "make_phantom": "phantoms",
    "models": "translation",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    """Import a public name when it is first used, since torch takes seconds."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"mrcontrast.api.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
