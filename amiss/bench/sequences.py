"""Recurrent networks against what is known: tasks with best answers, worlds with a truth."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.sequences_captions import captions
from amiss.bench.sequences_hallucination import hallucinations
from amiss.bench.sequences_hijack import hijack
from amiss.bench.sequences_memory import cells, memory
from amiss.bench.sequences_movies import movies, signals
from amiss.bench.sequences_tasks import conditional, directions, eigen, hello, labels

__all__ = ["BENCH"]

BENCH = Bench(
    "sequences",
    {
        "hello": hello,
        "labels": labels,
        "directions": directions,
        "conditional": conditional,
        "eigen": eigen,
        "memory": memory,
        "cells": cells,
        "hallucination": hallucinations,
        "movies": movies,
        "signals": signals,
        "captions": captions,
        "hijack": hijack,
    },
    {
        "hello_exact": Bar("==", 1),
        "parity_accuracy": Bar(">", 0.99),
        "echo_accuracy": Bar(">", 0.99),
        "bidirectional_accuracy": Bar(">", 0.99),
        "one_direction_accuracy": Bar("<=", 0.3),
        "eigen_slope_error": Bar("<=", 0.01, quick=0.01),
        "feedback_gain_error": Bar("<=", 0.05),
        "lstm_recall": Bar(">=", 0.99),
        "rnn_recall": Bar("<=", 0.4),
        "cells_apart": Bar("<=", 1e-6, quick=1e-6),
        "gradient_error": Bar("<", 1e-5, quick=1e-5),
        "frame_auc": Bar(">=", 0.7),
        "movie_auc_gain": Bar(">=", 0.05),
        "movie_auc_gain_shuffled": Bar("<=", 0.02),
        "marker_curve_slope": Bar(">", 0),
        "eeg_auc": Bar(">=", 0.95),
        "caption_exact": Bar(">=", 0.95),
        "caption_over_prior": Bar("<=", 0.02),
        "caption_hijack": Bar(">=", 0.8),
        "caption_hijack_scenes": Bar(">=", 0.8),
        "caption_hijack_linf": Bar("<=", 0.1, quick=0.1),
    },
)
"""Seeds 0 to 4."""
