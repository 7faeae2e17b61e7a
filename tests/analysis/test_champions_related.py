"""Related champions: planted ones are found, chance is called chance, and tables of kinds are what they say."""

import itertools
import json

import pytest
import torch
from scipy import stats

from amiss.analysis.champions import (
    IMAGENET_KINDS,
    confusion_distance,
    distinct,
    imagenet_distance,
    is_imagenet,
    kindred,
    lineage_distance,
    mantel,
    picture_distance,
    relate,
    repeated,
)
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError
from amiss.repro import generator
from tests.realdata import amiss_data

torch.set_num_threads(1)


def drawn(seed, *shape):
    return torch.rand(*shape, generator=generator(seed, 91))


def symmetric(seed, n):
    x = drawn(seed, n, n).double()
    return (x + x.T).fill_diagonal_(0)


def same_kind(n, size):
    kind = torch.arange(n) // size
    return (kind[:, None] != kind).long()


@pytest.mark.parametrize("seed", range(3))
def test_planted_relations_are_found(seed):
    kinds = drawn(seed, 6, 3, 8, 8).repeat_interleave(4, 0)
    pictures = kinds + 1.5 * drawn(seed + 50, 24, 3, 8, 8)
    found = mantel(picture_distance(pictures), same_kind(24, 4), 199, seed)
    assert found.p == 1 / 200 and found.rho > 0.1
    assert (found.n, found.permutations) == (24, 199)


def test_against_the_relation_the_p_is_high():
    pictures = drawn(0, 4, 1, 8, 8).repeat(6, 1, 1, 1) + 0.5 * drawn(1, 24, 1, 8, 8)  # alike where labels are far
    far = torch.tensor([i % 4 for i in range(24)])
    assert mantel(picture_distance(pictures), (far[:, None] == far).long(), 99).p > 0.95


def test_without_a_relation_every_p_is_as_likely():
    p = [mantel(symmetric(seed, 9), symmetric(seed + 5000, 9), 49, seed).p for seed in range(300)]
    assert min(p) >= 1 / 50
    assert stats.kstest([one - 0.01 for one in p], "uniform").statistic < 0.113  # one in a thousand, for 300 numbers
    for level in (0.1, 0.5):
        low, high = stats.binom.interval(0.999, 300, level)
        assert low <= sum(one <= level for one in p) <= high


def test_the_correlation_is_spearmans_and_the_p_that_of_all_orders():
    one, other = symmetric(3, 5), symmetric(4, 5).round(decimals=1)
    i, j = torch.triu_indices(5, 5, 1)
    found = mantel(one, other, 4000, 1)
    assert found.rho == pytest.approx(stats.spearmanr(one[i, j], other[i, j]).statistic)
    orders = [torch.tensor(order) for order in itertools.permutations(range(5))]
    rhos = [stats.spearmanr(one[order][:, order][i, j], other[i, j]).statistic for order in orders]
    exact = sum(rho >= found.rho - 1e-9 for rho in rhos) / 120
    assert abs(found.p - exact) < 4 * (exact * (1 - exact) / 4000) ** 0.5 + 1 / 4000


def test_why_two_are_related_is_not_told():
    common = symmetric(1000, 24)
    one, other = (common + 0.2 * symmetric(k, 24) for k in (2000, 3000))  # in no relation but by the third
    found = mantel(one, other, 99)
    assert found.p == 1 / 100 and found.rho > 0.8


def test_the_same_class_in_two_runs():
    kinds = drawn(3, 12, 1, 8, 8)
    one, other, chance = (kinds + drawn(40, 12, 1, 8, 8), kinds + drawn(41, 12, 1, 8, 8), drawn(42, 12, 1, 8, 8))
    found = repeated(picture_distance(one, other), 199)
    assert found.p == 1 / 200 and found.own < found.other and found.n == 12
    p = [repeated(drawn(seed, 8, 8), 49, seed).p for seed in range(200)]
    assert stats.kstest([value - 0.01 for value in p], "uniform").statistic < 0.138
    assert repeated(picture_distance(one, chance), 99).p > 0.01
    assert repeated(torch.ones(3, 3), 9).p == 1


