"""`amiss run camera MODEL DATA`: the experiment before a camera, from its options to its report."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.classifier import Classifier
from amiss.cli.config import RunConfig, is_kind
from amiss.cli.experiment import (
    Experiment,
    Opened,
    Option,
    Tell,
    count_from,
    listed,
    number_within,
    open_images,
    open_model,
)
from amiss.cli.folder import CAMERA, PHOTOGRAPHED, SAID, SHEET
from amiss.data import read_image, to_bytes
from amiss.data.cells import csv_text
from amiss.data.guards import open_plain
from amiss.disk import Disk
from amiss.gates import Gate

if TYPE_CHECKING:
    from amiss.audit.camera import CameraExperiment, Filmed
    from amiss.audit.camera_asked import Camera

__all__ = ["FILMING", "OPTIONS", "CameraWork", "camera_of", "camera_settings", "known_of_camera", "open_camera"]

_MOST = 2**26  # bytes of answers.json
_PRINTED = 4  # pictures on a sheet, where they fit


@dataclass(frozen=True)
class CameraWork(Opened):
    """The experiment with its model and data open."""

    file = CAMERA

    experiment: "CameraExperiment"

    def attempt(self, other: Classifier) -> object:
        """Show one of the images to a model."""
        return other.predict(self.experiment.images.images([0]).to(other.device))

    def write(
        self,
        found: "Filmed",
        out: Path,
        tell: Tell,
        gates: Sequence[Gate] = (),
        others: Mapping[str, Classifier] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Take the photographs; write answers.json, camera.csv, sheet.svg, camera.json, flags.json and the page."""
        from amiss.audit.camera_pages import camera_known, camera_record, camera_rows
        from amiss.audit.camera_views import film

        def keep(book: Mapping[str, Any]) -> None:
            Disk().write(out / SAID, json.dumps(book).encode())

        # Only who may be stopped goes on from noted answers: a rebuild asks for all of them anew.
        before = _kept(out) if stop is not None else {}
        seen = film(found, self.classifier, before=before, keep=keep, progress=tell, stop=stop)
        Disk().write(out / PHOTOGRAPHED, csv_text(*camera_rows(found, seen)).encode())
        tell("Writing the report", 0, 1)
        record = camera_record(
            found, seen, self.classifier, out, **self.names(out), sheet=_sheet(found, out, self._width)
        )
        return self.put(record, out, gates, camera_known())

    @property
    def _width(self) -> float:
        return float(self.config.settings["millimeters"])


def _ascending(_flag: str, text: str) -> list[float]:
    read = number_within(0.01, 100)
    low, high = (read("", part.strip()) for part in text.split(","))
    if low > high:
        raise ValueError(text)
    return [low, high]


