from pathlib import Path

import numpy as np
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from atrous.explain import draw, layers
from atrous.explain.picture import portrait
from atrous.models import Option, SegmentationModel, build_model

IMAGE = np.full((65, 65, 3), 127, np.uint8)


def small(name: str, encoder: str | None = None, **options: Option) -> SegmentationModel:
    torch.manual_seed(0)
    return build_model(name, encoder_name=encoder, classes=2, options=options).eval()


def figure(model: SegmentationModel, *, trained: bool) -> Figure:
    rows = layers(model, torch.empty(1, 3, 65, 65, device="meta"))
    return portrait(model, rows, IMAGE, "name", trained=trained)[0]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def attention() -> SegmentationModel:
    return small(
        "attention_to_scale", network="unet", base_channels=2, padding="same", attention_channels=2
    )


def test_untrained_weights_are_called_so_and_have_no_attention() -> None:
    model = attention()
    untrained, trained = figure(model, trained=False), figure(model, trained=True)
    assert untrained.get_suptitle() == "name, untrained"
    assert "untrained" in titles(untrained)[0]
    assert len(titles(untrained)) == 2
    assert "untrained" not in trained.get_suptitle() + "".join(titles(trained))


def test_attention_is_titled_with_its_scales() -> None:
    found = titles(figure(attention(), trained=True))
    assert found[2:] == [f"attention on scale {scale}" for scale in ("1", "0.75", "0.5")]


def test_every_rate_has_a_colour_of_its_own() -> None:
    rates = "1,2,3,4,5,6"
    model = small("deeplab_v3", "resnet18", aspp_channels=2, rates=rates)
    panel = figure(model, trained=False).axes[2]
    colours = {to_hex(dots.get_facecolor()[0]) for dots in panel.collections}
    assert len(colours) == len(panel.collections) == 6


def test_no_title_is_wider_than_its_panel(tmp_path: Path) -> None:
    for model in (small("unet", base_channels=2), small("deeplab_v3", "resnet18", aspp_channels=2)):
        drawn = figure(model, trained=False)
        drawn.savefig(tmp_path / "seen.png", dpi=110)
        for axes in drawn.axes:
            box = axes.title.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= drawn.bbox.x1


def test_a_field_larger_than_the_image_is_its_frame() -> None:
    model = small("unet", base_channels=2)
    rows = layers(model, torch.empty(1, 3, 65, 65, device="meta"))
    (row,) = [row for row in rows if row.name == "head"]
    assert row.receptive_field == 200
    theory, _ = portrait(model, rows, IMAGE, "name")[0].axes[0].patches
    assert theory.get_bbox().bounds == (0, 0, 64, 64)


def test_progress_is_told(tmp_path: Path) -> None:
    model, told = small("unet", base_channels=2), []
    rows = layers(model, torch.empty(1, 3, 65, 65, device="meta"))
    draw(model, rows, IMAGE, tmp_path / "seen.png", "name", progress=told.append)
    assert told == [*(f"gradient {n} of 4" for n in (1, 2, 3, 4)), "drawing"]
