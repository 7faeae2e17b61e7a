"""A language model of characters on Shakespeare: bits a character, and what writing costs beside a bare loop."""

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from amiss.bench.bench import Bar, Bench, Run
from amiss.bench.char_counts import compressed, counted
from amiss.bench.weights import learned_once
from amiss.data.text import Text, open_text
from amiss.models import TextModel
from amiss.repro import generator
from amiss.training import KINDS, Preset, Trained, train
from amiss.training.measures.texts import bits_per_character

__all__ = ["BENCH", "learned", "scored", "splits"]

_SAMPLES = 1  # stream of randomness
_OWN = 20_000  # characters that a model writes, to be read by itself
_LINES = (
    "the cat sat on the mat, and the dog lay by the door. ",
    "the cook read a book by the brook and took a look at the rook. ",
)


def splits(run: Run) -> tuple[Text, Text]:
    """The first nine tenths of Shakespeare's lines, and the last; if quick, two lines said again and again.

    Raises:
        Skip: There is no such text here.
    """
    if not run.quick:
        path = run.data("text", "tinyshakespeare.txt")
        return open_text(path), open_text(path, split="test")
    text = Text("".join(_LINES[i * i % 3 % 2] for i in range(60)), "lines")
    return text.pick(slice(3000)), text.pick(slice(3000, None))


def learned(run: Run, name: str, text: Text, recipe: Preset) -> tuple[TextModel, dict[str, Any]]:
    """A language model of this seed, trained where its folder holds none; and what its training cost.

    An interrupted training goes on. Weights of another recipe are not taken for it.

    Returns:
        The model in eval mode; `minutes` of wall time with one thread, over all sittings of the training, `steps` and
        `epochs`; `cpu_seconds` of the last sitting, which began at step `resumed`, and `characters_per_cpu_second`;
        `load`: how many processes the machine had to run, the mean of the last quarter of an hour.
    """

    def learn(recipe: Preset, mark: str) -> Trained:
        torch.set_num_threads(1)  # the same sums, hence the same weights, on a busy machine too
        began = time.process_time()
        done = train(recipe, text, out=run.place / f"{name}-{mark}")
        history, window = done.history, recipe.model["arguments"]["length"] // 2
        cpu = time.process_time() - began
        read = (history.steps - history.resumed) * recipe.training.batch * window
        done.facts["training"] |= {
            "minutes": history.seconds / 60,
            "epochs": history.epochs,
            "resumed": history.resumed,
            "cpu_seconds": cpu,
            "load": os.getloadavg()[2],
            "characters_per_cpu_second": read / cpu,
        }
        return done

    model, facts = learned_once(run.place / f"{name}.safetensors", recipe, learn)
    assert isinstance(model, TextModel)  # noqa: S101
    return model, {key: value for key, value in facts["training"].items() if key != "recipe"}


def scored(run: Run, model: TextModel, text: Text, test: Text) -> dict[str, Any]:
    """What a model knows of the held-out text, beside what counting knows, and of what it writes itself.

    `bits` is of every held-out character given all that stand before it there, by the chain rule and nothing else:
    one pass over the whole, its state never cut. The model's own text is as long as `own_characters`.
    """
    own = 200 if run.quick else _OWN
    draws = model.write(n=20, length=own // 20, generator=generator(run.seed, _SAMPLES))
    return {
        "bits": bits_per_character(model, test.characters, rows=1),
        "bits_in_parts": bits_per_character(model, test.characters),
        "bits_learned": bits_per_character(model, text.characters[: len(test)]),
        "characters": len(test),
        "bits_own": sum(bits_per_character(model, line, rows=1) for line in draws) / len(draws),
        "own_characters": own,
        "counts": {str(k): counted(text.characters, test.characters, k) for k in range(1, 8)},
        "bzip2": compressed(text.characters, test.characters),
        "written": draws[0][:600],
        "written_cooler": model.write(length=400, temperature=0.7)[0],
    }


def text(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Bits a held-out character by the kind's own recipe, and the minutes of its training with one thread.

    The machine may have had other work beside it: minutes are those of the wall.
    """
    lines, test = splits(run)
    model, spent = learned(run, "text", lines, _recipe(run, lines))
    told = scored(run, model, lines, test)
    return {"char_bpc": told["bits"], "char_minutes": spent["minutes"]}, {**told, "training": spent}


def writing(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """CPU seconds of a text beside a bare loop of cell, readout and lot, at batches 1 and 64: the worse of both.

    The loop is torch's own LSTM cell, with the sizes of the model that is measured; each takes its turns, eleven of
    them, and medians are compared. Weights make no difference, so none are learned.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    lines, _ = splits(run)
    recipe = _recipe(run, lines)
    torch.manual_seed(run.seed)
    arguments: dict[str, Any] = recipe.model["arguments"]
    model = TextModel(**arguments).eval()
    bare, told = _bare(model), {}
    for n, length in ((1, 20), (64, 5)) if run.quick else ((1, 1000), (64, 200)):
        ways = {"ours": lambda n, k: model.sample(n, given=_zeros(k), mask=_zeros(k) > 0), "bare": bare}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(3 if run.quick else 11):
            for name, way in ways.items():
                began = time.process_time()
                way(n, length)
                seconds[name].append(time.process_time() - began)
        told[str(n)] = {name: median(each) / length * 1e6 for name, each in seconds.items()}
    torch.set_num_threads(threads)
    worst = max(each["ours"] / each["bare"] for each in told.values())
    return {"generation_over_cell_loop": worst}, {
        "microseconds_a_step": told,
        "arguments": arguments | {"symbols": len(lines.symbols)},
    }


def _recipe(run: Run, lines: Text) -> Preset:
    """The recipe of `amiss train text FILE`, without any option; tiny if quick."""
    if run.quick:
        return KINDS["text"].preset(lines, hidden=16, window=30, warm=10, seed=run.seed, epochs=2)
    return KINDS["text"].preset(lines, seed=run.seed)


def _zeros(length: int) -> Tensor:
    return torch.zeros(1, length, dtype=torch.int64)


def _bare(model: TextModel) -> Callable[[int, int], Tensor]:
    """The loop as one writes it by hand, with a cell for each layer."""
    width = model.embedding.embedding_dim
    sizes = [width] + [model.recurrent.hidden] * (model.recurrent.layers - 1)
    cells = [nn.LSTMCell(size, model.recurrent.hidden) for size in sizes]

    @torch.inference_mode()
    def write(n: int, length: int) -> Tensor:
        lots = torch.Generator().manual_seed(0)
        states = [(torch.zeros(n, model.recurrent.hidden),) * 2 for _ in cells]
        token, drawn = torch.full((n,), model.symbols), []
        for _ in range(length):
            x = model.embedding(token)
            for i, cell in enumerate(cells):
                states[i] = cell(x, states[i])
                x = states[i][0]
            token = torch.multinomial(model.readout(x).softmax(1), 1, generator=lots)[:, 0]
            drawn.append(token)
        return torch.stack(drawn, 1)

    return write


BENCH = Bench(
    "char",
    {"text": text, "writing": writing},
    {
        "char_bpc": Bar("<=", 2.3),
        "char_minutes": Bar("<=", 10),
        "generation_over_cell_loop": Bar("<=", 2),
    },
)
"""Seeds 0 to 2; a long run is `char-long`."""
