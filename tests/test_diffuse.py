"""The restoring stage, with a tiny random network and with the weights that the package brings."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor, nn

from vidrestore.errors import DeviceError, ExitCode
from vidrestore.measure.metrics import score_clip
from vidrestore.network import diffuse, precision, shelf, weights
from vidrestore.network.bridge import interpolate
from vidrestore.network.diffuse import Levels, Restorer, pick_device
from vidrestore.network.model import LEVELS, MULTIPLE_PX, ModelSpec, RestorationNet
from vidrestore.network.precision import choose_body_dtype
from vidrestore.network.windows import WindowPlan

SPEC = ModelSpec((8, 8, 16), middle_blocks=1, attention_heads=2, attention_radius=2)
CPU = torch.device("cpu")


def restorer_of(net: RestorationNet, folder: Path) -> Restorer:
    restorer = Restorer("denoise", weights.save(net, folder, task="denoise", size="tiny", card={}))
    restorer.net.body_dtype = torch.float32
    return restorer


@pytest.fixture(scope="module")
def random_restorer(tmp_path_factory: pytest.TempPathFactory) -> Restorer:
    torch.manual_seed(0)
    net = RestorationNet(SPEC)
    nn.init.normal_(net.head.weight, std=0.1)
    return restorer_of(net, tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def untrained_restorer(tmp_path_factory: pytest.TempPathFactory) -> Restorer:
    return restorer_of(RestorationNet(SPEC), tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="module")
def packaged_restorer() -> Restorer:
    return Restorer("denoise", shelf.find("denoise"), "cpu")


def unclamped(frames: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(frames)
    return random.uniform(-0.2, 1.2, (frames, height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 35, 67), (30, 9, 7), (3, 1, 1)])
def test_a_clip_of_any_length_and_size_keeps_its_shape(
    random_restorer: Restorer, shape: tuple[int, int, int]
) -> None:
    clip = unclamped(*shape)
    before = clip.copy()
    restored = random_restorer.restore_clip(clip, sigma=25)
    assert (restored.shape, restored.dtype) == (clip.shape, np.float32)
    assert np.isfinite(restored).all()
    assert (restored != clip).any()
    assert np.array_equal(clip, before)


@pytest.mark.parametrize("steps", [1, 4])
def test_an_untrained_network_returns_the_clip_bit_for_bit(
    untrained_restorer: Restorer, steps: int
) -> None:
    clip = unclamped(30, 35, 67)
    assert np.array_equal(untrained_restorer.restore_clip(clip, sigma=25, steps=steps), clip)


def test_many_windows_agree_with_one_where_each_frame_sees_enough(
    random_restorer: Restorer,
) -> None:
    clip = unclamped(40, 16, 16)
    whole = random_restorer.restore_clip(clip, 25.0, plan=WindowPlan(40, 0, 40, 0))
    cut = random_restorer.restore_clip(clip, 25.0, plan=WindowPlan(10, 7, 34, 0))
    np.testing.assert_allclose(cut, whole, atol=1e-5)


class Recorder:
    """Stands in for the network's residual and keeps what it was given."""

    def __init__(self) -> None:
        self.windows: list[Tensor] = []
        self.levels: list[Tensor] = []

    def residual(self, x: Tensor, levels: Tensor, candidates: Tensor | None = None) -> Tensor:
        self.windows.append(x.clone())
        self.levels.append(levels.clone())
        return torch.ones_like(x)


