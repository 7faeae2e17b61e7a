"""Presets that papers name: each a probe, in a few lines.

All of them show the network 8-bit images, so that a success is one in the file it is saved to; `levels=None`
leaves images unrounded.
"""

from amiss.recipes.evolved import fool_cppn, fool_direct
from amiss.recipes.features import feature_fgrad, feature_linear, feature_opt, invert, label_fgrad
from amiss.recipes.fooling import classes, fool_ascent, fool_gradient
from amiss.recipes.labels import cw, ddn, deepfool, fgsm, label_opt, pgd, square
from amiss.recipes.queries import hop_skip_jump, nes, spsa
from amiss.recipes.recipe import RECIPES, Recipe
from amiss.recipes.repairs import lse
from amiss.recipes.views import eot
from amiss.recipes.worst import worst_case

__all__ = [
    "RECIPES",
    "Recipe",
    "classes",
    "cw",
    "ddn",
    "deepfool",
    "eot",
    "feature_fgrad",
    "feature_linear",
    "feature_opt",
    "fgsm",
    "fool_ascent",
    "fool_cppn",
    "fool_direct",
    "fool_gradient",
    "hop_skip_jump",
    "invert",
    "label_fgrad",
    "label_opt",
    "lse",
    "nes",
    "pgd",
    "spsa",
    "square",
    "worst_case",
]
