import pytest
import torch
from torch import nn

from atrous.errors import InputError
from atrous.models import build_model
from atrous.models import unet as unet_module
from atrous.models.unet import UNet, mirror
from atrous.ops.conv_doubled import conv_doubled


@pytest.mark.parametrize(
    ("in_channels", "classes", "parameters"),
    [(1, 2, 31_030_658), (3, 2, 31_031_810), (1, 21, 31_031_893), (3, 21, 31_033_045)],
)
def test_parameters_are_those_of_the_paper(in_channels: int, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        for padding in ("valid", "same"):
            model = build_model(
                "unet", in_channels=in_channels, classes=classes, options={"padding": padding}
            )
            assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_network_has_23_convolutions() -> None:
    with torch.device("meta"):
        layers = list(UNet(1, 2).modules())
    assert sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in layers) == 23


def test_sizes_are_those_of_figure_1() -> None:
    found: list[tuple[int, int]] = []
    with torch.device("meta"):
        model = UNet(1, 2)
        for layer in (*model.down, *model.up, *model.merge):
            layer.register_forward_hook(lambda _, __, y: found.append((y.shape[1], y.shape[-1])))
        assert model(torch.empty(1, 1, 388, 388)).shape == (1, 2, 388, 388)
    down, rest = found[:5], found[5:]
    assert down == [(64, 568), (128, 280), (256, 136), (512, 64), (1024, 28)]
    assert rest == [
        *((512, 56), (512, 52), (256, 104), (256, 100)),
        *((128, 200), (128, 196), (64, 392), (64, 388)),
    ]


def test_weights_start_with_the_papers_spread() -> None:
    torch.manual_seed(0)
    model = UNet(1, 2)
    layers = {1: model.down[1][2], 2: model.up[3][0]}
    # 3x3 over 128 channels: N = 1152; the 2x2 up-convolution's row has 4 x 64 weights: N = 256
    for layer, incoming in ((layers[1], 1152), (layers[2], 256)):
        assert layer.weight.std().item() == pytest.approx((2 / incoming) ** 0.5, rel=0.02)
        assert not layer.bias.any()


def test_dropout_follows_the_two_deepest_levels() -> None:
    with torch.device("meta"):
        model = UNet(1, 2)
    dropped = [any(isinstance(m, nn.Dropout) for m in level) for level in model.down]
    assert dropped == [False, False, False, True, True]


def test_valid_scores_equal_those_of_one_large_tile_of_a_mirrored_image() -> None:
    torch.manual_seed(0)
    model = UNet(1, 2, base_channels=2).eval()
    tile = torch.randn(1, 1, 188 + 16, 188 + 16)  # gives 20 x 20, no padding needed inside
    with torch.no_grad():
        expected = unpadded(model, tile)
        assert expected.shape[-2:] == (20, 20)
        # what lies around the 20 x 20 centre is real here; mirroring a mirrored image is the same
        centre = tile[..., 92:112, 92:112]
        mirrored = mirror(centre, 92, (204, 204))
        torch.testing.assert_close(model.score(centre).main, unpadded(model, mirrored))


