"""The last checkpoint and an orderly end."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from mrcontrast.training.callbacks.checkpoints import (
    BestCheckpoint,
    LastCheckpoint,
    Stopped,
    terminable,
)


def trainer_at(
    step: int, max_steps: int = 100, gathering: bool = False, validation_due: bool = False
) -> MagicMock:
    trainer = MagicMock(global_step=step, max_steps=max_steps, state=SimpleNamespace(fn="fit"))
    trainer.fit_loop._should_accumulate.return_value = gathering
    trainer.fit_loop.epoch_loop._should_check_val_fx.return_value = validation_due
    return trainer


def steps_saved(callback: LastCheckpoint, steps: range, max_steps: int = 100) -> list[int]:
    saved = []
    for step in steps:
        trainer = trainer_at(step, max_steps)
        callback.on_train_batch_end(trainer, MagicMock(), None, None, 0)
        if trainer.save_checkpoint.called:
            saved.append(step)
    return saved


def test_it_saves_every_n_steps_and_at_the_end(tmp_path: Path) -> None:
    assert steps_saved(LastCheckpoint(str(tmp_path), 3), range(1, 9), 8) == [3, 6, 8]


def test_two_optimisers_count_double_and_skip_no_saving(tmp_path: Path) -> None:
    assert steps_saved(LastCheckpoint(str(tmp_path), 5), range(2, 20, 2)) == [6, 12, 18]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_saves_and_stops_between_two_steps(tmp_path: Path, number: int, code: int) -> None:
    callback, trainer = LastCheckpoint(str(tmp_path), 100), trainer_at(5)
    callback.setup(trainer, MagicMock(), "fit")
    try:
        os.kill(os.getpid(), number)
        assert not trainer.save_checkpoint.called
        with pytest.raises(Stopped) as stopped:
            callback.on_train_batch_end(trainer, MagicMock(), None, None, 0)
    finally:
        callback.teardown(trainer, MagicMock(), "fit")
    assert stopped.value.code == code
    trainer.save_checkpoint.assert_called_once_with(tmp_path / "last.ckpt")


@pytest.mark.parametrize("reason", ["gathering", "validation_due"])
def test_a_step_that_is_not_complete_is_not_saved(tmp_path: Path, reason: str) -> None:
    callback, trainer = LastCheckpoint(str(tmp_path), 1), trainer_at(5, **{reason: True})
    callback.ask(signal.SIGTERM, None)
    callback.on_train_batch_end(trainer, MagicMock(), None, None, 0)
    assert not trainer.save_checkpoint.called
    callback.on_validation_end(trainer, MagicMock())
    assert trainer.save_checkpoint.called is (reason == "validation_due")


def test_in_a_validation_it_stops_without_saving(tmp_path: Path) -> None:
    callback, trainer = LastCheckpoint(str(tmp_path), 1), trainer_at(5)
    callback.ask(signal.SIGTERM, None)
    with pytest.raises(Stopped):
        callback.on_validation_batch_end(trainer, MagicMock(), None, None, 0)
    assert not trainer.save_checkpoint.called


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    callback, trainer = LastCheckpoint(str(tmp_path), 100), trainer_at(5)
    callback.setup(trainer, MagicMock(), "fit")
    try:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        callback.teardown(trainer, MagicMock(), "fit")


@pytest.mark.parametrize("hook", ["teardown", "on_exception"])
def test_signals_are_given_back(tmp_path: Path, hook: str) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    callback = LastCheckpoint(str(tmp_path), 100)
    callback.setup(MagicMock(), MagicMock(), "fit")
    assert signal.getsignal(signal.SIGINT) != before[0]
    getattr(callback, hook)(MagicMock(), MagicMock(), MagicMock())
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_outside_a_fit_is_an_exit() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped, terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def best_in(folder: Path, kind: type[ModelCheckpoint] = BestCheckpoint) -> ModelCheckpoint:
    return kind(dirpath=folder, filename="best", monitor="val/psnr", mode="max")


def is_kept(callback: ModelCheckpoint, score: float) -> bool:
    alone = MagicMock()
    alone.strategy.reduce_boolean_decision.side_effect = bool
    return bool(callback.check_monitor_top_k(alone, torch.tensor(score)))


def state_of(folder: Path) -> dict:
    """Return what Lightning's own callback saved of a validation in a folder."""
    callback, path, score = best_in(folder, ModelCheckpoint), str(folder / "best.ckpt"), 20.0
    callback.best_model_path = callback.kth_best_model_path = path
    callback.best_model_score = callback.kth_value = torch.tensor(score)
    callback.best_k_models = {path: torch.tensor(score)}
    return callback.state_dict()


def test_the_best_is_known_where_the_folder_has_moved(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").touch()
    callback = best_in(tmp_path)
    callback.load_state_dict(state_of(tmp_path / "gone"))
    here = str(tmp_path / "best.ckpt")
    assert (callback.best_model_path, callback.kth_best_model_path) == (here, here)
    assert callback.best_k_models == {here: torch.tensor(20.0)}
    assert callback.best_model_score == 20.0
    assert callback.last_model_path == ""
    assert (is_kept(callback, 19.0), is_kept(callback, 21.0)) == (False, True)


def test_a_best_without_its_file_does_not_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = best_in(tmp_path)
    callback.load_state_dict(state_of(tmp_path))
    assert callback.best_model_score is None
    assert is_kept(callback, 19.0)
    assert "from here on" in caplog.text


def test_its_state_has_lightnings_name(tmp_path: Path) -> None:
    assert best_in(tmp_path).state_key == best_in(tmp_path, ModelCheckpoint).state_key
