"""Steps: one unit of work, whatever form its author gave it."""

from framework.steps.step import Made, Step

__all__ = ["Made", "Step"]
