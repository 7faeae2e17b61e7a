"""ONNX files: they answer as their formula does, in every layout, and give no gradient."""

import sys
from pathlib import Path

import pytest
import torch

import amiss as am
from amiss.errors import ContractError, ModelError, UsageError
from amiss.recipes import lse, pgd, square
from amiss.testing import LinearWorld

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper

from tests.loading.graphs import FLOAT, SIDE, close, external, weight, write


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def x(images):
    return images(5, (3, SIDE, SIDE))


# What it answers


def test_the_answer_is_that_of_the_formula(x):
    w = write()
    c = am.open_classifier("m.onnx")
    assert c.gives == "loss" and c.layers == ("answer",)
    assert close(c.outputs(x)["answer"], x.flatten(1) @ w)
    assert (c.size, c.channels) == (SIDE, 3)
    assert c.outputs(x.double())["answer"].dtype == torch.float64
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    given = am.open_classifier("m.onnx", mean=mean, std=std)
    normal = (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert close(given.outputs(x)["answer"], normal.flatten(1) @ w)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7])
def test_a_fixed_batch_is_asked_part_by_part(x, rows):
    w = write(shape=(rows, 3, SIDE, SIDE), out=(rows, 4))
    c = am.open_classifier("m.onnx")
    for n in (1, 4, 5):
        assert close(c.outputs(x[:n])["answer"], x[:n].flatten(1) @ w)


def test_channels_last_are_recognized(x):
    for shape in (("n", SIDE, SIDE, 3), (1, SIDE, SIDE, 3), ("n", "h", "w", 3)):
        w = write(shape=shape, last=True)
        assert close(am.open_classifier("m.onnx").outputs(x)["answer"], x.flatten(1) @ w)
    w = write(shape=("n", SIDE, SIDE, 1), last=True)
    assert close(am.open_classifier("m.onnx").outputs(x[:, :1])["answer"], x[:, :1].flatten(1) @ w)


def test_other_types_of_numbers(x):
    w = write(kind=TensorProto.FLOAT16)
    half = x.half().float()
    assert close(am.open_classifier("m.onnx").outputs(x)["answer"], half.flatten(1) @ w)
    w = write(kind=TensorProto.DOUBLE)
    assert close(am.open_classifier("m.onnx").outputs(x)["answer"], x.flatten(1) @ w)


def test_bytes_are_whole_numbers_of_0_to_255(x, refuses):
    w = write(kind=TensorProto.UINT8)
    c = am.open_classifier("m.onnx")
    assert torch.allclose(c.outputs(x)["answer"], (x * 255).round().flatten(1) @ w, rtol=1e-4, atol=0.05)
    whole = torch.randint(0, 256, x.shape).float()
    assert torch.allclose(c.outputs(whole / 255)["answer"], whole.flatten(1) @ w, rtol=1e-4, atol=0.05)
    with refuses(UsageError, "usage-preprocessing") as caught:
        am.open_classifier("m.onnx", mean=(0.5,))
    assert caught.value.seen == "--mean"


def test_one_logit_is_the_odds_of_the_second_class(x):
    w = write(weight=weight()[:, :1], out=("n", 1))
    said = am.open_classifier("m.onnx").outputs(x)["answer"]
    assert close(said[:, 1], (x.flatten(1) @ w)[:, 0])
    assert not said[:, 0].any()
    squeeze = helper.make_node("Squeeze", ["logits"], ["odds"])
    value = helper.make_tensor_value_info("odds", FLOAT, [1])
    w = write(weight=weight()[:, :1], shape=(1, 3, SIDE, SIDE), nodes=[squeeze], outputs=[value])
    assert close(am.open_classifier("m.onnx").outputs(x)["answer"][:, 1], (x.flatten(1) @ w)[:, 0])


def test_as_many_threads_as_torch_and_none_that_spins(monkeypatch):
    import onnxruntime

    seen = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, path, options, **more):
            spins = options.get_session_config_entry("session.intra_op.allow_spinning")
            seen.append((options.intra_op_num_threads, options.inter_op_num_threads, spins))
            super().__init__(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    write()
    am.open_classifier("m.onnx")
    assert seen == [(torch.get_num_threads(), 1, "0")]


# Names and outputs


def test_names_of_classes_are_read_where_there_is_one_for_each_output(x):
    names = ["cat", "dog", "</script>", "=cmd()"]
    quoted = '["cat", "dog", "</script>", "=cmd()"]'
    for key in ("labels", "classes", "class_names", "names"):
        write(metadata={key: quoted})
        assert am.open_classifier("m.onnx").labels == tuple(names)
    write(metadata={"names": str(dict(enumerate(names)))})
    assert am.open_classifier("m.onnx").labels == tuple(names)
    write(metadata={"labels": '{"0": "a", "1": "b", "3": "d", "2": "c"}'})
    assert am.open_classifier("m.onnx").labels == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    "text", ['["a", "b"]', '["a", "b", "c", 4]', "a, b, c, d", "[", "", "__import__('os').mkdir('ran')", "[" * 9999,
             '{"0": "a", "1": "b", "2": "c", "4": "d"}', '["", "b", "c", "d"]', f'["{"x" * 999}", "b", "c", "d"]']
)  # fmt: skip
def test_metadata_that_are_no_names_are_left_alone(x, text):
    write(metadata={"labels": text})
    c = am.open_classifier("m.onnx")
    assert c.labels is None
    assert c.outputs(x)["answer"].shape == (5, 4)
    assert not Path("ran").exists()


def test_a_head_of_many(x):
    w = write(metadata={"labels": '["hat", "male", "young", "smile"]'})
    c = am.open_classifier("m.onnx", head="young")
    assert c.labels == ("not young", "young")
    assert close(c.outputs(x)["answer"][:, 1], (x.flatten(1) @ w)[:, 2])