@pytest.mark.parametrize(("tile", "size"), [(572, (500, 390)), (204, (50, 33)), (236, (16, 101))])
def test_tiles_of_a_mirrored_image_give_the_whole_images_scores(
    tile: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = UNet(1, 2, base_channels=2).eval()
    image = torch.randn(1, 1, *size)
    step = {572: 384, 204: 16, 236: 48}[tile]
    mirrored = mirror(image, 92, (size[0] + 92 + tile, size[1] + 92 + tile))
    expected = torch.empty(1, 2, *size)
    with torch.no_grad():
        for row in range(0, size[0], step):  # Fig. 2, a tile at a time
            for column in range(0, size[1], step):
                window = mirrored[..., row : row + tile, column : column + tile]
                part = expected[..., row : row + step, column : column + step]
                part[:] = unpadded(model, window)[..., : part.shape[-2], : part.shape[-1]]
        assert expected.std() > 0.01
        torch.testing.assert_close(model.score(image).main, expected)
        torch.testing.assert_close(model.score_in_tiles(image, tile).main, expected)


def test_tiles_that_step_by_388_are_not_in_step_with_the_poolings() -> None:
    torch.manual_seed(0)
    model = UNet(1, 2, base_channels=2).eval()
    image = torch.randn(1, 1, 776, 40)
    mirrored = mirror(image, 92, (776 + 184, 572))
    with torch.no_grad():
        whole = model.score(image).main
        second = unpadded(model, mirrored[..., 388:, :])[..., :40]
    assert second.shape[-2:] == (388, 40)
    assert not torch.allclose(whole[..., 388:, :], second, rtol=1e-2)


@pytest.mark.parametrize(("tile", "valid"), [(188, True), (570, True), (572, False)])
def test_tiles_of_another_size_or_for_padded_convolutions_are_refused(
    tile: int, valid: bool
) -> None:
    model = UNet(1, 2, base_channels=1, valid=valid)
    with pytest.raises(InputError, match=rf"tile is {tile}; give 16 k \+ 60 pixels, at least 204"):
        model.score_in_tiles(torch.zeros(1, 1, 33, 47), tile)


def unpadded(model: UNet, x: torch.Tensor) -> torch.Tensor:
    """The paper's Fig. 1, step by step, for a size of 16 k + 60."""
    skips = []
    for level, down in enumerate(model.down):
        x = down(nn.functional.max_pool2d(x, 2) if level else x)
        skips.append(x)
    for up, merge, skip, margin in zip(
        model.up, model.merge, skips[-2::-1], (4, 16, 40, 88), strict=True
    ):
        x = merge(torch.cat([up(x), skip[..., margin:-margin, margin:-margin]], 1))
    return model.head(x)


@pytest.mark.parametrize(("size", "before", "after"), [(7, 3, 4), (7, 6, 6), (12, 0, 5)])
def test_mirroring_is_reflection(size: int, before: int, after: int) -> None:
    x = torch.randn(1, 2, size, size)
    expected = nn.functional.pad(x, (before, after, before, after), mode="reflect")
    total = size + before + after
    torch.testing.assert_close(mirror(x, before, (total, total)), expected, atol=0, rtol=0)


def test_small_images_are_mirrored_as_often_as_needed() -> None:
    line = torch.tensor([[[[1, 2, 3]]]])
    assert mirror(line, 5, (1, 12))[0, 0, 0].tolist() == [2, 1, 2, 3] * 3
    dot = torch.tensor([[[[4]]]])
    assert mirror(dot, 2, (3, 3)).unique().tolist() == [4]


def test_an_image_of_the_right_size_is_not_copied() -> None:
    x = torch.randn(1, 1, 32, 48)
    assert mirror(x, 0, (32, 48)) is x


def test_the_decoder_on_an_encoder_is_the_one_that_practice_uses() -> None:
    # 24,436,369 is what segmentation_models.pytorch publishes for Unet("resnet34"), one class
    with torch.device("meta"):
        model = build_model("unet", encoder_name="resnet34", classes=21)
    assert sum(p.numel() for p in model.parameters()) == 24_436_369 + 20 * (16 * 9 + 1)


def test_widths_of_the_decoder_follow_base_channels() -> None:
    with torch.device("meta"):
        model = build_model("unet", encoder_name="resnet18", options={"base_channels": 16})
    assert [merge[1].conv.out_channels for merge in model.merge] == [64, 32, 16, 8, 4]


def test_a_decoder_that_learns_computes_what_the_plain_layers_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    model = build_model("unet", encoder_name="resnet18", options={"base_channels": 16}).double()
    images = torch.randn(2, 3, 96, 160, dtype=torch.float64)

    def learnt() -> dict[str, torch.Tensor]:
        model.zero_grad()
        scores = model.score(images).main
        scores.square().mean().backward()
        return {"scores": scores} | {name: p.grad for name, p in model.named_parameters()}

    entered = []
    monkeypatch.setattr(
        unet_module, "conv_doubled", lambda *given: entered.append(0) or conv_doubled(*given)
    )
    found = learnt()
    assert len(entered) == 2  # the coarser levels have 30, 120 and 480 pixels in all
    monkeypatch.setattr(unet_module, "conv_doubled_pays", lambda *_: False)
    torch.testing.assert_close(found, learnt(), rtol=1e-8, atol=1e-12)


def test_an_exported_network_has_the_plain_layers() -> None:
    model = build_model("unet", encoder_name="resnet18", options={"base_channels": 16})
    program = torch.export.export(model.train(), (torch.randn(2, 3, 96, 160),))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not any("transpose" in name for name in called)
    assert "aten.upsample_nearest2d.vec" in called


@pytest.fixture
def learning_unet() -> nn.Module:
    """A U-Net on an encoder that takes the short way through its decoder."""
    torch.manual_seed(0)
    return build_model("unet", encoder_name="test_resnet", classes=3).double().train()


def test_weights_given_from_outside_are_the_ones_that_count(learning_unet: nn.Module) -> None:
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    doubled = {name: 2 * each for name, each in learning_unet.named_parameters()}
    found = torch.func.functional_call(learning_unet, doubled, (images,))
    with torch.no_grad():
        for each in learning_unet.parameters():
            each.mul_(2)
    torch.testing.assert_close(found, learning_unet(images))


@pytest.mark.parametrize("place", ["merge.4.0", "merge.4.0.conv"])
@pytest.mark.parametrize("kind", ["forward_pre", "forward", "full_backward"])
def test_a_hook_in_the_decoder_is_called(learning_unet: nn.Module, place: str, kind: str) -> None:
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    expected, called = learning_unet(images), []
    module = learning_unet.get_submodule(place)
    getattr(module, f"register_{kind}_hook")(lambda *_: called.append(place))
    found = learning_unet(images)
    found.sum().backward()
    assert called == [place]
    torch.testing.assert_close(found, expected)


def test_a_parametrised_convolution_of_the_decoder_keeps_its_say(learning_unet: nn.Module) -> None:
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    expected = learning_unet(images)
    for module in learning_unet.get_submodule("merge").modules():
        if isinstance(module, nn.Conv2d):
            nn.utils.parametrizations.weight_norm(module)
    torch.testing.assert_close(learning_unet(images), expected)
