"""ONNX files whose answers have a formula, written node by node."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

__all__ = ["FLOAT", "SIDE", "close", "external", "weight", "write"]

FLOAT = TensorProto.FLOAT
SIDE = 6


def weight(channels=3, classes=4):
    rng = np.random.default_rng(0)
    return rng.normal(size=(channels * SIDE * SIDE, classes)).astype(np.float32)


def write(
    path="m.onnx", shape=("n", 3, SIDE, SIDE), kind=FLOAT, out=("n", 4), last=False, names=None, metadata=None, **more
):
    """Logits = flatten(image as channels first, as floats) @ weight, as an ONNX graph."""
    channels = shape[3] if last else shape[1]
    w = more.get("weight", weight(channels if isinstance(channels, int) else 3))
    nodes = [helper.make_node("Cast", ["image"], ["real"], to=FLOAT)]
    nodes.append(helper.make_node("Transpose", ["real"], ["first"], perm=[0, 3, 1, 2] if last else [0, 1, 2, 3]))
    nodes += [helper.make_node("Flatten", ["first"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])]
    outputs = [helper.make_tensor_value_info("logits", FLOAT, out)]
    nodes += more.get("nodes", [])
    outputs = more.get("outputs", outputs)
    inputs = [helper.make_tensor_value_info("image", kind, shape), *more.get("inputs", [])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata:
        helper.set_model_props(model, metadata)
    Path(path).write_bytes(model.SerializeToString())
    return torch.from_numpy(w)


def external(path, location, where=None):
    """A model whose weight lies in a file of its own; `location` is what the model says, `where` the real file."""
    w = weight()
    write(path)
    model = onnx.load_model_from_string(Path(path).read_bytes())
    (held,) = model.graph.initializer
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    held.external_data.add(key="location", value=location)
    Path(path).write_bytes(model.SerializeToString())
    file = Path(where or location)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(w.tobytes())
    return torch.from_numpy(w)


def close(a, b):
    return torch.allclose(a, b, rtol=1e-5, atol=1e-4)
