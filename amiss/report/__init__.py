"""The report: one offline HTML file that shows what was found."""

from amiss.report.build import build as build

__all__ = ["build"]
