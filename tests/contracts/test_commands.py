"""Every command that a document shows is one that the program takes; the quick ones are run."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mrcontrast import cli
from mrcontrast.config.build import compose, config_dir

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "experiments").rglob("*.md")),
    ROOT / "data_prep" / "README.md",
    ROOT / "notebooks" / "README.md",
]
OPTIONAL = re.compile(r"\[[^\]]*\]\s*|\.\.\.")  # of a synopsis: [--mask DIR], ...


def blocks(text: str) -> list[str]:
    """Return the code blocks of a page, indented by four or fenced, long lines joined."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    runs = re.findall(r"(?:^ {4}[^\n]*\n)+", plain + "\n", re.MULTILINE)
    indented = [re.sub(r"^ {4}", "", run, flags=re.MULTILINE) for run in runs]
    return [re.sub(r"\s*\\\n\s*", " ", block) for block in [*fenced, *indented]]


def commands(page: Path) -> list[list[str]]:
    """Return the words of each command line of a page, comments and pipes left out."""
    found = []
    for block in blocks(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            for part in re.split(r"&&|\|\|?|;", re.sub(r"(^|\s)#.*$", "", line)):
                words = part.replace("$", "").split()
                if words and words[0] in ("mrcontrast", "make", "python"):
                    found.append(shlex.split(part))
    return found


ALL = [(page, words) for page in PAGES for words in commands(page)]


def shown(case: object) -> str:
    return str(case.relative_to(ROOT)) if isinstance(case, Path) else "_".join(case)[:60]


def test_commands_are_found():
    assert len([words for page, words in ALL if page.name == "README.md"]) > 20
    assert blocks("a\n\n    x \\\n      y\n\n```sh\nz\n```\n") == ["z\n", "x y\n"]


@pytest.mark.parametrize(
    ("page", "words"), [case for case in ALL if case[1][0] == "mrcontrast"], ids=shown
)
def test_the_program_takes_it(page, words, monkeypatch):
    monkeypatch.setenv("MRCONTRAST_REAL_DATA", "somewhere")
    command, arguments = words[1], words[2:]
    if command.startswith("-") or "--help" in arguments:
        return
    assert command in cli.HYDRA_COMMANDS | cli.PLAIN_COMMANDS, words
    if command in cli.HYDRA_COMMANDS:
        for recipe in [word for word in arguments if word.startswith("recipe=")]:
            if not (config_dir() / "recipe" / f"{recipe[7:]}.yaml").is_file():
                pytest.skip(f"no {recipe} yet")
        compose(command, overrides_of(arguments))
    else:
        parse(command, arguments)


def overrides_of(arguments: list[str]) -> list[str]:
    """Return the overrides of a Hydra command; of a sweep those of its first job."""
    found = []
    flags = {"-m", "--multirun", "--debug"}
    sweep = bool(flags & set(arguments) - {"--debug"})
    for argument in arguments:
        if argument in flags:
            continue
        if sweep and "=" in argument and not argument.startswith("hydra"):
            key, value = argument.split("=", 1)
            argument = f"{key}={value.split(',')[0]}" if value[:1] not in "[{(" else argument
        found.append(argument)
    return [item for item in found if not item.startswith("hydra") and "(" not in item]


def parse(command: str, arguments: list[str]) -> argparse.Namespace:
    module = cli.module_of(command)
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("page", "words"), [case for case in ALL if case[1][0] != "mrcontrast"], ids=shown
)
def test_scripts_and_targets_exist(page, words):
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(f"\n{target}:" in makefile for target in words[1:2] if "=" not in target)
    elif len(words) > 1 and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file(), words


def test_what_is_wrong_is_refused():
    from mrcontrast.errors import UsageError

    with pytest.raises(UsageError):
        compose("train", ["stage=nothing"])
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parse("translate", ["a.nii.gz", "b.nii.gz", "--modle", "run"])


TINY = {
    "prepare": [
        "recipe.grid.spacing_mm=4.0",
        "recipe.grid.shape=[40,56,48]",
        "recipe.split.train=0.6",
        "recipe.split.val=0.2",
    ],
    "train": ["trainer=cpu", "trainer.max_steps=2", "trainer.val_check_interval=2"],
}
TINY["train"] += ["data.batch_size=2", "data.items.max_val_items=2", "logger=none"]


@pytest.mark.slow
def test_the_chain_on_your_own_data_runs_as_the_readme_has_it(tmp_path):
    """Every line of that block, word by word, with small settings behind it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(part for part in blocks(readme) if "recipe=bids_pairs" in part)
    make_bids(tmp_path / "data" / "bids")
    ran = []
    for line in block.splitlines():
        words = shlex.split(re.sub(r"\s#.*$", "", line))
        if not words:
            continue
        words = [re.sub(r"(^|=)/data/", rf"\1{tmp_path}/data/", word) for word in words]
        words += TINY.get(words[1], [])
        if words[1] == "translate" and "--samples" in words:
            flair = tmp_path / "data" / "bids" / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
            words[2] = str(flair)
            words[words.index("--samples") + 1] = "1"
        if words[1] == "evaluate":  # another system, as good as ours
            shutil.copytree(tmp_path / "predictions", tmp_path / "data" / "their_output")
        run(words, tmp_path)
        ran.append(words[1])
    assert ran == ["prepare", "train", "train", "train", "translate", "translate", "evaluate"]
    assert (tmp_path / "sub-07_desc-synth_T1w.nii.gz").is_file()
    assert (tmp_path / "evaluation" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["info"], ["doctor"], ["cache"], ["--help"], ["train", "--help"]]
)
def test_the_quick_ones_run(words, tmp_path):
    run(["mrcontrast", *words], tmp_path)


def run(words: list[str], folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path])}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (
        f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    )


def make_bids(root: Path) -> None:
    """Write six skull-stripped phantoms as a BIDS tree."""
    from mrcontrast.phantom import PhantomConfig, make_subject
    from mrcontrast.storage.volume import write_volume

    config = PhantomConfig(spacing_mm=4.0, anatomy_spacing_mm=2.0)
    for number in range(1, 7):
        subject = make_subject(number, config)
        stem = root / f"sub-{number:02d}" / "anat" / f"sub-{number:02d}"
        stem.parent.mkdir(parents=True)
        write_volume(Path(f"{stem}_FLAIR.nii.gz"), subject.images["flair"])
        write_volume(Path(f"{stem}_T1w.nii.gz"), subject.images["t1w"])
