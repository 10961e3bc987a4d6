"""The one command."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mrcontrast import cli
from mrcontrast.cli import main
from mrcontrast.commands import doctor
from mrcontrast.errors import UsageError
from mrcontrast.runs.released import check_runs_exist
from toy.runs import arguments, toy_run


def run_toy(root: Path, *overrides: str) -> int:
    return main(["train", *arguments(root, *overrides)])


def errors_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error, after checking that it is one line and no traceback."""
    text = capsys.readouterr().err
    assert text.startswith("mrcontrast: error: ")
    assert text.count("\n") == 1
    return text


def test_help_is_quick_and_names_every_command() -> None:
    code = (
        "import sys; from mrcontrast.cli import main; code = main(['--help']);"
        "heavy = {'torch', 'monai', 'lightning', 'mlflow', 'hydra'} & set(sys.modules);"
        "sys.exit(code or bool(heavy))"
    )
    start = time.monotonic()
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert time.monotonic() - start < 5
    for command in cli.HYDRA_COMMANDS | cli.PLAIN_COMMANDS:
        assert f"  {command} " in process.stdout


@pytest.mark.parametrize("argv", [["frob"], ["--frob"], ["train", "--frob"], ["info", "--frob"]])
def test_unknown_commands_and_options_are_faults_of_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert "frob" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        (["stage=toy_autoencoder", "frob=1"], 2, "Expected a key of the config, got frob."),
        (["stage=toy_autoencoder", "trainer.max_step=1"], 2, "Did you mean trainer.max_steps?"),
        (["stage=autoencodr"], 2, "Did you mean autoencoder?"),
        (["stage=toy_autoencoder", "a=[1"], 2, "Expected KEY=VALUE, got a=[1: "),
        (["stage=toy_autoencoder", "stage.lr"], 2, "Expected KEY=VALUE, got stage.lr: "),
        (["stage=frob"], 2, "pix2pix, residual_diffusion"),
        (["stage=toy_autoencoder", "frob=heun"], 2, "got frob."),
        (["stage=toy_autoencoder", "sampler=heun_flow"], 2, "got sampler."),
        (["stage=toy_autoencoder", "seed=1,2"], 2, "seed=1,2"),
        ([], 2, "Expected stage=NAME, got none. Choose one of"),
        (["stage=toy_diffusion"], 2, "Add autoencoder=RUN."),
        (["stage=toy_diffusion", "autoencoder=nowhere"], 2, "(nowhere)"),
        (["stage=toy_autoencoder", "out=/dev/null/run"], 1, "/dev/null/run"),
        (["stage=toy_autoencoder", "trainer.precision=7"], 2, "7"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    code: int,
    message: str,
) -> None:
    assert run_toy(tmp_path, *overrides) == code
    text = errors_of(capsys)
    assert message in text
    assert not {"+", "http", "searchpath", "provider"} & set(text.replace("=", " ").split())


