"""Models as Stable-Baselines3 leaves them after a short training, to compare with what is exported."""

from __future__ import annotations

import time
from typing import Any

from offloadopt.core import Problem
from offloadopt.learners.common.training import TrainingProgress
from offloadopt.learners.sb3.base import Sb3Learner, Sb3Training


def trained(learner: Sb3Learner, problem: Problem[Any], steps: int) -> Sb3Training:
    """The model and its environment after so many decisions."""
    tracker = TrainingProgress(time.monotonic(), learner.iterations(problem, steps))
    training = learner.make_training(problem, 1, None, tracker)
    training.advance(tracker)
    return training
