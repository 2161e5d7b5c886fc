"""Packages without what they import for whoever may want all of it."""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any


def import_bare(name: str, **defined_in: str) -> None:
    """Import the package *name* without running its `__init__`, unless it is there already.

    Its modules can be imported from then on. A name of the package itself comes from the module
    that *defined_in* says; whoever asks for another one has the `__init__` run first.
    Raises ModuleNotFoundError.
    """
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package, loader = module_from_spec(spec), spec.loader

    def find(wanted: str) -> Any:
        if wanted in defined_in:
            return getattr(import_module(defined_in[wanted]), wanted)
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, wanted)

    package.__dict__["__getattr__"] = find
    sys.modules[name] = package
