"""Hashes of values over all that decides what they do: state, code, and files that they name."""

import copyreg
import dis
import hashlib
import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePath
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

PLAIN = (type(None), bool, int, float, complex, bytes, type(Ellipsis), type(NotImplemented))
WRAPPERS = {  # of functions in a class
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    cached_property: ("func",),
}
INSTALLED = ("site-packages", "dist-packages")
NOT_STATE = {  # of a class: written by Python for readers, or known from its functions
    *("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "_abc_impl"),
    *("__dataclass_fields__", "__dataclass_params__", "__firstlineno__", "__static_attributes__"),
    *("__orig_bases__", "__parameters__", "__annotate_func__", "__annotations_cache__"),
}


class UnidentifiedError(Exception):
    """A value holds something whose behaviour cannot be read, such as an open file."""


def identity(value: object) -> str:
    """Return the SHA-256 of all that decides what a value does, the same in every process.

    Functions and classes of installed packages count by name, version and source file; others by
    their compiled code, with the globals, defaults and closures that it refers to. An object counts
    by its class and what pickling would keep, without the random state of a MONAI transform, which
    is set before each use. The name of a file counts with the file's content.

    Raises:
        UnidentifiedError: It holds what cannot be pickled, or the name of a folder.

    >>> identity(lambda x: x + 1) == identity(lambda y: y + 2)
    False
    """
    return Walk().digest(value)


class Walk:
    """One walk over a value, all that it holds and refers to; each object is looked at once."""

    def __init__(self) -> None:
        self.done: dict[int, str] = {}
        self.under_way: dict[int, int] = {}
        self.kept: list[object] = []  # so that no id is given away to a later object
        self.files: dict[str, str] = {}

    def digest(self, value: Any) -> str:  # noqa: ANN401 - any object
        """Return the hash of a value; a reference back to an outer one counts by its depth."""
        if isinstance(value, PLAIN) and type(value) in PLAIN:
            return hashed(type(value).__name__, repr(value))
        key = id(value)
        if key in self.under_way:
            return hashed("outer", str(self.under_way[key]))
        if key not in self.done:
            self.under_way[key] = len(self.under_way)
            self.kept.append(value)
            try:
                self.done[key] = hashed(*self.parts(value))
            finally:
                del self.under_way[key]
        return self.done[key]

    def digests(self, values: Any) -> str:  # noqa: ANN401 - any iterable
        """Return the hash of values in their order."""
        return hashed(*map(self.digest, values))

    def parts(self, value: Any) -> Iterator[str]:  # noqa: ANN401
        """Yield what the hash of a value is made of."""
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__}"
        if kind is str or isinstance(value, PurePath):
            yield from self.text(str(value), certain=kind is not str)
        elif kind in (list, tuple):
            yield self.digests(value)
        elif kind is dict:
            yield self.digests(value)
            yield self.digests(value.values())
        elif kind in (set, frozenset):
            yield from sorted(map(self.digest, value))
        elif isinstance(value, ModuleType):
            yield from self.module(value)
        elif isinstance(value, type):
            yield from self.class_(value)
        elif kind is FunctionType:
            yield from self.function(value)
        elif kind in WRAPPERS:
            yield self.digests([getattr(value, name) for name in WRAPPERS[kind]])
        else:
            yield from self.array(value) or self.instance(value)

    def text(self, text: str, certain: bool) -> Iterator[str]:
        """Yield a text, or the name and content of the file that it names.

        Raises:
            UnidentifiedError: It names a folder: what is read from there cannot be known.
        """
        named = certain or (os.sep in text and bool(text.strip("./\\")))
        if "\0" in text or len(text) > 1024:
            yield text
        elif os.path.isfile(text):  # noqa: PTH113 - most texts name none, and this is quick
            yield Path(text).name
            yield self.file(text)
        elif named and os.path.isdir(text):  # noqa: PTH112
            raise UnidentifiedError(f"a folder ({text})")
        else:
            yield text

    def file(self, path: str) -> str:
        """Return the hash of a file's content."""
        if path not in self.files:
            try:
                with Path(path).open("rb") as file:
                    self.files[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UnidentifiedError(f"a file that cannot be read ({path})") from error
        return self.files[path]

    def installed(self, module_name: str | None) -> list[str] | None:
        """Return package, version and source of a module that was installed; None of others."""
        name = module_name or "builtins"
        package = name.partition(".")[0]
        if package in sys.stdlib_module_names or package in sys.builtin_module_names:
            return ["python", sys.version]
        file = getattr(sys.modules.get(name, sys.modules.get(package)), "__file__", None)
        if file is None or not (package == "mrcontrast" or set(INSTALLED) & set(Path(file).parts)):
            return None
        version = str(getattr(sys.modules[package], "__version__", ""))
        return [package, version, self.file(file)]

    def module(self, module: ModuleType) -> Iterator[str]:
        """Yield what is known of a module: its source, and what that imports."""
        yield module.__name__
        known = self.installed(module.__name__)
        yield from known or ()
        if known is not None:
            return
        if getattr(module, "__file__", None):
            yield self.file(str(module.__file__))
        for name, value in sorted(vars(module).items()):
            if isinstance(value, ModuleType | FunctionType | type) and not name.startswith("__"):
                yield name
                yield self.digest(value)

    def class_(self, kind: type) -> Iterator[str]:
        """Yield what is known of a class: its name, and the content of those not installed."""
        for each in kind.__mro__:
            yield f"{each.__module__}.{each.__qualname__}"
            known = self.installed(each.__module__)
            yield from known or ()
            if known is None:
                content = {name: v for name, v in vars(each).items() if name not in NOT_STATE}
                yield self.digest(dict(sorted(content.items())))

    def function(self, function: FunctionType) -> Iterator[str]:
        """Yield what is known of a function, with the values that it closes over."""
        yield f"{function.__module__}.{function.__qualname__}"
        cells = function.__closure__ or ()
        yield self.digests(cell.cell_contents for cell in cells if cell != CellType())
        known = self.installed(function.__module__)
        yield from known or ()
        yield self.code(function.__code__)  # of installed ones too: lambdas share a name
        yield self.digests([function.__defaults__, function.__kwdefaults__])
        if known is None:
            yield self.digest(vars(function))
            for name, value in referred_to(function.__code__, function.__globals__):
                yield name
                yield self.digest(value)

    def code(self, code: CodeType) -> str:
        """Return the hash of compiled code, wherever it stands."""
        constants = [
            self.code(each) if isinstance(each, CodeType) else self.digest(each)
            for each in code.co_consts
        ]
        names = (*code.co_names, "", *code.co_varnames, "", *code.co_freevars)
        counts = (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount)
        return hashed(code.co_code.hex(), *names, *constants, *map(str, counts))

    def array(self, value: Any) -> list[str]:  # noqa: ANN401
        """Return what is known of arrays, generators and modules; nothing of other objects.

        Modules with parametrised weights refuse to be pickled.
        """
        import numpy as np
        import torch

        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                return [self.digest(value.tolist())]
            return [value.dtype.str, str(value.shape), hashed(value.tobytes())]
        if isinstance(value, torch.nn.Module):
            state = {name: v for name, v in vars(value).items() if name != "_compiled_call_impl"}
            return [self.digest(type(value)), self.digest(state)]
        if isinstance(value, torch.Generator):
            return [self.digest(value.get_state())]
        if not isinstance(value, torch.Tensor):
            return []
        try:
            plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
            content = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
        except (RuntimeError, TypeError, NotImplementedError) as error:
            raise UnidentifiedError(f"a tensor without values ({value.layout})") from error
        return [str(value.dtype), str(tuple(value.shape)), hashed(content)]

    def instance(self, value: Any) -> Iterator[str]:  # noqa: ANN401
        """Yield what pickling would keep of an object.

        Raises:
            UnidentifiedError: It cannot be pickled.
        """
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            kept = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception as error:  # classes refuse in many ways
            raise UnidentifiedError(f"a {type(value).__qualname__}") from error
        if isinstance(kept, str):
            yield from self.named(value, kept)
            return
        make, arguments, state, items, pairs = (*kept, *(None,) * 3)[:5]
        if isinstance(state, dict) and is_random_transform(value):
            state = {name: part for name, part in state.items() if name != "R"}
        yield self.digests([make, arguments, state, [*(items or ())], [*(pairs or ())]])

    def named(self, value: Any, name: str) -> Iterator[str]:  # noqa: ANN401
        """Yield what is known of an object that pickling knows by name, such as ``len``.

        Raises:
            UnidentifiedError: It is compiled code that does not come from an installed package.
        """
        known = self.installed(getattr(value, "__module__", None))
        inner = getattr(value, "__wrapped__", None)
        if known is None and inner is None:
            raise UnidentifiedError(f"compiled code ({name})")
        yield name
        yield from known or ()
        yield self.digest(inner)


def hashed(*parts: str | bytes) -> str:
    """Return the SHA-256 of texts or bytes, each told from the next."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(f"{len(content)} ".encode() + content)
    return digest.hexdigest()


def is_random_transform(value: object) -> bool:
    """Return whether an object is a transform whose random state is set before each use."""
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(value).__mro__}
    return "monai.transforms.transform.Randomizable" in bases


def referred_to(code: CodeType, scope: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the globals that code refers to, and the modules that it imports, by name."""
    for each in dis.get_instructions(code):
        name = str(each.argval)
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name in scope:
            yield name, scope[name]
        elif each.opname == "IMPORT_NAME":
            inner = f"{scope.get('__package__') or ''}.{name}".strip(".")
            yield name, sys.modules.get(inner, sys.modules.get(name, name))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from referred_to(constant, scope)
