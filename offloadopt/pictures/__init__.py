"""Pictures of one solution: drawing functions that take arrays, and what makes figures and pages of panels."""

from offloadopt.pictures.panels import Panel

__all__ = ["Panel"]
