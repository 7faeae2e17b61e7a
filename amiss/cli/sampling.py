"""What a generative model is asked for: samples, completions, grids and walks of codes, sums of attributes."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from amiss.data import Images
from amiss.data.attributes import attributes
from amiss.data.worlds.captions import grammar_of
from amiss.errors import ContractError, UsageError
from amiss.models import Denoiser, Density, Implicit
from amiss.models.latent_walks import encode_all, interpolate, manifold
from amiss.repro import generator
from amiss.training.pictures import condition_of, shrunk

__all__ = ["Made", "arithmetic", "code_grid", "code_walk", "completions", "conditions", "draws", "kept", "nats_of"]

SIDES = ("top", "bottom", "left", "right")
_DRAWS, _WALK = 8, 9  # streams of randomness
_FEW = 256  # images at a time


@dataclass(frozen=True)
class Made:
    """What a model made.

    Attributes:
        images: [N, C, H, W] in [0, 1].
        columns: Images a row of the sheet; None for a square.
        c: What each image depends on [N, ...], or None.
        rows: What is said of each image, a dictionary each.
        shown: What the sheet shows instead of the images themselves [M, C, H, W].
    """

    images: Tensor
    columns: int | None = None
    c: Tensor | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    shown: Tensor | None = None


def conditions(
    model: nn.Module,
    n: int,
    classes: list[str],
    label: str | None,
    caption: str | None,
    low: Tensor | None,
    own: Sequence[str] = (),
) -> tuple[Tensor | None, list[dict[str, Any]]]:
    """What `n` images shall depend on, and how that is said of each.

    Args:
        model: Who is asked.
        n: How many images.
        classes: Names of its classes.
        label: One of them; None takes the images' own, and all in turn where they have none.
        caption: A sentence; None takes the model's examples.
        low: Images [n, C, H, W] in [0, 1] whose low-resolution form the model may ask for.
        own: Names of the classes of given images [n], where they have such.

    Raises:
        UsageError: The model does not depend on that, needs what was not given, or has no such class.
        ModelError: The sentence holds a word that the model does not know.
        DataError: Its words make no sentence of the world that the model was trained on.
    """
    asked = condition_of(model)
    kind = None if asked is None else asked.kind
    idle = {"--label": (label, "class"), "--caption": (caption, "caption")}
    for option, (value, of) in idle.items():
        if value is not None and kind != of:
            raise UsageError(
                f"The images of this model do not depend on a {of}.",
                slug="sample-condition",
                seen=f"{option} {value[:60]}",
                needed={None: "no condition", "class": "--label", "caption": "--caption", "image": "--given"}[kind],
                hint=f"Leave {option} out, or train a model that is told the {of}.",
            )
    if asked is None:
        return None, []
    if asked.kind == "class":
        if label is not None:
            numbers = [_class(label, classes, asked.size)] * n
        elif own and {*own} <= {*classes[: asked.size]}:
            numbers = [classes.index(name) for name in own]
        else:
            numbers = [i % asked.size for i in range(n)]
        named = classes if len(classes) == asked.size else [str(i) for i in range(asked.size)]
        return torch.tensor(numbers), [{"label": named[i]} for i in numbers]
    if asked.kind == "image":
        if low is None:
            raise UsageError(
                "This model draws what an image of low resolution could have been.",
                slug="sample-condition",
                seen="no image",
                needed=f"--given with images of at least {asked.size} x {asked.size} pixels",
                hint="amiss sample CHECKPOINT --given photos/ --out samples/",
            )
        return shrunk(low, asked.size), []
    said = [caption] * n if caption is not None else _examples(model, n)
    tokens = cast(Any, model).read(said)  # which refuses unknown words
    if caption is not None and (examples := getattr(model, "examples", ())):
        grammar_of(examples).read(caption)  # and the world of its sentences what is none
    return tokens, [{"caption": text} for text in said]


def draws(model: nn.Module, n: int, c: Tensor | None, temperature: float, seed: int) -> Made:
    """`n` draws.

    Raises:
        ContractError: The model draws nothing.
    """
    if not isinstance(model, Density | Implicit):
        raise _cannot(model, "draw images", "sample(n, ...)")
    return Made(model.sample(n, c, temperature=temperature, generator=generator(seed, _DRAWS)), c=c)


def kept(keep: str, rows: int | None, shape: tuple[int, int], drawn: Tensor | None = None) -> Tensor:
    """Which pixels of an image stay: booleans [1, 1, H, W].

    Args:
        keep: "top", "bottom", "left" or "right"; or anything else, with `drawn`.
        rows: So many rows, or columns; None is half of them.
        shape: Height and width.
        drawn: An image of the mask, uint8 [1, H, W]: bright pixels stay.

    Raises:
        UsageError: There is no such side, or no such number of rows.
        ContractError: The drawn mask has another size.
    """
    height, width = shape
    if drawn is not None:
        if tuple(drawn.shape[1:]) != shape:
            raise ContractError(
                "The mask does not fit the image.",
                slug="sample-mask-size",
                seen=f"a mask of {drawn.shape[1]} x {drawn.shape[2]} pixels",
                needed=f"{height} x {width}",
                hint="Draw it at the size of the model's images: white stays, black is drawn anew.",
            )
        return drawn[None] > 127
    side = height if keep in ("top", "bottom") else width
    count = side // 2 if rows is None else rows
    if keep not in SIDES or not 1 <= count < side:
        raise UsageError(
            "What shall stay of the image cannot be told.",
            slug="sample-keep",
            seen=f"--keep {keep[:60]}" + ("" if rows is None else f" --rows {rows}"),
            needed=f"{', '.join(SIDES)}, with 1 to {side - 1} rows or columns; or the picture of a mask",
            hint="--keep top is the upper half; --keep top --rows 7 the first seven rows.",
        )
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    places = {"top": (slice(count), slice(None)), "bottom": (slice(height - count, None), slice(None))}
    places |= {"left": (slice(None), slice(count)), "right": (slice(None), slice(width - count, None))}
    mask[(0, 0, *places[keep])] = True
    return mask


def completions(
    model: nn.Module, given: Images, mask: Tensor, n: int, c: Tensor | None, temperature: float, seed: int
) -> Made:
    """`n` completions of each given image, and a sheet: the image, what was seen of it, and the completions.

    Raises:
        ContractError: The model cannot complete images, or takes others.
    """
    if not isinstance(model, Density | Denoiser):
        raise _cannot(model, "complete an image", "sample(n, given=..., mask=...)")
    x = _leveled(model, given.images()).to(next(model.parameters()).device)
    every, mask = x.repeat_interleave(n, 0), mask.to(x.device)
    made = model.sample(
        len(every),
        c,
        given=every,
        mask=mask.expand_as(every),
        temperature=temperature,
        generator=generator(seed, _DRAWS),
    )
    seen = torch.where(mask, x, torch.full_like(x, 0.5))
    lines = [torch.cat([x[i : i + 1], seen[i : i + 1], made[i * n : (i + 1) * n]]) for i in range(len(x))]
    rows = [{"given": name} for name in given.names for _ in range(n)]
    return Made(made, n + 2, c, rows, torch.cat(lines))


def enlarged(model: nn.Module, given: Images, n: int, c: Tensor, temperature: float, seed: int) -> Made:
    """`n` draws for the low-resolution form of each given image, and a sheet: image, what was seen, draws."""
    made = draws(model, n * len(given), c, temperature, seed).images
    x, side = given.images().to(made), made.shape[-2:]
    small = nn.functional.interpolate(c[::n], size=side, mode="nearest").to(made)
    lines = [torch.cat([x[i : i + 1], small[i : i + 1], made[i * n : (i + 1) * n]]) for i in range(len(x))]
    return Made(made, n + 2, c, [{"given": name} for name in given.names for _ in range(n)], torch.cat(lines))


def code_grid(model: nn.Module, n: int) -> Made:
    """Images of codes on a square grid of equal probability, at least `n`: the two-dimensional manifold."""
    coded, side = _coded(model, "show a grid of codes", ("decode",)), max(2, math.ceil(math.sqrt(n)))
    return Made(_decoded(coded, manifold(coded, side)), side)


def code_walk(model: nn.Module, given: Images | None, n: int, seed: int) -> Made:
    """`n` images on the way between codes: of each given image and the next, or of two draws from the prior.

    Raises:
        UsageError: One image alone was given, or fewer than two steps are asked for.
        ContractError: The model has no codes, or takes other images.
    """
    if n < 2 or (given is not None and len(given) < 2):
        raise UsageError(
            "A walk has two ends.",
            slug="sample-walk",
            seen=f"{n} images on the way" + ("" if given is None else f", {len(given)} given"),
            needed="two or more of both",
            hint="Give a folder of two or more images, or leave --given out: then two codes are drawn.",
        )
    if given is not None:
        coded = _coded(model, "walk between images", ("encode", "decode"))
        x = given.images().to(next(model.parameters()).device)
        codes = interpolate(coded, x[:-1], x[1:], n).flatten(0, 1)
        pairs = zip(given.names, given.names[1:], strict=False)
        return Made(_decoded(coded, codes), n, rows=[{"from": a, "to": b} for a, b in pairs for _ in range(n)])
    coded = _coded(model, "walk between draws", ("decode", "prior"))
    first, last = coded.prior(2, generator=generator(seed, _WALK))
    # Every code on this arc is distributed as the prior is, which the middle of a straight line is not.
    turn = torch.linspace(0, math.pi / 2, n, device=first.device)[:, None]
    return Made(_decoded(coded, turn.cos() * first + turn.sin() * last), n)


def arithmetic(model: nn.Module, text: str, known: Images, given: Images | None, n: int) -> Made:
    """What a sum of concepts looks like, each the mean code of the images that show it.

    "glasses - none" is a step, from the mean code of images without any of the named attributes to that of images
    with glasses: it is taken from each given image. "glasses - none + beard" is a code by itself.

    Args:
        model: Has codes for images.
        text: Names of attributes or classes, "not NAME" or "none", with + and - between.
        known: Images with attributes or labels.
        given: Where a step begins; by default the first `n` of the known images that show what is taken away.
        n: How many of those.

    Raises:
        UsageError: The sum cannot be read, names what no image shows, or adds up to neither a step nor a code.
        ContractError: The model has no codes for images, or takes others.

    References:
        Radford, Metz and Chintala 2016, section 6.3.2; Larsen et al. 2016, section 4.2.
    """
    coded = _coded(model, "add what images show", ("encode", "decode"))
    terms = _terms(text)
    shows = _concepts(known, [name for _, name in terms])
    device = next(model.parameters()).device
    codes = encode_all(coded, known.images().to(device))
    total = sum(sign for sign, _ in terms)
    step = torch.stack([sign * codes[shows[name].to(device)].mean(0) for sign, name in terms]).sum(0)
    if total == 1:
        parts = torch.stack([codes[shows[name].to(device)].mean(0) for _, name in terms])
        made = _decoded(coded, step[None])
        return Made(made, len(terms) + 1, None, [{"sum": text}], torch.cat([_decoded(coded, parts), made]))
    begin = given
    if begin is None:  # the first images that show what is taken away, where there are such
        less = torch.stack([shows[name] for sign, name in terms if sign < 0]).all(0)
        begin = (known.pick(less) if bool(less.any()) else known).pick(slice(n))
    x = begin.images().to(device)
    made = _decoded(coded, encode_all(coded, x) + step)
    rows = [{"given": name, "sum": text} for name in begin.names]
    return Made(made, len(x), None, rows, torch.cat([x, _decoded(coded, encode_all(coded, x)), made]))


@torch.no_grad()
def nats_of(model: nn.Module, made: Made) -> Tensor | None:
    """Log probability [N] of each image, nats: exact or a lower bound, as `model.bound` says; None where none is."""
    if not isinstance(model, Density) or model.bound == "none":
        return None
    parts = [slice(i, i + _FEW) for i in range(0, len(made.images), _FEW)]
    return torch.cat([model.log_prob(made.images[p], None if made.c is None else made.c[p]) for p in parts])


def _coded(model: nn.Module, what: str, needs: tuple[str, ...]) -> Any:
    if not all(callable(getattr(model, name, None)) for name in needs) or not getattr(model, "latent", 0):
        raise _cannot(model, what, f"codes: {', '.join(needs)}")
    if condition_of(model) is not None:
        raise _cannot(model, what, "codes that is not told classes")
    return model


@torch.no_grad()
def _decoded(model: Any, codes: Tensor) -> Tensor:
    codes = codes.to(next(model.parameters()).device)
    return torch.cat([model.decode(part) for part in codes.split(_FEW)])


def _leveled(model: Any, x: Tensor) -> Tensor:
    """Images brought to the gray levels that a density of levels knows."""
    levels = getattr(getattr(model, "likelihood", None), "levels", 0)
    return x if not levels else (x * (levels - 1)).round() / (levels - 1)


def _examples(model: Any, n: int) -> list[str]:
    examples = getattr(model, "examples", ())
    if not examples:
        raise UsageError(
            "This model draws sentences, and none was given.",
            slug="sample-condition",
            seen="no sentence",
            needed="--caption TEXT",
            hint='--caption "a two above a large seven"',
        )
    return [examples[i % len(examples)] for i in range(n)]


def _class(label: str, classes: list[str], count: int) -> int:
    if label in classes[:count]:
        return classes.index(label)
    if label.isdigit() and len(label) < 9 and int(label) < count:
        return int(label)
    raise UsageError(
        "The model knows no such class.",
        slug="sample-condition",
        seen=f"--label {label[:60]}",
        needed=f"one of {', '.join(name[:40] for name in classes[:12])}" if classes else f"0 to {count - 1}",
        hint="Leave --label out to see all classes in turn.",
    )


def _terms(text: str) -> list[tuple[int, str]]:
    """Signs and names of a sum."""
    parts = re.split(r"(?:^|\s)([+-])(?:\s|$)", f"+ {text.strip().removeprefix('+').strip()}")
    signs, names = parts[1::2], [name.strip() for name in parts[2::2]]
    total = sum(1 if sign == "+" else -1 for sign in signs)
    if len(names) < 2 or len(names) > 20 or not all(names) or total not in (0, 1):
        raise UsageError(
            "This sum of concepts means nothing.",
            slug="sample-sum",
            seen=f"{text[:100]!r}",
            needed="names with + and - between and blanks around; as many + as -, which is a step for images, "
            "or one more, which is an image by itself",
            hint='--arithmetic "glasses - none", or "glasses - none + beard".',
        )
    return [(1 if sign == "+" else -1, name) for sign, name in zip(signs, names, strict=True)]


def _concepts(known: Images, names: list[str]) -> dict[str, Tensor]:
    """For each name which of the images show it [n], booleans."""
    there: dict[str, Tensor] = {}
    if known.labels is not None:
        there |= {name: known.labels == i for i, name in enumerate(known.classes)}
    there |= {name: column.bool() for name, column in (attributes(known) if known.table else {}).items()}
    named = [name.removeprefix("not ") for name in names if name != "none"]
    missing = [name for name in named if name not in there]
    if not missing:
        there["none"] = ~torch.stack([there[name] for name in named]).any(0)
        there |= {f"not {name}": ~there[name] for name in named if f"not {name}" not in there}
        missing = [name for name in names if not bool(there[name].any())]
    if missing:
        raise UsageError(
            "No image shows this.",
            slug="sample-sum",
            seen=missing[0][:60],
            needed=f"one of {', '.join(name[:40] for name in list(there)[:20])}; not NAME; or none",
            why="another set of images, or a limit that left none of these in it",
            hint="--data names the images whose attributes and classes are known.",
        )
    return there


def _cannot(model: nn.Module, what: str, needs: str) -> ContractError:
    return ContractError(
        f"This model cannot {what}.",
        slug="sample-cannot",
        seen=f"a {type(model).__name__}",
        needed=f"a model with {needs}",
        hint="docs/sampling.md says which models each option is for.",
    )
