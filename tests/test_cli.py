from __future__ import annotations

import json
import shutil
import signal
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unetseg import __version__
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.cli import ERROR, INTERRUPTED, OK, USAGE, build_parser, main
from napari_unetseg.config import ExportConfig, PredictConfig, TrainConfig
from napari_unetseg.errors import Cancelled, ExportError
from napari_unetseg.events import (
    BlockDone,
    BlockState,
    Message,
    Progress,
    RunStarted,
    StepDone,
)
from napari_unetseg.geometry import Box

COMMANDS = ["open", "new", "info", "predict", "train", "finetune", "adapt",
            "models", "promote", "rollback", "export", "merge", "agreement",
            "consensus", "import-rater", "demo"]  # fmt: skip


class _Call:
    """Stands for an action, and keeps what it was called with."""

    def __init__(self, result: dict[str, Any] | Exception) -> None:
        self.result = result
        self.arguments: tuple[Any, ...] = ()

    def __call__(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        self.arguments = arguments
        if isinstance(self.result, Exception):
            raise self.result
        return dict(self.result)


def _replace(monkeypatch, verb: str, result: Any) -> _Call:
    call = _Call(result)
    monkeypatch.setattr(actions, verb, call)
    return call


def _json(capsys) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command, capsys) -> None:
    assert main([command, "--help"]) == OK
    text = capsys.readouterr().out
    assert f"  napari-unetseg {command}" in text[text.index("examples:") :]
    assert "--json" in text


def test_the_examples_can_be_parsed() -> None:
    parser = build_parser()
    for command in COMMANDS:
        run = parser.parse_args([command, *_least(command)])
        lines = run.parser.epilog.splitlines()[1:]
        assert lines
        for line in lines:
            program, *words = line.split()
            assert program == "napari-unetseg"
            parser.parse_args(words)


def _least(command: str) -> list[str]:
    least = {"open": [], "demo": [], "new": ["v", "--classes", "a"],
             "merge": ["x", "y"], "promote": ["x", "v2"],
             "import-rater": ["x", "y", "--rater", "a"]}  # fmt: skip
    return least.get(command, ["x"])


def test_version(capsys) -> None:
    assert main(["--version"]) == OK
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "COMMAND"),
        (["sing"], "invalid choice"),
        (["predict"], "project"),
        (["predict", "p", "--flips", "3"], "--flips"),
        (["predict", "p", "--block", "1,2"], "three numbers"),
        (["predict", "p", "--box", "5:5,0:1,0:1"], "z0:z1,y0:y1,x0:x1"),
        (["predict", "p", "--memory", "-1"], "argument --memory"),
        (["predict", "p", "--memory", "much"], "should be a size, such as 2GB"),
        (["train", "p", "--batch", "99"], "argument --batch"),
        (["train", "p", "--parent", "v1"], "--parent"),
        (["new", "v", "--classes", "a,a"], "different names"),
        (["new", "v"], "--classes"),
        (["new", "v", "--classes", "a", "--voxel-size", "5,5"], "three numbers"),
        (["new", "v", "--classes", "a", "--voxel-size", "5,0,5"], "greater than zero"),
    ],
)
def test_wrong_usage_ends_with_2(words, sentence, capsys) -> None:
    assert main(words) == USAGE
    streams = capsys.readouterr()
    assert sentence in streams.err
    assert streams.out == ""


def test_defaults_are_those_of_the_configs(monkeypatch) -> None:
    predict = _replace(monkeypatch, "predict", {})
    train = _replace(monkeypatch, "train", {})
    export = _replace(monkeypatch, "export", {})
    for verb in ("predict", "train", "export"):
        assert main([verb, "p.unetseg"]) == OK

    assert predict.arguments[:2] == (Path("p.unetseg"), PredictConfig())
    assert train.arguments[1] == TrainConfig()
    assert export.arguments[1] == ExportConfig()


