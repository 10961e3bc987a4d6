"""Where the jobs of a sweep run: processes of this machine, or submitit's (SLURM)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from mrcontrast.errors import UsageError
from mrcontrast.sweeps.jobs import LOG, Job
from mrcontrast.sweeps.run_job import run_job


class Handle(Protocol):
    """A job that was started."""

    def done(self) -> bool:
        """Return whether its process has ended."""

    def reason(self) -> str:
        """Return how it ended, for a job that left no word."""

    def stop(self) -> None:
        """Ask it to save and end."""


class Launcher(Protocol):
    """What starts jobs.

    Attributes:
        n_jobs: How many run at once.
    """

    n_jobs: int

    def start(self, job: Job) -> Handle:
        """Start a job."""


class Adopted:
    """A job whose process outlived the sweep that started it: it is waited for."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def done(self) -> bool:
        """Return whether its process has ended."""
        return not self.job.is_worked_on()

    def reason(self) -> str:
        """Return what is known of its end."""
        return "its process is gone"

    def stop(self) -> None:
        """Leave it alone: it is not ours."""


class Processes:
    """Run jobs as processes of this machine; one that is killed takes no other with it.

    Args:
        n_jobs: How many at once; they share the CPU's threads evenly.
        devices: CUDA devices, given to the jobs in turn; None lets each see all.
    """

    def __init__(self, n_jobs: int = 1, devices: Sequence[int] | None = None) -> None:
        if n_jobs < 1:
            raise UsageError(
                f"Expected 1 or more jobs at once, got {n_jobs}. Set hydra.launcher.n_jobs=1."
            )
        self.n_jobs = n_jobs
        self.devices = list(devices or [])
        self.running: dict[int, LocalProcess] = {}

    def start(self, job: Job) -> "LocalProcess":
        """Start a job in the first slot that is free; its output goes to ``log.txt``."""
        taken = {slot for slot, process in self.running.items() if not process.done()}
        slot = min(set(range(len(taken) + 1)) - taken)
        threads = max(1, (os.cpu_count() or 1) // self.n_jobs)
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = str(self.devices[slot % len(self.devices)])
        self.running[slot] = LocalProcess(job.folder, environment)
        return self.running[slot]


class LocalProcess:
    """A job in a process of this machine, out of reach of the terminal's Ctrl-C.

    Args:
        folder: Of the job.
        environment: Of the process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        # -P: files in the current folder are no modules of ours
        command = [sys.executable, "-P", "-m", run_job.__module__, str(folder)]
        with (folder / LOG).open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    def done(self) -> bool:
        """Return whether it has ended."""
        return self.process.poll() is not None

    def reason(self) -> str:
        """Return the signal or exit code that it ended with."""
        code = self.process.returncode
        return f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def stop(self) -> None:
        """Send SIGTERM, on which a training saves."""
        self.process.terminate()


class Submitit:
    """Run jobs by submitit: on SLURM, or locally to try the same path.

    Args:
        n_jobs: How many are queued or running at once.
        cluster: "slurm" or "local".
        timeout_min: Minutes that a job may take; on SLURM one that needs more is queued again and
            goes on from its last checkpoint.
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

    def start(self, job: Job) -> "SubmittedJob":
        """Submit a job; its output goes to ``submitit/`` in its folder."""
        import submitit

        executor = submitit.AutoExecutor(folder=job.folder / "submitit", cluster=self.cluster)
        executor.update_parameters(name=f"mrcontrast-{job.name}"[:64], **self.parameters)
        return SubmittedJob(executor.submit(SubmittedWork(str(job.folder))))


class SubmittedWork:
    """What submitit pickles: the job's folder alone.

    Args:
        folder: Of the job.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self) -> str:
        """Do the job."""
        return run_job(self.folder)

    def checkpoint(self) -> Any:  # noqa: ANN401 - submitit's own type
        """Return what SLURM shall queue when the time is up or the job is preempted."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(SubmittedWork(self.folder))


class SubmittedJob:
    """A job that submitit runs.

    Args:
        submitted: Its ``submitit.Job``.
    """

    def __init__(self, submitted: Any) -> None:  # noqa: ANN401 - submitit's own type
        self.submitted = submitted

    def done(self) -> bool:
        """Return whether it has ended; SLURM is asked once a minute."""
        return bool(self.submitted.done())

    def reason(self) -> str:
        """Return the scheduler's word and where its output lies."""
        return f"{self.submitted.state.lower()}, see {self.submitted.paths.stderr}"

    def stop(self) -> None:
        """Cancel it."""
        self.submitted.cancel()
