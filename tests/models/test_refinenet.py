import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrous.encoders import create_encoder
from atrous.models import Option, build_model
from atrous.models.refinenet import (
    ChainedResidualPooling,
    Fusion,
    RefineNet,
    ResidualConvUnit,
)


def built(encoder: str, **options: Option) -> RefineNet:
    with torch.device("meta"):
        model = build_model("refinenet", encoder_name=encoder, options=options)
    assert isinstance(model, RefineNet)
    return model


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("encoder", "pooling_blocks", "parameters"),
    [
        ("resnet50", 4, 99_060_309),
        ("resnet50", 2, 90_802_773),
        ("resnet101", 4, 118_052_437),
        ("resnet101", 2, 109_794_901),
        ("resnet152", 4, 133_696_085),
        ("resnet152", 2, 125_438_549),
    ],
)
def test_parameters_are_those_of_the_release(
    encoder: str, pooling_blocks: int, parameters: int
) -> None:
    assert count(built(encoder, pooling_blocks=pooling_blocks)) == parameters


def test_parameters_of_the_variants() -> None:
    assert count(built("resnet50", variant="single")) == 62_488_149
    assert count(built("resnet50", variant="2-cascaded")) == 68_976_981
    # The second scale doubles the encoder, the reductions and the units of its paths, and gives
    # each block a further 3x3 convolution: at 512 -> 512 (fusing what was alone: two of them),
    # and three times 256 -> 256.
    reductions = 9 * (2048 * 512 + 1024 * 256 + 512 * 256 + 256 * 256)
    units = 2 * (18 * 512**2 + 512) + 6 * (18 * 256**2 + 256)
    fusions = 2 * 9 * 512**2 + 3 * 9 * 256**2
    assert count(built("resnet50", variant="4-cascaded 2-scale")) == (
        99_060_309 + 23_508_032 + reductions + units + fusions
    )


def test_a_400_image_gives_the_sizes_of_the_release() -> None:
    model = built("resnet50")
    seen: list[int] = []
    model.encoder.register_forward_hook(
        lambda _, __, stages: seen.extend(s.shape[-1] for s in stages)
    )
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, y: seen.extend(y.shape[1::2]))
    images = torch.empty(1, 3, 400, 400, device="meta")
    assert model.score(images).main.shape == (1, 21, 120, 120)
    assert seen == [240, 120, 60, 30, 15, *(512, 15), *(256, 30), *(256, 60), *(256, 120)]
    assert model(images).shape == (1, 21, 400, 400)


def test_without_enlargement_the_stride_is_4() -> None:
    images = torch.empty(1, 3, 97, 64, device="meta")
    assert built("resnet50", enlargement=1.0).score(images).main.shape == (1, 21, 25, 16)


def test_the_second_encoder_sees_the_image_at_half_the_scale() -> None:
    model = built("resnet18", variant="4-cascaded 2-scale")
    seen: list[tuple[int, ...]] = []
    for encoder in model.encoders:
        encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[-2:]))
    score = model.score(torch.empty(1, 3, 400, 200, device="meta")).main
    assert seen == [(240, 120), (480, 240)]
    assert score.shape == (1, 21, 120, 60)


def test_a_small_image_is_not_shrunk_to_a_single_cell() -> None:
    # which batch norm could not normalise in a batch of one
    model = built("resnet18", variant="4-cascaded 2-scale").train()
    assert model(torch.empty(1, 3, 33, 47, device="meta")).shape == (1, 21, 33, 47)


@pytest.mark.parametrize(
    ("variant", "paths"),
    [
        ("single", [[512, 256, 256, 256]]),
        ("2-cascaded", [[512, 256], [256, 256, 256]]),
        ("4-cascaded", [[512], [512, 256], [256, 256], [256, 256]]),
        ("4-cascaded 2-scale", [[512, 512], [512, 256, 256], [256] * 3, [256] * 3]),
    ],
)
def test_paths_into_each_block_are_those_of_figure_7(variant: str, paths: list[list[int]]) -> None:
    model = built("resnet50", variant=variant)
    found = [[adapt[0].conv1.in_channels for adapt in block.adapt] for block in model.blocks]
    assert found == paths


