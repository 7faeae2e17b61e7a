"""Files that mean harm, made on the spot, and a process that opens them as data and tells what they did."""

from amiss.bench.hostile.arrays import array_cases
from amiss.bench.hostile.case import OUTSIDE, Case, Maker
from amiss.bench.hostile.containers import csv_cases, zip_cases
from amiss.bench.hostile.images import image_cases, image_files
from amiss.bench.hostile.mutants import mutant_cases

__all__ = [
    "OUTSIDE",
    "Case",
    "Maker",
    "array_cases",
    "csv_cases",
    "image_cases",
    "image_files",
    "mutant_cases",
    "zip_cases",
]
