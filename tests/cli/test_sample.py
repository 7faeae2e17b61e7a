"""`amiss sample`: what a model makes of what it is asked for, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.cli.sampling import arithmetic, code_walk, kept
from amiss.data import Images, open_data, read_image, to_bytes, write_png
from amiss.errors import UsageError
from amiss.models import build
from amiss.training import save_model
from amiss.training.pictures import magnified, sheet, shrunk

torch.set_num_threads(1)

VAE = {"architecture": "ConvVAE", "arguments": {"size": 8, "latent": 2, "width": 4, "hidden": 8}}
NAMED = {"architecture": "ConvVAE", "arguments": {**VAE["arguments"], "classes": 3}}
PIXELS = {"architecture": "PixelCNN", "arguments": {"channels": 1, "size": 8, "width": 4, "blocks": 1}}
TOLD = {"architecture": "PixelCNN", "arguments": {**PIXELS["arguments"], "classes": 3}}
LOW = {"architecture": "PixelCNN", "arguments": {**PIXELS["arguments"], "low": 2}}
GAN = {"architecture": "DCGAN", "arguments": {"size": 8, "latent": 4, "width": 4}}
NOISY = {"architecture": "Denoiser", "arguments": {"channels": 1, "size": 8, "width": 4, "depth": 1}}
NET = {"architecture": "LeNet", "arguments": {"size": 8, "classes": 3, "width": 4, "hidden": 8}}


@pytest.fixture
def models(amiss):
    """vae, named (told the class), pixels, low (enlarges), gan, noisy and net: untrained, in the working folder."""
    recipes = {"vae": VAE, "named": NAMED, "pixels": PIXELS, "low": LOW, "gan": GAN, "noisy": NOISY, "net": NET}
    for name, recipe in recipes.items():
        facts = {"kind": name, "classes": ["ant", "bee", "cat"]}
        save_model(f"{name}.safetensors", build(recipe, seed=1), recipe, facts)
    g = torch.Generator().manual_seed(0)
    for i in range(3):
        Path("given").mkdir(exist_ok=True)
        write_png(f"given/{i}.png", torch.randint(0, 256, (1, 8, 8), generator=g, dtype=torch.uint8))
    return amiss


def report(out):
    """sample.json, and the images that it names."""
    said = json.loads(Path(out, "sample.json").read_text())
    return said, torch.stack([read_image(Path(out, row["file"])) for row in said["images"]])


@pytest.mark.parametrize(("name", "bound"), [("vae", "lower"), ("pixels", "exact"), ("gan", "none")])
def test_draws_are_written_with_their_nats_and_repeat(models, name, bound):
    base = ["sample", f"{name}.safetensors", "-n", "5"]
    said = models(*base, "--out", "a")
    assert said.code == 0 and "5 images" in said.out
    told, images = report("a")
    assert (told["bound"], told["seed"], told["kind"]) == (bound, 0, name)
    assert all(("nats" in row) == (bound != "none") for row in told["images"])
    assert images.shape == (5, 1, 8, 8)
    assert torch.equal(read_image("a/sheet.png"), magnified(sheet(images / 255)))
    assert json.loads(models(*base, "--out", "b", "--json").out)["images"] == told["images"]
    assert torch.equal(report("b")[1], images)
    assert models(*base, "--out", "b", "--seed", "1", "--quiet").out == ""
    assert not torch.equal(report("b")[1], images)
    assert models("sample", f"{name}.safetensors", "-n", "2", "--out", "b").code == 0
    assert len(list(Path("b").glob("0*.png"))) == 2  # no image of the samples before


def test_nats_are_those_of_the_images_in_the_files(models):
    models("sample", "pixels.safetensors", "-n", "3", "--out", "a", "--temperature", "0.5")
    told, images = report("a")
    nats = build(PIXELS, seed=1).eval().log_prob(images / 255)
    assert [row["nats"] for row in told["images"]] == pytest.approx(nats.tolist(), abs=1e-3)
    assert told["mean_nats"] == pytest.approx(nats.mean().item(), abs=1e-3)
    assert told["bits_per_dim"] == pytest.approx(-nats.mean().item() / (64 * np.log(2)), abs=1e-4)


@pytest.mark.parametrize(
    ("keep", "rows", "part"),
    [
        ("top", None, (slice(4), slice(None))),
        ("bottom", "3", (slice(5, None), slice(None))),
        ("left", "1", (slice(None), slice(1))),
        ("right", None, (slice(None), slice(4, None))),
    ],
)
def test_completions_keep_what_is_to_be_kept(models, keep, rows, part):
    words = ["--given", "given", "--keep", keep, *(["--rows", rows] if rows else []), "-n", "4", "--out", "a"]
    assert models("sample", "pixels.safetensors", *words).code == 0
    told, images = report("a")
    assert [row["given"] for row in told["images"]] == [f"{i}.png" for i in range(3) for _ in range(4)]
    for i in range(3):
        x = (read_image(f"given/{i}.png") > 127).to(torch.uint8) * 255  # the model knows black and white
        for image in images[4 * i : 4 * i + 4]:
            assert torch.equal(image[0][part], x[0][part])
    assert len({image.numpy().tobytes() for image in images}) > 3
    page = magnified(torch.zeros(1, 3 * 9 + 1, 6 * 9 + 1))
    assert read_image("a/sheet.png").shape == page.shape  # the image, what was seen of it, four


def test_a_denoiser_keeps_the_pixels_as_they_are(models):
    assert (
        models("sample", "noisy.safetensors", "--given", "given", "--keep", "top", "-n", "2", "--out", "a").code == 0
    )
    images = report("a")[1]
    for i, image in enumerate(images):
        assert torch.equal(image[0, :4], read_image(f"given/{i // 2}.png")[0, :4])
    assert not torch.equal(images[0], images[1])


def test_a_mask_may_be_a_picture(models):
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[0, ::2] = 255
    write_png("mask.png", mask)
    words = ["--given", "given/0.png", "-n", "2", "--out", "a", "--keep"]
    assert models("sample", "pixels.safetensors", *words, "mask.png").code == 0
    x = (read_image("given/0.png") > 127).to(torch.uint8) * 255
    assert all(torch.equal(image[0, ::2], x[0, ::2]) for image in report("a")[1])
    write_png("small.png", mask[:, :4])
    models("sample", "pixels.safetensors", *words, "small.png").refused("sample-mask-size", "4 x 8", "8 x 8")


def test_an_image_of_low_resolution_is_enlarged(models):
    assert models("sample", "low.safetensors", "--given", "given", "-n", "2", "--out", "a").code == 0
    told, images = report("a")
    x = torch.stack([read_image(f"given/{i}.png") for i in range(3)]) / 255
    c = shrunk(x, 2).repeat_interleave(2, 0)
    nats = build(LOW, seed=1).eval().log_prob(images / 255, c)
    assert [row["nats"] for row in told["images"]] == pytest.approx(nats.tolist(), abs=1e-3)
    models("sample", "low.safetensors", "--out", "b").refused("sample-condition", "--given", code=2)


def test_completions_are_of_the_class_of_each_given_image(models):
    save_model("told.safetensors", build(TOLD, seed=1), TOLD, {"kind": "told", "classes": ["ant", "bee", "cat"]})
    for name, folder in (("x", "cat"), ("y", "ant")):
        Path("classed", folder).mkdir(parents=True)
        write_png(f"classed/{folder}/{name}.png", torch.zeros(1, 8, 8, dtype=torch.uint8))
    asked = ["sample", "told.safetensors", "--given", "classed", "--keep", "top", "-n", "2"]
    assert models(*asked, "--out", "own").code == 0
    assert [row["label"] for row in report("own")[0]["images"]] == ["ant", "ant", "cat", "cat"]
    assert models(*asked, "--label", "bee", "--out", "one").code == 0
    assert {row["label"] for row in report("one")[0]["images"]} == {"bee"}
    # Images without labels, or of other classes, say nothing: all in turn.
    assert models(*asked[:3], "given", *asked[4:], "--out", "turns").code == 0
    assert [row["label"] for row in report("turns")[0]["images"]][:3] == ["ant", "bee", "cat"]


def test_a_model_that_is_told_classes_draws_all_or_one(models):
    assert models("sample", "named.safetensors", "-n", "4", "--out", "a").code == 0
    assert [row["label"] for row in report("a")[0]["images"]] == ["ant", "bee", "cat", "ant"]
    assert models("sample", "named.safetensors", "-n", "2", "--label", "bee", "--out", "a").code == 0
    bees = report("a")[1]
    assert models("sample", "named.safetensors", "-n", "2", "--label", "1", "--out", "a").code == 0
    assert torch.equal(report("a")[1], bees)
    for label in ("dog", "3", "-1"):
        models("sample", "named.safetensors", f"--label={label}", "--out", "x").refused(
            "sample-condition", "ant, bee, cat", code=2
        )


def test_grids_and_walks_show_codes(models):
    assert models("sample", "vae.safetensors", "--grid", "-n", "9", "--out", "a").code == 0
    vae = build(VAE, seed=1).eval()
    images = report("a")[1]
    ends = torch.special.ndtri(torch.tensor([0.05, 0.95]))
    with torch.no_grad():
        corners = to_bytes(vae.decode(torch.tensor([[ends[0], ends[0]], [ends[1], ends[1]]])))
    assert images.shape[0] == 9
    assert (images[[0, 8]].int() - corners.int()).abs().max() <= 1
    assert models("sample", "vae.safetensors", "--walk", "--given", "given", "-n", "4", "--out", "a").code == 0
    told, images = report("a")
    assert [(row["from"], row["to"]) for row in told["images"][::4]] == [("0.png", "1.png"), ("1.png", "2.png")]
    assert torch.equal(images[3], images[4])  # one walk ends where the next begins
    x = read_image("given/0.png")[None] / 255
    with torch.no_grad():
        assert (images[0].int() - to_bytes(vae.decode(vae.encode(x)))[0].int()).abs().max() <= 1
    assert models("sample", "gan.safetensors", "--walk", "-n", "6", "--out", "b").code == 0
    assert report("b")[1].shape == (6, 1, 8, 8)


def test_codes_on_a_walk_between_draws_are_as_long_as_draws():
    class Codes(torch.nn.Linear):
        latent = 2000

        def prior(self, n, generator):
            return torch.randn(n, 2000, generator=generator)

        def decode(self, z):
            return z[:, None, None]

    lengths = code_walk(Codes(1, 1), None, 5, 0).images.flatten(1).norm(dim=1) / 2000**0.5
    assert torch.allclose(lengths, torch.ones(5), atol=0.1)


class Still(torch.nn.Module):
    """Codes are the four pixels themselves, so that sums of codes are sums of images."""

    latent = 4

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(1))

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        return z.unflatten(1, (1, 2, 2))


def signs():
    """Twelve images: hat lights the first pixel, beard the second, and the third is light in all."""
    hat, beard = torch.arange(12) % 2, torch.arange(12) // 2 % 2
    pixels = torch.zeros(12, 1, 2, 2, dtype=torch.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1], pixels[:, 0, 1, 0] = 100 * hat, 60 * beard, 50
    return Images.of(pixels, table={"hat": hat, "beard": beard})


def test_a_step_adds_what_its_name_says_and_nothing_else():
    known = signs()
    made = arithmetic(Still(), "hat - not hat", known, None, 4)
    moved = made.images * 255 - known.pixels[::2][:4]  # it begins with images without a hat
    assert torch.allclose(moved.mean(0), torch.tensor([[[100.0, 0.0], [0.0, 0.0]]]), atol=1e-3)
    # "none" is an image without any of the attributes that are named: here without hat and without beard.
    made = arithmetic(Still(), "hat - none + beard - none", known, known.pick([0]), 1)
    assert (made.images * 255).flatten().tolist() == pytest.approx([100 - 0 + 50, 60 + 30, 50, 0], abs=1e-3)


def test_a_sum_of_one_is_an_image_by_itself():
    made = arithmetic(Still(), "hat - beard + none", signs(), None, 4)
    # Half of those with a hat have a beard and half of those with a beard a hat.
    assert (made.images * 255).flatten().tolist() == pytest.approx([50, -30, 50, 0], abs=1e-3)
    assert made.shown.shape == (4, 1, 2, 2)  # the three terms and their sum


@pytest.mark.parametrize(
    "text", ["hat", "hat + beard", "hat -", "- hat", "hat - cat", "hat - - beard", "", "hat-none"]
)
def test_sums_that_mean_nothing_are_refused(text):
    with pytest.raises(UsageError) as caught:
        arithmetic(Still(), text, signs(), None, 4)
    assert caught.value.slug == "sample-sum"


def test_arithmetic_is_asked_for_with_classes_or_attributes_of_data(models):
    np.savez("known.npz", x_train=np.arange(8 * 64).reshape(8, 8, 8).astype("uint8"), y_train=np.arange(8) % 2)
    words = ["sample", "vae.safetensors", "--arithmetic", "1 - 0", "--data", "known.npz", "--out", "a"]
    assert models(*words, "--given", "given").code == 0
    assert [row["given"] for row in report("a")[0]["images"]] == ["0.png", "1.png", "2.png"]
    page = magnified(torch.zeros(1, 3 * 9 + 1, 3 * 9 + 1))
    assert read_image("a/sheet.png").shape == page.shape  # images, their codes' images, and the sums


@pytest.mark.parametrize(
    ("words", "slug", "said", "code"),
    [
        ("net.safetensors", "sample-cannot", "LeNet", 1),
        ("gan.safetensors --given given --keep top", "sample-cannot", "complete", 1),
        ("gan.safetensors --walk --given given", "sample-cannot", "encode", 1),
        ("pixels.safetensors --grid", "sample-cannot", "codes", 1),
        ("vae.safetensors --walk --given given/0.png", "sample-walk", "1 given", 2),
        ("vae.safetensors --walk -n 1", "sample-walk", "1 images", 2),
        ("pixels.safetensors --given given --keep middle", "sample-keep", "middle", 2),
        ("pixels.safetensors --given given --keep top --rows 8", "sample-keep", "--rows 8", 2),
        ("pixels.safetensors --keep top", "sample-options", "--given", 2),
        ("pixels.safetensors --rows 3", "sample-options", "--rows", 2),
        ("vae.safetensors --walk --grid", "sample-options", "--grid and --walk", 2),
        ("vae.safetensors --arithmetic hat", "sample-options", "--data", 2),
        ("vae.safetensors --data digits", "sample-options", "--arithmetic", 2),
        ("vae.safetensors --temperature 0", "sample-options", "above 0", 2),
        ("vae.safetensors --temperature nan", "sample-options", "above 0", 2),
        ("pixels.safetensors --given given -n 4000", "sample-options", "12,000", 2),
        ("vae.safetensors --grid --label bee", "sample-options", "--label with --grid", 2),
        ("vae.safetensors --walk --temperature 0.5", "sample-options", "--temperature with --walk", 2),
        ("named.safetensors --grid", "sample-cannot", "classes", 1),
        ("named.safetensors --walk --given given", "sample-cannot", "classes", 1),
        ("vae.safetensors --label bee", "sample-condition", "--label", 2),
        ("gan.safetensors --caption two", "sample-condition", "--caption", 2),
        ("pixels.safetensors --given wide.png", "sample-mask", "8, 8", 1),
        ("pixels.safetensors --given nowhere", "data-missing", "nowhere", 1),
        ("nowhere.safetensors", "checkpoint-missing", "nowhere", 1),
        ("vae.safetensors --device abacus", "device", "abacus", 2),
    ],
)
def test_what_cannot_be_is_refused_with_one_clear_error(models, words, slug, said, code):
    write_png("wide.png", torch.zeros(1, 12, 12, dtype=torch.uint8))
    models("sample", *words.split(), "--out", "x").refused(slug, said, code=code)
    assert not Path("x").exists()


def test_what_was_drawn_before_stays_where_a_command_fails(models):
    assert models("sample", "vae.safetensors", "-n", "3", "--out", "a").code == 0
    before = {path.name: path.read_bytes() for path in Path("a").iterdir()}
    models("sample", "vae.safetensors", "--label", "bee", "--out", "a").refused("sample-condition", code=2)
    assert {path.name: path.read_bytes() for path in Path("a").iterdir()} == before
    models("sample", "vae.safetensors", "--out", "a/sheet.png").refused("out-not-folder")
    assert Path("a/sheet.png").read_bytes() == before["sheet.png"]


def test_a_folder_with_anything_else_is_left_alone(models):
    Path("mine").mkdir()
    Path("mine/0000.png").write_text("a picture of mine")
    models("sample", "vae.safetensors", "--out", "mine").refused("out-not-empty", "sample.json")
    assert Path("mine/0000.png").read_text() == "a picture of mine"
    assert models("sample", "vae.safetensors", "--out", "a").code == 0
    Path("a/notes.txt").write_text("mine")
    models("sample", "vae.safetensors", "--out", "a").refused("out-not-empty", "notes.txt")


def test_a_sentence_with_a_strange_word_is_refused_by_that_word(amiss):
    images = open_data("scenes:n=40", split="train")
    from amiss.training import KINDS

    preset = KINDS["stackgan"].preset(images, width=4)
    save_model("words.safetensors", build(preset.model), preset.model, {"kind": "stackgan", "classes": []})
    caption = images.captions[0]
    assert amiss("sample", "words.safetensors", "--caption", caption, "-n", "2", "--out", "a").code == 0
    assert [row["caption"] for row in report("a")[0]["images"]] == [caption, caption]
    assert amiss("sample", "words.safetensors", "-n", "2", "--out", "b").code == 0
    assert all(row["caption"] for row in report("b")[0]["images"])
    said = amiss("sample", "words.safetensors", "--caption", caption + " zebra", "--out", "x")
    assert said.code == 1 and "zebra" in said.err
    said = amiss("sample", "words.safetensors", "--caption", "seven two a", "--out", "x")
    assert said.code == 1 and "caption-grammar" in said.err
    assert not Path("x").exists()


def test_masks_leave_something_to_draw():
    assert kept("top", None, (5, 4)).sum() == 2 * 4
    assert kept("right", 3, (5, 4))[0, 0].sum(0).tolist() == [0, 5, 5, 5]
    with pytest.raises(UsageError):
        kept("left", 4, (5, 4))


def test_small_sheets_are_magnified_by_whole_pixels_and_large_ones_are_not():
    page = torch.randint(0, 256, (3, 5, 100), dtype=torch.uint8)
    large = magnified(page, 256)
    assert large.shape == (3, 10, 200)
    assert all(torch.equal(large[:, i::2, j::2], page) for i in range(2) for j in range(2))
    assert torch.equal(magnified(page, 90), page)


def test_a_sheet_holds_every_image_in_order_on_white():
    images = torch.arange(5).float()[:, None, None, None].expand(5, 3, 2, 4) / 10
    page = sheet(images, gap=2)
    assert page.shape == (3, 2 * 4 + 2, 3 * 6 + 2)
    assert [int(page[0, 2 + 4 * (i // 3), 2 + 6 * (i % 3)]) for i in range(5)] == to_bytes(images)[
        :, 0, 0, 0
    ].tolist()
    assert int((page == 255).sum()) == page.numel() - 5 * 24
