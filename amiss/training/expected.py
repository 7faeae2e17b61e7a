"""What a language model expects along a text, as a drawing: under each character the likeliest for its place."""

from html import escape

import torch

from amiss.models import TextModel

__all__ = ["expected_svg"]

_COLUMNS, _WIDE, _HIGH = 72, 11, 15  # characters of a line, and pixels of one
_SEEN = 0.005  # a share of black that can be told from white
_SHOWN = {" ": "_", "\n": "¶"}


@torch.no_grad()
def expected_svg(model: TextModel, text: str, *, k: int = 4) -> str:
    """Draw what a model expects next, all along a text.

    The text stands above. Under each of its characters stand the `k` that the model held for likeliest there, given
    those before, the likeliest first: the darker, the likelier, and underlined where it came. A space is drawn as _
    and an end of line as ¶.

    Args:
        model: In eval mode.
        text: One character or more; it is read from its beginning.
        k: Characters under each.

    Returns:
        An SVG of lines of 72 characters.

    Raises:
        ModelError: A character is unknown to the model.
        ContractError: The text is empty.
    """
    tokens = model.vocabulary.encode(text)[None].to(model.readout.weight.device)
    model.check(tokens)
    chances, likely = model(tokens)[0].T.softmax(1).topk(min(k, model.symbols), 1)
    block = (likely.shape[1] + 2) * _HIGH
    wide, high = (_COLUMNS + 1) * _WIDE, (-(-len(text) // _COLUMNS)) * block
    symbols, parts, came = model.vocabulary.symbols, [], []
    for start in range(0, len(text), _COLUMNS):
        top = start // _COLUMNS * block
        parts.append(_line(text[start : start + _COLUMNS], top + _HIGH, "bold"))
        for rank in range(likely.shape[1]):
            low, part = top + (rank + 2) * _HIGH, slice(start, start + _COLUMNS)
            line, held = likely[part, rank].tolist(), chances[part, rank].tolist()
            for i, (token, chance) in enumerate(zip(line, held, strict=True)):
                left = _WIDE // 2 + i * _WIDE
                if chance >= _SEEN:
                    box = f"M{left} {low - _HIGH + 3}h{_WIDE}v{_HIGH}h-{_WIDE}z"
                    parts.append(f'<path d="{box}" fill-opacity="{0.75 * chance:.2f}"/>')
                if symbols[token] == text[start + i]:
                    came.append(f"M{left + 1} {low + 2}h{_WIDE - 2}")
            parts.append(_line("".join(symbols[token] for token in line), low))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="monospace" '
            'font-size="12" text-anchor="middle">',
            f'<rect width="{wide}" height="{high}" fill="white"/><g fill="#2b6cb0">',
            *(part for part in parts if part.startswith("<path")),
            f'</g><path d="{"".join(came)}" stroke="#c05621" stroke-width="2"/>',
            *(part for part in parts if not part.startswith("<path")),
            "</svg>\n",
        ]
    )


def _line(text: str, y: int, weight: str = "normal") -> str:
    """Characters at their columns; those that cannot be drawn are dots."""
    across = " ".join(str(_WIDE + i * _WIDE) for i in range(len(text)))
    drawn = "".join(_SHOWN.get(c, c if c.isprintable() else "·") for c in text)
    return f'<text x="{across}" y="{y}" font-weight="{weight}">{escape(drawn)}</text>'
