"""ONNX files of strangers: what is none is named, and nothing outside a model's folder is read."""

from pathlib import Path

import numpy as np
import pytest

import amiss as am
from amiss.errors import ModelError
from amiss.loading.wire import external_files, is_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper

from tests.loading.graphs import FLOAT, SIDE, close, external, write


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_files_that_are_no_onnx(refuses):
    write()
    whole = Path("m.onnx").read_bytes()
    bodies = [b"", b"no model at all", whole[: len(whole) // 2], b"\x00" * 50, b"\xff" * 50, b"PK\x03\x04" + whole]
    for i, body in enumerate(bodies):
        Path(f"{i}.onnx").write_bytes(body)
        with refuses(ModelError, "onnx-file"):
            am.open_classifier(f"{i}.onnx")
    with refuses(ModelError, "model-path") as caught:
        am.open_classifier("n.onnx")
    assert "m.onnx" in caught.value.hint


def test_operators_of_somebodys_own(refuses, tmp_path):
    write(nodes=[helper.make_node("Steal", ["flat"], ["more"], domain="com.evil")])
    with refuses(ModelError, "onnx-file") as caught:
        am.open_classifier(str(tmp_path / "m.onnx"))
    assert str(tmp_path) not in str(caught.value)


def test_weights_beside_the_model_are_read(images):
    x = images(5, (3, SIDE, SIDE))
    Path("model").mkdir()
    for location in ("w.bin", "inner/w.bin", "./w.bin"):
        w = external("model/m.onnx", location, Path("model", location))
        assert close(am.open_classifier("model/m.onnx").outputs(x)["answer"], x.flatten(1) @ w)


def test_weights_outside_the_folder_are_not(refuses, tmp_path):
    Path("model").mkdir()
    for location in ("../w.bin", "inner/../../w.bin", str(tmp_path / "w.bin")):
        external("model/m.onnx", location, "w.bin")
        with refuses(ModelError, "onnx-external") as caught:
            am.open_classifier("model/m.onnx")
        assert "not its own" in caught.value.what
    external("model/m.onnx", "link.bin", "w.bin")
    Path("model/link.bin").symlink_to(tmp_path / "w.bin")
    with refuses(ModelError, "onnx-external"):
        am.open_classifier("model/m.onnx")


@pytest.mark.parametrize("location", ["gone.bin", "*/_ORT_MEM_ADDR_/*", "", ".", "a\0b", "x" * 5000])
def test_weights_that_are_not_there(refuses, location):
    external("m.onnx", location, "w.bin")
    with refuses(ModelError, "onnx-external"):
        am.open_classifier("m.onnx")


@pytest.mark.parametrize("mark", ["*/_ORT_MEM_ADDR_/*", "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"])
def test_an_address_in_memory_is_no_file_even_where_a_file_is_called_so(refuses, mark):
    external("m.onnx", mark)
    with refuses(ModelError, "onnx-external") as caught:
        am.open_classifier("m.onnx")
    assert "not its own" in caught.value.what


def test_names_are_text_that_can_be_written_and_a_book_of_them_is_not_read():
    write(out=("n", 2), metadata={"labels": '["\\ud800", "b"]'}, weight=np.zeros((3 * SIDE * SIDE, 2), np.float32))
    labels = am.open_classifier("m.onnx").labels
    assert labels is not None
    assert "".join(labels).encode()
    text = '["a", "b"' + " " * 2**20 + "]"
    write(out=("n", 2), metadata={"labels": text}, weight=np.zeros((3 * SIDE * SIDE, 2), np.float32))
    assert am.open_classifier("m.onnx").labels is None


def test_a_fixed_batch_that_would_fill_the_memory(refuses):
    write(shape=(10**9, 3, SIDE, SIDE))
    with refuses(ModelError, "onnx-input"):
        am.open_classifier("m.onnx")


def test_weights_are_found_wherever_a_tensor_can_hide():
    def tensor(name):
        held = numpy_helper.from_array(np.ones(2, np.float32), name)
        held.data_location = TensorProto.EXTERNAL
        held.external_data.add(key="location", value=name)
        return held

    def constant(name):
        return helper.make_node("Constant", [], [name], value=tensor(name))

    def graph(name):
        return helper.make_graph([constant(name)], name, [], [helper.make_tensor_value_info(name, FLOAT, [2])])

    branch = helper.make_node("If", ["c"], ["o"], then_branch=graph("../then"), else_branch=graph("../else"))
    outer = helper.make_graph([constant("../node"), branch], "g", [], [], [tensor("../initializer")])
    sparse = helper.make_sparse_tensor(tensor("../values"), numpy_helper.from_array(np.array([0, 1])), [2])
    outer.sparse_initializer.append(sparse)
    function = helper.make_function("own", "f", [], ["o"], [constant("../function")], [helper.make_opsetid("", 17)])
    model = helper.make_model(outer, functions=[function])
    model.training_info.add().initialization.CopyFrom(graph("../training"))
    data = model.SerializeToString()
    assert is_onnx(data)
    hidden = {"then", "else", "node", "initializer", "values", "function", "training"}
    assert external_files(data) == {f"../{name}" for name in hidden}
    for cut in range(0, len(data), 7):  # whatever is cut off, it ends, and in one kind of error
        try:
            external_files(data[:cut])
        except ValueError:
            continue


def test_a_field_whose_number_others_would_read_otherwise_is_refused():
    graph = b"\x2a\x02\x6a\x00"  # an initializer with one place
    plain = b"\x08\x08" + b"\x3a" + bytes([len(graph)]) + graph
    assert is_onnx(plain)
    for key in (b"\xba\x80\x80\x80\x10", b"\x02", b"\x3b", b"\xff" * 11):  # 7 + 2^29, 0, a group, without an end
        body = b"\x08\x08" + key + bytes([len(graph)]) + graph
        assert not is_onnx(plain + body)
        with pytest.raises(ValueError):
            external_files(plain + body)
