"""The commands: for each its options, its examples and the one action it calls.

Actions and the window are imported when a command runs, and not before.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_unetseg.cli_effort import add_effort
from napari_unetseg.cli_models import add_adapt, add_models, add_promote, add_rollback
from napari_unetseg.cli_options import add_options, lengths, names
from napari_unetseg.cli_parts import (
    Result,
    add_project,
    command,
    config_of,
)
from napari_unetseg.cli_raters import add_agreement, add_consensus, add_import_rater
from napari_unetseg.cli_worklist import add_worklist
from napari_unetseg.config import (
    ExportConfig,
    NewProjectConfig,
    PredictConfig,
    TrainConfig,
    VoxelSize,
)
from napari_unetseg.errors import (
    JobFailedError,
    ModelNotFoundError,
    VolumeNotFoundError,
)
from napari_unetseg.events import IsCancelled, OnEvent

_SUFFIX_FORMATS = {
    ".zarr": "ome-zarr",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".nii": "nifti",
    ".gz": "nifti",
    ".csv": "csv",
}


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add all commands to the parser of the program."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_open, _add_new, _add_info, _add_predict, _add_train, _add_finetune,
                add_adapt, add_models, add_promote, add_rollback, add_worklist,
                _add_export, _add_merge, add_effort, add_agreement, add_consensus,
                add_import_rater, _add_demo):  # fmt: skip
        add(commands)


def _add_open(commands: Any) -> None:
    parser = command(
        commands, "open", _open, "open the window",
        "napari-unetseg open volume.zarr",
        "napari-unetseg open embryo.unetseg",
    )  # fmt: skip
    parser.add_argument("path", nargs="?", help="Volume or project; none if empty.")


def _open(arguments: argparse.Namespace, *_: Any) -> Result:
    path = arguments.path
    if path is not None and "://" not in path and not Path(path).exists():
        raise VolumeNotFoundError(f"There is nothing at {path}", do="Check the path.")
    with _window_needed():
        from napari_unetseg.viewer.launch import launch
    return {"exit_code": launch(path)}


def _add_new(commands: Any) -> None:
    parser = command(
        commands, "new", _new, "make a project for a volume",
        "napari-unetseg new embryo.tif --classes cell,membrane",
        "napari-unetseg new em.zarr --classes mitochondria --raters Ana,Bo",
        about="TIFF and NIfTI files, and folders of TIFFs, are converted once to "
        "OME-Zarr beside them; that is streamed and needs little memory.",
        is_long=True,
    )  # fmt: skip
    parser.add_argument("volume", help="OME-Zarr, zarr, TIFF, NIfTI or an address.")
    parser.add_argument("--project", type=Path, metavar="DIR",
                        help="Folder to make; beside the volume if empty.")  # fmt: skip
    parser.add_argument("--classes", type=names, required=True, metavar="A,B",
                        help="Names of what is segmented.")  # fmt: skip
    parser.add_argument("--thin", type=names, default=(), metavar="A,B",
                        help="Which of them are sheets or fibres: far views keep "
                        "every voxel of those.")  # fmt: skip
    parser.add_argument("--raters", type=names, default=(), metavar="A,B",
                        help="Names of raters whose styles are learned.")  # fmt: skip
    parser.add_argument("--voxel-size", type=lengths, metavar="Z,Y,X",
                        help="Size of a voxel if the volume does not say it, or "
                        "says it wrongly.")  # fmt: skip
    parser.add_argument("--unit", metavar="UNIT",
                        help="Unit of the voxel size, e.g. nanometer.")  # fmt: skip
    parser.add_argument("--model", type=Path, metavar="DIR",
                        help="Model to begin with.")  # fmt: skip


def _new(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    from napari_unetseg.app import actions

    given = arguments.voxel_size
    config = NewProjectConfig(
        classes=arguments.classes,
        raters=arguments.raters,
        thin=arguments.thin,
        scale=given and VoxelSize(voxel_size=given, unit=arguments.unit),
    )
    return actions.new_project(
        arguments.project or _project_beside(arguments.volume),
        arguments.volume,
        config,
        on_event,
        is_cancelled,
        model=arguments.model,
    )


def _project_beside(volume: str) -> Path:
    if "://" in volume:
        return Path(volume.rstrip("/").rsplit("/", 1)[-1]).with_suffix(".unetseg")
    path = Path(volume)
    name = path.name.lower()
    for suffix in (".nii.gz", ".ome.tiff", ".ome.tif", ".ome.zarr", path.suffix):
        if suffix and name.endswith(suffix):
            return path.with_name(path.name[: -len(suffix)] + ".unetseg")
    return path.with_name(path.name + ".unetseg")


def _add_info(commands: Any) -> None:
    parser = command(
        commands, "info", _info, "describe a volume or a project",
        "napari-unetseg info volume.zarr",
        "napari-unetseg info embryo.unetseg --json",
    )  # fmt: skip
    parser.add_argument("path", help="Volume or project.")


def _info(arguments: argparse.Namespace, *_: Any) -> Result:
    from napari_unetseg.app import actions

    return actions.info(arguments.path)


def _add_predict(commands: Any) -> None:
    parser = command(
        commands, "predict", _predict, "predict a volume block by block",
        "napari-unetseg predict embryo.unetseg",
        "napari-unetseg predict embryo.unetseg --box 0:64,0:512,0:512 --flips 1",
        about="Goes on where it was stopped, with the choices that it was begun with.\n"
        "Corrections are never overwritten.",
        is_long=True,
    )  # fmt: skip
    add_project(parser)
    add_options(parser, PredictConfig)


def _predict(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    config = config_of(arguments, PredictConfig)
    from napari_unetseg.app import actions

    return actions.predict(arguments.project, config, on_event, is_cancelled)


def _add_train(commands: Any) -> None:
    parser = command(
        commands, "train", _train, "train a new model from the labels of a project",
        "napari-unetseg train embryo.unetseg",
        "napari-unetseg train embryo.unetseg --steps 2000 --preset L --annotators Ana",
        is_long=True,
    )  # fmt: skip
    add_project(parser)
    add_options(parser, TrainConfig, skip=("parent", "layers", "start", "rehearse"))


def _train(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    config = config_of(arguments, TrainConfig)
    from napari_unetseg.app import actions

    return actions.train(arguments.project, config, on_event, is_cancelled)


def _add_finetune(commands: Any) -> None:
    parser = command(
        commands, "finetune", _finetune, "train the active model on from corrections",
        "napari-unetseg finetune embryo.unetseg",
        "napari-unetseg finetune embryo.unetseg --parent v2 --budget-s 300",
        about="The parent stays as it is; a new version is added, and used if it is "
        "better.",
        is_long=True,
    )  # fmt: skip
    add_project(parser)
    add_options(parser, TrainConfig, skip=("preset", "blocks"))


def _finetune(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    config = config_of(arguments, TrainConfig)
    from napari_unetseg.app import actions

    if config.parent is None:
        active = actions.info(arguments.project).get("active_model")
        if active is None:
            raise ModelNotFoundError(
                "This project has no model to start from",
                do="Train a new one first: napari-unetseg train.",
            )
        config = config.replace(parent=active)
    return actions.train(arguments.project, config, on_event, is_cancelled)


def _add_export(commands: Any) -> None:
    parser = command(
        commands, "export", _export, "write corrections over predictions to a file",
        "napari-unetseg export embryo.unetseg --format in-place --name nuclei",
        "napari-unetseg export embryo.unetseg --target labels.tif",
        "napari-unetseg export embryo.unetseg --target cells.csv --min-voxels 50",
        about="Without --format, the suffix of the target decides.",
        is_long=True,
    )  # fmt: skip
    add_project(parser)
    add_options(parser, ExportConfig)


def _export(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    target, more = vars(arguments).get("target"), {}
    if "format" not in arguments and target is not None:
        guessed = _SUFFIX_FORMATS.get(target.suffix.lower())
        more = {"format": guessed} if guessed else {}
    config = config_of(arguments, ExportConfig, **more)
    from napari_unetseg.app import actions

    return actions.export(arguments.project, config, on_event, is_cancelled)


def _add_merge(commands: Any) -> None:
    parser = command(
        commands, "merge", _merge, "bring in what was done in a copy of a project",
        "napari-unetseg merge embryo.unetseg /media/ana/embryo.unetseg",
        about="The copy is only read. Who went on in both gets the strokes of the\n"
        'copy as "NAME (copy)". Merging again brings only what is new.',
    )  # fmt: skip
    add_project(parser)
    parser.add_argument("other", type=Path, help="The copy: a folder that ends in "
                        ".unetseg.")  # fmt: skip


def _merge(arguments: argparse.Namespace, *_: Any) -> Result:
    from napari_unetseg.app import actions

    return actions.merge(arguments.project, arguments.other)


def _add_demo(commands: Any) -> None:
    parser = command(
        commands, "demo", _demo, "open the sample with a short tour",
        "napari-unetseg demo",
        "napari-unetseg demo --headless --output demo-output",
    )  # fmt: skip
    parser.add_argument("--volume", type=Path, help="Another volume than the sample.")
    parser.add_argument("--output", type=Path, default=Path("demo-output"),
                        metavar="DIR", help="Folder for what the demo writes "
                        "[default: demo-output]")  # fmt: skip
    parser.add_argument("--headless", action="store_true",
                        help="By itself, without anybody at the window.")  # fmt: skip


def _demo(arguments: argparse.Namespace, *_: Any) -> Result:
    with _window_needed():
        from napari_unetseg.viewer.demo import run_demo
    return {
        "exit_code": run_demo(
            arguments.volume, arguments.output, headless=arguments.headless
        )
    }


@contextlib.contextmanager
def _window_needed() -> Iterator[None]:
    """Say how to get the window where napari or Qt is not installed."""
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package == "napari_unetseg":
            raise
        raise JobFailedError(
            f"The window cannot be opened, {package or error} is missing",
            do='Install it with: pip install "napari-unetseg[all]"',
        ) from error
