"""A captioner learns to describe drawn faces, and is made to describe others: python examples/caption_hijack.py."""

import tempfile
from pathlib import Path

import torch

import amiss as am
from amiss.training import KINDS, train

RADIUS = am.Linf(25 / 255)  # no gray value moves by more than 25 of 255


def trained(folder: Path) -> Path:
    """Stands for `amiss train captioner faces --out DIR`, with fewer and smaller images and a narrower network."""
    faces = am.open_data("faces:n=1000", split="train")
    path = folder / "captioner.safetensors"
    train(KINDS["captioner"].preset(faces, width=8, epochs=14), faces).save(path)
    return path


def share(said: list[str], wanted: list[str]) -> float:
    return sum(a == b for a, b in zip(said, wanted, strict=True)) / len(wanted)


def main() -> tuple[float, float, am.Result]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        captioner = am.open_captioner(trained(Path(folder)))
    test = am.open_data("faces", split="test", limit=48)
    source, guide = test.pick(slice(24)), test.pick(slice(24, 48))
    told, wanted = captioner.answer(source.images()), captioner.answer(guide.images())
    print(f"the first source: {told[0]}; its guide: {wanted[0]}")

    # The guide's code is what is searched for: the captioner never sees the sentence that is wanted.
    mimic = am.Probe(am.Pixels(), am.Mimic("code"), RADIUS, am.Adam(0.01), budget=am.Budget(60), until="budget")
    hijacked = share(captioner.answer(mimic.run(captioner, source.guided(guide)).images), wanted)
    print(f"described as their guides by chance: {share(told, wanted):.0%}, after the search: {hijacked:.0%}")

    # A sentence of your own, for every source.
    says = am.Probe(am.Pixels(), am.Says("Long hair, glasses, a beard."), RADIUS, am.Adam(0.01), budget=am.Budget(60))
    result = says.run(captioner, source.task())
    print(f"made to say it: {result.met.sum()} of {len(result)}, {captioner.counts.queries} looks at images in all")
    return share(told, wanted), hijacked, result


if __name__ == "__main__":
    main()
