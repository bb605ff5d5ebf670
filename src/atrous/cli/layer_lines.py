"""What `atrous explain` prints: the table of layers, their sums, what the picture shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atrous.cli.console import number, parameters, style, table
from atrous.explain import Layer, fields

__all__ = ["facts", "layer_lines", "picture_lines", "summary"]


def layer_lines(rows: Sequence[Layer]) -> str:
    """Return the table, a line for each layer."""
    seconds = sum(row.seconds for row in rows)
    heading = ("layer", "", "output", "stride", "sees", "parameters", "GFLOPs", "time")
    cells: list[tuple[str, ...]] = [heading]
    for row in rows:
        share = f"{row.seconds / seconds:.0%}".replace("%", " %") if seconds else ""
        cells.append(
            (
                row.name or "(network)",
                row.kind,
                " x ".join(map(str, row.shape)),
                "" if row.stride is None else _plain(row.stride),
                "" if row.receptive_field is None else _plain(row.receptive_field),
                number(row.parameters) if row.parameters else "",
                f"{row.flops / 1e9:.2f}" if row.flops else "",
                "" if share == "0 %" else share,
            )
        )
    return table(cells, right=(3, 4, 5, 6, 7))


def facts(rows: Sequence[Layer], size: tuple[int, int]) -> dict[str, Any]:
    """Return what `--json` prints of the layers; an infinite field becomes null there."""
    before, after = fields(rows)
    return {
        "size": list(size),
        "total": {
            "parameters": sum(row.parameters for row in rows),
            "flops": sum(row.flops for row in rows),
            "seconds": sum(row.seconds for row in rows),
        },
        "receptive_field": {"before_upsampling": before, "after_upsampling": after},
        "layers": [asdict(row) for row in rows],
    }


def summary(
    rows: Sequence[Layer], size: tuple[int, int], fields_of_view: Mapping[str, float]
) -> list[str]:
    """Return the lines below the table: cost, receptive field, field of view."""
    total = facts(rows, size)["total"]
    cost = f" {parameters(total['parameters'])} parameters, {total['flops'] / 1e9:.1f} GFLOPs"
    clock = f", {total['seconds']:.2f} s here" if total["seconds"] else ""
    lines = [style(f"{cost} for {size[0]}x{size[1]}{clock}", "bold")]
    before, after = fields(rows)
    sees = f"{before:.0f} px before upsampling, {after:.0f} px after it"
    if before == after:
        sees = f"{after:.0f} px"
    if any(math.isinf(row.receptive_field or 0) for row in rows):
        sees += ", the whole image through its global branch"
    lines.append(f" A score sees {sees} (sees: height, pixels of the image)")
    if fields_of_view:
        spans = ", ".join(f"{pixels:.0f}" for pixels in fields_of_view.values())
        lines.append(f" fc6 spans {spans} px, as DeepLab v1 counts: ((k - 1) rate + 4) 8 (Table 2)")
    return lines


def picture_lines(path: Path, side: int, *, trained: bool, weighs_scales: bool) -> list[str]:
    """Return what to know beside the picture."""
    if trained:
        return [f" 95 % of what moves a score lies within {side} px: {path}"]
    lines = [f" Untrained, 95 % of what moves a score lies within {side} px: {path}"]
    if weighs_scales:
        lines.append(
            " Attention is left out: untrained, scales weigh alike. A trained model shows it"
        )
    return lines


def _plain(value: float) -> str:
    return "all" if math.isinf(value) else f"{value:.4g}" if value < 1e4 else f"{value:.0f}"
