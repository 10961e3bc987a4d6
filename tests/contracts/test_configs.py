"""Every YAML file composes and builds, so that a new choice is tested before its own test."""

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf
from torch._subclasses.fake_tensor import FakeTensorMode

from mrcontrast.commands.estimate import training_configs
from mrcontrast.config.build import build, compose, config_dir
from mrcontrast.config.moved import with_names_of_today
from mrcontrast.config.types import check_types
from mrcontrast.runs.model_config import PARTS
from mrcontrast.runs.released import MODELS
from mrcontrast.study.command import plan
from mrcontrast.training.cost import build_without_values

ROOT = config_dir()
STAGES = sorted(path.stem for path in (ROOT / "stage").glob("*.yaml"))
RECIPES = sorted(path.stem for path in (ROOT / "recipe").glob("*.yaml"))
STUDIES = sorted(path.stem for path in (ROOT / "study").glob("*.yaml"))
EXPERIMENTS = sorted(
    path.relative_to(ROOT / "experiment").with_suffix("").as_posix()
    for path in (ROOT / "experiment").rglob("*.yaml")
)
TRAINERS = sorted(path.stem for path in (ROOT / "trainer").glob("*.yaml"))
PROCESSES = sorted(path.stem for path in (ROOT / "stage" / "process").glob("*.yaml"))


def experiments_of(study: str) -> set[str]:
    """Return the overrides of a study's trainings that name an experiment."""
    nodes = compose("study", [f"study={study}"]).study.train.values()
    return {item for node in nodes for item in node.overrides if item.startswith("experiment=")}


def targets(node: object) -> list[str]:
    """Return each ``_target_`` below a config node that is not computed."""
    if isinstance(node, dict):
        name = str(node.get("_target_", "${"))
        own = [] if name.startswith("${") else [name]
        return own + [name for value in node.values() for name in targets(value)]
    if isinstance(node, list):
        return [name for value in node for name in targets(value)]
    return []


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_target_exists(path):
    from hydra.utils import get_object

    for name in targets(OmegaConf.to_container(OmegaConf.load(path), resolve=False)):
        assert callable(get_object(name)), name


def of_today(path: Path) -> object:
    """Return the values of a file with the names and arguments of today."""
    return with_names_of_today(OmegaConf.to_container(OmegaConf.load(path), resolve=False))


STAGE_FILES = sorted((ROOT / "stage").rglob("*.yaml"))
MODEL_FILES = sorted(MODELS.glob("*/*/config.yaml"))


@pytest.mark.parametrize("path", STAGE_FILES + MODEL_FILES, ids=lambda path: path.as_posix()[-40:])
def test_a_run_may_name_every_part_of_a_stage(path):
    """Add a new class to PARTS: else no run that has it can be used."""
    assert set(targets(of_today(path))) <= PARTS


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_run_may_name_every_part_of_an_experiment(experiment):
    config = compose("train", [f"experiment={experiment}", "data.root=somewhere"])
    assert set(targets(OmegaConf.to_container(config.stage, resolve=False))) <= PARTS


