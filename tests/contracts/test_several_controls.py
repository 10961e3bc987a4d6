"""By config alone, on phantoms: any subset of optional sources through one model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.test_any_contrast import PREPARE, STAGES, TRAIN, run

import mrcontrast
from mrcontrast.cli import main
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.data.volume_store import read_record
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.volume import Volume, read_volume, write_volume

OPERATORS = "mrcontrast.preparation.operators"
RECIPE = """defaults: [/recipe/phantom@_here_, _self_]
operators:
  - {_target_: OP.BrainMask}
  - _target_: OP.ToGrid
    grid: ${recipe.grid}
  - _target_: OP.Normalise
    normalisers: ${recipe.normalisers}
  - {_target_: OP.AsContrast, kind: labels, highest: 9}
  - {_target_: OP.AsContrast, kind: lesion_mask}
  - {_target_: OP.Edges, of: flair, sigma: 1.0}
""".replace("OP.", f"{OPERATORS}.")
OPTIONAL = ("labelmap", "lesions", "edges")
ROLES = (f"data.source=[flair,{','.join(OPTIONAL)}]", f"data.optional=[{','.join(OPTIONAL)}]")
UNET = ("stage.regressor.network.filters=[4,4,4,4]",)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controls")
    (folder / "recipe").mkdir()
    (folder / "recipe" / "controls.yaml").write_text(RECIPE)
    own = [word for word in PREPARE if not word.startswith(("recipe=", "contrasts="))]
    words = (f"hydra.searchpath=[file://{folder}]", "recipe=controls", *own)
    run("prepare", *words, f"out={folder / 'data'}")
    forget(folder / "data", "lesions", "train")
    return folder / "data"


def forget(root: Path, contrast: str, split: str) -> None:
    """Take a contrast from the sessions of a split."""
    manifest = Manifest.read(root)
    fields = ("images", "sha256", "normalisers")
    records = [
        replace(
            each,
            **{
                name: {k: v for k, v in getattr(each, name).items() if k != contrast}
                for name in fields
            },
        )
        if each.split == split
        else each
        for each in manifest.records
    ]
    Manifest(records, root).write()


@pytest.fixture(scope="module")
def runs(root: Path) -> Path:
    """A U-Net and a chain with a ControlNet that takes its image."""
    runs = root.parent / "runs"
    common = (*TRAIN, *ROLES, f"data.root={root}", f"paths.cache={runs}/cache")
    run("train", "stage=unet_regression", f"out={runs / 'unet'}", *common, *UNET)
    for stage, settings in STAGES.items():
        own = [text.format(runs=runs) for text in settings]
        if stage == "controlnet":
            own += ["stage/condition=regressed", f"regression={runs / 'unet'}"]
        run("train", f"stage={stage}", f"out={runs / stage}", *common, *own)
    return runs


@pytest.fixture(scope="module")
def record(root: Path) -> Record:
    (record,) = Manifest.read(root).split("test")
    return record


def test_derived_contrasts_are_maps_in_the_brain(root: Path, record: Record) -> None:
    brain = read_volume(record.brain_mask).data > 0
    labels = read_volume(record.labels).data
    for name in OPTIONAL:
        image = read_volume(record.images[name]).data
        assert 0 < image[brain].mean() < 1
        assert image.max() <= 1
        assert not image[~brain].any()
        assert record.normalisers[name]["name"] == "unit"
    labelmap = read_volume(record.images["labelmap"]).data
    np.testing.assert_allclose(labelmap, labels / 9 * brain, atol=1e-6)
    assert set(np.unique(read_volume(record.images["edges"]).data)) == {0, 1}
    assert "lesions" not in Manifest.read(root).split("train")[0].images


@pytest.mark.parametrize("model", ["unet", "controlnet"])
def test_any_subset_translates(
    runs: Path, root: Path, record: Record, tmp_path: Path, model: str
) -> None:
    assert RunFolder(runs / model).provenance["data"]["optional"] == list(OPTIONAL)
    steps = () if model == "unet" else ("--steps", 1)
    words = ("--model", runs / model, *steps)
    made = {}
    for without in [(), ("edges",), OPTIONAL]:
        out = tmp_path / "-".join(("all", *without))
        ours = [word for name in without for word in ("--without", name)]
        run("translate", root, out, *words, *ours)
        facts = json.loads((out / f"{record.name}_desc-synth_T1w.json").read_text())
        assert facts.get("MissingSources", []) == list(without)
        assert facts["SourceContrasts"] == [n for n in ("flair", *OPTIONAL) if n not in without]
        made[without] = read_volume(out / f"{record.name}_desc-synth_T1w.nii.gz").data
    images = list(made.values())
    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(images[1], images[2])

    results = tmp_path / "results"
    methods = [
        f"{'-'.join(('all', *names))}={tmp_path / '-'.join(('all', *names))}" for names in made
    ]
    run(
        "evaluate",
        "--predictions",
        *methods,
        "--references",
        root,
        "--out",
        results,
        "--features",
        "none",
    )
    summary = json.loads((results / "summary.json").read_text())
    assert all(np.isfinite(each["brain"]["psnr"]["mean"]) for each in summary["methods"].values())


def test_files_of_a_subset_are_named(
    runs: Path, record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ("--model", runs / "unet", "--mask", record.brain_mask)
    flair, edges = (f"{name}={record.images[name]}" for name in ("flair", "edges"))
    run("translate", tmp_path / "two.nii.gz", "--source", flair, edges, *model)
    facts = json.loads((tmp_path / "two.json").read_text())
    assert facts["MissingSources"] == ["labelmap", "lesions"]
    assert set(facts["Normaliser"]) == {"flair", "edges"}
    run("translate", record.images["flair"], tmp_path / "one.nii.gz", *model)
    run(
        "translate",
        tmp_path / "less.nii.gz",
        "--source",
        flair,
        edges,
        "--without",
        "edges",
        *model,
    )
    one, less = (read_volume(tmp_path / f"{name}.nii.gz").data for name in ("one", "less"))
    assert np.array_equal(one, less)
    translator = mrcontrast.load(runs / "unet", without=["labelmap"])
    images = {name: record.images[name] for name in ("flair", "labelmap")}
    found = translator(images, mask=record.brain_mask)
    assert found.facts["MissingSources"] == list(OPTIONAL)
    assert np.array_equal(np.float32(found.image.get_fdata()), one)

    folder = tmp_path / "bids" / "sub-1" / "anat"
    folder.mkdir(parents=True)
    for name in ("flair", "edges"):
        (folder / record.images[name].name).write_bytes(record.images[name].read_bytes())
    run(
        "translate",
        tmp_path / "bids",
        tmp_path / "tree",
        *model[:2],
        "--mask",
        record.brain_mask.parent,
    )
    (sidecar,) = (tmp_path / "tree").rglob("*.json")
    assert json.loads(sidecar.read_text())["MissingSources"] == ["labelmap", "lesions"]

    before = set(tmp_path.iterdir())
    wrong = {
        (edges,): "--source flair=FILE [labelmap=FILE]",
        (flair, "t2w=x.nii.gz"): "Expected a file or folder",
        (flair, f"t2w={record.images['edges']}"): "[edges=FILE] for this model, got flair, t2w",
        (flair, "edges=no.nii.gz"): "no.nii.gz",
        (flair, "--without", "flair"): "Expected an optional source",
    }
    for words, expected in wrong.items():
        assert (
            main(["translate", *map(str, (tmp_path / "x.nii.gz", "--source", *words, *model))]) == 2
        )
        assert expected in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


def test_the_lesions_of_a_healthy_person_are_all_zero(
    runs: Path, record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    like, empty = read_volume(record.images["flair"]), tmp_path / "lesions.nii.gz"
    write_volume(empty, Volume(np.zeros_like(like.data), like.affine))
    healthy = replace(
        record,
        images={**record.images, "lesions": empty},
        sha256={**record.sha256, "lesions": sha256_file(empty)},
    )
    assert not read_record(healthy, ("flair", "lesions"))[:, 1].any()
    model = ("--model", runs / "unet", "--mask", record.brain_mask)
    sources = (f"flair={record.images['flair']}", f"lesions={empty}")
    run("translate", tmp_path / "out.nii.gz", "--source", *sources, *model)
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts["MissingSources"] == ["labelmap", "edges"]
    words = ("translate", tmp_path / "no.nii.gz", "--source", f"flair={empty}", *model)
    assert main([str(word) for word in words]) == 1
    assert "got only zeros" in capsys.readouterr().err


def test_a_further_controlnet_with_sources_of_its_own_is_added(
    runs: Path, root: Path, record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = (*TRAIN, "data.source=[edges]", f"data.root={root}", f"paths.cache={runs}/cache")
    own = [text.format(runs=runs) for text in STAGES["controlnet"]]
    run("train", "stage=controlnet", f"out={runs / 'of_edges'}", *common, *own)
    words = ("--model", runs / "of_edges", "--steps", 2)
    made, facts = {}, {}
    for name, choice in {"none": (), "zero": ("0",), "half": ("5:0-0.5",), "one": ("5",)}.items():
        controls = [
            word for each in choice for word in ("--control", f"{runs / 'controlnet'}:{each}")
        ]
        run("translate", root, tmp_path / name, *words, *controls)
        stem = tmp_path / name / f"{record.name}_desc-synth_T1w"
        made[name] = read_volume(stem.with_name(f"{stem.name}.nii.gz")).data
        facts[name] = json.loads(stem.with_name(f"{stem.name}.json").read_text())
    assert np.array_equal(made["none"], made["zero"])
    assert not np.array_equal(made["zero"], made["half"])
    assert not np.array_equal(made["half"], made["one"])
    assert facts["none"]["SourceContrasts"] == ["edges"]
    assert facts["half"]["SourceContrasts"] == ["edges", "flair", "labelmap", "lesions"]
    (control,) = facts["half"]["Controls"]
    assert (control["Scale"], control["Start"], control["End"]) == (5, 0, 0.5)
    assert control["WeightsSHA256"] == RunFolder(runs / "controlnet").provenance["weights_sha256"]
    calls = {name: each["Cost"]["NetworkCalls"] for name, each in facts.items()}
    assert calls == {"none": 2, "zero": 3, "half": 4, "one": 5}  # one of the regression
    assert facts["one"]["Cost"]["Parameters"] > facts["none"]["Cost"]["Parameters"]

    wrong = {
        f"{runs / 'unet'}:1": "Expected a ControlNet to add to a ControlNet, got UNetRegression",
        f"{runs / 'controlnet'}:1:0.7-0.2": "start < end",
        f"{runs / 'controlnet'}:1:0.4-0.6": "a whole step of 2, got 0.4-0.6",
        "nothing": "Expected RUN:scale",
        f"{tmp_path / 'no'}:1": "--control",
    }
    for text, expected in wrong.items():
        assert (
            main(["translate", *map(str, (root, tmp_path / "x", *words, "--control", text))]) == 2
        )
        assert expected in capsys.readouterr().err
    given = (root, tmp_path / "x", "--model", runs / "unet", "--control", f"{runs / 'of_edges'}:1")
    assert main(["translate", *map(str, given)]) == 2
    assert "got UNetRegression. Name another --model" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
