"""Preparing a dataset for a model, as a workspace does it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from framework.workspace.scripts import Scripts

if TYPE_CHECKING:
    import pandas as pd

    from framework.prepare.configuration import Asked, PipelineConfig
    from framework.prepare.states import PipelineState


class Preparing(Scripts):
    """What a workspace does to prepare data; see `Workspace` for the parameters."""

    def prepare(
        self,
        path: str | os.PathLike[str],
        blueprint: str | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        *,
        config: PipelineConfig | None = None,
        max_size: int | None = None,
        on_stage: Callable[[PipelineState, str], None] | None = None,
        **asked: Unpack[Asked],
    ) -> tuple[pd.DataFrame, PipelineState]:
        """Prepare a file by a blueprint; see `DataPipeline.process_file`.

        Parameters
        ----------
        blueprint : str, optional
            Where a recipe is given, that recipe's.
        max_size : int, optional
            Bytes; 100 MiB unless given.
        on_stage : callable, optional
            Told of each stage as it begins.
        """
        from framework.prepare.ingestion import DataIngestionService
        from framework.prepare.job import nobody
        from framework.prepare.pipeline import DataPipeline

        service = DataIngestionService() if max_size is None else DataIngestionService(max_file_size=max_size)
        with DataPipeline(
            1, config=config, ingestion=service, settings=self.settings, on_stage=on_stage or nobody
        ) as pipeline:
            return pipeline.process_file_sync(os.fspath(path), blueprint, preprocessing, **asked)
