"""Where a defense works: archives and networks that are made once, kept on disk, and read when the run goes on."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.defend.nonsense import Archive
from amiss.errors import CheckpointError, Interrupted
from amiss.tensorfile import read_tensors, write_tensors
from amiss.training import Progress, TrainingLoss, TrainingRecipe, fit
from amiss.training.trainer import STATE_FILE

__all__ = ["Workshop"]


@dataclass(frozen=True)
class Workshop:
    """The folder of a defense at work.

    Attributes:
        folder: Of the run; what is made lies in "work".
        run: The digest of all that makes two runs the same: files of another are made anew.
        progress: Told (what, done, total).
        stop: Asked now and then.
    """

    folder: Path
    run: str
    progress: Callable[[str, int, int], None]
    stop: Callable[[], bool] | None = None

    def tell(self, what: str, done: int, total: int) -> None:
        """Say how far the work is, and end it where that was asked for.

        Raises:
            Interrupted: It was asked to stop; what was finished before is kept.
        """
        self.progress(what, done, total)
        if self.stop is not None and self.stop():
            raise Interrupted(
                "The defense was stopped in the middle of its work; what was finished is kept.",
                slug="interrupted",
                hint="The same command goes on from here.",
            )

    def archive(self, name: str, make: Callable[[], Archive]) -> Archive:
        """The archive of that name, made where it is not there yet."""
        return Archive(**self.tensors(name, lambda: _parts(make())))

    def tensors(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors of that name, made where they are not there yet."""
        path = self.folder / "work" / f"{name}.safetensors"
        kept = self._kept(path)
        if kept is None:
            kept = make()
            self._keep(path, kept)
        return kept

    def seconds(self, name: str) -> float:
        """CPU seconds of this process that `trained` spent on the network of that name, in all sittings."""
        path = self.folder / "work" / f"{name}-seconds.safetensors"
        return float((self._kept(path) or {"cpu": torch.zeros(1, dtype=torch.float64)})["cpu"])

    def trained(
        self,
        name: str,
        classifier: Classifier,
        data: Mapping[str, Tensor],
        loss: TrainingLoss,
        recipe: TrainingRecipe,
        what: str,
    ) -> Classifier:
        """A copy of a classifier whose network has learned on from its weights; one that was stopped goes on.

        Args:
            name: Of its files.
            classifier: A network, which is not changed.
            data: What it learns from, as `fit` takes it.
            loss: What is minimized.
            recipe: How long and how fast.
            what: How the work is called while it is done.

        Raises:
            Interrupted: It was asked to stop; the state of the training is kept.
        """
        network = copy.deepcopy(classifier.network)
        assert isinstance(network, nn.Module)  # noqa: S101 - `check_trainable` has seen to it
        path, place = self.folder / "work" / f"{name}.safetensors", self.folder / "work" / name
        kept = self._kept(path)
        if kept is not None:
            network.load_state_dict(kept)
        else:

            def tell(step: Progress) -> None:
                self.progress(what, step.step, step.total or 0)
                if self.stop is not None and self.stop():
                    raise KeyboardInterrupt

            began = time.process_time()
            try:
                fit(network, loss, data, recipe, out=place, on_step=tell, device=classifier.device)
            except KeyboardInterrupt as error:
                raise Interrupted(
                    "The defense was stopped in the middle of training, and its state is kept.",
                    slug="interrupted",
                    hint="The same command goes on from here.",
                ) from error
            finally:
                spent = torch.tensor([self.seconds(name) + time.process_time() - began], dtype=torch.float64)
                self._keep(place.with_name(f"{name}-seconds.safetensors"), {"cpu": spent})
            self._keep(path, network.state_dict())
            (place / STATE_FILE).unlink(missing_ok=True)
            place.rmdir()
        mean, std = classifier.preprocessing
        return Classifier(network.eval(), mean=mean, std=std, labels=classifier.labels, size=classifier.size)

    def _kept(self, path: Path) -> dict[str, Tensor] | None:
        """The tensors of a file of this very run; None where there are none that can be believed."""
        try:
            tensors, about = read_tensors(path)
        except CheckpointError:
            return None
        return tensors if about.get("run") == self.run else None

    def _keep(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        write_tensors(path, tensors, {"run": self.run})


def _parts(made: Archive) -> dict[str, Tensor]:
    return {field.name: getattr(made, field.name) for field in fields(made)}
