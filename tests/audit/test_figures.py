"""Figures by name: every one that an audit writes is known beforehand, and radii are named as one types them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.audit import Plan
from amiss.audit.figures import known, radius
from amiss.gates import judge, parse
from tests.audit.conftest import audited, linear_images


def test_every_figure_of_an_audit_is_known_before_it_begins(linear):
    figures = linear.account["figures"]
    listed = known(linear.found.plan, judge=True)
    assert set(figures) <= set(listed)
    missing = {name for name in set(listed) - set(figures) if not name.startswith("rejected.")}
    assert (
        missing == set()
    )  # this world has mistakes, right answers, a decoder and a judge, and images too few for rules
    assert all(listed.values())


@pytest.mark.parametrize("wrong", [0, 1])
def test_what_could_not_be_measured_is_still_known(world, tmp_path, wrong):
    plan = Plan(steps=2, attacked=10, fooled=1, mistakes=4, epsilons=(0.1, 8 / 51))
    done = audited(world.classifier(), linear_images(world, wrong=wrong), tmp_path, decoder=world.codec, plan=plan)
    listed, figures = known(plan), done.account["figures"]
    assert set(figures) < set(listed)
    gone = "mistakes_repaired" if wrong == 0 else "robust_accuracy@0.1"
    (verdict,) = judge([parse(f"{gone}>=0")], {**listed, **figures})
    assert (verdict.met, verdict.why) == (False, f"not measured: {listed[gone]}")


def test_what_a_plan_leaves_out_has_no_figures():
    whole = set(known(Plan(), judge=True))
    no_repairs, no_attacks = set(known(Plan(mistakes=0), judge=True)), set(known(Plan(attacked=0), judge=True))
    assert not [name for name in no_repairs if "repaired" in name or "judge" in name or "l2" in name]
    assert whole - no_attacks == {f"robust_accuracy@{k}/255" for k in (1, 2, 4, 8, 16, 32, 64)}
    assert not [name for name in known(Plan()) if "judge" in name]


def test_mistakes_repaired_are_those_of_the_method_that_the_page_speaks_of(linear, world, tmp_path):
    assert linear.account["figures"]["mistakes_repaired"] == linear.account["figures"]["lse_repaired"]
    images = linear_images(world, wrong=1 / 3)
    plan = replace(linear.found.plan, attacked=0, fooled=0, decoder_images=10**6)
    account = audited(world.classifier(), images, tmp_path, plan=plan).account
    assert account["figures"]["mistakes_repaired"] == account["figures"]["pixel_repaired"] > 0
    assert account["tiles"][0]["note"].endswith("Pixel PGD")


@pytest.mark.parametrize(
    ("eps", "name"),
    [(8 / 255, "8/255"), (0.5 / 255, "0.5/255"), (0.1, "0.1"), (0.2, "0.2"), (1 / 3, "85/255"), (1.0, "1"), (0, "0")],
)
def test_a_radius_is_named_as_one_types_it(eps, name):
    assert radius(eps) == name


@given(st.floats(1e-6, 1))
def test_the_name_of_a_radius_is_the_radius(eps):
    (verdict,) = judge([parse(f"r@{eps!r}==1")], {f"r@{radius(eps)}": 1.0})
    assert verdict.met
    assert parse(f"r@{radius(eps)}>=0").at == pytest.approx(eps, abs=1e-9)
