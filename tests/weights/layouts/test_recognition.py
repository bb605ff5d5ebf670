import pytest
import torch

from atrous.errors import InputError
from atrous.weights.layouts import LAYOUTS, recognise
from atrous.weights.layouts.foreign import image_level_first, renamed, resnet_name
from atrous.weights.layouts.recognition import unwrapped, with_counters


def test_the_longest_prefix_is_replaced_and_other_names_stay() -> None:
    tensors = {name: torch.zeros(1) for name in ("a.0.w", "a.1.w", "b.a.0.w")}
    assert list(renamed(tensors, {"a.": "x.", "a.1.": "y."})) == ["x.0.w", "y.w", "b.a.0.w"]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "model.", "module.net.", ""])
def test_wrappers_that_all_names_share_are_taken_off(prefix: str) -> None:
    tensors = {f"{prefix}encoder.w": torch.zeros(1), f"{prefix}head.w": torch.zeros(1)}
    assert list(unwrapped(tensors)) == ["encoder.w", "head.w"]


def test_a_prefix_of_some_names_only_stays() -> None:
    tensors = {"module.w": torch.zeros(1), "head.w": torch.zeros(1)}
    assert list(unwrapped(tensors)) == list(tensors)


def test_counters_of_old_files_are_added() -> None:
    old = {"bn.running_mean": torch.zeros(2), "bn.running_var": torch.ones(2)}
    assert with_counters(old)["bn.num_batches_tracked"] == 0
    new = {**old, "bn.num_batches_tracked": torch.tensor(7)}
    assert with_counters(new)["bn.num_batches_tracked"] == 7


def test_the_image_level_moves_to_the_front() -> None:
    weight = torch.arange(12.0).reshape(2, 6, 1, 1)  # three parts of two channels
    moved = image_level_first({"aspp.project.conv.weight": weight})["aspp.project.conv.weight"]
    assert moved.flatten(1).tolist() == [[4, 5, 0, 1, 2, 3], [10, 11, 6, 7, 8, 9]]


def test_a_resnet_of_unknown_depth_is_refused() -> None:
    tensors = {f"layer{s}.0.conv3.weight": torch.zeros(1) for s in (1, 2, 3, 4)}
    with pytest.raises(InputError, match=r"bottleneck units \(1, 1, 1, 1\).*ResNet-18, 34, 50"):
        resnet_name(tensors, "", "torchvision")


def test_an_unknown_layout_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(
        InputError, match=r"first keys: stem.w, stem.b, a\.w\).*encoder_weights=FILE"
    ):
        recognise({name: torch.zeros(1) for name in ("stem.w", "stem.b", "a.w", "b.w")})
    with pytest.raises(InputError) as caught:
        recognise({"w": torch.zeros(1)})
    assert all(name in str(caught.value) for name in LAYOUTS)
