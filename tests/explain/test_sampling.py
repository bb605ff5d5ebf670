import pytest
import torch

from atrous.explain import layers
from atrous.explain.sampling import Pattern, sampling_patterns
from atrous.models import Option, build_model


def patterns(name: str, encoder: str | None = None, **options: Option) -> list[Pattern]:
    with torch.device("meta"):
        model = build_model(name, encoder_name=encoder, options=options).eval()
        rows = layers(model, torch.empty(1, 3, 129, 129))
    return sampling_patterns(model, rows)


def reach(found: list[Pattern]) -> dict[int, float]:
    return {pattern.rate: float(pattern.offsets.max()) for pattern in found}


def test_the_pyramid_is_found_and_its_taps_lie_a_rate_apart() -> None:
    found = patterns("deeplab_v3_plus", "mobilenet_v2_035")
    assert [pattern.rate for pattern in found] == [6, 12, 18]
    assert found[0].offsets.unique().tolist() == [-96, 0, 96]  # rate 6 at stride 16


@pytest.mark.parametrize("name", ["unet", "fcn8s", "refinenet", "pspnet"])
def test_a_network_without_pyramid_has_no_pattern(name: str) -> None:
    assert patterns(name) == []


def test_of_several_scales_of_the_image_the_first_counts() -> None:
    found = patterns("deeplab_v2", "resnet18", multi_scale=True)
    assert reach(found) == {rate: 8.0 * rate for rate in (6, 12, 18, 24)}
    around = patterns("attention_to_scale", "mobilenet_v2_035", network="deeplab_v3_plus")
    assert reach(around) == {rate: 16.0 * rate for rate in (6, 12, 18)}


@pytest.mark.parametrize(
    "options", [{"rates": "none"}, {"form": "cascade"}, {"form": "cascade", "multi_grid": "1,2,4"}]
)
def test_units_one_after_the_other_are_no_pyramid(options: dict[str, Option]) -> None:
    assert patterns("deeplab_v3", "resnet50", **options) == []


def test_layers_that_read_one_map_for_other_ends_are_no_pyramid() -> None:
    assert patterns("deeplab_v1", msc=True) == []  # conv5_1 and the branch of pool4


def test_any_number_of_rates_is_found() -> None:
    found = patterns("deeplab_v3", "resnet18", rates="2,4,6,8,10")
    assert [pattern.rate for pattern in found] == [2, 4, 6, 8, 10]