def test_options_become_configs(monkeypatch) -> None:
    predict = _replace(monkeypatch, "predict", {})
    train = _replace(monkeypatch, "train", {})
    shape = ["--box", "0:8,1:9,2:10", "--block", "8,16,16"]
    chunks = ["--missing-chunks", "fill", "--no-retry-failed"]
    main(["predict", "p", *shape, *chunks, "--flips", "1", "--memory", "1500MB",
          "--model", "v2"])  # fmt: skip
    main(["finetune", "p", "--parent", "v3", "--steps", "5", "--annotators", "Ana,Bo"])

    assert predict.arguments[1] == PredictConfig(
        box=Box((0, 1, 2), (8, 9, 10)),
        block=(8, 16, 16),
        flips=1,
        memory_gb=1.5,
        retry_failed=False,
        missing_chunks="fill",
        model="v2",
    )
    assert train.arguments[1] == TrainConfig(
        parent="v3", steps=5, annotators=("Ana", "Bo")
    )


def test_memory_is_saved_by_choice(monkeypatch, capsys) -> None:
    train = _replace(monkeypatch, "train", {})
    assert main(["train", "p", "--blocks", "reversible", "--recompute"]) == OK
    assert train.arguments[1] == TrainConfig(blocks="reversible", recompute=True)
    assert main(["finetune", "p", "--parent", "v1", "--recompute"]) == OK
    assert train.arguments[1] == TrainConfig(parent="v1", recompute=True)
    # The parent says what the network is made of.
    assert main(["finetune", "p", "--blocks", "reversible"]) == USAGE
    assert "--blocks" in capsys.readouterr().err


def test_finetune_starts_from_the_active_model(monkeypatch) -> None:
    train = _replace(monkeypatch, "train", {})
    _replace(monkeypatch, "info", {"active_model": "v7"})
    assert main(["finetune", "p"]) == OK
    assert train.arguments[1].parent == "v7"


def test_versions_are_listed_promoted_and_rolled_back(
    project_with_model, model_dir, capsys
) -> None:
    with Project.open(project_with_model) as project:
        project.import_model(model_dir)
    folder = str(project_with_model)
    assert main(["models", folder]) == OK
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["active_model", "v2"] in lines
    assert ["state", "used", "before"] in lines
    assert ["state", "in", "use"] in lines
    assert main(["rollback", folder, "--json"]) == OK
    assert _json(capsys)["active_model"] == "v1"
    assert main(["promote", folder, "v2", "--json"]) == OK
    assert _json(capsys)["before"] == "v1"
    assert main(["promote", folder, "v9"]) == ERROR
    assert "expected one of v1, v2" in capsys.readouterr().err


def test_the_verdict_is_printed(monkeypatch, capsys) -> None:
    result = {"version": "v2", "promoted": False, "verdict": "Kept as a candidate."}
    train = _replace(monkeypatch, "train", result)
    assert main(["train", "p", "--promote", "never"]) == OK
    assert train.arguments[1] == TrainConfig(promote="never")
    assert "verdict   Kept as a candidate." in capsys.readouterr().out


def test_finetune_without_a_model_says_what_to_do(project_folder, capsys) -> None:
    assert main(["finetune", str(project_folder)]) == ERROR
    assert "Train a new one first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("a.tif", "tiff"),
        ("a.nii.gz", "nifti"),
        ("a.csv", "csv"),
        ("a.zarr", "ome-zarr"),
    ],
)
def test_the_target_says_the_format(monkeypatch, target, kind) -> None:
    export = _replace(monkeypatch, "export", {})
    main(["export", "p", "--target", target])
    assert export.arguments[1].format == kind
    main(["export", "p", "--target", target, "--format", "in-place"])
    assert export.arguments[1].format == "in-place"


