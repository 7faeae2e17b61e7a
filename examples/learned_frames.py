"""Which three frames of nine to record, learned with the model that sees them: python examples/learned_frames.py."""

import torch

import amiss as am
from amiss.data.worlds.digit_movies import digit_movies
from amiss.models import PickedClassifier, build
from amiss.training import TrainingRecipe, evaluate, fit
from amiss.training.kinds import KINDS

torch.set_num_threads(1)

SHOWN = (0, 3, 8)  # frames that show the digit; in all others there is noise alone


def written(mask: torch.Tensor) -> str:
    return "".join(str(int(kept)) for kept in mask)


def main(steps: int = 400) -> PickedClassifier:
    learn = digit_movies(am.open_data("digits", split="train"), shown=SHOWN)
    test = digit_movies(am.open_data("digits", split="test"), shown=SHOWN, seed=1)

    kind = KINDS["sequence-classifier"]
    preset = kind.preset(learn, keep=3)  # or: amiss train sequence-classifier DATA --keep 3
    model = build(preset.model)
    assert isinstance(model, PickedClassifier)
    print(f"step   0: {written(model.picker.hard())}")

    def tell(progress) -> None:
        if progress.step % (steps // 5) == 0:
            print(f"step {progress.step:3d}: {written(model.picker.hard())}")

    recipe = TrainingRecipe(steps=steps, batch=32, rate=2e-3, clip=1.0)
    fit(model, preset.loss, kind.data(preset, learn), recipe, on_step=tell)
    right = evaluate(model, preset, test)["accuracy"]
    print(f"digits show in frames {SHOWN}; {right:.0%} of {len(test)} new movies are right with three of nine frames")
    return model


if __name__ == "__main__":
    main()
