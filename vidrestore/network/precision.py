"""Which number format the body of the network runs in.

bfloat16 doubles the speed of a processor that has instructions for it and costs a factor of three
to six on one that has not, so it is timed, never assumed. What is timed is the processor's work,
not the time on the wall, in which other programs have a part, and by one thread, since a thread
that waits for another one works as well: the same machine must choose the same format every time,
or two runs of one command would differ.
"""

from __future__ import annotations

import math
import time

import torch

from vidrestore.network.model import LEVELS, RestorationNet

PROBE_FRAMES = 2
PROBE_SIZE_PX = 128
PROBE_REPEATS = 5


def choose_body_dtype(net: RestorationNet, device: torch.device) -> torch.dtype:
    """The faster of float32 and bfloat16 for this network on this device.

    Float32 unless bfloat16 is clearly faster. Takes some tenths of a second. Leaves
    `net.body_dtype` as it was.
    """
    x = torch.full((1, PROBE_FRAMES, 3, PROBE_SIZE_PX, PROBE_SIZE_PX), 0.5, device=device)
    levels = torch.zeros(1, PROBE_FRAMES, len(LEVELS), device=device)
    before, threads = net.body_dtype, torch.get_num_threads()
    best_s = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for repeat in range(PROBE_REPEATS + 1):  # in turn, so that a busy moment hits both
                for dtype in best_s:
                    net.body_dtype = dtype
                    elapsed_s = _timed_s(net, x, levels, device)
                    if repeat:  # the first call compiles kernels
                        best_s[dtype] = min(best_s[dtype], elapsed_s)
    finally:
        net.body_dtype = before
        torch.set_num_threads(threads)
    # In practice the ratio is near 0.5 or far above 1: the margin keeps noise from deciding.
    return torch.bfloat16 if best_s[torch.bfloat16] < 0.8 * best_s[torch.float32] else torch.float32


def _timed_s(
    net: RestorationNet, x: torch.Tensor, levels: torch.Tensor, device: torch.device
) -> float:
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    start_s = clock()
    net(x, levels)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start_s
