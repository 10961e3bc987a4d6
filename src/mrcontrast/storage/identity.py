"""Hashes of objects over all that decides their behaviour: state, code, and files they name."""

import copyreg
import dis
import hashlib
import os
import sys
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path, PurePath
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from mrcontrast.storage.files import sha256_file

PLAIN = (type(None), bool, int, float, complex, bytes, type(Ellipsis), type(NotImplemented))
WRAPPERS = {  # of functions in a class
    **dict.fromkeys((staticmethod, classmethod), ("__func__",)),
    property: ("fget", "fset", "fdel"),
    cached_property: ("func",),
}
INSTALLED = ("site-packages", "dist-packages")
NOT_STATE = {  # attributes of a class that Python writes, or that follow from its functions
    *("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "_abc_impl"),
    *("__dataclass_fields__", "__dataclass_params__", "__firstlineno__", "__static_attributes__"),
    *("__orig_bases__", "__parameters__", "__annotate_func__", "__annotations_cache__"),
}


class UnidentifiedError(Exception):
    """A value holds something whose behaviour cannot be hashed, such as an open file."""


def identity(value: object) -> str:
    """Return the SHA-256 of all that decides the behaviour of a value, equal in every process.

    Installed functions and classes are hashed by name, version and source file, others by compiled
    code, globals, defaults and closures; objects by class and pickled state, except the random
    state of a MONAI transform; the name of a file with its content. A part that cannot be pickled,
    or names a folder, is UnidentifiedError.
    """
    return Walk().digest(value)


class Walk:
    """A walk over a value and all that it refers to, which visits each object once."""

    def __init__(self) -> None:
        self.done: dict[int, str] = {}
        self.under_way: dict[int, int] = {}
        self.kept: list[object] = []  # so that no later object gets its id
        self.file = cache(file_hash)

    def digest(self, value: Any) -> str:  # noqa: ANN401 - any object
        """Return the hash of a value; a reference back to an outer one is hashed by its depth."""
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
        """Return the hash of values in order."""
        return hashed(*map(self.digest, values))

    def parts(self, value: Any) -> Iterator[str]:  # noqa: ANN401
        """Yield the parts that the hash of a value is made of."""
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__}"
        if kind is str or isinstance(value, PurePath):
            yield from self.text(str(value), certain=kind is not str)
        elif kind in (list, tuple, dict):
            yield self.digests(value)
            if kind is dict:
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
            yield from self.torch_parts(value) or self.instance(value)

    def text(self, text: str, certain: bool) -> Iterator[str]:
        """Yield a text, or the name and content of its file; a folder is UnidentifiedError."""
        named = certain or (os.sep in text and bool(text.strip("./\\")))
        if "\0" in text or len(text) > 1024:
            yield text
        elif os.path.isfile(text):  # noqa: PTH113 - faster than pathlib, and most texts name no file
            yield from (Path(text).name, self.file(text))
        elif named and os.path.isdir(text):  # noqa: PTH112
            raise UnidentifiedError(f"a folder ({text})")
        else:
            yield text

    def installed(self, module_name: str | None) -> list[str] | None:
        """Return package, version and source of an installed module; None for others."""
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
        """Yield the source of a module, and what it imports."""
        yield module.__name__
        if (known := self.installed(module.__name__)) is not None:
            yield from known
            return
        if getattr(module, "__file__", None):
            yield self.file(str(module.__file__))
        for name, value in sorted(vars(module).items()):
            if isinstance(value, ModuleType | FunctionType | type) and not name.startswith("__"):
                yield from (name, self.digest(value))

    def class_(self, kind: type) -> Iterator[str]:
        """Yield the names of a class and its bases, and the content of those not installed."""
        for each in kind.__mro__:
            yield f"{each.__module__}.{each.__qualname__}"
            known = self.installed(each.__module__)
            yield from known or ()
            if known is None:
                content = {name: v for name, v in vars(each).items() if name not in NOT_STATE}
                yield self.digest(dict(sorted(content.items())))

    def function(self, function: FunctionType) -> Iterator[str]:
        """Yield the code of a function and the values that it closes over."""
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
                yield from (name, self.digest(value))

    def code(self, code: CodeType) -> str:
        """Return the hash of compiled code, without its place in a file."""
        constants = [
            self.code(each) if isinstance(each, CodeType) else self.digest(each)
            for each in code.co_consts
        ]
        names = (*code.co_names, "", *code.co_varnames, "", *code.co_freevars)
        counts = (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount)
        return hashed(code.co_code.hex(), *names, *constants, *map(str, counts))

    def torch_parts(self, value: Any) -> list[str]:  # noqa: ANN401
        """Return the content of a tensor or module, which may refuse pickling."""
        import torch

        if isinstance(value, torch.nn.Module):
            state = {name: v for name, v in vars(value).items() if name != "_compiled_call_impl"}
            return [self.digest(type(value)), self.digest(state)]
        if not isinstance(value, torch.Tensor):
            return []
        try:
            plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
            content = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
        except (RuntimeError, TypeError, NotImplementedError) as error:
            raise UnidentifiedError(f"a tensor without values ({value.layout})") from error
        return [str(value.dtype), str(tuple(value.shape)), hashed(content)]

    def instance(self, value: Any) -> Iterator[str]:  # noqa: ANN401
        """Yield the pickled state of an object; raise UnidentifiedError if there is none."""
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            kept = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception as error:  # classes refuse in many ways
            raise UnidentifiedError(f"a {type(value).__qualname__}") from error
        if isinstance(kept, str):  # a name, such as "len"
            known = self.installed(getattr(value, "__module__", None))
            inner = getattr(value, "__wrapped__", None)
            if known is None and inner is None:
                raise UnidentifiedError(f"compiled code ({kept})")
            yield from (kept, *(known or ()), self.digest(inner))
            return
        make, arguments, state, items, pairs = (*kept, *(None,) * 3)[:5]
        bases = {f"{base.__module__}.{base.__qualname__}" for base in type(value).__mro__}
        if isinstance(state, dict) and "monai.transforms.transform.Randomizable" in bases:
            state = {name: part for name, part in state.items() if name != "R"}
        yield self.digests([make, arguments, state, [*(items or ())], [*(pairs or ())]])


def hashed(*parts: str | bytes) -> str:
    """Return the SHA-256 of texts or bytes and their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(f"{len(content)} ".encode() + content)
    return digest.hexdigest()


def file_hash(path: str) -> str:
    """Return the SHA-256 of a file; raise UnidentifiedError if it cannot be read."""
    try:
        return sha256_file(path)
    except OSError as error:
        raise UnidentifiedError(f"a file that cannot be read ({path})") from error


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
