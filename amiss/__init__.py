"""amiss: see where an image classifier goes amiss, why, and what would put it right."""

from amiss._version import __version__ as __version__
