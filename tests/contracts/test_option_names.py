"""Options that mean the same have the same name in every command; earlier names still work."""

import argparse

import pytest
from omegaconf import OmegaConf

from mrcontrast import cli
from mrcontrast.config.build import compose, config_dir
from mrcontrast.config.option_names import KEYS, OPTIONS, renamed_keys, renamed_options, report_name

# The name of a thing, the commands that have it, and names that no command may give it.
SAME = [
    (
        "out",
        {"prepare", "train", "study", "estimate", "evaluate", "report", "export"},
        {"run_dir", "output", "output_dir", "out_dir", "destination"},
    ),
    ("workers", {"prepare", "train", "evaluate"}, {"num_workers", "jobs", "n_jobs", "processes"}),
    ("model", {"translate"}, {"run", "run_folder", "checkpoint", "weights"}),
    ("mask", {"translate", "evaluate"}, {"masks", "brain_mask", "brain_masks"}),
    ("lesion_mask", {"evaluate"}, {"lesion_masks", "lesions"}),
    ("seed", {"train", "translate"}, {"random_seed", "seeds"}),
    ("overwrite", {"train", "translate"}, {"force", "replace"}),
    ("outputs", {"info", "doctor"}, {"runs", "root"}),
    ("method", {"evaluate", "report"}, {"system", "methods"}),
    ("source", {"prepare"}, {"input", "raw"}),
]
HYDRA = {
    "prepare": ["recipe=phantom", "out=there"],
    "train": ["stage=autoencoder"],
    "study": [],
}


@pytest.fixture(autouse=True)
def not_yet_told() -> None:
    report_name.cache_clear()


def parser_of(command: str) -> argparse.ArgumentParser:
    module = cli.module_of(command)
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    return parser


def names_of(command: str) -> set[str]:
    """Return the names of all options or keys of a command, with low lines."""
    if command in cli.HYDRA_COMMANDS:
        return set(OmegaConf.load(config_dir() / f"{command}.yaml"))
    options = [text for action in parser_of(command)._actions for text in action.option_strings]
    return {text.strip("-").replace("-", "_") for text in options}


@pytest.mark.parametrize(("name", "commands", "others"), SAME, ids=[name for name, *_ in SAME])
def test_one_thing_has_one_name(name: str, commands: set[str], others: set[str]) -> None:
    known = {command: names_of(command) for command in cli.HYDRA_COMMANDS | cli.PLAIN_COMMANDS}
    assert {command for command in commands if name not in known[command]} == set()
    assert {command: names & others for command, names in known.items() if names & others} == {}


def test_no_earlier_name_is_a_name_of_today() -> None:
    for command, names in KEYS.items():
        assert not names_of(command) & set(names)
        assert set(names.values()) <= names_of(command)
    for command, options in OPTIONS.items():
        now = {f"--{name.replace('_', '-')}" for name in names_of(command)}
        assert not now & set(options)
        assert set(options.values()) <= now


@pytest.mark.parametrize(
    ("command", "earlier", "now"),
    [(command, *pair) for command, names in KEYS.items() for pair in names.items()],
)
def test_an_earlier_key_works_and_is_told(
    command: str, earlier: str, now: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compose(command, [*HYDRA[command], f"++{earlier}=3"])
    compose(command, [*HYDRA[command], f"{earlier}=3"])
    assert capsys.readouterr().err == f"mrcontrast: {earlier}= is now {now}=.\n"
    assert OmegaConf.select(config, now) == 3
    same = compose(command, [*HYDRA[command], f"{now}=3"])
    assert {**config, "overrides": None} == {**same, "overrides": None}


def test_workers_of_a_training_load_its_items() -> None:
    assert compose("train", ["stage=autoencoder", "workers=3"]).data.num_workers == 3


def test_an_earlier_option_works_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    rest = ["--predictions", "a", "--references", "b"]
    words = renamed_options("evaluate", [*rest, "--masks", "c", "--lesion-masks=d"])
    found = parser_of("evaluate").parse_args(words)
    assert (str(found.masks), str(found.lesion_masks)) == ("c", "d")
    assert capsys.readouterr().err.splitlines() == [
        "mrcontrast: --masks is now --mask.",
        "mrcontrast: --lesion-masks is now --lesion-mask.",
    ]


@pytest.mark.parametrize("words", [["--out", "b"], ["--out=b"]])
def test_translate_takes_its_place_by_name_too(words: list[str]) -> None:
    for line in (["a", *words, "--model", "m"], [*words, "--model", "m", "a"]):
        found = parser_of("translate").parse_intermixed_args(renamed_options("translate", line))
        assert (str(found.input), str(found.output), found.model) == ("a", "b", "m")


def test_other_words_stay_as_they_are() -> None:
    words = [
        "data.num_workers_more=1",
        "stage.run_dir=2",
        "~run_dir",
        "hydra.run_dir=3",
        "a=run_dir=4",
    ]
    assert renamed_keys("train", words) == words
    assert renamed_options("report", ["--masks", "--out", "x"]) == ["--masks", "--out", "x"]


def test_the_hint_is_one_line_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prepare", "recipe=phantom", "out=there", "num_workers=0"]) == 2
    hint, fault = capsys.readouterr().err.splitlines()
    assert hint == "mrcontrast: num_workers= is now workers=."
    assert "Expected workers >= 1, got 0" in fault
