"""Images in: opened, checked, and known by their content."""

from amiss.data.images import Images, read_image, to_bytes, write_png
from amiss.data.sources import open_data
from amiss.data.strips import film_strips
from amiss.data.worlds.faces import ATTRIBUTES, Faces, draw_faces, redraw, sample_faces

__all__ = [
    "ATTRIBUTES",
    "Faces",
    "Images",
    "draw_faces",
    "film_strips",
    "open_data",
    "read_image",
    "redraw",
    "sample_faces",
    "to_bytes",
    "write_png",
]
