"""The templates of pages: this package's, and those of packages that use its macros and style."""

from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

PACKAGE = "mrcontrast.pages"


@cache
def environment(package: str) -> Environment:
    """Return the templates in ``assets`` of a package; text is escaped, an unknown name is a fault.

    Args:
        package: Whose templates are found first; this package's macros and ``asset`` come along.
    """
    found = Environment(
        loader=ChoiceLoader([PackageLoader(name, "assets") for name in (package, PACKAGE)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["asset"] = asset
    return found


def asset(name: str) -> Markup:
    """Return a style or script of this package, to stand in the page as it is."""
    text = (files(PACKAGE) / "assets" / name).read_text(encoding="utf-8")
    return Markup(text)  # our own file, not a reader's input
