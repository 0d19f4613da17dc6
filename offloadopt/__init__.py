"""offloadopt: task offloading in mobile edge computing, solved with proof, demonstrated, learned and compared."""

from offloadopt.registry import learner, problem, solver

__version__ = "0.1.0"
__all__ = ["__version__", "learner", "problem", "solver"]
