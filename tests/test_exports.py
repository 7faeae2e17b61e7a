"""Every name that a module exports exists and says what it is."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import amiss

MODULES = sorted(m.name for m in pkgutil.walk_packages(amiss.__path__, "amiss.") if not m.name.endswith(".__main__"))


def exported(module):
    return [(name, getattr(module, name)) for name in getattr(module, "__all__", ())]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_and_exports_what_exists(name):
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip(), f"{name} does not say what it is"
    if not Path(module.__file__).name.startswith("_"):
        assert module.__all__, f"{name} does not say what it exports"
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    assert [public for public in names if not hasattr(module, public)] == []


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_has_a_docstring(name):
    bare = []
    for public, value in exported(importlib.import_module(name)):
        if not (inspect.isclass(value) or inspect.isfunction(value)) or not value.__module__.startswith("amiss"):
            continue
        if not (value.__doc__ or "").strip() or value.__doc__.startswith(f"{public}("):  # what dataclasses make up
            bare.append(public)
        if inspect.isclass(value):
            own = [(k, v) for k, v in vars(value).items() if not k.startswith("_")]
            bare += [f"{public}.{k}" for k, v in own if inspect.isfunction(v) and not v.__doc__]
            bare += [f"{public}.{k}" for k, v in own if isinstance(v, property) and not v.fget.__doc__]
    assert not bare


def test_a_fresh_interpreter_finds_every_public_name():
    code = "import amiss; names = [getattr(amiss, name) for name in amiss.__all__]; amiss.data.Images"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_names_of_the_package_resolve():
    assert amiss.__all__
    assert sorted(set(amiss.__all__)) == sorted(amiss.__all__)
    for name in amiss.__all__:
        assert getattr(amiss, name, amiss) is not amiss, name
    assert set(amiss.__all__) <= set(dir(amiss))
    with pytest.raises(AttributeError):
        amiss.nothing_of_this_name  # noqa: B018
