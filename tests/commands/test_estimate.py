"""Estimates of trainings: figures known by hand, and the command."""

import json

import pytest
from omegaconf import OmegaConf

from mrcontrast.cli import main
from mrcontrast.commands.estimate import grid_of, item_shape, study_costs, training_configs
from mrcontrast.config.build import compose, config_dir
from mrcontrast.errors import UsageError
from mrcontrast.training.cost import Cost, copies, cost_of_training, images_seen, most_hours

STUDIES = sorted(path.stem for path in (config_dir() / "study").glob("*.yaml"))

SMALL = [
    "stage=autoencoder",
    "data=prepared",
    "data.root=unknown",
    "stage.autoencoder.channels=[16,16]",
    "stage.autoencoder.attention_levels=[false,false]",
    "data.batch_size=2",
    "trainer.max_steps=10",
]


def small(*overrides):
    from mrcontrast.config.build import resolve

    return resolve(compose("train", [*SMALL, *overrides]))


def test_hours_are_images_times_operations_over_the_rate():
    cost = Cost("a", 1, 1, 1, images=7200, memory=0, flops=1e12)
    assert cost.hours(1e12) == 2.0


def test_a_batch_twice_as_large_takes_more_memory_and_the_same_an_item():
    one, two = (
        cost_of_training("a", small(f"data.batch_size={size}"), [32, 48], items=100)
        for size in (4, 8)
    )
    assert one.flops == pytest.approx(two.flops, rel=1e-3)
    fixed = 4 * one.trained * (1 + copies(small()))
    assert two.memory - fixed == pytest.approx(2 * (one.memory - fixed), rel=0.1)


def test_mixed_precision_takes_less_memory():
    full, mixed = (
        cost_of_training("a", small(f"trainer.precision={name}"), [32, 48], items=100)
        for name in ("32-true", "bf16-mixed")
    )
    assert mixed.memory < 0.9 * full.memory


@pytest.mark.parametrize(
    ("overrides", "images"),
    [
        ([], 10 * 2),
        (["trainer.max_epochs=3", "trainer.max_steps=-1"], 300),
        (["trainer.accumulate_grad_batches=4", "trainer.devices=2"], 10 * 2 * 4 * 2),
        (["stage=adversarial_autoencoder", "stage.adversarial_start_step=4"], (4 + 3) * 2),
    ],
)
def test_items_seen(overrides, images):
    assert images_seen(small(*overrides), items=100) == images


def test_a_training_without_an_end_cannot_be_counted():
    with pytest.raises(UsageError, match=r"by steps, epochs or time, got trainer.max_steps=-1"):
        images_seen(small("trainer.max_steps=-1"), items=100)


def test_time_ends_a_training_where_it_is_shorter():
    config = small("trainer.max_steps=-1", "trainer.max_time=00:02:30:00", "trainer.devices=2")
    assert images_seen(config, items=None) is None
    assert most_hours(config.trainer) == 5.0
    assert most_hours(small().trainer) is None
    cost = Cost("a", 1, 1, 1, images=7200, memory=0, flops=1e12, most_hours=0.5)
    assert (cost.hours(1e12), cost.hours(1e14)) == (0.5, 0.02)


def test_a_study_whose_epochs_need_the_number_of_items_is_told_so():
    with pytest.raises(UsageError, match=r"Add \+study\.size\.items=N"):
        images_seen(small("trainer.max_epochs=3", "trainer.max_steps=-1"), items=None)


@pytest.mark.parametrize("name", STUDIES)
def test_the_grid_of_every_study_is_known(name):
    study = compose("study", [f"study={name}"]).study
    grid = grid_of(study)
    for config in training_configs(study).values():
        assert len(item_shape(grid, config)) == config.spatial_dims


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_estimated_without_more_words(name, capsys):
    assert main(["estimate", f"study={name}"]) == 0
    assert "GPU hours in all" in capsys.readouterr().out


def test_items_are_slices_volumes_or_patches():
    def shape(*words):
        return item_shape([40, 56, 48], compose("train", [*SMALL, *words]))

    assert shape() == [40, 56]
    assert shape("spatial_dims=3") == [40, 56, 48]
    assert shape("spatial_dims=3", "data.items.patch_size=[24,64,24]") == [24, 56, 24]
    patches = ["spatial_dims=3", "data.items.patch_size=[24,64,24]"]
    assert item_shape([9, 9, 9], compose("train", [*SMALL, *patches]), of_volumes=False) == [9] * 3
    with pytest.raises(UsageError, match=r"Expected 3 axes for autoencoder, got \[40, 56\]"):
        item_shape([40, 56], compose("train", [*SMALL, "spatial_dims=3"]))


def test_the_command_prints_and_writes_a_whole_chain(tmp_path, capsys):
    size = ["+study.size.items=60", "+study.size.shape=[40,56]"]
    assert main(["estimate", "study=smoke", *size, f"out={tmp_path}/cost.json"]) == 0
    assert "GPU hours in all, if NVIDIA A100" in capsys.readouterr().out
    found = json.loads((tmp_path / "cost.json").read_text())
    names = [training["name"] for training in found["trainings"]]
    assert names == ["autoencoder", "latent_diffusion", "controlnet"]
    first, second, third = found["trainings"]
    assert first["trained"] == first["parameters"]
    assert second["trained"] + first["parameters"] == second["parameters"]
    assert third["parameters"] == third["trained"] + second["parameters"]
    assert found["assumed"]["achieved_share"] == 0.3


def test_a_parent_may_be_a_released_run_and_must_be_there():
    study = compose("study", ["study=quickstart"]).study
    signals = training_configs(study)["controlnet"].stage.condition.signals
    assert signals.regression.regressor.factor
    study.train.controlnet.parents.regression = "phantom-2d/unet_of_mine"
    with pytest.raises(UsageError, match=r"unet_of_mine.*controlnet\.parents\.regression"):
        training_configs(study)


def test_a_lookup_costs_nothing_to_train():
    study = OmegaConf.create(
        {
            "name": "a",
            "size": {"items": 1, "shape": [32, 32]},
            "common": [],
            "train": {"lookup": {"overrides": ["stage=lookup"]}},
        }
    )
    assert study_costs(study) == []
