"""All generative models in one table: what they can say, our figures, and the published ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["side_by_side", "with_table"]

_BEGIN, _END = "<!-- table: made by python -m amiss.bench.figures -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class _Row:
    """A model: its kind, what it can say of an image, where its figure stands, and what is published."""

    model: str
    bound: str
    bench: str
    figure: str
    unit: str
    published: str


_NATS = "nats, MNIST"
_ROWS = (
    _Row("[FVBN](models/fvbn.md)", "exact", "density", "fvbn_nats", _NATS, "97.5 ᶠ (Larochelle and Murray 2011)"),
    _Row(
        "[MADE](models/made.md)",
        "exact",
        "density",
        "made_nats",
        _NATS,
        "88.4, two layers and 32 masks 86.6 ᶠ (Germain 2015)",
    ),
    _Row("[PixelCNN](models/pixelcnn.md)", "exact", "density", "pixelcnn_nats", _NATS, "81.3 ᶠ (van den Oord 2016)"),
    _Row("[Row LSTM](models/pixelrnn.md)", "exact", "density", "row_lstm_nats", _NATS, "80.5 ᶠ (van den Oord 2016)"),
    _Row(
        "[Diagonal BiLSTM](models/pixelrnn.md)",
        "exact",
        "density",
        "diagonal_bilstm_nats",
        _NATS,
        "79.2, one layer 80.8 ᶠ (van den Oord 2016)",
    ),
    _Row("[the best in 15 minutes](models/pixelrnn.md)", "exact", "density", "pixel_nats", _NATS, ""),
    _Row("[the best in 100 minutes](models/pixelrnn.md)", "exact", "density-long", "pixel_nats", _NATS, ""),
    _Row(
        "[color PixelCNN](models/pixelcnn.md)",
        "exact",
        "density-long",
        "cifar_bits_per_dim",
        "bits/dim, CIFAR-10",
        "3.14, of 50,000 images (van den Oord 2016)",
    ),
    _Row("[VAE](models/vae.md)", "lower", "density", "vae_neg_elbo", _NATS, "86.8 by 5,000 draws ᵈ (Burda 2016)"),
    _Row(
        "[autoencoder](models/autoencoders.md)", "none", "autoencoders", "notebook_ae_bce", "BCE a pixel, MNIST", ""
    ),
    _Row("[denoiser](models/unet.md)", "none", "autoencoders", "dae_gain_over_best_filter_db", "dB, CIFAR-10", ""),
    _Row("[codec](models/codec.md)", "lower", "autoencoders", "codec_rates_beating_jpeg", "rates beating JPEG", ""),
    _Row(
        "[characters](models/text.md)",
        "exact",
        "char",
        "char_bpc",
        "bits a character, Shakespeare",
        "2.12, a transformer of 10.7 M weights (Karpathy 2022, nanoGPT)",
    ),
    _Row(
        "[characters, trained for longer](models/text.md)",
        "exact",
        "char-long",
        "char_bpc_long",
        "the same, seed 0",
        "",
    ),
    _Row("[GAN](models/gan.md)", "implicit", "gan", "gan_classes", "classes of MNIST", ""),
    _Row("[DCGAN](models/dcgan.md)", "implicit", "gan", "dcgan_frechet", "Fréchet ᶜ, MNIST", ""),
    _Row("[StackGAN](models/stackgan.md)", "implicit", "gan", "stackgan_agreement", "captions kept, scenes", ""),
)


def side_by_side(results: Path) -> str:
    """The table, from the JSON files in `results`."""
    lines = ["| model | it says | figure | ours, seeds 0, 1, 2 | published |", "|---|---|---|---|---|"]
    books: dict[str, dict[str, Any]] = {}
    for row in _ROWS:
        file = results / f"{row.bench}.json"
        if row.bench not in books:
            books[row.bench] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"figures": {}}
        values = books[row.bench]["figures"].get(row.figure, [])
        ours = ", ".join(f"{value:.4g}" for value in values) or "not measured"
        says = {"none": "reconstructions", "implicit": "samples alone", "lower": "a lower bound", "exact": "exactly"}
        lines.append(f"| {row.model} | {says[row.bound]} | {row.unit} | {ours} | {row.published or '-'} |")
    return "\n".join(lines)


def with_table(page: str, results: Path) -> str:
    """A page with the table between its two marks made anew."""
    before, _, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n{side_by_side(results)}\n{_END}{after}" if rest else page