@pytest.mark.parametrize(
    ("argv", "right"),
    [
        (["train", "--stage", "autoencoder"], "stage=autoencoder"),
        (["train", "--stage=autoencoder", "--cfg", "job"], "stage=autoencoder"),
        (["train", "--stage/process", "data_flow"], "stage/process=data_flow"),
        (["train", "stage=autoencoder", "--seed", "-1"], "seed=-1"),
        (["train", "-m", "--seed", "1,2"], "seed=1,2"),
        (["train", "stage=autoencoder", "--overwrite"], "overwrite=true"),
        (["train", "--trainer.max-steps", "3", "-m"], "trainer.max_steps=3"),
        (["train", "--run-dir=runs/a"], "out=runs/a"),
        (["prepare", "--out", "x", "recipe=phantom"], "out=x"),
        (["prepare", "--workers", "3"], "workers=3"),
        (["prepare", "--num-workers", "3"], "workers=3"),
        (["study", "--study=demo"], "study=demo"),
        (["estimate", "--memory-gib", "--study"], "memory_gib=VALUE"),
    ],
)
def test_an_option_that_is_a_key_is_one_line(
    argv: list[str], right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    text = errors_of(capsys)
    assert f"Expected {right}, got --" in text
    assert text.endswith(f"Write {right}.\n")


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["train", "stage=autoencodr"], "autoencoder"),
        (["train", "experiment=pinaya2022/autoencodr"], "pinaya2022/autoencoder"),
        (["train", "stage=autoencoder", "max_steps=3"], "trainer.max_steps"),
        (["train", "--sed", "1"], "seed"),
        (["prepare", "--worker", "3"], "workers"),
        (["prepare", "recipe=bids_pair", "out=x"], "bids_pairs"),
        (["study", "study=demo3d"], "demo_3d"),
        (["study", "-m", "study=dem,demo"], "demo"),
        (["estimate", "study=quikstart"], "quickstart"),
        (["train", "stage=unet"], "unet_regression"),
        (["trian"], "train"),
    ],
)
def test_a_slip_has_one_suggestion_and_no_long_list(
    argv: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    text = errors_of(capsys)
    assert f" Did you mean {meant}?" in text
    assert text.count(", ") < 5


def test_a_model_with_a_slip_has_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    for typed, meant in (("phantom2d", "phantom-2d"), ("phantom-2d/unt", "phantom-2d/unet")):
        with pytest.raises(UsageError, match=rf"Did you mean {meant}\?") as caught:
            check_runs_exist({"--model": typed})
        assert str(caught.value).count(", ") < 5


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert run_toy(tmp_path, "stage=toy_autoencoder", "trainer.accelerator=cuda") == 2
    assert "Add trainer=cpu." in errors_of(capsys)
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_an_error_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Exception, match="RUN"):
        main(["--debug", "train", *arguments(tmp_path, "stage=toy_diffusion")])
    monkeypatch.setenv("MRCONTRAST_DEBUG", "1")
    with pytest.raises(Exception, match="RUN"):
        run_toy(tmp_path, "stage=toy_diffusion")


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (ValueError("a\nb"), 1)]
)
def test_any_end_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    def fail(config: object) -> None:
        raise error

    monkeypatch.setattr("mrcontrast.commands.train.train", fail)
    assert main(["train", "stage=autoencoder"]) == code
    errors_of(capsys)


def test_a_command_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcontrast.commands.prepare.prepare", lambda config: 1)
    assert main(["prepare", "out=somewhere"]) == 1


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_with_a_flag_of_hydra_has_its_own_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    outs = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "mrcontrast.commands.prepare.prepare", lambda config: outs.append(config.out) or code
    )
    assert main(["prepare", "out=somewhere", "--config-dir", str(tmp_path)]) == code
    assert outs == ["somewhere"]


def test_help_of_a_hydra_command_lists_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert "  stage: adversarial_autoencoder" in text
    assert "save_every_n_steps: 200" in text
    assert "  stage/process/sampler: ddim, ddpm" in text
    assert "  mrcontrast train stage=autoencoder --cfg job" in text


def test_config_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "job", "stage=autoencoder"]) == 0
    assert "gradient_clip_val: 1.0" in capsys.readouterr().out


def test_preparation_is_no_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "-m", "out=a,b"]) == 2
    assert "Expected train or study with -m" in errors_of(capsys)


def test_flags_of_hydra_have_our_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "job", "stage=autoencoder", "frob=1"]) == 2
    assert "Expected a key of the config, got frob." in errors_of(capsys)


def test_info_lists_trained_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy_run(tmp_path, "mine", "stage=toy_autoencoder")
    assert main(["info", "--outputs", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "runs/mine: autoencoder, val/loss 0." in text
    assert "GiB memory" in text
    assert "\n  phantom-2d/unet: unet_regression, val/" in text


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    command = f"{sys.executable} -m mrcontrast info | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_info_finds_the_runs_of_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy_run(tmp_path / "study" / "demo", "mine", "stage=toy_autoencoder")
    assert main(["info", "--outputs", str(tmp_path)]) == 0
    assert "study/demo/runs/mine: autoencoder, val/loss" in capsys.readouterr().out


def test_doctor_finds_this_installation_well(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--outputs", str(tmp_path / "new")]) == 0
    captured = capfd.readouterr()
    assert captured.out.count("ok  ") >= 4
    assert captured.err == ""  # MLflow makes a database without a word


def test_doctor_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "check_mlflow", lambda: "not looked at")
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--outputs", str(tmp_path / "file")]) == 1
    assert "fail  outputs: MrcontrastError: Expected a folder" in capsys.readouterr().out
