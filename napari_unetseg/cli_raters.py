"""The commands about several raters: agreement, consensus, import-rater."""

from __future__ import annotations

import argparse
from typing import Any

from napari_unetseg.cli_options import add_options, box
from napari_unetseg.cli_parts import Result, add_project, command, config_of
from napari_unetseg.config import AgreementConfig, ConsensusConfig, ImportConfig
from napari_unetseg.events import IsCancelled, OnEvent
from napari_unetseg.geometry import Box

_LABELS = (
    "A project; or OME-Zarr label images; or one volume for all that stand beside it."
)

_SHORT = ("n_voxels", "percent_agreement", "fleiss_kappa", "krippendorff_alpha",
          "mean_dice")  # fmt: skip
_REPORT = ("report", "csv", "json")


def add_agreement(commands: Any) -> None:
    """Add the command that compares raters."""
    parser = command(
        commands, "agreement", _agreement, "measure how far raters agree",
        "napari-unetseg agreement embryo.unetseg",
        "napari-unetseg agreement ana.zarr bo.zarr --names Ana,Bo --out report",
        "napari-unetseg agreement embryo.unetseg --region top=0:64,0:512,0:512",
        about="Dice, percent agreement, Cohen's and Fleiss' kappa, Krippendorff's "
        "alpha and\nsurface distances, as JSON, CSV and a page to read.",
        is_long=True,
    )  # fmt: skip
    parser.add_argument("labels", nargs="+", help=_LABELS)
    parser.add_argument("--region", action="append", type=_region, default=[],
                        dest="boxes", metavar="NAME=Z0:Z1,Y0:Y1,X0:X1",
                        help="A box that is compared by itself too; may be given "
                        "several times.")  # fmt: skip
    add_options(parser, AgreementConfig, skip=("regions",))


def _agreement(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    config = config_of(arguments, AgreementConfig, regions=dict(arguments.boxes))
    from napari_unetseg.app import actions

    found = actions.agreement(arguments.labels, config, on_event, is_cancelled)
    return found if arguments.json else _in_short(found)


def _in_short(found: Result) -> Result:
    """Return what fits a terminal; the report has all of it."""
    short = {key: found[key] for key in ("names", *_SHORT)}
    short[f"near the objects ({found['margin']})"] = {
        key: found["near"][key] for key in _SHORT
    }
    short["Dice of pairs"] = {
        " and ".join(pair["names"]): pair["dice"] for pair in found["pairs"]
    }
    return short | {key: found[key] for key in _REPORT if key in found}


def add_consensus(commands: Any) -> None:
    """Add the command that writes what raters agree on."""
    parser = command(
        commands, "consensus", _consensus, "write what raters agree on as labels",
        "napari-unetseg consensus embryo.unetseg",
        "napari-unetseg consensus a.zarr b.zarr c.zarr --method staple --out all.zarr",
        about="OME-Zarr labels, and a JSON file beside them that says how good each "
        "rater is.",
        is_long=True,
    )  # fmt: skip
    parser.add_argument("labels", nargs="+", help=_LABELS)
    add_options(parser, ConsensusConfig)


def _consensus(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    config = config_of(arguments, ConsensusConfig)
    from napari_unetseg.app import actions

    return actions.consensus(arguments.labels, config, on_event, is_cancelled)


def add_import_rater(commands: Any) -> None:
    """Add the command that takes labels in."""
    parser = command(
        commands, "import-rater", _import_rater,
        "take labels that were made elsewhere in as those of a rater",
        "napari-unetseg import-rater embryo.unetseg bo.zarr --rater Bo",
        "napari-unetseg import-rater p.unetseg cy.tif --rater Cy "
        "--map 255=nerve,0=background",
        "napari-unetseg import-rater p.unetseg di.nii.gz --rater Di --class nerve "
        "--partial 9",
        about="OME-Zarr, zarr, TIFF or NIfTI of the shape of the volume. The labels "
        "become strokes\nof the rater; importing again brings only what has changed.",
        is_long=True,
    )  # fmt: skip
    add_project(parser)
    parser.add_argument("labels", help="The labels.")
    parser.add_argument("--class", dest="only", default=argparse.SUPPRESS,
                        metavar="NAME",
                        help="The class that all values but 0 are.")  # fmt: skip
    parser.add_argument("--rater", required=True, metavar="NAME",
                        help="Name of whoever made the labels.")  # fmt: skip
    add_options(parser, ImportConfig, skip=("only", "rater"))


def _import_rater(
    arguments: argparse.Namespace, on_event: OnEvent, is_cancelled: IsCancelled
) -> Result:
    config = config_of(arguments, ImportConfig)
    from napari_unetseg.app import actions

    return actions.import_rater(arguments.project, arguments.labels, config, on_event,
                                is_cancelled)  # fmt: skip


def _region(text: str) -> tuple[str, Box]:
    name, _, where = text.partition("=")
    if not name.strip() or not where:
        raise argparse.ArgumentTypeError(
            f"{text!r} should be a name and a box, such as top=0:64,0:256,0:256"
        )
    return name.strip(), box(where)
