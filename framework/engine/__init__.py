"""The engine: the one place that executes steps."""

from framework.engine.runner import Runner

__all__ = ["Runner"]
