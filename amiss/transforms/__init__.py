"""Differentiable, seeded views of an image: what a camera may do to it.

A transform takes images [R, C, H, W] and keys [R]; its randomness is a function of the keys alone. Give several to
`EOT` as a sequence: they are applied one after the other.
"""

from amiss.transforms.jpeg import JPEG
from amiss.transforms.printed import PRINTED, Print
from amiss.transforms.scene import Scene
from amiss.transforms.sensor import Blur, Light, Noise
from amiss.transforms.view import View, bounds, homography, project, warp

__all__ = [
    "JPEG",
    "PRINTED",
    "Blur",
    "Light",
    "Noise",
    "Print",
    "Scene",
    "View",
    "bounds",
    "homography",
    "project",
    "warp",
]
