"""How sure a classifier is of images as their files hold them."""

import torch
from torch import Tensor

from amiss.classifier import Classifier

__all__ = ["confidence"]


@torch.no_grad()
def confidence(classifier: Classifier, images: Tensor, target: Tensor, batch: int = 200) -> Tensor:
    """The softmax probability of each image's class.

    Args:
        classifier: Who is asked.
        images: As their files hold them [n, C, H, W], uint8.
        target: Classes [n], int64.
        batch: Images a pass.

    Returns:
        Probabilities [n] in [0, 1], float64, on the CPU.
    """
    seen = [images.new_zeros(0, dtype=torch.float64)]
    for rows in torch.arange(len(images)).split(batch):
        logits = classifier.outputs(images[rows].to(torch.float32) / 255)["answer"].double().cpu()
        seen.append(logits.softmax(-1).gather(1, target[rows, None].cpu())[:, 0])
    return torch.cat(seen)