def test_no_part_is_named_in_vain():
    files = STAGE_FILES + MODEL_FILES
    found = [targets(of_today(path)) for path in files]
    others = {
        "torch.optim.Adam",  # of experiments
        "mrcontrast.networks.local.ControlNet",  # as the denoiser that it belongs to
        "mrcontrast.networks.tags.Vocabulary",  # of configs/tags
    }
    assert {name for names in found for name in names} | others == PARTS


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_says_what_it_is_for(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(line for line in lines if not line.startswith("# @"))  # a header of Hydra's
    assert first.startswith(("# ", "defaults:", "_target_:")), first
    if path.relative_to(ROOT).parts[0] in ("experiment", "study"):
        assert first.startswith("# ")
        assert "?" in first, "the first line of an experiment or study is its question"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("dims", [2, 3])
def test_every_stage_composes_and_says_what_is_best(stage, dims):
    config = compose("train", [f"stage={stage}", f"spatial_dims={dims}"])
    assert config.stage.checkpoint.mode in ("min", "max")
    assert config.stage.checkpoint.monitor.startswith("val/")
    better = "max" if "psnr" in config.stage.checkpoint.monitor else "min"
    assert config.stage.checkpoint.mode == better


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_composes(process):
    config = compose("train", ["stage=latent_diffusion", f"stage/process={process}"])
    assert config.stage.process._target_.endswith("DiffusionProcess")


@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_trainer_composes(trainer):
    assert compose("train", ["stage=lookup", f"trainer={trainer}"]).trainer.max_steps > 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_builds(recipe, tmp_path):
    for folder in ("openms-mni", "mslesseg-mni"):
        (tmp_path / folder).mkdir()
    config = compose("prepare", [f"recipe={recipe}", f"source={tmp_path}", f"out={tmp_path}/out"])
    assert isinstance(config, DictConfig)
    check_types(config)
    assert hasattr(build(config.recipe), "sources")


@pytest.mark.parametrize("study", STUDIES)
def test_every_step_of_every_study_composes(study, tmp_path, monkeypatch):
    monkeypatch.setenv("MRCONTRAST_REAL_DATA", str(tmp_path / "raw data"))
    config = compose("study", [f"study={study}", f"paths.outputs={tmp_path}"])
    if config.study.get("source", "") is None:
        config.study.source = str(tmp_path / "raw data")
    recipe = next(item for item in config.study.prepare if item.startswith("recipe=")).partition(
        "="
    )[2]
    if recipe not in RECIPES:
        pytest.skip(f"no recipe {recipe} yet")
    for node in config.study.train.values():
        if "start_from" in node:
            node.start_from = None  # a finished run of another study
    steps = plan(config.study, Path(tmp_path))
    names = [step.name for step in steps]
    assert len(names) == len(set(names))
    for position, step in enumerate(steps):
        assert set(step.inputs) <= set(names[:position]), step.name
    for name, node in config.study.train.items():
        compose("train", [*config.study.common, *node.overrides, f"name={name}"])
    if "figure" in config.study:
        assert set(config.study.figure.methods) <= set(config.study.predict)


@pytest.mark.parametrize("study", STUDIES)
def test_every_value_of_every_study_has_its_type(study):
    node = compose("study", [f"study={study}"]).study
    for config in training_configs(node).values():
        check_types(config)


@pytest.mark.parametrize("study", sorted(study for study in STUDIES if experiments_of(study)))
def test_every_experiment_builds_as_its_study_has_it(study):
    """Each with the parts of its parents, and at full size: its tensors have no values."""
    seen: set[str] = set()
    node = compose("study", [f"study={study}"]).study
    for name, config in training_configs(node).items():
        experiment = node.train[name].overrides[0]
        if experiment in seen or "experiment=" not in experiment:
            continue
        seen.add(experiment)
        with FakeTensorMode(allow_non_fake_inputs=True):
            stage = build_without_values(config.stage)
        assert build(config.data).batch_size == config.data.batch_size
        assert any(value.requires_grad for value in stage.parameters())


def test_every_experiment_of_a_sweep_builds():
    parents = {"latent_diffusion": {"autoencoder": "autoencoder"}}
    parents |= {name: {"diffusion": "latent_diffusion"} for name in ("pixel", "latent")}
    train = {
        name: {"overrides": [f"experiment=ablation/{name}"], "parents": parents.get(name, {})}
        for name in ("autoencoder", *parents)
    }
    for config in training_configs(OmegaConf.create({"common": [], "train": train})).values():
        with FakeTensorMode(allow_non_fake_inputs=True):
            stage = build_without_values(config.stage)
        assert any(value.requires_grad for value in stage.parameters())


def test_every_experiment_stands_in_a_study_and_is_named_as_its_file_or_in_a_sweep():
    in_studies = {item for study in STUDIES for item in experiments_of(study)}
    pages = (Path(__file__).parents[2] / "experiments").glob("*/README.md")
    lines = [line for page in pages for line in page.read_text().splitlines()]
    swept = " ".join(line for line in lines if line.startswith("    mrcontrast train"))
    for name in EXPERIMENTS:
        config = compose("train", [f"experiment={name}", "data.root=somewhere"])
        if f"experiment={name}" in in_studies:
            assert config.name == name
        else:
            assert name in swept


@pytest.mark.parametrize("name", sorted({name.split("/")[0] for name in [*EXPERIMENTS, *STUDIES]}))
def test_every_experiment_has_its_readme(name):
    """Variants share one: compare_openms may be told in experiments/compare."""
    experiments = Path(__file__).parents[2] / "experiments"
    pages = [experiments / folder / "README.md" for folder in (name, name.split("_")[0])]
    found = [page for page in pages if page.is_file()]
    assert found, f"experiments/{name}/README.md: question, command, result, lesson"
    assert any(f"study={name}" in page.read_text() or name not in STUDIES for page in found)


@pytest.mark.parametrize("condition", ["pixel", "folded", "latent"])
def test_a_controlnet_takes_each_condition_without_a_run_of_its_own(condition):
    study = compose("study", ["study=smoke"]).study
    study.train.autoencoder.overrides.append("stage.contrasts=[t1w,flair]")
    kept = [each for each in study.train.controlnet.overrides if "condition" not in each]
    study.train.controlnet.overrides = [*kept, f"stage/condition={condition}"]
    config = training_configs(study)["controlnet"]
    with FakeTensorMode(allow_non_fake_inputs=True):
        stage = build_without_values(config.stage)
    assert stage.controlnet.get_submodule("controlnet_cond_embedding.conv_in")
