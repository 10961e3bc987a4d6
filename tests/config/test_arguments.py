"""A path that is not there ends each command with exit code 2, before anything heavy is loaded."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mrcontrast.cli import main
from mrcontrast.config.arguments import check_exists
from mrcontrast.config.build import compose
from mrcontrast.config.rules import check_numbers
from mrcontrast.errors import UsageError


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    check_exists({"--a": tmp_path, "--b": None, "--c": "runs:/0123", "--d": "models:/t1w@best"})
    with pytest.raises(UsageError, match=rf"none \({tmp_path}/none\). Check the path of --mask"):
        check_exists({"--model": str(tmp_path), "--mask": tmp_path / "none"})


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
        ("seed=x", "whole number from 0 on, to 4294967295, got x (seed)"),
        ("seed=-1", "whole number from 0 on, to 4294967295, got -1 (seed)"),
        ("seed=4294967296", "got 4294967296 (seed)"),
        ("seed=true", "got True (seed)"),
        ("spatial_dims=4", "Expected 2 or 3, got 4 (spatial_dims)"),
        ("save_every_n_steps=0", "whole number from 1 on, got 0 (save_every_n_steps)"),
        ("trainer.accelerator=GPU", "auto, cpu, gpu, cuda, mps, tpu, got GPU"),
        ("trainer.devices=0", "number of devices from 1 on, -1, auto or a list, got 0"),
        ("trainer.devices=[]", "got [] (trainer.devices)"),
        ("trainer.devices=[0,0]", "got [0, 0] (trainer.devices)"),
        ("trainer.devices=two", "got two (trainer.devices)"),
        ("trainer.max_steps=-5", "whole number from 1 on, got -5 (trainer.max_steps)"),
        ("trainer.max_steps=2.5", "whole number from 1 on, got 2.5 (trainer.max_steps)"),
        ("trainer.max_time=00:00:00:00", "time above 0 as DD:HH:MM:SS, got 00:00:00:00"),
        ("trainer.max_time=soon", "time above 0 as DD:HH:MM:SS, got soon"),
        ("trainer.val_check_interval=0", "from 1 on or a part in (0, 1], got 0"),
        ("trainer.val_check_interval=1.5", "from 1 on or a part in (0, 1], got 1.5"),
        ("trainer.limit_val_batches=-1", "from 0 on or a part in (0, 1], got -1"),
        ("trainer.gradient_clip_val=-1", "number from 0 on, got -1"),
        ("callbacks.ema.decay=2", "number in [0, 1), got 2"),
        ("callbacks.best.mode=most", "min or max, got most"),
        ("stage.optimisation.warmup_steps=-1", "whole number from 0 on, got -1"),
        ("stage.optimisation.final_lr_fraction=nan", "number in [0, 1], got nan"),
        ("stage.optimisation.optimizer.lr=inf", "number above 0, got inf"),
        ("data.batch_size=0", "whole number from 1 on, got 0 (data.batch_size)"),
        ("trainer.max_steps=0", "whole number from 1 on, got 0 (trainer.max_steps)"),
        ("stage.optimisation.optimizer.lr=-1", "number above 0, got -1"),
        ("stage.optimisation.optimizer.lr=fast", "number above 0, got fast"),
    ],
)
def test_a_number_that_no_trainer_could_use_is_named(override: str, words: str) -> None:
    config = compose("train", ["stage=autoencoder", "data=prepared", "data.root=x", override])
    with pytest.raises(UsageError, match=re.escape(words)):
        check_numbers(config)


def test_steps_may_be_unlimited() -> None:
    check_numbers(compose("train", ["stage=autoencoder", "data=prepared", "trainer.max_steps=-1"]))
