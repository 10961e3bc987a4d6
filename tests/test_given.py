"""A path that is not there ends each command with exit code 2, before anything heavy is loaded."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mrcontrast.cli import main
from mrcontrast.config import compose
from mrcontrast.errors import UsageError
from mrcontrast.given import refuse_missing, refuse_numbers


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    refuse_missing({"--a": tmp_path, "--b": None, "--c": "runs:/0123", "--d": "models:/t1w@best"})
    with pytest.raises(UsageError, match=rf"none \({tmp_path}/none\). Check the path of --mask"):
        refuse_missing({"--model": str(tmp_path), "--mask": tmp_path / "none"})


@pytest.mark.parametrize(
    "command",
    [
        ["translate", "{here}", "{out}", "--model", "/none"],
        ["evaluate", "--predictions", "{here}", "--references", "/none", "--out", "{out}"],
        ["evaluate", "--predictions", "/none", "--references", "{here}", "--out", "{out}"],
        ["report", "/none"],
        ["prepare", "recipe=bids_pairs", "source=/none", "out={out}"],
        ["prepare", "recipe=bids_pairs", "out={out}"],
        ["train", "stage=autoencoder", "data=prepared", "data.root=/none"],
        ["train", "stage=latent_diffusion", "data.root={here}", "autoencoder=/none"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    arguments = [word.format(here=tmp_path, out=tmp_path / "out") for word in command]
    assert main(arguments) == 2
    assert "got none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["prepare source=/none out=x", "report /none"])
def test_nothing_heavy_is_loaded_for_it(tmp_path: Path, command: str) -> None:
    code = (
        "import sys; from mrcontrast.cli import main; code = main(sys.argv[1:]);"
        "print(code, sorted({'torch', 'monai', 'scipy', 'nibabel'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code, *command.split()]
    answer = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert answer.stdout.strip() == "2 []"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=x", "whole number from 0 on, got x (seed)"),
        ("data.batch_size=0", "whole number from 1 on, got 0 (data.batch_size)"),
        ("trainer.max_steps=0", "whole number from 1 on, got 0 (trainer.max_steps)"),
        ("stage.optimisation.optimizer.lr=-1", "number above 0, got -1"),
        ("stage.optimisation.optimizer.lr=fast", "number above 0, got fast"),
    ],
)
def test_a_number_that_no_trainer_could_use_is_named(override: str, words: str) -> None:
    config = compose("train", ["stage=autoencoder", "data=prepared", "data.root=x", override])
    with pytest.raises(UsageError, match=re.escape(words)):
        refuse_numbers(config)


def test_steps_may_be_unlimited() -> None:
    refuse_numbers(compose("train", ["stage=autoencoder", "data=prepared", "trainer.max_steps=-1"]))
