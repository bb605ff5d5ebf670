"""`atrous explain NAME`: the layers of a network, how far each sees, what each costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from atrous.cli.console import answer, progress
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
    """PNG to draw: receptive fields, growth, sampling pattern, attention if trained."""
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

    from atrous.cli.layer_lines import facts, layer_lines, picture_lines, summary
    from atrous.explain import field_of_view, grouped, layers
    from atrous.explain.picture import weighs_scales
    from atrous.models import MODELS

    trained = config.model not in MODELS
    with progress(8 if config.picture else 3, "step", unit="") as bar:
        model = _model(config).eval()
        images = torch.randn(1, len(model.normalization.mean), *config.height_width)
        rows = layers(model, images, progress=lambda what: bar.advance(note=what))
        views = field_of_view(model)
        result = {"model": config.model, "trained": trained, **facts(rows, config.height_width)}
        lines = summary(rows, config.height_width, views)
        result["field_of_view"] = views
        if config.picture:
            side = _draw(config, model, rows, lambda what: bar.advance(note=what))
            result["effective_receptive_field"] = side
            attention = weighs_scales(model)
            lines += picture_lines(config.picture, side, trained=trained, weighs_scales=attention)
        bar.advance(note="")
    shown = grouped(rows, config.depth) if config.depth else rows
    answer("\n".join([layer_lines(shown), *lines]), result)
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


def _draw(
    config: ExplainConfig,
    model: "SegmentationModel",
    rows: Sequence["Layer"],
    step: Callable[[str], None],
) -> int:
    from atrous.data import make_scene
    from atrous.data.images import read_image
    from atrous.explain import draw
    from atrous.models import MODELS

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
    trained = config.model not in MODELS
    return draw(model, rows, image, config.picture, config.model, trained=trained, progress=step)
