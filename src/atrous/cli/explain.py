"""`atrous explain NAME`: the layers of a network, how far each sees, what each costs."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrous.cli.console import answer, number, parameters, style, table
from atrous.errors import InputError, unknown

if TYPE_CHECKING:
    from atrous.explain import Layer
    from atrous.models import SegmentationModel

__all__ = ["ExplainConfig", "run"]


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """Show what a network is made of and how far it sees."""

    model: str = field(metadata={"positional": True})
    """Network that `atrous models` lists, model folder, or name of a model that ships."""
    encoder: str | None = None
    """Encoder of a network given by name; its default if not given."""
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Options of a network given by name, e.g. output_stride=8."""
    classes: int = 21
    """Classes of a network given by name."""
    channels: int = 3
    """Channels of its images."""

    size: int | tuple[int, int] = 512
    """Image size in pixels, side or height,width."""
    depth: int | None = None
    """Join layers whose names share their first N parts; every layer by itself if not given."""
    picture: Path | None = None
    """PNG to draw: receptive fields, growth, sampling pattern, attention."""
    image: Path | None = None
    """Photo under the picture; a made street scene if not given."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if min(self.height_width) < 33:
            raise InputError(f"--size is {self.size}, but must be at least 33 pixels")
        if self.depth is not None and self.depth < 1:
            raise InputError(f"--depth is {self.depth}, but must be at least 1")
        if self.image and not self.picture:
            raise InputError("--image goes under the picture; give --picture FILE.png as well")

    @property
    def height_width(self) -> tuple[int, int]:
        """The size as (height, width)."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


def run(config: ExplainConfig) -> int:
    """Print the layer table, and draw the picture where asked for; return 0."""
    import torch

    from atrous.explain import grouped, layers

    height, width = config.height_width
    model = _model(config).eval()
    channels = len(model.normalization.mean)
    rows = layers(model, torch.randn(1, channels, height, width))
    result: dict[str, Any] = {"model": config.model, "size": [height, width]}
    totals = {
        "parameters": sum(row.parameters for row in rows),
        "flops": sum(row.flops for row in rows),
        "seconds": sum(row.seconds for row in rows),
    }
    result |= {"total": totals, "layers": [asdict(row) for row in rows]}
    shown = grouped(rows, config.depth) if config.depth else rows
    lines = [_table(shown, totals["seconds"]), _summary(rows, totals, (height, width))]
    if config.picture:
        side = _draw(config, model, rows)
        result["effective_receptive_field"] = side
        lines.append(f" 95 % of what moves a score lies within {side} px: {config.picture}")
    answer("\n".join(lines), result)
    return 0


def _model(config: ExplainConfig) -> "SegmentationModel":
    """Build the network by name, or load the model that lies in a folder or ships."""
    from atrous.models import MODELS, build_model
    from atrous.weights import load

    if config.model in MODELS:
        import torch

        torch.manual_seed(0)
        return build_model(
            config.model,
            encoder_name=config.encoder,
            in_channels=config.channels,
            classes=config.classes,
            options=config.options,
        )
    if not Path(config.model).exists() and config.model != "street-scenes":
        raise unknown("network", config.model, [*MODELS, "street-scenes"], see="atrous models")
    return load(config.model)


def _table(rows: Sequence["Layer"], seconds: float) -> str:
    heading = ("layer", "", "output", "stride", "sees", "parameters", "GFLOPs", "time")
    cells = [heading]
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


def _summary(rows: Sequence["Layer"], totals: dict[str, Any], size: tuple[int, int]) -> str:
    fields = [row.receptive_field for row in rows if row.receptive_field]
    finite = max((field for field in fields if not math.isinf(field)), default=1)
    whole = ", the whole image through its global branch" if math.inf in fields else ""
    figures = f" {parameters(totals['parameters'])} parameters, {totals['flops'] / 1e9:.1f} GFLOPs"
    clock = f", {totals['seconds']:.2f} s here" if totals["seconds"] else ""
    return (
        style(f"{figures} for {size[0]}x{size[1]}{clock}", "bold")
        + f"\n A score sees {finite:.0f} px{whole} (sees: height, pixels of the image)"
    )


def _plain(value: float) -> str:
    return "all" if math.isinf(value) else f"{value:.4g}" if value < 1e4 else f"{value:.0f}"


def _draw(config: ExplainConfig, model: "SegmentationModel", rows: Sequence["Layer"]) -> int:
    from atrous.data import make_scene
    from atrous.data.images import read_image
    from atrous.explain import draw

    assert config.picture is not None
    height, width = config.height_width
    if config.image:
        import cv2

        image = cv2.resize(read_image(config.image, 3), (width, height))
        if image.dtype != "uint8":
            image = (image // 257).astype("uint8")
    else:
        image, _ = make_scene(0, (height, width))
    config.picture.parent.mkdir(parents=True, exist_ok=True)
    return draw(model, rows, image, config.picture, config.model)