def test_the_output_is_the_only_row_of_floats_or_the_one_named(x, refuses):
    label = helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0)
    most = helper.make_node("ReduceMax", ["logits"], ["most"], axes=[1], keepdims=0)
    twice = helper.make_node("Add", ["logits", "logits"], ["twice"])
    values = {
        "label": helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        "most": helper.make_tensor_value_info("most", FLOAT, ["n"]),
        "logits": helper.make_tensor_value_info("logits", FLOAT, ["n", 4]),
        "twice": helper.make_tensor_value_info("twice", FLOAT, ["n", 4]),
    }
    w = write(nodes=[label, most], outputs=[values["label"], values["most"], values["logits"]])
    assert close(am.open_classifier("m.onnx").outputs(x)["answer"], x.flatten(1) @ w)
    with refuses(ModelError, "onnx-output"):
        am.open_classifier("m.onnx:label")
    write(nodes=[twice], outputs=[values["logits"], values["twice"]])
    with refuses(ModelError, "onnx-output") as caught:
        am.open_classifier("m.onnx")
    assert "m" in caught.value.hint and ":logits" in caught.value.hint
    assert close(am.open_classifier("m.onnx:twice").outputs(x)["answer"], 2 * x.flatten(1) @ w)
    with refuses(ModelError, "onnx-output") as caught:
        am.open_classifier("m.onnx:twcie")
    assert ":twice" in caught.value.hint
    prints = {am.open_classifier(f"m.onnx:{name}").fingerprint for name in ("logits", "twice")}
    assert len(prints) == 2


def test_the_fingerprint_is_that_of_the_files(x):
    write("a.onnx")
    write("b.onnx")
    write("c.onnx", weight=weight() + 1)
    a, b, c = (am.open_classifier(f"{name}.onnx").fingerprint for name in "abc")
    assert a == b != c
    first = external("e.onnx", "e.bin")
    one = am.open_classifier("e.onnx").fingerprint
    Path("e.bin").write_bytes((first + 1).numpy().tobytes())
    assert am.open_classifier("e.onnx").fingerprint != one


# Searches


def world_file(world):
    weights = world.weight.mT.float().numpy()
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Sub", ["product", "b"], ["logits"]),
    ]
    held = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(weights.sum(0) / 2, "b")]
    shape = ["n", 1, world.side, world.side]
    values = [helper.make_tensor_value_info(*v) for v in (("image", FLOAT, shape), ("logits", FLOAT, ["n", 2]))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    Path("world.onnx").write_bytes(model.SerializeToString())


def test_squares_find_in_the_file_what_they_find_in_the_network():
    world = LinearWorld(n=8, crowd=0.15, dtype=torch.float32)
    world_file(world)
    c = am.open_classifier("world.onnx")
    result = square(0.05, 200, target="task").run(c, world.task)
    assert (result.met & ~world.feasible(0.05, 0.05)).sum() == 0
    assert result.met.any()
    told = square(0.05, 200, target="task").run(world.classifier(), world.task)
    assert torch.equal(result.met, told.met)


def test_recipes_that_want_gradients_are_refused_before_the_first_pass():
    world = LinearWorld(n=4, dtype=torch.float32)
    world_file(world)
    c = am.open_classifier("world.onnx")
    for probe in (pgd(0.1), lse(world.codec)):
        with pytest.raises(ContractError) as caught:
            probe.run(c, world.task)
        assert caught.value.slug == "contract-ladder"
        assert "square" in caught.value.hint
    assert c.counts.forward == 0


# What is refused


def test_images_of_another_shape(x, images, refuses):
    write()
    c = am.open_classifier("m.onnx")
    with refuses(ModelError, "onnx-size") as caught:
        c.outputs(images(1, (3, 8, 8)))
    assert f"--size {SIDE}" in caught.value.hint
    with refuses(ModelError, "model-channels") as caught:
        c.outputs(images(1, (1, SIDE, SIDE)))
    assert "--channels 3" in caught.value.hint
    write(shape=("n", 3, "h", "w"))
    c = am.open_classifier("m.onnx")
    assert (c.size, c.channels) == (None, 3)
    with refuses(ModelError, "model-raises"):
        c.outputs(images(1, (3, 8, 8)))


def test_inputs_that_are_no_images(refuses):
    more = helper.make_tensor_value_info("mask", FLOAT, ["n", 1])
    for options in (
        {"shape": ("n", 5, SIDE, SIDE), "weight": weight(5)},
        {"shape": ("n", 3, SIDE, SIDE), "inputs": [more]},
        {"shape": ("n", 3, SIDE, SIDE), "kind": TensorProto.INT32},
    ):
        write(**options)
        with refuses(ModelError, "onnx-input") as caught:
            am.open_classifier("m.onnx")
        assert "image" in caught.value.seen
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 4])], [helper.make_tensor_value_info("y", FLOAT, ["n", 4])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    Path("flat.onnx").write_bytes(model.SerializeToString())
    with refuses(ModelError, "onnx-input"):
        am.open_classifier("flat.onnx")


def test_a_device_that_onnxruntime_has_not(refuses):
    write()
    for device in ("cuda", "mps"):
        import onnxruntime

        if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            continue
        with refuses(UsageError, "onnx-device"):
            am.open_classifier("m.onnx", device=device)


def test_weights_cannot_be_put_into_it(refuses):
    write()
    with refuses(UsageError, "usage-preprocessing"):
        am.open_classifier("m.onnx", weights="a.pt")


def test_without_onnxruntime_it_is_said_what_to_install(monkeypatch, refuses):
    write()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with refuses(ModelError, "model-package") as caught:
        am.open_classifier("m.onnx")
    assert caught.value.hint == "pip install onnxruntime"