def test_new_converts_and_info_describes(tmp_path, capsys) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 32, 32), np.uint8))
    words = ["new", str(tmp_path / "stack.tif"), "--classes", "cell, wall", "--json"]
    assert main(words) == OK
    made = _json(capsys)
    assert made["outcome"] == "done"
    assert made["project"] == str(tmp_path / "stack.unetseg")
    assert made["classes"] == ["cell", "wall"]

    assert main(["info", made["project"], "--json"]) == OK
    info = _json(capsys)
    assert info["shape"] == [5, 32, 32]
    assert main(["info", made["project"]]) == OK
    lines = dict(
        line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line
    )
    assert lines["shape"] == "5, 32, 32"
    assert lines["active_model"] == "none"


def test_export_of_a_project(project_folder, tmp_path, capsys) -> None:
    with Project.open(project_folder) as project:
        box = Box((2, 4, 4), (6, 10, 10))
        project.corrections.commit(
            box, np.ones(box.shape, bool), 1, annotator="Ana", tool="brush"
        )
    target = tmp_path / "labels.tif"
    words = ["export", str(project_folder), "--target", str(target), "--json"]

    assert main(words) == OK
    streams = capsys.readouterr()
    result = json.loads(streams.out)
    assert result["voxels_per_class"] == {"cell": box.n_voxels, "fibre": 0}
    assert "export labels.tif" in streams.err  # the bar
    assert int(tifffile.imread(target).sum()) == box.n_voxels
    assert main([*words, "--quiet"]) == ERROR
    streams = capsys.readouterr()
    assert json.loads(streams.out)["outcome"] == "failed"
    assert streams.err.count("\n") == 1
    assert "already is something" in streams.err


def test_merge_brings_in_what_was_done_in_a_copy(project_folder, capsys) -> None:
    copy = project_folder.with_name("copy.unetseg")
    shutil.copytree(project_folder, copy)
    box = Box((0, 0, 0), (2, 4, 4))
    for folder, value in ((project_folder, 1), (copy, 2)):
        with Project.open(folder) as project:
            project.corrections.commit(
                box, np.ones(box.shape, bool), value, annotator="Ana", tool="brush"
            )

    assert main(["merge", str(project_folder), str(copy), "--json"]) == OK
    assert _json(capsys)["renamed"] == {"Ana": "Ana (copy)"}
    assert main(["merge", str(project_folder), str(copy)]) == OK
    assert "Ana, Ana (copy)" in capsys.readouterr().out
    assert main(["merge", str(project_folder), str(copy.parent)]) == ERROR
    assert "There is no project at" in capsys.readouterr().err


def test_an_error_is_one_sentence(tmp_path, capsys) -> None:
    assert main(["info", str(tmp_path / "nothing.zarr")]) == ERROR
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("napari-unetseg: There is nothing at")
    assert "Traceback" not in streams.err


def test_debug_shows_where_it_happened(monkeypatch, capsys) -> None:
    _replace(monkeypatch, "export", ExportError("No"))
    assert main(["export", "p", "--debug"]) == ERROR
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_the_program_is_a_sentence_too(monkeypatch, capsys) -> None:
    _replace(monkeypatch, "info", ZeroDivisionError("oh"))
    assert main(["info", "p", "--json"]) == ERROR
    streams = capsys.readouterr()
    assert "Unexpected ZeroDivisionError: oh" in json.loads(streams.out)["error"]
    assert "Traceback" not in streams.err


