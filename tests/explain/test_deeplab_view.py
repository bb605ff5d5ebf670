import torch

from atrous.explain import field_of_view
from atrous.models import Option, SegmentationModel, build_model


def model(name: str, encoder: str | None = None, **options: Option) -> SegmentationModel:
    with torch.device("meta"):
        return build_model(name, encoder_name=encoder, options=options).eval()


def test_deeplab_v2_has_one_for_each_rate() -> None:
    # Sec. 4.1.2: "aspp_l" holds v1's LargeFOV, rate 12; the others lie 2 x 6 cells of 8 px apart
    found = field_of_view(model("deeplab_v2", "vgg16"))
    assert list(found.values()) == [128, 224, 320, 416]


def test_of_several_scales_the_first_counts() -> None:
    (found,) = field_of_view(model("attention_to_scale")).values()
    assert found == 224


def test_other_networks_have_none() -> None:
    assert field_of_view(model("fcn8s")) == field_of_view(model("deeplab_v2", "resnet18")) == {}
