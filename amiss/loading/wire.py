"""What an ONNX file says about itself, read off its bytes: whether it is one, and which files it wants beside it.

Only the shape of the message is followed, by the field numbers of ONNX's published schema; nothing is built from it.
"""

from collections.abc import Iterator

__all__ = ["external_files", "is_onnx"]

# For each message the fields that hold messages, and what those are. Whatever can hold a tensor is followed.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "place"},
}
_VERSION, _GRAPH = 1, 7  # fields of the model


def is_onnx(data: bytes) -> bool:
    """Whether the bytes are a model with a format version and a graph."""
    try:
        numbers = {number for number, _ in _fields(memoryview(data))}
    except ValueError:
        return False
    return {_VERSION, _GRAPH} <= numbers


def external_files(data: bytes) -> set[str]:
    """The files that the tensors of a model want read, as the model writes them.

    Raises:
        ValueError: The bytes make no sense.
    """
    found: set[str] = set()
    left = [("model", memoryview(data))]
    while left:
        kind, message = left.pop()
        for number, value in _fields(message):
            inner = _INSIDE[kind].get(number)
            if inner is None or not isinstance(value, memoryview):
                continue
            if inner == "place":
                entry = {n: bytes(v) for n, v in _fields(value) if isinstance(v, memoryview)}
                if entry.get(1) == b"location":
                    found.add(entry.get(2, b"").decode())
            else:
                left.append((inner, value))
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of one message: number, and value.

    Raises:
        ValueError: The bytes are no such message.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0 or key >= 1 << 32:  # other readers drop the bits above, and would see another field
            raise ValueError("a field without a number")
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at + length > len(data):
            raise ValueError("a field that ends beyond its message")
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = 0
    for i in range(10):
        if at + i >= len(data):
            break
        value |= (data[at + i] & 127) << (7 * i)
        if data[at + i] < 128:
            return value, at + i + 1
    raise ValueError("a number without an end")
