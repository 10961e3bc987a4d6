"""Load the HTML templates of this package and of packages that use its macros and style."""

from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

PACKAGE = "mrcontrast.pages"


@cache
def environment(package: str) -> Environment:
    """Return the templates in ``assets`` of a package, then of this one, with text escaped."""
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
    """Return a style or script of this package, unescaped."""
    text = (files(PACKAGE) / "assets" / name).read_text(encoding="utf-8")
    return Markup(text)  # a file of this package
