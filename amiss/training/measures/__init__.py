"""Measures of models and of what they draw, and guards that say when a run has failed."""
