"""The network: what it sees, what it keeps, what it costs."""

import pytest
import torch
from torch import Tensor, nn

from vidrestore.network.model import (
    LEVELS,
    Block,
    ModelSpec,
    RestorationNet,
    TemporalAttention,
    shift,
)

SPEC = ModelSpec((8, 8, 16), middle_blocks=1, attention_heads=2, attention_radius=2)


def network(spec: ModelSpec = SPEC) -> RestorationNet:
    """A network that does something: layers that start at zero are filled as well."""
    torch.manual_seed(0)
    net = RestorationNet(spec).on(torch.device("cpu"))
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return net


def window(frames: int = 3, size_px: tuple[int, int] = (16, 24)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(frames)
    x = torch.rand(1, frames, 3, *size_px, generator=generator)
    return x, torch.rand(1, frames, len(LEVELS), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_untrained_network_is_exactly_the_identity(dtype: torch.dtype) -> None:
    net = RestorationNet(SPEC)
    net.body_dtype = dtype
    x, levels = window()
    assert torch.equal(net(x, levels), x)


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_windows_may_have_any_number_of_frames(frames: int) -> None:
    x, levels = window(frames)
    residual = network().residual(x, levels)
    assert residual.shape == x.shape
    assert residual.isfinite().all()
    assert residual.any()


def test_windows_of_a_batch_do_not_see_each_other() -> None:
    net = network()
    (x, levels), (other, other_levels) = window(), window()
    other = 1 - other
    together = net.residual(torch.cat((x, other)), torch.cat((levels, other_levels)))
    torch.testing.assert_close(together[:1], net.residual(x, levels), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[1:], net.residual(other, levels), rtol=1e-4, atol=1e-5)


def test_the_input_is_left_alone() -> None:
    x, levels = window()
    before = x.clone()
    network()(x, levels)
    assert torch.equal(x, before)


def slow_shift(x: Tensor, frames: int, divisor: int) -> Tensor:
    width = x.shape[1] // divisor
    shifted = x.clone()
    for i in range(len(x)):
        first = i // frames * frames
        before, after = max(i - 1, first), min(i + 1, first + frames - 1)
        shifted[i, :width] = x[before, :width]
        shifted[i, width : 2 * width] = x[after, width : 2 * width]
    return shifted


@pytest.mark.parametrize("frames", [1, 2, 6])
@pytest.mark.parametrize("divisor", [3, 4, 8])
def test_shift_agrees_with_a_slow_reference(frames: int, divisor: int) -> None:
    x = torch.randn(12, 8, 3, 5)
    assert torch.equal(shift(x, frames, divisor), slow_shift(x, frames, divisor))


def test_shift_keeps_channels_last() -> None:
    x = torch.randn(6, 8, 3, 5).contiguous(memory_format=torch.channels_last)
    shifted = shift(x, 3, 4)
    assert shifted.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(shifted, slow_shift(x, 3, 4))


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_attention_sees_its_radius_and_nothing_beyond(radius: int) -> None:
    torch.manual_seed(0)
    attention = TemporalAttention(8, heads=2, radius=radius)
    nn.init.normal_(attention.project.weight)
    x = torch.randn(9, 8, 2, 2)
    changed = x.clone()
    changed[4] += 1
    difference = (attention(changed, 9) - attention(x, 9)).abs().amax((1, 2, 3))
    seen = [abs(i - 4) <= radius for i in range(9)]
    assert [bool(d > 0) for d in difference] == seen


def test_attention_prefers_the_distance_that_its_bias_names() -> None:
    attention = TemporalAttention(4, heads=1, radius=2)
    with torch.no_grad():  # queries and keys 0, values and projection the identity
        attention.qkv.weight.zero_()
        attention.qkv.bias.zero_()
        attention.qkv.weight[8:] = torch.eye(4)[..., None, None]
        attention.project.weight.copy_(torch.eye(4)[..., None, None])
        attention.bias[:, 3] = 50  # distance +1: the next frame
    x = torch.randn(5, 4, 2, 2)
    torch.testing.assert_close(attention(x, 5)[:4], x[:4] + x[1:])


def test_a_frame_does_not_depend_on_frames_outside_the_temporal_reach() -> None:
    net = network()
    for block in net.modules():
        if isinstance(block, Block):  # what comes from far must not drown in rounding
            block.conv2.weight.data.mul_(20)
    reach = SPEC.attention_radius + len(net.bias_widths)  # each block shifts by one frame
    x, levels = window(reach + 3, (8, 8))
    changed = x.clone()
    changed[:, -1] += 1
    difference = (net.residual(changed, levels) - net.residual(x, levels)).abs()[0]
    assert not difference[:2].any()
    assert difference[2].any()


def test_a_picture_does_not_depend_on_the_tile_beyond_its_reach() -> None:
    net = network()
    x, levels = window(2, (8, 192))
    beginning = net.residual(x[..., :128].contiguous(), levels)[..., :64]
    torch.testing.assert_close(net.residual(x, levels)[..., :64], beginning, rtol=1e-4, atol=1e-6)


def test_every_level_matters_for_the_frame_that_it_is_told_of() -> None:
    net = network()
    x, levels = window(3)
    before = net.residual(x, levels)
    for level in range(len(LEVELS)):
        told = levels.clone()
        told[:, 1, level] += 0.5
        assert (net.residual(x, told) - before)[:, 1].abs().max() > 1e-4


def test_gradients_reach_every_parameter() -> None:
    net = network()
    x, levels = window(4)
    net(x, levels).square().mean().backward()
    unreached = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


def test_a_bfloat16_body_keeps_a_float32_residual() -> None:
    net = network()
    x, levels = window(4)
    exact = net.residual(x, levels)
    net.body_dtype = torch.bfloat16
    seen = {}
    for layer in (net.stem, net.middle[0].conv1, net.head):
        layer.register_forward_hook(lambda layer, _, output: seen.update({layer: output.dtype}))
    rounded = net.residual(x, levels)
    assert list(seen.values()) == [torch.float32, torch.bfloat16, torch.float32]
    assert rounded.dtype == net(x, levels).dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.02 * exact.abs().max()
    assert (rounded.bfloat16().float() == rounded).float().mean() < 0.1


@pytest.mark.parametrize("spec", [SPEC, ModelSpec(), ModelSpec((16, 8, 24), middle_blocks=3)])
def test_arithmetic_per_pixel_is_what_the_convolutions_do(spec: ModelSpec) -> None:
    macs = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal macs
        transposed = isinstance(layer, nn.ConvTranspose2d)
        where = inputs[0] if transposed else output  # each of its pixels meets every weight once
        macs += layer.weight.numel() * where.shape[0] * where.shape[2] * where.shape[3]

    net = RestorationNet(spec)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    x, levels = window(2, (16, 16))
    with torch.no_grad():
        net(x, levels)
    assert macs == spec.macs_per_pixel * 2 * 16 * 16


def test_a_guess_that_all_candidates_agree_with_is_left_alone() -> None:
    net = network(ModelSpec((8, 8, 16), middle_blocks=1, attention_heads=2, candidates=2))
    x, levels = window(2)
    candidates = torch.zeros(1, 2, 8, *x.shape[3:])
    candidates[:, :, 6:] = 0.5  # their shares
    assert not net.residual(x, levels, candidates).any()
    candidates[:, :, 0, 4:8, 4:8] = 0.1
    assert net.residual(x, levels, candidates)[..., 4:8, 4:8].abs().min() > 0


def test_withheld_candidates_say_nothing() -> None:
    net = network(ModelSpec((8, 8, 16), middle_blocks=1, attention_heads=2, candidates=2))
    x, levels = window(2)
    nothing = torch.zeros(1, 2, 8, *x.shape[3:])
    assert torch.equal(net.residual(x, levels, nothing), net.residual(x, levels))