def test_closely_related_classes_in_two_runs():
    kinds = drawn(3, 4, 1, 8, 8).repeat_interleave(3, 0)
    one, other = (kinds + 0.5 * drawn(seed, 12, 1, 8, 8) for seed in (40, 41))
    near = same_kind(12, 3) == 0
    found = kindred(picture_distance(one, other), near, 199)
    assert found.p == 1 / 200 and found.own < found.other and (found.n, found.permutations) == (12, 199)
    # It finds relations that the order of far classes hides, and none where there is none: all p are as likely.
    far = 10 * symmetric(8, 12) * same_kind(12, 3)
    hidden = -far + 20.0 * same_kind(12, 3)
    assert kindred(hidden, near, 199).p == 1 / 200 and mantel(hidden, far, 199).p > 0.05
    p = [kindred(drawn(seed, 9, 9), same_kind(9, 3) == 0, 49, seed).p for seed in range(200)]
    assert stats.kstest([value - 0.01 for value in p], "uniform").statistic < 0.138
    assert kindred(torch.ones(4, 4), torch.ones(4, 4, dtype=torch.bool), 9).p == 1


def test_of_relatives_each_class_counts_once_and_a_class_without_any_does_not():
    near = torch.zeros(6, 6, dtype=torch.bool)
    for a, b in ((0, 1), (0, 2), (0, 3)):
        near[a, b] = near[b, a] = True
    apart = symmetric(4, 6)
    row = apart[0, 1:4]
    found = kindred(apart, near | torch.eye(6, dtype=torch.bool), 9)
    assert found.own == pytest.approx(float((row.mean() + row.sum()) / 4)) and found.n == 4


def test_relatives_that_are_none_are_refused(refuses):
    broken = symmetric(0, 5)
    broken[0, 1] = torch.nan
    every = torch.ones(5, 5, dtype=torch.bool)
    for apart, near in (
        (broken, every),
        (symmetric(0, 5), ~every),
        (symmetric(0, 4), every),
        (drawn(1, 5, 4), every),
    ):
        with refuses(DataError, "champions-distances"):
            kindred(apart, near)


def test_order_and_scale_do_not_count_and_a_seed_repeats():
    one, other, order = symmetric(5, 8), symmetric(6, 8), torch.randperm(8, generator=generator(2))
    found = mantel(one, other, 99, 7)
    assert mantel(one, other, 99, 7) == found
    assert mantel(one.exp(), 3 * other + 1, 99, 7) == found
    assert mantel(one[order][:, order], other[order][:, order], 99).rho == pytest.approx(found.rho)


def test_what_never_changes_is_related_to_nothing_and_nonsense_is_refused(refuses):
    flat = mantel(torch.ones(5, 5), symmetric(0, 5), 19)
    assert flat.rho != flat.rho and flat.p == 1
    broken = symmetric(0, 5)
    broken[0, 1] = torch.nan
    for bad in (symmetric(0, 4), broken, torch.rand(5, 4)):
        with refuses(DataError, "champions-distances"):
            mantel(bad, symmetric(1, 5))
    with refuses(DataError, "champions-distances"):
        mantel(symmetric(0, 2), symmetric(1, 2))


def test_brightness_and_contrast_are_no_distance():
    x = drawn(0, 2, 3, 6, 6)
    pictures = torch.stack([x[0], 0.2 * x[0] + 0.5, 1 - x[0], x[1], torch.full_like(x[0], 0.3)])
    apart = picture_distance(pictures)
    assert apart[0, :3].tolist() == pytest.approx([0, 0, 2], abs=1e-5)
    assert apart[4].tolist() == [1] * 5
    assert torch.equal(apart, apart.T)
    across = picture_distance(pictures[:2], pictures[3:])
    assert torch.allclose(across, apart[:2, 3:], atol=1e-6)


def test_of_champions_that_are_one_picture_the_surest_is_kept():
    pictures = (drawn(1, 3, 1, 4, 4) * 255).byte()[[0, 1, 0, 2, 0, 1]]
    kept = distinct(pictures, torch.tensor([0.2, 0.9, 0.7, 0.1, 0.7, 0.5]))
    assert kept.tolist() == [1, 2, 3]


