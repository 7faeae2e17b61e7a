"""`amiss run`: what it leaves, how it goes on, what it refuses, and that a stop on the way changes nothing."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from amiss.study import Store
from amiss.study.sameness import run_digest
from tests.audit.conftest import strict
from tests.cli.conftest import draw

# Every image is broken, so no check of trust need look for what the attack left standing: each run is short.
ATTACK = ("--eps", "120/255", "--steps", "6", "--until", "budget", "--batch", "3", "--quiet")
PGD = ("run", "pgd", "nets.py:wrapped", "photos", *ATTACK)


def about(folder="run"):
    return strict((Path(folder) / "run.json").read_text(encoding="utf-8"))


def same(one, two):
    return run_digest(Store(Path(one))) == run_digest(Store(Path(two)))


def linear(path="m.safetensors"):
    """A checkpoint of amiss: a model that is no code."""
    from amiss.data import open_data
    from amiss.models import build
    from amiss.training import classifier_for, save_model

    preset = classifier_for(open_data("photos"))
    facts = {"kind": preset.kind, "mean": [0.5], "std": [0.5], "classes": ["bright", "dark"]}
    save_model(path, build(preset.model, seed=0), preset.model, facts)
    return path


def graph(path="m.onnx"):
    """Two logits of an 8 x 8 gray image: the mean, and minus the mean, around a half."""
    from tests.loading.graphs import write

    write(path, ("n", 1, 8, 8), out=("n", 2), weight=np.repeat(np.float32([[20, -20]]) / 64, 64, 0))
    return path


def test_a_run_leaves_its_ledger_its_tables_and_its_page(amiss):
    said = amiss(*PGD)
    assert said.code == 0, said.err
    folder = Path("runs/pgd-nets-py-wrapped-photos")
    assert said.out.splitlines()[-1] == f"Report: {folder / 'report.html'}"
    names = {"run.json", "config.toml", "inputs.csv", "ledger.jsonl", "results.csv", "flags.json"}
    names |= {"report.html", "card.md"}
    assert names <= {path.name for path in folder.iterdir()}
    assert about(folder)["command"] == (
        "amiss run pgd nets.py:wrapped photos --seed 0 --batch 3 --eps 120/255 --steps 6 --until budget"
    )
    assert about(folder)["n"] == len((folder / "results.csv").read_text().splitlines()) - 1 == 8
    assert not list(folder.glob("state/*"))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "pgd on nets.py:wrapped" in page


def test_the_command_that_is_written_down_makes_the_same_run(amiss):
    assert amiss(*PGD, "--out", "run").code == 0
    assert amiss(*about()["command"].split()[1:], "--out", "again", "--quiet").code == 0
    assert same("run", "again")


@pytest.mark.parametrize("turns", [1, 4, 8, 15])
def test_a_stopped_run_goes_on_by_the_same_command_to_the_same_end(amiss, stopped, turns):
    assert amiss(*PGD, "--out", "whole").code == 0
    said = stopped(turns, *PGD, "--out", "run")
    assert (said.code, said.out) == (130, "")
    assert "Interrupted [interrupted]" in said.err
    assert "Try:    amiss run run nets.py:wrapped goes on from here" in said.err
    assert not Path("run/report.html").exists()
    assert amiss(*PGD, "--out", "run").code == 0
    assert same("run", "whole")
    assert len(about()["sessions"]) == 2


def test_a_stopped_run_goes_on_by_its_folder(amiss, stopped):
    assert amiss(*PGD, "--out", "whole").code == 0
    assert stopped(5, *PGD, "--out", "run").code == 130
    lines = amiss("run", "run").refused("run-code", "nets.py:wrapped", code=2)
    assert lines["Try"] == "amiss run run nets.py:wrapped"
    assert stopped(5, "run", "run", "nets.py:wrapped", "--quiet").code == 130
    assert amiss("run", "run", "nets.py:wrapped", "--quiet").code == 0
    assert same("run", "whole")


def test_a_model_that_is_no_code_needs_not_be_named(amiss, stopped):
    command = ("run", "pgd", linear(), "photos", *ATTACK)
    assert amiss(*command, "--out", "whole").code == 0
    said = stopped(3, *command, "--out", "run")
    assert "amiss run run goes on from here" in said.err
    assert amiss("run", "run", "--quiet").code == 0
    assert same("run", "whole")


def test_a_finished_run_is_told_again_and_not_searched_again(amiss):
    first = amiss(*PGD, "--out", "run")
    ledger = Path("run/ledger.jsonl").read_bytes()
    again = amiss(*PGD, "--out", "run")
    assert (again.code, again.out) == (0, first.out)
    assert Path("run/ledger.jsonl").read_bytes() == ledger


def test_another_radius_is_refused_with_the_difference_and_forked_on_demand(amiss):
    assert amiss(*PGD, "--out", "run").code == 0
    before = run_digest(Store(Path("run")))
    other = ("run", "pgd", "nets.py:wrapped", "photos", "--eps", "16/255", *ATTACK[2:], "--out", "run")
    lines = amiss(*other).refused("run-other", "probe", "0.47058", "0.06274")
    assert "--fork" in lines["Try"]
    said = amiss(*other, "--fork")
    assert said.code == 0, said.err
    assert about("run-2")["parent"] == "run"
    assert "parent" not in about()
    assert run_digest(Store(Path("run"))) == before
    assert (
        amiss("run", "pgd", "nets.py:wrapped", "photos", "--eps", "1/255", "--out", "run", "--fork", "-q").code == 0
    )
    assert about("run-3")["parent"] == "run"
    assert amiss("run", "run-2", "nets.py:wrapped", "--quiet").code == 0  # a fork goes on like any other


def test_a_model_or_an_image_that_changed_is_refused(amiss):
    assert amiss(*PGD, "--out", "run").code == 0
    text = Path("nets.py").read_text()
    Path("nets.py").write_text(text.replace("linspace(40, 0", "linspace(41, 0"))
    amiss(*PGD, "--out", "run").refused("run-other", "another model")
    Path("nets.py").write_text(text)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("photos/dark/13.png")
    amiss(*PGD, "--out", "run").refused("run-other", "another data")
    amiss("run", "run", "nets.py:wrapped").refused("run-other", "another data")
    amiss("run", "run", "nets.py:three").refused("run-other")


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ((), "no option"),
        (("--esp", "8/255"), "--esp"),
        (("--eps",), "--eps nothing"),
        (("--eps", "small"), "--eps small"),
        (("--eps", "1/0"), "--eps 1/0"),
        (("--eps", "inf"), "--eps inf"),
        (("--eps", "8/255", "--steps", "1.5"), "--steps 1.5"),
        (("--eps", "8/255", "--decoder-of", "x"), "--decoder-of"),
        (("8/255",), "8/255"),
    ],
)
def test_options_that_the_recipe_cannot_take(amiss, words, seen):
    lines = amiss("run", "pgd", "nets.py:wrapped", "photos", *words, "--out", "run").refused("recipe-option", code=2)
    assert lines["Seen"] == seen
    assert not Path("run").exists()


def test_options_are_read_as_the_recipe_wants_them(amiss):
    words = ("--eps=none", "--norm", "l2", "--step", "1/10", "--until", "budget", "--steps", "3", "--levels", "none")
    assert amiss("run", "pgd", "nets.py:wrapped", "photos", *words, "--out", "run", "--quiet").code == 0
    probe = about()["fingerprints"]["probe"]
    assert "L2(eps=None)" in probe and "until='budget'" in probe and "Quantized" not in probe
    assert "Momentum(step=0.1" in probe
    assert amiss("run", "run", "nets.py:wrapped", "--quiet").code == 0  # as it was: none is not the default
    said = amiss("run", "lse", "nets.py:wrapped", "photos", "--no-residual=1", "--out", "x")
    said.refused("recipe-option", code=2)
    amiss("run", "pgd", "nets.py:wrapped", "photos", "--eps", "1", "--norm", "l3").refused(
        "recipe-option", "linf, l2", code=2
    )


def test_options_may_stand_anywhere(amiss):
    assert (
        amiss("run", "pgd", "nets.py:wrapped", "photos", "--eps", "8/255", "--steps", "3", "-o", "a", "-q").code == 0
    )
    assert amiss("run", "--eps", "8/255", "pgd", "-q", "nets.py:wrapped", "--steps=3", "photos", "-o", "b").code == 0
    assert same("a", "b")
    amiss("run", "--eps", "8/255").refused("recipe-unknown", code=2)
    amiss("run", "pgd", "nets.py:wrapped", "photos", "more", "--eps", "1").refused("recipe-option", "'more'", code=2)


def test_recipes_that_are_none(amiss):
    assert "pgd" in amiss("run", "pdg", "nets.py:wrapped", "photos").refused("recipe-unknown", code=2)["Try"]
    amiss("run", "photo").refused("recipe-unknown", code=2)  # neither a recipe nor a folder
    amiss("run", "photos").refused("run-missing")
    amiss("run", "lse", "nets.py:wrapped", "photos").refused("run-decoder", code=2)


def test_a_run_that_goes_on_heeds_no_new_settings(amiss):
    assert amiss(*PGD, "--out", "run").code == 0
    for words in (("--eps", "8/255"), ("--batch", "4"), ("--out", "elsewhere")):
        amiss("run", "run", "nets.py:wrapped", *words).refused("run-settings", words[0], code=2)
    said = amiss("run", "run", "nets.py:wrapped", "--json", "--require", "samples==8")
    assert said.code == 0, said.err


def test_an_audit_is_told_to_go_on_by_its_own_command(amiss):
    audit = ("audit", "nets.py:wrapped", "photos", "--eps", "8/255", "--attacked", "2", "--fooled", "0", "--quiet")
    assert amiss(*audit, "--out", "run").code == 0
    lines = amiss("run", "run", "nets.py:wrapped").refused("run-audit", code=2)
    assert lines["Try"] == f"{about()['command']} --out run"


def test_paths_are_seen_from_the_run_folder(amiss, stopped, monkeypatch):
    model = linear()
    assert stopped(3, "run", "pgd", model, "photos", "--eps", "32/255", "--batch", "3", "--out", "a/run").code == 130
    Path("link").symlink_to(Path("a/run"))
    assert amiss("run", "link", "--quiet").code == 0
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert amiss("run", "../a/run", "--quiet").code == 0
    monkeypatch.chdir("..")
    Path("moved").mkdir()
    for name in ("a", "photos", model):
        shutil.move(name, f"moved/{name}")
    assert amiss("run", "moved/a/run", "--quiet").code == 0


def test_no_path_of_this_machine_is_in_any_file_of_a_run(amiss, tmp_path):
    words = ("run", "pgd", tmp_path / "nets.py:wrapped", tmp_path / "photos", "--eps", "8/255", "--quiet")
    said = amiss(*words, "--frames", "2", "--out", tmp_path / "run")
    assert said.code == 0, said.err
    files = [path for path in Path("run").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if str(tmp_path).encode() in path.read_bytes()]


def test_gates_are_judged_after_all_is_written(amiss):
    said = amiss(*PGD, "--out", "run", "--require", "met>=9", "--require", "samples==8", "--junit", "ci.xml")
    assert said.code == 3, said.err
    assert "not met  met>=9" in said.out
    assert Path("run/report.html").is_file()
    cases = [(case.get("name"), len(case)) for case in ElementTree.parse("ci.xml").getroot().iter("testcase")]
    assert cases[:2] == [("met>=9", 1), ("samples==8", 0)]
    assert len(cases) > 10  # the trust flags
    amiss(*PGD, "--out", "other", "--require", "accuracy>=0.9").refused("gate-unknown", code=2)
    assert not Path("other").exists()


def test_json_is_one_object_and_nothing_else(amiss):
    said = amiss(*PGD[:-1], "--out", "run", "--json")
    assert (said.code, said.err) == (0, "")
    (line,) = said.out.splitlines()
    told = strict(line)
    assert sum(told["counts"].values()) == told["samples"] == 8
    assert told["flags"] == strict(Path("run/flags.json").read_text())
    assert told["report"] == str(Path("run/report.html"))


def test_quiet_says_what_was_found_alone(amiss):
    said = amiss(*PGD, "--out", "run")
    assert said.err == ""
    assert said.out.splitlines()[-1].startswith("Report: ")


def test_hostile_names_stay_names(amiss):
    worst = "</script><img src=x onerror=alert(1)>".replace("/", "\u2215")
    draw(Path("x"), classes=(worst, "\x1b[2J=b"))
    Path("x", worst, "=cmd()\x1b[2J.png").write_bytes(b"no image")
    said = amiss("run", "pgd", "nets.py:build", "x", "--eps", "32/255", "--out", "run", "--quiet")
    assert said.code == 0, said.err
    assert "\x1b" not in said.out + said.err
    assert "<img src=x" not in Path("run/report.html").read_text(encoding="utf-8")
    places = [path.relative_to("run").as_posix() for path in Path("run").rglob("*")]
    assert not [place for place in places if "img" in place or "\x1b" in place]
    rows = Path("run/results.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 8 + 1


def test_a_run_folder_inside_the_data_is_no_data(amiss, stopped):
    words = ("run", "pgd", "nets.py:build", "photos", *ATTACK)
    assert amiss(*words, "--out", "whole").code == 0
    assert stopped(5, *words, "--out", "photos/run").code == 130
    said = amiss(*words, "--out", "photos/run")
    assert said.code == 0, said.err
    assert same("photos/run", "whole")


def test_images_without_labels(amiss):
    Path("flat").mkdir()
    for path in Path("photos").rglob("*.png"):
        shutil.copy(path, Path("flat") / path.name)
    said = amiss("run", "pgd", "nets.py:wrapped", "flat", "--eps", "8/255", "--out", "run")
    assert said.code == 1 and "Traceback" not in said.err
    assert "label" in said.err
    assert not Path("run").exists()
    said = amiss("run", "pgd", "nets.py:wrapped", "flat", "--eps", "64/255", "--target", "dark", "--out", "run", "-q")
    assert said.code == 0, said.err
    assert about()["n"] == 8


def test_nonsense_for_each_class(amiss):
    said = amiss("run", "fool_gradient", "nets.py:wrapped", "photos", "--out", "run", "--json")
    assert said.code == 0, said.err
    assert strict(said.out)["counts"] == {"met": 2}
    assert [row.split(",")[2] for row in Path("run/inputs.csv").read_text().splitlines()[1:]] == ["bright", "dark"]


@pytest.mark.parametrize("recipe", ["fool_cppn", "fool_direct"])
def test_nonsense_evolves_and_goes_on_where_it_was_stopped(amiss, stopped, recipe):
    model = graph()
    words = ("run", recipe, model, "photos", "--confidence", "0.6", "--generations", "8", "--children", "12")
    words += ("--until", "budget", "--quiet")
    assert amiss(*words, "--out", "whole").code == 0
    # Classes, not photographs; its second logit is never above the first.
    assert amiss_counts("whole") == {"met": 1, "exhausted": 1}
    queries = [row.split(",")[11] for row in Path("whole/results.csv").read_text().splitlines()]
    assert queries == ["queries", "108", "108"]  # 9 generations of 12, for both together
    assert stopped(4, *words, "--out", "run").code == 130
    assert amiss("run", "run", "--quiet").code == 0
    assert same("run", "whole")
    assert amiss("show", "run", "--verify").code == 0
    said = amiss(*words, "--preset", "old", "--out", "other")
    said.refused("recipe-option", "paper-2015", code=2)
    assert not Path("other").exists()


def test_an_onnx_file_is_attacked_by_queries(amiss, stopped):
    model = graph()
    words = ("run", "square", model, "photos", "--eps", "64/255", "--queries", "30", "--batch", "3", "--quiet")
    assert amiss(*words, "--out", "whole").code == 0
    assert sum(amiss_counts("whole").values()) == 8
    assert stopped(9, *words, "--out", "run").code == 130
    assert amiss("run", "run", "--quiet").code == 0
    assert same("run", "whole")
    assert amiss("show", "run", "--verify").code == 0
    said = amiss("run", "pgd", model, "photos", "--eps", "8/255", "--out", "other")
    said.refused("contract-ladder", "square")
    assert not Path("other").exists()  # before anything is written


def amiss_counts(folder):
    from amiss.cli.looking import look

    return look(Path(folder)).counts


def test_a_classifier_without_mistakes_has_nothing_to_repair(amiss):
    for path in Path("photos").rglob("[01]0.png"):
        path.unlink()
    from amiss.data import open_data
    from amiss.models import build
    from amiss.training import decoder_for, save_model

    preset = decoder_for(open_data("photos"))
    save_model("d.safetensors", build(preset.model, seed=0), preset.model, {"kind": "decoder", "classes": []})
    said = amiss("run", "lse", "nets.py:wrapped", "photos", "--decoder", "d.safetensors", "--out", "run", "--json")
    assert said.code == 0, said.err
    assert strict(said.out)["samples"] == 0
    assert amiss("show", "run").code == 0
    assert 'decoder = "../d.safetensors"' in Path("run/config.toml").read_text()


def test_what_a_decoder_keeps_is_said_before_the_search_and_stays_with_the_run(amiss):
    from amiss.models import build
    from amiss.training import save_model

    recipe = {"architecture": "PixelFlow", "arguments": {"size": 8, "transforms": 2, "width": 4}}
    save_model("d.safetensors", build(recipe), recipe, {"kind": "decoder", "classes": []})
    words = ("run", "lse", "nets.py:wrapped", "photos", "--decoder", "d.safetensors", "--steps", "2")
    said = amiss(*words, "--out", "run")
    assert said.code == 0, said.err
    line = "Decoder: 100% of the pixels' variance is kept"  # a flow on pixels loses nothing
    assert -1 < said.err.find(line) < said.err.find("Searching by lse")
    assert "images. 100% are named as before" in said.err
    flags = {flag["slug"]: flag for flag in json.loads(Path("run/flags.json").read_text())}
    assert flags["decoder-agreement"]["state"] == flags["decoder-reconstruction"]["state"] == "clear"
    for quiet in ("--quiet", "--json"):
        assert "Decoder:" not in amiss(*words, "--out", quiet.strip("-"), quiet).err
    assert "Decoder:" not in amiss(*[word for word in PGD if word != "--quiet"], "--out", "pgd").err


def test_settings_that_were_edited_are_refused_and_never_run(amiss):
    assert amiss(*PGD, "--out", "run").code == 0
    config = Path("run/config.toml")
    text = config.read_text()
    config.write_text(text.replace("eps = 0.47058", "eps = 0.52549"))
    amiss("run", "run", "nets.py:wrapped").refused("run-other", "0.52549")
    eps = next(line for line in text.splitlines() if line.startswith("eps"))
    edits = [(eps, ""), (eps, f"{eps}\nesp = 1"), (eps, "eps = true"), (eps, "eps = 'x'"), ("seed = 0", 'seed = "x"')]
    edits += [
        ("[settings]", "[budget]\nturns = 3\n[settings]"),
        (text, "recipe = 3"),
        (text, "eps = "),
        (text, "x = 1"),
    ]
    for old, new in edits:
        broken = text.replace(old, new)
        assert broken != text
        config.write_text(broken)
        amiss("run", "run", "nets.py:wrapped").refused("run-damaged")
    config.write_text(text)
    assert amiss("run", "run", "nets.py:wrapped", "--quiet").code == 0
    assert json.loads(Path("run/run.json").read_text())["n"] == 8
