"""A set of weights, learned anew from its card: does the beginning of its learning curve return?

    python benchmarks/recipe.py WEIGHTS --videos DIR --photos DIR [--steps 1024] [--out RUN]

The card in the file's header holds the recipe and the learning curve. The first steps are done
again, and the validation scores compared at every power of two that both curves have. Exits with 1
if one of them is off by more than 0.25 dB.

Weights that go on from others carry the cards of those, and the first one with a curve is compared;
what that one started from is looked for beside the weights and in the folders there.

The material must be that of the weights: what is held out for validation is a part of it. A recipe
that changed while the weights were trained is not on their card; weights/README.md has it. `--out`
keeps the run, and takes over the decoded clips (`cache`) and the degraded pairs (`pairs`) in it;
without --videos and --photos those pairs are all that is learned from.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from vidrestore.network import weights
from vidrestore.training.train import CURVE, FIRST_REPORTED_STEP, TrainReport, TrainSettings, train

ALLOWED_DB = 0.25
STEPS = 1024
"""Some five minutes of one core."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="a released file")
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default: {STEPS}")
    parser.add_argument("--out", type=Path, help="folder for the run; default: a temporary one")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    released = weights.load(options.weights)
    card = first_card(released.card)
    if card is None:
        parser.error(f"the card of {options.weights.name} has no learning curve")
    recorded = stable_part(json.loads(card["curve"]), options.steps)
    if not recorded:
        parser.error(f"no power of two up to {options.steps} is recorded before the decay")
    if options.out is not None and (options.out / CURVE).exists():
        parser.error(f"{options.out} holds another run")
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder)
        reproduced = learned_anew(released, card, options, out, max(recorded))
    return compared(recorded, reproduced)


def first_card(card: dict[str, str]) -> dict[str, str] | None:
    """The earliest card with a curve in the line that a card ends."""
    if not card:
        return None
    before = first_card(json.loads(card.get("started_from", "{}")))
    return before or (card if "curve" in card else None)


def stable_part(curve: list[dict[str, Any]], steps: int) -> dict[int, dict[str, float]]:
    """Scores by step: powers of two before the decay, whose steps are those of any longer run."""
    return {
        line["step"]: line["psnr_db"]
        for line in curve
        if line["phase"] == "stable"
        and FIRST_REPORTED_STEP <= line["step"] <= steps
        and line["step"].bit_count() == 1
    }


def learned_anew(
    released: weights.Weights,
    card: dict[str, str],
    options: argparse.Namespace,
    out: Path,
    steps: int,
) -> dict[int, dict[str, float]]:
    """Scores by step of a new run with the recipe of the card."""
    recipe = json.loads(card["recipe"])
    init = recipe.pop("init")
    del recipe["decay_fraction"]  # nothing of what is compared lies in the decay
    print(f"{released.task}, from {init or 'nothing'}: {recipe}", flush=True)
    print(f"learned on {card['material']}", flush=True)
    settings = TrainSettings(
        options.videos,
        options.photos,
        out,
        **recipe,
        init=None if init is None else next(released.path.parent.rglob(init)),
        max_steps=steps,
        max_minutes=24 * 60,
        decay_fraction=0,
        device=options.device,
        spec=released.net.spec,
    )
    train(settings, told)
    lines = map(json.loads, (out / CURVE).read_text().splitlines())
    return {line["step"]: line["psnr_db"] for line in lines}


def told(report: TrainReport) -> None:
    print(f"step {report.step}, {report.minutes:.1f} minutes", flush=True)


def compared(recorded: dict[int, dict[str, float]], reproduced: dict[int, dict[str, float]]) -> int:
    """Print both curves; 0 if they agree."""
    print("| step | validation | recorded | reproduced | difference in dB |\n|---|---|---|---|---|")
    worst_db = 0.0
    for step, scores in recorded.items():
        for kind, score in scores.items():
            difference_db = reproduced[step][kind] - score
            worst_db = max(worst_db, abs(difference_db))
            print(f"| {step} | {kind} | {score:.3f} | {reproduced[step][kind]:.3f} "
                  f"| {difference_db:+.3f} |")  # fmt: skip
    print(f"largest difference {worst_db:.3f} dB, at most {ALLOWED_DB} allowed")
    return int(worst_db > ALLOWED_DB)


if __name__ == "__main__":
    sys.exit(main())
