"""How far back a network can learn from, drawn: python examples/memory.py (half a minute)."""

from pathlib import Path

import torch

from amiss.data.worlds.tasks import recall
from amiss.figures.memory import MemoryNumbers, draw_memory, memory_numbers
from amiss.models import SequenceClassifier
from amiss.training import TrainingRecipe, fit
from amiss.training.losses import SequenceLoss

torch.set_num_threads(1)


def learn(cell: str, lag: int, steps: int) -> tuple[SequenceClassifier, float]:
    """A network that learns to recall a symbol through noise, and its accuracy on new rows."""
    rows = recall(5000, lag, torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    net = SequenceClassifier(rows.frames.shape[2], rows.classes, hidden=32, cell=cell, memory=lag)
    lengths = torch.full((5000,), rows.frames.shape[1])
    recipe = TrainingRecipe(steps=steps, batch=64, rate=0.01, clip=1.0, schedule="constant")
    fit(net, SequenceLoss(), {"frames": rows.frames, "lengths": lengths, "label": rows.labels}, recipe)
    new = recall(1000, lag, torch.Generator().manual_seed(2))
    with torch.no_grad():
        return net, float((net.eval()(new.frames).argmax(1) == new.labels).double().mean())


def main(out: Path = Path("memory.png"), lag: int = 100, steps: int = 1000) -> tuple[dict[str, float], MemoryNumbers]:
    learned, right = {}, {}
    for name, cell in {"vanilla": "rnn", "LSTM": "lstm"}.items():
        net, right[name] = learn(cell, lag, steps)
        learned[f"{name}, right on {right[name]:.0%}"] = net.recurrent
        print(f"{name}: recalls {right[name]:.1%} of symbols {lag} steps ago; chance is 25 %")
    numbers = memory_numbers(learned, lag=lag)
    png, svg = draw_memory(numbers)
    out.write_bytes(svg if out.suffix == ".svg" else png)
    print(f"{out.name} is drawn")
    return right, numbers


if __name__ == "__main__":
    main()
