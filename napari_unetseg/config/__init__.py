"""What a person can choose, one frozen model per verb.

Limits, choices and help texts stand here once: the forms of the window, the options
of the command line and the checks of the engine all read them from the fields.
"""

from __future__ import annotations

from napari_unetseg.config.base import (
    MAPS,
    MODEL_DISAGREEMENT,
    RATER_DISAGREEMENT,
    TOTAL_UNCERTAINTY,
    Config,
    Device,
    VoxelSize,
    Workers,
    WorklistStrategy,
)
from napari_unetseg.config.measures import (
    AgreementConfig,
    ConsensusConfig,
    EffortConfig,
    VotesConfig,
)
from napari_unetseg.config.prediction import Backend, PredictConfig, WorklistConfig
from napari_unetseg.config.preferences import Preferences
from napari_unetseg.config.projects import (
    ConvertConfig,
    ExportConfig,
    ExportFormat,
    ImportConfig,
    NewProjectConfig,
)
from napari_unetseg.config.training import (
    AdaptConfig,
    Blocks,
    Layers,
    Preset,
    RaterKind,
    Start,
    TrainConfig,
)

__all__ = [
    "MAPS",
    "MODEL_DISAGREEMENT",
    "RATER_DISAGREEMENT",
    "TOTAL_UNCERTAINTY",
    "AdaptConfig",
    "AgreementConfig",
    "Backend",
    "Blocks",
    "Config",
    "ConsensusConfig",
    "ConvertConfig",
    "Device",
    "EffortConfig",
    "ExportConfig",
    "ExportFormat",
    "ImportConfig",
    "Layers",
    "NewProjectConfig",
    "PredictConfig",
    "Preferences",
    "Preset",
    "RaterKind",
    "Start",
    "TrainConfig",
    "VotesConfig",
    "VoxelSize",
    "Workers",
    "WorklistConfig",
    "WorklistStrategy",
]
