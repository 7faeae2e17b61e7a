"""`amiss list`: what there is."""

import json
from math import prod

import pytest

from amiss.models import build
from amiss.recipes import RECIPES
from amiss.training import KINDS, save_model


@pytest.mark.parametrize("word", ["models", "kinds", ""])
def test_every_kind_is_listed_with_its_bound_and_its_options(amiss, word):
    said = amiss("list", *word.split())
    assert said.code == 0
    lines = said.out.splitlines()
    assert len(lines) == 1 + len(KINDS)
    for line, kind in zip(lines[1:], KINDS.values(), strict=True):
        assert line.split()[:2] == [kind.name, kind.bound or "-"]
        assert kind.about in line
        assert all(f"--{name.replace('_', '-')}" in line for name in kind.options)
    rows = json.loads(amiss("list", *word.split(), "--json").out)
    assert {row["name"]: row["bound"] for row in rows} == {kind.name: kind.bound for kind in KINDS.values()}


def test_every_recipe_is_listed_with_what_it_does(amiss):
    said = amiss("list", "recipes")
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == list(RECIPES)
    rows = json.loads(amiss("list", "recipes", "--json").out)
    assert all(row["about"].endswith(".") for row in rows)
    assert next(row for row in rows if row["name"] == "pgd")["options"]["--eps"]


def test_layers_are_listed_with_the_shapes_of_their_weights(amiss):
    recipe = {"architecture": "LeNet", "arguments": {"size": 8, "classes": 3, "width": 4, "hidden": 8}}
    net = build(recipe)
    save_model("net.safetensors", net, recipe, {"kind": "classifier"})
    rows = json.loads(amiss("list", "layers", "net.safetensors", "--json").out)
    told = {f"{row['name']}.{key}": shape for row in rows for key, shape in row["shapes"].items()}
    assert told == {name: list(p.shape) for name, p in net.named_parameters()}
    total = sum(p.numel() for p in net.parameters())
    assert sum(row["numbers"] for row in rows) == total == sum(prod(shape) for shape in told.values())
    assert f"{total:,} numbers" in amiss("list", "layers", "net.safetensors").out
    assert "scale" in amiss("list", "layers", "nets.py:build").out


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        ("cats", "list-what"),
        ("layers", "list-what"),
        ("models net", "list-what"),
        ("layers nets.py:tuples", "list-layers"),
    ],
)
def test_lists_that_there_are_not_are_refused(amiss, words, slug):
    amiss("list", *words.split()).refused(slug, code=2)