def _word(_flag: str, text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def _real(value: Any) -> bool:
    return is_kind(value, int | float)


OPTIONS = {
    # Any number: what is negative, or in units of 0..255, has an error of its own.
    "eps": Option(
        "how far a pixel may move", "a number above 0 and at most 1: 0.1, or 25/255", number_within(-1e9, 1e9), _real
    ),
    "target": Option(
        "class to become; any but the true one where left out",
        "name or number of a class",
        _word,
        lambda value: value is None or isinstance(value, str),
        "",
    ),
    "images": count_from(1, "images to change, of those that are named rightly", 20),
    "views": count_from(1, "photographs of each that judge", 100),
    "steps": count_from(1, "steps of the search over views", 100),
    "drawn": count_from(1, "views of each of its steps", 8),
    "scale": Option(
        "apparent size, 1 over the distance",
        "least and greatest, from 0.01 to 100, with a comma between: .5,1.5",
        _ascending,
        listed(int | float),
        [0.5, 1.5],
    ),
    "rotation": Option(
        "degrees in the plane, either way", "a number from 0 to 180", number_within(0, 180), _real, 30.0
    ),
    "tilt": Option("degrees from the side, either way", "a number from 0 to 80", number_within(0, 80), _real, 45.0),
    "print": Option(
        "put ink, lens, light, sensor and file before the camera too",
        "no value: it stands alone",
        None,
        lambda value: isinstance(value, bool),
        False,
    ),
    "mask": Option(
        "which pixels may change; all where left out",
        "a picture of the images' size, white where pixels may change",
        _word,
        lambda value: value is None or isinstance(value, str),
    ),
    "millimeters": Option(
        "width of a picture on the sheet to print", "a number from 10 to 186", number_within(10, 186), _real, 80.0
    ),
}
"""What `amiss run camera` takes beside the options of every run."""

FILMING = Experiment(
    "camera",
    "Does a change survive distance and angle? Adversaries of one view and of many, photographed from elsewhere.",
    "docs/camera.md",
    OPTIONS,
    {"--printed": "print"},
)
"""The experiment as the command line knows it."""


def camera_settings(words: Sequence[str]) -> dict[str, Any]:
    """Read `--eps 0.1 --views 100 --scale .5,1.5 --tilt 45 --print`.

    Returns:
        The settings as `config.toml` keeps them.

    Raises:
        UsageError: An option that the experiment does not have, one that cannot be read, or no radius.
    """
    found = FILMING.settings(words)
    if found["eps"] is None:
        raise FILMING.refused("needs --eps", " ".join(words) or "no option", "--eps 0.1, or --eps 25/255")
    _made(found)
    return found


def camera_of(config: RunConfig) -> "Camera":
    """What the experiment asks that a configuration is of.

    Raises:
        UsageError: Settings that are none of it: the file was edited.
        DataError: The mask cannot be read.
    """
    said = FILMING.checked(config.settings)
    return _made(said, batch=config.batch, seed=config.seed)


def known_of_camera(_config: RunConfig) -> dict[str, str]:
    """Every figure that the experiment of a configuration can have, each with the reason why it may lack it."""
    from amiss.audit.camera_pages import camera_known

    return camera_known()


def open_camera(config: RunConfig, *, device: str | None = None) -> CameraWork:
    """Open model and data.

    Raises:
        UsageError: The settings are none.
        ModelError: The model cannot be opened, or does not take such images.
        DataError: The images cannot be read, or are no match for the model; likewise the mask.
        ParityError: The model does not score what its owner says.
    """
    if (others := config.network.get("transfer")) is not None:
        hint = "Leave --transfer out; amiss run attacks shows adversaries to other models."
        raise FILMING.refused("shows its photographs to MODEL alone", f"--transfer {others}", "no --transfer", hint)
    from amiss.audit.camera import CameraExperiment

    camera, classifier = camera_of(config), open_model(config, device)
    images, known = open_images(config, classifier), config.network.get("accuracy")
    return CameraWork(config, CameraExperiment(classifier, images, camera, known))


def _made(settings: Mapping[str, Any], **more: Any) -> "Camera":
    from amiss.audit.camera_asked import Camera

    said = {name: settings[name] for name in ("images", "views", "steps", "drawn", "rotation", "tilt")}
    # TOML has no word for None, so a class called "none" comes back as that.
    target = "none" if settings["target"] is None else settings["target"]
    mask = None if settings["mask"] is None else read_image(settings["mask"], channels=1)[0] >= 128
    low, high = settings["scale"]
    more |= {"scale": (low, high), "printed": settings["print"], "mask": mask}
    return Camera(settings["eps"], target, **said, **more)


def _kept(out: Path) -> dict[str, Any]:
    """Answers that an earlier run noted, which somebody else may have written; none where there is no such file."""
    try:
        with open_plain(out / SAID, _MOST) as file:
            said = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _sheet(found: "Filmed", out: Path, millimeters: float) -> dict[str, Any] | None:
    """Adversaries over views on a sheet of paper; None where not one of them fits."""
    from amiss.report.sheet import fitting, printable_sheet

    part = found.parts[-1]
    height, width = part.result.images.shape[2:]
    met = part.result.met.nonzero().flatten().tolist()
    some = (met or list(range(len(part.result))))[: min(_PRINTED, fitting(millimeters, height / width))]
    if not some:
        (out / SHEET).unlink(missing_ok=True)
        return None
    pictures = to_bytes(part.result.images[some]).float() / 255
    names = [found.images.names[i] for i in some]
    printable_sheet(out / SHEET, pictures, names, millimeters, found.camera.mask)
    return {"file": SHEET, "millimeters": millimeters, "pictures": names, "cut": found.camera.mask is not None}
