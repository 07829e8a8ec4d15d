"""Steps: one unit of work, whatever form its author gave it."""

from framework.steps.step import Made, Step, Told

__all__ = ["Made", "Step", "Told"]
