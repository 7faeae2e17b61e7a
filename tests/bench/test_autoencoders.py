"""The bench of autoencoders: parts in their quick form, and what is judged judged by known answers."""

import json

import pytest
import torch

from amiss.bench.autoencoders import BENCH
from amiss.bench.autoencoders_denoising import SETTINGS, SIGMA, denoise, filtered
from amiss.bench.autoencoders_faces import faces, judged, with_step
from amiss.bench.autoencoders_notebook import notebook, sizes
from amiss.bench.bench import Run
from amiss.bench.density_vae import vae


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(10, True, tmp_path_factory.mktemp("autoencoders"))


def test_each_bar_has_a_part(run):
    assert {"notebook", "denoising", "unet", "faces"} <= set(BENCH.parts)
    assert sizes(run)[0] == {"unet_sizes": 1.0}
    assert BENCH.bars["unet_sizes"].holds(1.0, quick=True) and not BENCH.bars["unet_sizes"].holds(0.0, quick=True)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_filters_keep_flat_images_and_shapes(name):
    pytest.importorskip("skimage")
    pytest.importorskip("pywt")
    flat = torch.full((2, 3, 16, 20), 0.4)
    for settings in SETTINGS[name][:2]:
        done = filtered(name, flat, settings)
        assert done.shape == flat.shape
        assert (done - flat).abs().max() < 1e-3
    noisy = flat + SIGMA * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    errors = [(filtered(name, noisy, s) - flat).square().mean() for s in SETTINGS[name][:2]]
    assert max(errors) < 0.5 * SIGMA**2


def test_the_denoisings_part_in_its_quick_form(run):
    pytest.importorskip("skimage")
    pytest.importorskip("pywt")
    figures, told = denoise(run)
    json.dumps(told)
    gain = figures["dae_psnr"] - figures["best_filter_psnr"]
    assert figures["dae_gain_over_best_filter_db"] == pytest.approx(gain)
    assert figures["best_filter_psnr"] == max(one["psnr"] for one in told["filters"].values())
    assert set(told["filters"]) == set(SETTINGS)
    assert all(one["settings"] in SETTINGS[name] for name, one in told["filters"].items())
    assert figures["dae_psnr"] > told["noisy"]["psnr"]
    assert denoise(run)[0] == figures  # from its file


class Flat:
    """Codes are the first four numbers of an image, and nothing else is decoded."""

    latent = 4

    def encode(self, x):
        return x.flatten(1)[:, :4]

    def decode(self, z):
        image = torch.zeros(len(z), 3 * 4 * 4)
        image[:, :4] = z
        return image.view(-1, 3, 4, 4)


def test_a_step_changes_what_is_decoded_and_keeps_the_rest():
    x = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    step = torch.tensor([0.0, 2.0, -2.0, 0.0])
    moved = with_step(Flat(), x, step)
    assert torch.equal(moved.flatten(1)[:, [0, 3]], x.flatten(1)[:, [0, 3]])
    assert torch.equal(moved[:, 1:], x[:, 1:])
    assert (moved.flatten(1)[:, 1] == 1).all() and (moved.flatten(1)[:, 2] == 0).all()
    assert torch.equal(with_step(Flat(), x, torch.zeros(4)), x)


def test_the_judge_sees_the_image_as_bytes_hold_it():
    facts = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    x = (torch.tensor([100.4, 100.6, 90.0]) / 255).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    seen = judged(lambda z: z.flatten(1)[:, :1] * 0.25 + 0.5 - 100.2 / 255, facts, x)
    assert seen[:, 0].tolist() == [False, True, False]


def test_the_parts_of_the_notebook_and_of_faces_in_their_quick_form(run):
    for part in (notebook, faces, vae):
        figures, told = part(run)
        json.dumps(told)
        assert part(run)[0] == figures  # from its file
        if part is faces:
            assert (run.place / "glasses.png").is_file()
            assert 0 <= figures["glasses_flip"] <= 1 and 0 <= figures["others_unchanged"] <= 1
            assert "glasses" not in told["unchanged"] and len(told["unchanged"]) == len(told["judge"]) - 1
            mean = sum(told["unchanged"].values()) / len(told["unchanged"])
            assert figures["others_unchanged"] == pytest.approx(mean)
        else:
            assert all(value > 0 for value in figures.values())
