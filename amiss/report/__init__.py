"""The report: one offline HTML file that shows what was found."""

from amiss.report.build import build
from amiss.report.card import card
from amiss.report.of_result import write_report

__all__ = ["build", "card", "write_report"]
