"""One trainer for every model, and the files it leaves."""

from amiss.training.checkpoint import load_model, read_facts, save_model

__all__ = ["load_model", "read_facts", "save_model"]