def test_no_block_has_batch_norm_and_dropout_follows_the_wide_stages() -> None:
    model = built("resnet50")
    decoder = [*model.reduce.modules(), *model.blocks.modules(), *model.head.modules()]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in decoder)
    dropped = [any(isinstance(m, nn.Dropout) for m in path.modules()) for path in model.reduce]
    assert dropped == [True, True, False, False]
    assert [module.p for module in model.head if isinstance(module, nn.Dropout)] == [0.5]


def test_new_weights_start_with_the_spread_of_the_release() -> None:
    torch.manual_seed(0)
    model = RefineNet(create_encoder("test_resnet"), 5, channels=32)
    unit = model.blocks[0].output
    assert unit.conv1.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not unit.conv1.bias.any()
    assert unit.conv2.bias is None


def test_the_graph_is_the_releases() -> None:
    # The release writes one unit and two as three at a block's end, none on the path between.
    torch.manual_seed(0)
    model = RefineNet(create_encoder("test_resnet"), 5, channels=4, enlargement=1.0).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    images = torch.randn(1, 3, 75, 49)
    with torch.no_grad():
        stages, x = model.encoder(images), torch.empty(0)
        for level, (block, reduction) in enumerate(zip(model.blocks, model.reduce, strict=True)):
            path = block.adapt[-1](
                functional.conv2d(stages[4 - level], reduction[-1].weight, padding=1)
            )
            if level:
                coarse, fine = (
                    functional.conv2d(y, conv.weight, padding=1)
                    for y, conv in zip((x, path), block.fuse.convs, strict=True)
                )
                size = (fine.shape[-2], fine.shape[-1])
                path = fine + functional.interpolate(coarse, size, mode="bilinear")
            following = model.head[:2] if level == 3 else model.blocks[level + 1].adapt[0]
            x = following(block.output(slow_chain(path, block.pool)))
        expected = model.head[-1](x)
        torch.testing.assert_close(model.score(images).main, expected)


def slow_chain(x: Tensor, chain: ChainedResidualPooling) -> Tensor:
    """Chained residual pooling with a pooling that looks at every window."""
    total = y = x.clamp(min=0)
    for conv in chain.convs:
        y = slow_pool(conv(y)) if chain.conv_first else conv(slow_pool(y))
        total = total + y
    return total


def slow_pool(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    y = torch.empty_like(x)
    for row in range(height):
        for column in range(width):
            window = x[..., max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            y[..., row, column] = window.amax((-2, -1))
    return y


@pytest.mark.parametrize("conv_first", [False, True])
@pytest.mark.parametrize("blocks", [2, 4])
def test_chained_pooling_equals_a_loop_over_windows(blocks: int, conv_first: bool) -> None:
    torch.manual_seed(0)
    chain = ChainedResidualPooling(3, blocks=blocks, conv_first=conv_first)
    x = torch.randn(2, 3, 9, 6)
    torch.testing.assert_close(chain(x), slow_chain(x, chain))


def test_four_poolings_see_25_by_25_cells() -> None:
    # 5x5 windows four times: 17; 3x3 convolutions four times: 8 more
    chain = ChainedResidualPooling(1, blocks=4)
    for conv in chain.convs:
        nn.init.ones_(conv.weight)
    dot = torch.zeros(1, 1, 41, 41)
    dot[..., 20, 20] = 1.0
    rows, columns = chain(dot)[0, 0].nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 32, 8, 32)


def test_parts_without_weights_do_nothing() -> None:
    unit, chain = ResidualConvUnit(3), ChainedResidualPooling(3)
    for module in (*unit.modules(), *chain.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    x = torch.randn(1, 3, 5, 7)
    assert torch.equal(unit(x), x)
    assert torch.equal(chain(x), x.relu())


def test_fusion_gives_the_size_of_the_finest_and_the_width_of_the_narrowest() -> None:
    torch.manual_seed(0)
    fuse = Fusion([6, 4, 5])
    paths = [torch.randn(1, 6, 3, 2), torch.randn(1, 4, 5, 4), torch.randn(1, 5, 9, 7)]
    expected = torch.zeros(1, 4, 9, 7)
    for conv, path in zip(fuse.convs, paths, strict=True):
        narrow = functional.conv2d(path, conv.weight, padding=1)
        expected += functional.interpolate(narrow, (9, 7), mode="bilinear")
    torch.testing.assert_close(fuse(paths), expected)


def test_a_single_path_is_not_fused() -> None:
    fuse, path = Fusion([6]), torch.randn(1, 6, 3, 2)
    assert count(fuse) == 0
    assert fuse([path]) is path