def test_ctrl_c_asks_for_a_clean_stop(monkeypatch, capsys) -> None:
    before = signal.getsignal(signal.SIGINT)

    def export(folder: Any, config: Any, on_event: Any, is_cancelled: Any) -> Any:
        assert not is_cancelled()
        signal.raise_signal(signal.SIGINT)
        assert is_cancelled()
        raise Cancelled("The export was stopped")

    monkeypatch.setattr(actions, "export", export)
    assert main(["export", "p", "--json"]) == INTERRUPTED
    assert _json(capsys) == {
        "outcome": "cancelled",
        "error": "The export was stopped.",
    }
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait(monkeypatch, capsys) -> None:
    def predict(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(actions, "predict", predict)
    assert main(["predict", "p"]) == INTERRUPTED
    assert "Interrupted" in capsys.readouterr().err


def test_a_stopped_prediction_goes_on_later(monkeypatch, capsys) -> None:
    _replace(monkeypatch, "predict", {"outcome": "cancelled", "done": 3, "failed": 0})
    assert main(["predict", "p", "--json"]) == INTERRUPTED
    result = _json(capsys)
    assert (result["outcome"], result["done"]) == ("cancelled", 3)
    assert "goes on from here" in result["error"]


def test_failed_blocks_are_an_error(monkeypatch, capsys) -> None:
    because = "The volume v has lost a chunk. Restore it."
    told = {"outcome": "done", "done": 3, "failed": 2, "failed_because": because}
    _replace(monkeypatch, "predict", told)
    assert main(["predict", "p", "--json"]) == ERROR
    result = _json(capsys)
    assert (result["outcome"], result["done"]) == ("failed", 3)
    assert result["error"].startswith(
        f"2 blocks failed, the first one because: {because}"
    )


def test_what_libraries_print_is_not_in_the_document(monkeypatch, capsys) -> None:
    def info(path: Any) -> dict[str, Any]:
        sys.stdout.write("a library talks\n")
        return {"shape": [1, 2, 3]}

    monkeypatch.setattr(actions, "info", info)
    assert main(["info", "p", "--json"]) == OK
    assert _json(capsys) == {"outcome": "done", "shape": [1, 2, 3]}


def test_progress_is_shown_on_standard_error(monkeypatch, capsys) -> None:
    box = Box((0, 0, 0), (1, 1, 1))

    def train(folder: Any, config: Any, on_event: Any, is_cancelled: Any) -> Any:
        on_event(RunStarted("train", 4, subject="v1 [draft]"))
        on_event(StepDone(4, 4, 0.25, {"cell": 0.9}))
        on_event(Message("a word"))
        on_event(RunStarted("predict", 2, finished=1))
        on_event(BlockDone(1, box, BlockState.FAILED, reason="lost chunk"))
        on_event(RunStarted("export", 2))
        on_event(Progress(2, 2, "writing"))
        return {"version": "v1"}

    monkeypatch.setattr(actions, "train", train)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["train", "p"]) == OK
    streams = capsys.readouterr()
    assert streams.out == "version  v1\n"
    for text in ("train v1 [draft]", "4/4", "loss 0.250  Dice cell 0.90", "a word",
                 "block 1 failed: lost chunk", "writing"):  # fmt: skip
        assert text in streams.err


def _module(monkeypatch, name: str, **functions: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, name, module)


def test_open_starts_the_window(monkeypatch, tmp_path) -> None:
    opened = []
    launch = "napari_unetseg.viewer.launch"
    _module(monkeypatch, launch, launch=lambda path: opened.append(path) or 0)
    assert main(["open", str(tmp_path)]) == OK
    assert main(["open"]) == OK
    assert opened == [str(tmp_path), None]


def test_open_of_nothing_is_a_sentence(tmp_path, capsys) -> None:
    assert main(["open", str(tmp_path / "nothing")]) == ERROR
    assert "There is nothing at" in capsys.readouterr().err


def test_without_napari_the_window_says_what_to_install(monkeypatch, capsys) -> None:
    monkeypatch.delitem(sys.modules, "napari_unetseg.viewer.launch", raising=False)
    monkeypatch.setitem(sys.modules, "napari", None)
    assert main(["open"]) == ERROR
    assert "napari-unetseg[all]" in capsys.readouterr().err


def test_demo_passes_its_exit_code_on(monkeypatch, tmp_path) -> None:
    seen = []

    def run_demo(volume: Any, output: Any, *, headless: bool) -> int:
        seen.append((volume, output, headless))
        return 1

    _module(monkeypatch, "napari_unetseg.viewer.demo", run_demo=run_demo)
    assert main(["demo", "--output", str(tmp_path), "--headless"]) == 1
    assert main(["demo"]) == 1
    assert seen == [(None, tmp_path, True), (None, Path("demo-output"), False)]
