"""Names that load on first use (PEP 562), so that `import atrous` costs no torch."""

import importlib
import sys
from collections.abc import Callable, Mapping

__all__ = ["lazy"]


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of `package`, which finds each name in its home module.

    Args:
        package: The package's `__name__`.
        homes: Public name -> module inside the package ("predictor" or "inference.predictor");
            "" where the name is itself a module of the package.
    """

    def __getattr__(name: str) -> object:  # noqa: N807 - the name that PEP 562 asks for
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = importlib.import_module(f"{package}.{homes[name] or name}")
        value = getattr(home, name) if homes[name] else home
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
