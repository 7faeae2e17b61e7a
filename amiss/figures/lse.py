"""The figures of latent sympathetic examples."""

from amiss.figures import flat, people, sweep
from amiss.figures.figure import Figure

__all__ = ["FIGURES"]

FIGURES = (
    Figure(2, "class-map", flat.map_decoded, flat.draw_map, flat.classes),
    Figure(3, "moved-map", flat.map_moved, flat.draw_map, flat.classes),
    Figure(4, "path", flat.path, flat.draw_path, flat.steps),
    Figure(5, "dimensions", sweep.dimensions, sweep.draw_curve, sweep.curve),
    Figure(6, "attributes", people.attributes, people.draw_attributes, people.mistaken, faces=True),
    Figure(7, "iterations", sweep.iterations, sweep.draw_iterations, sweep.frames),
    Figure(8, "steps", sweep.steps, sweep.draw_steps, sweep.frames),
    Figure(9, "local-minimum", flat.minimum, flat.draw_minimum, flat.steps),
    Figure(10, "cohort", people.cohort, people.draw_cohort, people.groups, faces=True),
)
"""Figures 2 to 10 of the paper, in its order.

References:
    Zoetmulder et al. (2018), latent sympathetic examples, figures 2 to 10.
"""
