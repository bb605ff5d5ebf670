"""The stamp of a score as one line, to stand beside the numbers wherever they are printed."""

from collections.abc import Mapping

__all__ = ["protocol_line"]

DIGITS = 8
"""Of the data's hash; the whole of it is in the JSON."""


def protocol_line(protocol: Mapping[str, object]) -> str:
    """Return what decides a score: the paper's name, views, windows, CRF, split and data.

    Args:
        protocol: Of an `Evaluation`; what it lacks is left out.

    Example:
        >>> protocol_line({"scales": [1.0], "flip": True, "tile": [473, 473], "data_hash": "a2b4"})
        'protocol: scales 1, flip, tile 473; data a2b4'
    """
    name = f"protocol {protocol['protocol']}" if "protocol" in protocol else "protocol"
    data = f"data {str(protocol['data_hash'])[:DIGITS]}" if "data_hash" in protocol else ""
    split = f", {protocol['split']}" if data and "split" in protocol else ""
    how = _masks(protocol) if "predictions" in protocol else _views(protocol)
    return f"{name}: " + "; ".join(part for part in (how, data + split) if part)


def _masks(protocol: Mapping[str, object]) -> str:
    written = "class indices" if protocol.get("coding") == "indices" else "the labels' own numbers"
    return f"finished masks, read as {written}"


def _views(protocol: Mapping[str, object]) -> str:
    """Return how a model looked at the images; what it did not do is left out."""
    words = []
    if scales := protocol.get("scales"):
        words.append(f"scales {_numbers(scales, ', ')}")
    if flip := protocol.get("flip"):
        words.append("flip" if flip is True else f"flip {flip}")
    if tile := protocol.get("tile"):
        words.append(f"tile {_numbers(tile, 'x')}")
    if protocol.get("crf") is not None:
        words.append("CRF")
    words += [str(protocol[key]) for key in ("engine", "precision", "device") if key in protocol]
    return ", ".join(words)


def _numbers(values: object, sign: str) -> str:
    """Return a list with its repetitions left out; a comparison's setting may say "differs"."""
    if not isinstance(values, list):
        return str(values)
    return sign.join(f"{value:g}" for value in dict.fromkeys(values))
