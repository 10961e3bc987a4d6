"""Start the jobs of a sweep: as processes of this machine, or by submitit (SLURM)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.sweeps.jobs import LOG, Job
from mrcontrast.sweeps.run_job import run_job


@dataclass(frozen=True)
class Handle:
    """A job that was started."""

    done: Callable[[], bool]  # whether its process has ended
    reason: Callable[[], str] = lambda: "its process is gone"  # without a recorded end
    stop: Callable[[], object] = lambda: None  # asks it to save and end
    adopted: bool = False  # its process outlived its sweep: it is never stopped


class Processes:
    """Run jobs as processes of this machine; a killed one does not affect the others.

    Args:
        n_jobs: Number at once; they share the CPU's threads evenly.
        devices: CUDA devices, assigned to the jobs in turn; None shows all to each.
    """

    def __init__(self, n_jobs: int = 1, devices: Sequence[int] | None = None) -> None:
        if n_jobs < 1:
            raise UsageError(
                f"Expected 1 or more jobs at once, got {n_jobs}. Set hydra.launcher.n_jobs=1."
            )
        self.n_jobs = n_jobs
        self.devices = list(devices or [])
        self.running: dict[int, Handle] = {}

    def start(self, job: Job) -> Handle:
        """Start a job in the first free slot; its output goes to ``log.txt``."""
        taken = {slot for slot, process in self.running.items() if not process.done()}
        slot = min(set(range(len(taken) + 1)) - taken)
        threads = max(1, (os.cpu_count() or 1) // self.n_jobs)
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = str(self.devices[slot % len(self.devices)])
        self.running[slot] = start_process(job.folder, environment)
        return self.running[slot]


def start_process(folder: Path, environment: Mapping[str, str]) -> Handle:
    """Start a job in a session of its own, which the terminal's Ctrl-C does not reach."""
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            # -P: files in the current folder are no modules
            [sys.executable, "-P", "-m", run_job.__module__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )

    def reason() -> str:
        code = process.returncode
        return f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    return Handle(lambda: process.poll() is not None, reason, process.terminate)


class Submitit:
    """Run jobs by submitit: on SLURM, or locally to test the same path.

    Args:
        n_jobs: Number queued or running at once.
        cluster: "slurm" or "local".
        timeout_min: Minutes of a job; SLURM queues a longer one again, from its last checkpoint.
        parameters: Others of ``submitit.AutoExecutor.update_parameters``, such as slurm_partition;
            None leaves one to the cluster.
    """

    def __init__(
        self, n_jobs: int, cluster: str, timeout_min: int, parameters: Mapping[str, Any]
    ) -> None:
        if find_spec("submitit") is None:
            raise UsageError(
                "Expected submitit, got no such package. Run pip install 'mrcontrast[sweep]'."
            )
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise UsageError(
                "Expected sbatch on the path, got none. Start the sweep on a login node of SLURM, "
                "or try it with hydra/launcher=submitit_local."
            )
        self.n_jobs = n_jobs
        self.cluster = cluster
        chosen = {key: value for key, value in parameters.items() if value is not None}
        self.parameters = {"timeout_min": timeout_min, **chosen}

    def start(self, job: Job) -> Handle:
        """Submit a job; its output goes to ``submitit/`` in its folder."""
        import submitit

        executor = submitit.AutoExecutor(folder=job.folder / "submitit", cluster=self.cluster)
        executor.update_parameters(name=f"mrcontrast-{job.name}"[:64], **self.parameters)
        submitted = executor.submit(SubmittedWork(), str(job.folder))
        return Handle(
            lambda: bool(submitted.done()),
            lambda: f"{submitted.state.lower()}, see {submitted.paths.stderr}",
            submitted.cancel,
        )


class SubmittedWork:
    """The call that submitit pickles, and queues again at a timeout or preemption."""

    def __call__(self, folder: str) -> str:
        """Run the job of a folder."""
        return run_job(folder)

    def checkpoint(self, folder: str) -> Any:  # noqa: ANN401 - submitit's own type
        """Return the work to queue."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, folder)