@pytest.fixture
def recorder(random_restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(random_restorer, "net", recorder)
    return recorder


def test_the_network_gets_multiples_of_8_padded_with_the_border(
    random_restorer: Restorer, recorder: Recorder
) -> None:
    window = torch.rand(2, 3, 13, 21)
    assert random_restorer.residual(window, Levels(25, clipped=False), 1).shape == window.shape
    (given,) = recorder.windows
    assert given.shape == (1, 2, 3, 16, 24)
    assert torch.equal(given[0, :, :, :13, :21], window)
    assert torch.equal(given[0, :, :, 13:, :21], window[:, :, -1:].expand(-1, -1, 3, -1))
    assert torch.equal(given[0, :, :, :13, 21:], window[..., -1:].expand(-1, -1, -1, 3))


def test_the_network_is_told_the_noise_level_of_each_step(
    random_restorer: Restorer, recorder: Recorder
) -> None:
    random_restorer.residual(torch.rand(3, 3, 8, 8), Levels(51, clipped=False), steps=4)
    noise = [levels[..., LEVELS.index("noise")].unique().item() for levels in recorder.levels]
    assert noise == pytest.approx([0.2, 0.15, 0.1, 0.05])
    others = torch.stack(recorder.levels)[..., 1:]
    assert others.shape == (4, 1, 1, len(LEVELS) - 1)
    assert not others.any()


def test_the_noise_level_is_estimated_only_if_none_is_given(
    random_restorer: Restorer, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffuse, "noise_sigma", lambda clip: 25.5)
    for sigma, expected in ((None, 0.1), (51.0, 0.2)):
        random_restorer.restore_clip(unclamped(2, 8, 8), sigma)
        assert recorder.levels[-1].max().item() == pytest.approx(expected)


@pytest.mark.parametrize("width", [648, 960, 1216, 1224, 1240, 1280, 1920, 2048])
def test_tiles_are_blended_with_weights_that_sum_to_one(
    random_restorer: Restorer, recorder: Recorder, width: int
) -> None:
    residual = random_restorer.residual(torch.zeros(1, 3, 8, width), Levels(25, clipped=False), 1)
    assert len(recorder.windows) > 1
    assert all(tile.shape[4] <= diffuse.TILE_PX for tile in recorder.windows)
    assert all(tile.shape[4] % MULTIPLE_PX == 0 for tile in recorder.windows)
    assert (residual - 1).abs().max() < 1e-6


@pytest.mark.parametrize("size_px", [(16, 448), (448, 16), (448, 456)])
def test_tiles_agree_with_the_whole_picture(
    random_restorer: Restorer, monkeypatch: pytest.MonkeyPatch, size_px: tuple[int, int]
) -> None:
    window = torch.rand(1, 3, *size_px, generator=torch.Generator().manual_seed(0))
    whole = random_restorer.residual(window, Levels(25, clipped=False), 1)
    monkeypatch.setattr(random_restorer, "tile_px", 400)
    monkeypatch.setattr(diffuse, "TILE_OVERLAP_PX", 128)
    tiled = random_restorer.residual(window, Levels(25, clipped=False), 1)
    difference = (tiled - whole).abs()
    amplitude = whole.std()
    assert 0 < difference.max() < 0.05 * amplitude
    # Outside the overlap of 128 px no tile's edge is near enough to change anything.
    for axis, length in ((2, size_px[0]), (3, size_px[1])):
        if length > 400:
            outside = (torch.arange(length) + 0.5 - length / 2).abs() > 64 + MULTIPLE_PX
            difference = difference.movedim(axis, 0)[outside].movedim(0, axis)
    assert difference.max() < 1e-5 * amplitude


def test_tiles_keep_a_residual_of_zero_exactly_zero(untrained_restorer: Restorer) -> None:
    residual = untrained_restorer.residual(torch.rand(1, 3, 16, 700), Levels(25, clipped=False), 3)
    assert not residual.any()


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps", "banana"):
        with pytest.raises(DeviceError, match=name) as caught:
            pick_device(name)
        assert caught.value.exit_code == ExitCode.DEVICE == 6
        assert "cpu" in (caught.value.hint or "")
    assert pick_device("cpu") == pick_device("auto") == CPU


def test_auto_prefers_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == pick_device("cuda").type == "cuda"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_running_out_of_memory_is_a_device_error(
    random_restorer: Restorer, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def fail(x: Tensor, levels: Tensor, candidates: Tensor | None) -> Tensor:
        raise error

    monkeypatch.setattr(random_restorer, "net", SimpleNamespace(residual=fail))
    with pytest.raises(DeviceError, match="ran out of memory on 2 frames of 17x8") as caught:
        random_restorer.residual(torch.zeros(2, 3, 8, 17), Levels(25, clipped=False), 1)
    assert caught.value.hint


def test_other_errors_of_the_device_are_not_hidden(
    random_restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(x: Tensor, levels: Tensor, candidates: Tensor | None) -> Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(random_restorer, "net", SimpleNamespace(residual=fail))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        random_restorer.residual(torch.zeros(1, 3, 8, 8), Levels(25, clipped=False), 1)


@pytest.mark.parametrize(
    ("bfloat16_s", "chosen"),
    [(0.5, torch.bfloat16), (0.99, torch.float32), (3.3, torch.float32)],
)
def test_the_body_runs_in_what_the_probe_found_faster(
    monkeypatch: pytest.MonkeyPatch, bfloat16_s: float, chosen: torch.dtype
) -> None:
    def timed_s(net: RestorationNet, *_: object) -> float:
        return bfloat16_s if net.body_dtype == torch.bfloat16 else 1.0

    monkeypatch.setattr(precision, "_timed_s", timed_s)
    net = RestorationNet(SPEC)
    assert choose_body_dtype(net, CPU) == chosen
    assert net.body_dtype == torch.float32


# ---- what the trained network must do


def camera_move(picture: np.ndarray, frames: int = 6, size_px: int = 128) -> Tensor:
    """A pan over a picture at half its size, (T, 3, size, size) float32."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    half = picture[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3)) / 255
    pan = [half[t : t + size_px, 2 * t : 2 * t + size_px] for t in range(frames)]
    return torch.from_numpy(np.stack(pan)).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def clean_clips() -> list[Tensor]:
    return [camera_move(picture) for picture in (data.astronaut(), data.coffee(), data.chelsea())]


def noise_like(clip: Tensor, seed: int) -> Tensor:
    return torch.randn(clip.shape, generator=torch.Generator().manual_seed(seed))


def frames_of(clip: Tensor) -> np.ndarray:
    return clip.permute(0, 2, 3, 1).numpy()


def psnr_db(clean: Tensor, restored: Tensor) -> float:
    score = score_clip(frames_of(clean), frames_of(restored), with_ssim=False).psnr_db
    assert score is not None
    return score


def test_half_way_the_network_knows_no_more_than_a_denoiser_of_what_it_sees(
    packaged_restorer: Restorer, clean_clips: list[Tensor]
) -> None:
    gains_db = []
    for seed, clean in enumerate(clean_clips):
        degraded = clean + 50 / 255 * noise_like(clean, seed)
        x_t = interpolate(clean, degraded, 0.5)
        observed = clean + 25 / 255 * noise_like(clean, 100 + seed)
        levels = Levels(50, clipped=False).tensor(CPU)
        with torch.inference_mode():
            predicted = packaged_restorer.net(x_t[None], 0.5 * levels)[0]
        denoised = observed + packaged_restorer.residual(observed, Levels(25, clipped=False), 1)
        assert psnr_db(clean, denoised) > psnr_db(clean, observed) + 5
        gains_db.append(psnr_db(clean, predicted) - psnr_db(clean, denoised))
    assert np.mean(gains_db) <= 0.3


def test_more_steps_bring_detail_back_for_at_most_2_db(
    packaged_restorer: Restorer, clean_clips: list[Tensor]
) -> None:
    scores = {1: [], 4: []}
    for seed, clean in enumerate(clean_clips):
        degraded = clean + 40 / 255 * noise_like(clean, seed)
        for steps, found in scores.items():
            restored = packaged_restorer.restore_clip(frames_of(degraded), 40, steps)
            found.append(score_clip(frames_of(clean), restored, with_ssim=False))
    mean_psnr_db = {steps: np.mean([s.psnr_db for s in found]) for steps, found in scores.items()}
    detail = {
        steps: np.mean([s.gradient_energy_ratio for s in found]) for steps, found in scores.items()
    }
    assert abs(detail[4] - 1) < abs(detail[1] - 1)
    assert mean_psnr_db[1] - mean_psnr_db[4] <= 2


def test_telling_the_true_noise_level_beats_telling_a_wrong_one(
    packaged_restorer: Restorer, clean_clips: list[Tensor]
) -> None:
    clean = clean_clips[0]
    degraded = clean + 30 / 255 * noise_like(clean, 7)
    scores = {
        sigma: psnr_db(
            clean, degraded + packaged_restorer.residual(degraded, Levels(sigma, clipped=False), 1)
        )
        for sigma in (10, 30, 55)
    }
    assert max(scores, key=lambda sigma: scores[sigma]) == 30


def test_neighbouring_frames_help(packaged_restorer: Restorer, clean_clips: list[Tensor]) -> None:
    clean = clean_clips[0]
    degraded = clean + 40 / 255 * noise_like(clean, 7)
    together = degraded + packaged_restorer.residual(degraded, Levels(40, clipped=False), 1)
    alone = torch.cat(
        [
            frame + packaged_restorer.residual(frame, Levels(40, clipped=False), 1)
            for frame in degraded.split(1)
        ]
    )
    assert psnr_db(clean, together) > psnr_db(clean, alone) + 0.3