def test_one_run_is_tested_with_and_without_its_repeated_pictures():
    kinds = drawn(5, 6, 1, 8, 8).repeat_interleave(3, 0) + 0.2 * drawn(6, 18, 1, 8, 8)
    pictures = (kinds / kinds.max() * 255).byte()
    pictures[17] = pictures[0]  # one individual holds the cells of two far classes
    found = relate(pictures, torch.arange(18.0).flip(0), same_kind(18, 3), permutations=99, most=4)
    assert (found.every.n, found.distinct.n, found.pictures) == (18, 17, 17)
    assert found.distinct.p == 1 / 100 and found.distinct.rho > found.every.rho
    assert len(found.alike) == 4
    assert all(a // 3 == b // 3 and label == 0 for a, b, _, label in found.alike)
    apart = picture_distance(pictures)
    assert [near for *_, near, _ in found.alike] == sorted(float(apart[a, b]) for a, b, *_ in found.alike)


def test_lineages_are_apart_by_what_they_do_not_share():
    lines = [torch.tensor(line) for line in ([1, 2, 3], [1, 2, 9, 8], [7], [1, 2, 3], [])]
    apart = lineage_distance(lines)
    assert apart[0].tolist() == [0, 1 - 2 / 5, 1, 0, 1]
    assert torch.equal(apart, apart.T)


def test_the_table_of_kinds_names_no_class_twice():
    named = []
    for name, listed in IMAGENET_KINDS.items():
        assert 1 <= len(name.split("/")) <= 3
        for part in listed.split():
            first, _, last = part.partition("-")
            named += range(int(first), int(last or first) + 1)
    assert len(named) == len(set(named))
    assert set(named) <= set(range(1000)) and set(range(398)) <= set(named)


def test_kinds_are_near_or_far_as_their_names_say():
    names = json.loads((amiss_data("imagenet-200") / "class_index.json").read_text())
    place = {name.lower(): int(i) for i, (_, name) in names.items()}
    far = imagenet_distance()
    cases = {
        ("golden_retriever", "pug"): 0,
        ("goldfish", "lionfish"): 0,
        ("hen", "partridge"): 0,
        ("tusker", "indian_elephant"): 0,
        ("lesser_panda", "brown_bear"): 0,
        ("airliner", "warplane"): 0,
        ("cello", "oboe"): 0,
        ("pug", "tabby"): 1,
        ("robin", "flamingo"): 1,
        ("trombone", "sandal"): 2,
        ("pug", "robin"): 2,
        ("abacus", "wig"): 2,  # things of no narrower kind
        ("ballplayer", "groom"): 2,
        ("pug", "canoe"): 3,
        ("pizza", "volcano"): 3,
    }
    assert {pair: int(far[place[pair[0]], place[pair[1]]]) for pair in cases} == cases
    assert torch.equal(far, far.T) and int(far.diagonal().sum()) == 0
    labels = [names[str(i)][1] for i in range(1000)]
    assert is_imagenet(labels) and is_imagenet([name.replace("_", " ") for name in labels])
    assert not is_imagenet(labels[::-1]) and not is_imagenet(labels[:10]) and not is_imagenet(None)


def test_classes_are_as_near_as_they_are_confused(refuses):
    said = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.0, 0.1, 0.9]], dtype=torch.float64).clamp_min(1e-12)
    images = Images.of(torch.arange(6, dtype=torch.uint8)[:, None, None, None] % 3, [0, 1, 2] * 2, ["a", "b", "c"])
    table = Classifier(lambda x: said.log()[(x[:, 0, 0, 0] * 255).round().long()])
    apart = confusion_distance(table, images, batch=4)
    assert apart == pytest.approx(torch.tensor([[0, 0.7, 0.95], [0.7, 0, 0.9], [0.95, 0.9, 0]]), abs=1e-6)
    with refuses(DataError, "champions-confusion"):
        confusion_distance(table, images.pick([0, 1, 3, 4]))
