"""A launcher that forks, which is quick since all is imported."""

import os
import signal

from mrcontrast.sweeps.jobs import Job
from mrcontrast.sweeps.run_job import run_job
from toy.runs import in_child


class Fork:
    adopted = False

    def __init__(self, process: int) -> None:
        self.process = process
        self.status: int | None = None

    def done(self) -> bool:
        if self.status is None:
            found, status = os.waitpid(self.process, os.WNOHANG)
            self.status = status if found else None
        return self.status is not None

    def reason(self) -> str:
        return f"ended with {os.waitstatus_to_exitcode(self.status or 0)}"

    def stop(self) -> None:
        os.kill(self.process, signal.SIGTERM)


class Forks:
    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def start(self, job: Job) -> Fork:
        return Fork(in_child(lambda: int(run_job(job.folder) != "finished")))
