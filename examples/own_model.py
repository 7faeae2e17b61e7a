"""Your own network, from training to repaired mistakes and small attacks: python examples/own_model.py."""

import torch
from torch import nn

import amiss as am
from amiss.training import decoder_for, train

torch.set_num_threads(1)


def train_network(images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """Stands for your own training, which amiss neither sees nor needs."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net((images - 0.3) / 0.4), labels).backward()
        optimizer.step()
    return net


def main() -> tuple[am.Result, am.Result]:
    images, test = am.open_data("digits", split="train"), am.open_data("digits", split="test")
    classifier = am.Classifier(train_network(images.images(), images.labels), mean=(0.3,), std=(0.4,))
    print(f"right on {classifier.check(test.pixels, test.labels).accuracy:.1%} of {len(test)} test images")

    decoder = train(decoder_for(images, epochs=30), images).model  # or your own: encode and decode
    lse = am.recipes.lse(decoder, margin=0.5)
    repairs = lse.run(classifier, test.misclassified(classifier))
    print(f"repaired {repairs.met.sum()} of {len(repairs)} mistakes, median change {repairs.size.median():.2f}")

    attacks = am.recipes.pgd(24 / 255, steps=40).run(classifier, test.task(slice(0, 100)))
    print(f"wrong within 24 gray levels: {attacks.met.sum()} of {len(attacks)} images, {attacks.counts}")
    return repairs, attacks


if __name__ == "__main__":
    main()
