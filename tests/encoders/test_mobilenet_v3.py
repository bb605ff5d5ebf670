import pytest
import torch
import torchvision
from torch import nn

from atrous.encoders import create_encoder


def lively(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    return network.eval()


def test_keys_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        ours = create_encoder("mobilenet_v3_large").state_dict()
        theirs = torchvision.models.mobilenet_v3_large().state_dict()
    kept = {key: value.shape for key, value in theirs.items() if key.startswith("features.")}
    assert {key: value.shape for key, value in ours.items()} == kept


@pytest.mark.parametrize("dilated", [False, True])
def test_features_are_torchvisions_with_the_same_weights(dilated: bool) -> None:
    theirs = lively(torchvision.models.mobilenet_v3_large(dilated=dilated))
    ours = create_encoder(
        "mobilenet_v3_large", output_stride=16 if dilated else 32, even_dilation=dilated
    ).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    x = torch.randn(1, 3, 65, 97)
    stages = ours(x)
    for index, layer in enumerate(theirs.features):
        x = layer(x)
        if index in (1, 3, 6, 12, 16):
            torch.testing.assert_close(stages.pop(0), x)


@pytest.mark.parametrize("output_stride", [16, 8])
def test_the_dilated_map_holds_the_strided_one_on_a_lattice(output_stride: int) -> None:
    coarse = lively(create_encoder("mobilenet_v3_large"))
    dense = create_encoder("mobilenet_v3_large", output_stride=output_stride).eval()
    for module in (*coarse.modules(), *dense.modules()):
        if isinstance(module, nn.AdaptiveAvgPool2d):  # squeezing sees all cells: not comparable
            module.forward = lambda x: torch.ones_like(x[..., :1, :1])
    dense.load_state_dict(coarse.state_dict())
    images, step = torch.randn(1, 3, 65, 97), 32 // output_stride
    found, expected = dense(images)[-1][..., ::step, ::step], coarse(images)[-1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_batch_of_one_cell_trains() -> None:
    encoder = create_encoder("mobilenet_v3_large", in_channels=2).train()
    assert encoder(torch.randn(1, 2, 32, 32))[-1].shape == (1, 960, 1, 1)
