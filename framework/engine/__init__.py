"""The engine: cases and plans, the hub of their data, the ledger of what ran, and the one place that executes steps."""

from framework.engine.runner import Runner

__all__ = ["Runner"]
