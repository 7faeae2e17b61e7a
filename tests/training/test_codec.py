"""Training of the codec, and what is measured of codecs."""

import math
from xml.etree import ElementTree

import pytest
import torch

from amiss.data import open_data
from amiss.errors import ContractError, UsageError
from amiss.models import ConvVAE, build
from amiss.training import evaluate, train
from amiss.training.batches import Batch
from amiss.training.losses import RateLoss
from amiss.training.measures.rate_distortion import RatePoint, curve_at, measure_rates, rate_svg, rate_table
from amiss.training.presets.codec import STEPS, codec_for

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def digits():
    return open_data("digits", split="train", limit=400)


def test_the_codec_begins_as_principal_components(digits):
    preset = codec_for(digits, width=8)
    model = build(preset.model)
    model.load_state_dict(dict(preset.start), strict=False)
    model.eval()
    # With all components nothing is lost but by rounding: at most a twelfth of the square of the step, and less of
    # those that are nearly 0 everywhere.
    for point, step in zip(measure_rates(model, digits.pixels), STEPS, strict=True):
        least = -10 * math.log10((step / 255) ** 2 / 12)
        assert least - 0.1 < point.psnr < least + 5
    x = digits.images()
    with torch.no_grad():
        code = model.analyze(x, torch.zeros(len(x), dtype=torch.long)).flatten(1)
    moments = code.T @ code / len(code)
    power = moments.diag()
    assert (power.diff() <= 1e-3 * power[0]).all()
    assert (moments - power.diag()).abs().max() < 1e-3 * power[0]


def test_training_lowers_what_it_minimizes_at_every_rate(digits):
    preset = codec_for(digits, width=8, epochs=10)
    begun = build(preset.model, preset.training.seed)
    begun.load_state_dict(dict(preset.start), strict=False)
    before = measure_rates(begun.eval(), digits.pixels)
    done = train(preset, digits, digits)
    after = measure_rates(done.model, digits.pixels)
    for old, new, step in zip(before, after, STEPS, strict=True):
        costs = [
            math.log(2) * point.bits_per_pixel + 6 * (255 / step) ** 2 * 10 ** (-point.psnr / 10)
            for point in (old, new)
        ]
        assert costs[1] < costs[0]  # nats a pixel
    figures = evaluate(done.model, preset, digits)
    assert figures["psnr"] == figures["psnr:2"] == after[2].psnr
    assert [figures[f"bits_per_pixel:{r}"] for r in range(5)] == sorted(
        (p.bits_per_pixel for p in after), reverse=True
    )


def test_the_loss_weighs_errors_by_the_step(digits):
    preset = codec_for(digits, width=8)
    model = build(preset.model)
    model.load_state_dict(dict(preset.start), strict=False)
    batch = Batch({"image": digits.images(range(16))}, 0, 0.0, 0)
    rate = torch.randint(2, (16,), generator=batch.generator(1))
    nats, error = model.rate_distortion(batch["image"], rate, batch.generator())
    wanted = (nats + error * 6 / (torch.tensor([0.1, 0.4])[rate]) ** 2).sum()
    got = RateLoss((25.5, 102.0)).losses(model, batch, ("codec",))["codec"]
    assert torch.allclose(got, wanted)
    with pytest.raises(UsageError, match="codec-steps"):
        RateLoss((30.0, 0.0))
    with pytest.raises(ContractError, match="loss-model"):
        RateLoss((30.0,)).losses(ConvVAE(), batch, ("codec",))


def test_curves_are_read_between_their_points():
    curve = [RatePoint(2.0, 30.0), RatePoint(1.0, 20.0)]
    assert curve_at(curve, 1.0) == 20.0
    assert curve_at(curve, 1.25) == 22.5
    assert curve_at(curve, 5.0) == 30.0
    assert curve_at(curve, 0.9) == -math.inf
    with pytest.raises(UsageError, match="rate-curve"):
        curve_at([], 1.0)


def test_tables_and_drawings_show_every_point():
    own = [RatePoint(1.0, 25.0), RatePoint(0.5, 21.0)]
    other = [RatePoint(0.4, 20.0), RatePoint(1.4, 25.0)]
    worse = [RatePoint(0.4, 10.0)]
    lines = rate_table(own, {"A": [other, worse]}).splitlines()
    assert lines[2:] == ["| 0.500 | 21.00 dB | +0.50 dB |", "| 1.000 | 25.00 dB | +2.00 dB |"]
    root = ElementTree.fromstring(rate_svg({"own": own, "<other>": other}))
    tags = [element.tag.rpartition("}")[2] for element in root]
    assert tags.count("polyline") == 2
    assert tags.count("circle") == 4
    assert "<other>" in [element.text for element in root]
