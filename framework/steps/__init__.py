"""Steps: one unit of work, whatever form its author gave it."""

from framework.steps.step import Step

__all__ = ["Step"]
