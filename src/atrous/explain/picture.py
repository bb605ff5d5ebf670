"""What a network sees, as one picture."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from atrous.explain.effective import effective_receptive_field, side_that_holds
from atrous.explain.layer_table import Layer
from atrous.explain.sampling import Pattern, sampling_patterns
from atrous.models import SegmentationModel
from atrous.models.attention_to_scale import AttentionToScale
from atrous.ops import normalise, resize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "portrait", "weighs_scales"]

EDGE, INNER = "#ffd400", "#ffffff"
BLUE, RED = "#1f77b4", "#d62728"


def draw(
    model: SegmentationModel,
    rows: Sequence[Layer],
    image: np.ndarray,
    path: Path,
    title: str,
    *,
    trained: bool = False,
    progress: Callable[[str], None] | None = None,
) -> int:
    """Write a PNG: the receptive field over an image, its growth, and the network's own ideas.

    Args:
        model: On the CPU.
        rows: Its layers at the image's size.
        image: (H, W, 3) uint8, RGB.
        path: Where to.
        title: Name of the network.
        trained: Whether its weights were learnt. If not, the picture says so, and leaves out the
            attention: it begins as the same weight for every scale.
        progress: Told what begins.

    Returns:
        Side in pixels of the square that holds 95 % of the effective receptive field.
    """
    figure, side = portrait(model, rows, image, title, trained=trained, progress=progress)
    if progress:
        progress("drawing")
    figure.savefig(path, dpi=110)
    return side


def portrait(
    model: SegmentationModel,
    rows: Sequence[Layer],
    image: np.ndarray,
    title: str,
    *,
    trained: bool = False,
    progress: Callable[[str], None] | None = None,
) -> tuple["Figure", int]:
    """Return what `draw` writes, as matplotlib's figure, and the side that `draw` returns."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    field = effective_receptive_field(model, image.shape[:2], progress=progress)
    side = side_that_holds(field)
    patterns = sampling_patterns(model, rows)
    weights = _attention(model, image) if trained and weighs_scales(model) else []
    panels = 2 + bool(patterns) + len(weights)
    columns = min(panels, 3)
    lines = -(-panels // columns)
    figure = Figure(figsize=(5.2 * columns, 4.6 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title if trained else f"{title}, untrained")
    axes = list(np.atleast_1d(figure.subplots(lines, columns)).flat)
    for unused in axes[panels:]:
        unused.set_axis_off()
    _field_panel(axes[0], rows, image, field, side, trained=trained)
    _growth_panel(axes[1], rows)
    rest = axes[2:]
    if patterns:
        _sampling_panel(rest.pop(0), patterns, image)
    for scale, weight in weights:
        _map_panel(rest.pop(0), image, weight, f"attention on scale {scale:g}")
    return figure, side


def weighs_scales(model: SegmentationModel) -> bool:
    """Whether the network has attention over scales of the image, which a picture can show."""
    return isinstance(model, AttentionToScale) and model.merge == "attention"


def _field_panel(
    axes: "Axes",
    rows: Sequence[Layer],
    image: np.ndarray,
    field: Tensor,
    side: int,
    *,
    trained: bool,
) -> None:
    """Draw the theoretical field as a square, the effective one as a glow."""
    grey = image.mean(2, keepdims=True).repeat(3, 2) / 255
    glow = (field / field.max()).pow(0.4).numpy()[..., None]  # or only the peak would be seen
    hot = np.concatenate([np.ones_like(glow), 0.35 * np.ones_like(glow), np.zeros_like(glow)], 2)
    axes.imshow(np.clip(grey * 0.75 * (1 - glow) + hot * glow, 0, 1))
    theory = max((row.receptive_field for row in rows if row.receptive_field), default=1.0)
    _square(axes, image, theory, EDGE)
    _square(axes, image, side, INNER)
    whole = "the whole image" if math.isinf(theory) else f"{theory:.0f} px"
    weights = "" if trained else ", untrained"
    axes.set_title(
        f"a score can see {whole} (yellow)\n95 % of the effect within {side} px (white){weights}",
        size=9,
    )
    axes.set_axis_off()


def _growth_panel(axes: "Axes", rows: Sequence[Layer]) -> None:
    """Plot receptive field and stride along the layers."""
    seen = [(n, row) for n, row in enumerate(rows) if row.stride and row.receptive_field]
    finite = [
        (n, row.receptive_field) for n, row in seen if not math.isinf(row.receptive_field or 0)
    ]
    axes.plot(*zip(*finite, strict=True), ".", color=RED, label="receptive field")
    axes.step(
        [n for n, _ in seen],
        [row.stride or 1 for _, row in seen],
        color=BLUE,
        label="stride",
    )
    axes.set_yscale("log", base=2)
    axes.set_xlabel("layer")
    axes.set_ylabel("pixels of the image")
    axes.legend(frameon=False)
    axes.set_title("layer by layer", size=9)


def _sampling_panel(axes: "Axes", patterns: Sequence[Pattern], image: np.ndarray) -> None:
    """Mark the taps of each rate around the middle."""
    from matplotlib import colormaps

    height, width = image.shape[:2]
    axes.imshow(
        image.mean(2),
        cmap="gray",
        alpha=0.35,
        extent=(-width / 2, width / 2, height / 2, -height / 2),
    )
    colours = colormaps["plasma"](np.linspace(0, 0.85, len(patterns)))  # its end is pale
    for pattern, colour in zip(patterns, colours, strict=True):
        x, y = pattern.offsets.T
        axes.scatter(x, y, s=26, color=colour, label=f"rate {pattern.rate}", zorder=3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=4, frameon=False, fontsize=8)
    axes.set_aspect("equal")
    axes.set_title("where each rate takes its samples (pixels from the middle)", size=9)


def _map_panel(axes: "Axes", image: np.ndarray, weights: Tensor, title: str) -> None:
    axes.imshow(image.mean(2), cmap="gray")
    shown = axes.imshow(weights.numpy(), cmap="magma", alpha=0.6, vmin=0, vmax=1)
    axes.figure.colorbar(shown, ax=axes, shrink=0.7)
    axes.set_title(title, size=9)
    axes.set_axis_off()


def _square(axes: "Axes", image: np.ndarray, side: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    height, width = image.shape[:2]
    if side >= max(height, width):
        axes.add_patch(Rectangle((0, 0), width - 1, height - 1, fill=False, color=colour, lw=3))
        return
    corner = (width // 2 - side / 2, height // 2 - side / 2)
    axes.add_patch(Rectangle(corner, side, side, fill=False, color=colour, lw=1.5))


def _attention(model: SegmentationModel, image: np.ndarray) -> list[tuple[float, Tensor]]:
    """Return each scale with its weights (H, W)."""
    assert isinstance(model, AttentionToScale)
    height, width = image.shape[:2]
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    channels = len(model.normalization.mean)
    if channels != 3:
        pixels = pixels.float().mean(1, keepdim=True).expand(-1, channels, -1, -1)
    with torch.no_grad():
        weights = model.eval().score(normalise(pixels, model.normalization)).attention
    assert weights is not None
    maps = resize(weights, (height, width), align_corners=model.align_corners)[0]
    return list(zip(model.scales, maps, strict=True))
