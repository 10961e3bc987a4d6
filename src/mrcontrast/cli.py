"""The command line: parse arguments and call the commands."""

import argparse
import os
import sys
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mrcontrast import __version__
from mrcontrast.config.build import compose, config_dir
from mrcontrast.config.errors import names_in, suggestion
from mrcontrast.config.logs import show_progress
from mrcontrast.config.option_names import check_flags, renamed_keys, renamed_options
from mrcontrast.config.trust import take_trust, trusting
from mrcontrast.errors import MrcontrastError, UsageError, one_line, with_cause

HYDRA_COMMANDS = {
    "prepare": "raw BIDS data, folders or phantoms -> a prepared data set",
    "train": "one stage: autoencoder, latent_diffusion, controlnet or a baseline; -m sweeps",
    "study": "the whole chain from preparation to report; finished steps are reused",
    "estimate": "memory and GPU hours of a study's trainings",
}
PLAIN_COMMANDS = {
    "translate": "volumes of one or several contrasts -> the one that a model makes of them",
    "evaluate": "predictions of any system against references -> tables and a report",
    "report": "an evaluation or a study -> one HTML file: tables, plots, a viewer of the volumes",
    "sweep-table": "the results of a sweep, best first; written as CSV too",
    "register": "a finished run as a version of a named model in MLflow's registry",
    "sync": "send records that wait for an MLflow server",
    "export": "finished runs -> a model to share: half precision, no local paths",
    "info": "versions, devices, memory and trained models; or one model: contrasts, grid, tags",
    "doctor": "check that this installation works",
    "cache": "list the stored latents, and delete broken or unused ones",
}
# The module of a command, if it has another name.
MODULES = {"study": "study.command", "sweep-table": "sweeps.table", "info": "commands.doctor"}
SIGNALS = {130: "Ctrl-C", 143: "SIGTERM"}
GOES_ON = "The same command goes on from what is done and saved"
SWEEP_FLAGS = {"-m", "--multirun"}
EXAMPLES = """examples:
  mrcontrast prepare recipe=phantom out=outputs/data/phantom
  mrcontrast train stage=autoencoder data=phantom
  mrcontrast train stage=latent_diffusion autoencoder=outputs/runs/autoencoder
  mrcontrast translate IN.nii.gz OUT.nii.gz --model outputs/runs/controlnet
  mrcontrast evaluate --predictions DIR --references DIR

`mrcontrast COMMAND --help` says more. --debug shows the traceback of an error. --trust MODULE lets
model folders name classes of that module or package of yours; so does MRCONTRAST_TRUST.
Exit codes: 0 done, 1 fault of the data or the run, 2 wrong usage, 130 stopped by Ctrl-C,
143 by SIGTERM."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    ``argv`` is what follows ``mrcontrast``; None takes it from the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or os.environ.get("MRCONTRAST_DEBUG", "0") not in ("", "0")
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        arguments, modules = take_trust(arguments)
        with trusting(modules):
            code = dispatch(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return stopped(SystemExit(130))
    except SystemExit as stop:
        return stopped(stop)
    except BrokenPipeError:  # the reader, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MrcontrastError as error:
        if debug:
            raise
        return complain(one_line(error), error.exit_code)
    except Exception as error:
        if debug:
            raise
        message = f"{type(error).__name__}: {with_cause(error)} (add --debug for the traceback)"
        return complain(message, 1)


def dispatch(arguments: list[str]) -> int:
    """Run the command of the first argument."""
    command = arguments[0] if arguments else "--help"
    if command in HYDRA_COMMANDS:
        show_progress()
        return run_hydra(command, arguments[1:])
    if command in PLAIN_COMMANDS:
        show_progress()
        return run_plain(command, arguments[1:])
    if not command.startswith("-"):
        meant = suggestion(command, HYDRA_COMMANDS | PLAIN_COMMANDS)
        raise UsageError(
            f"Expected a command, got {command}.{meant} `mrcontrast --help` lists all."
        )
    first_level().parse_args([command])
    return 0


def first_level() -> argparse.ArgumentParser:
    """Return the parser of the command's name."""
    commands = HYDRA_COMMANDS | PLAIN_COMMANDS
    lines = [f"  {name:<11} {summary}" for name, summary in commands.items()]
    parser = argparse.ArgumentParser(
        prog="mrcontrast",
        description="MRI contrast translation by latent diffusion, in 2D and 3D.",
        epilog="\n".join(["commands:", *lines, "", EXAMPLES]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="mrcontrast COMMAND [ARGUMENTS] [--trust MODULE] [--debug]",
    )
    parser.add_argument("command", nargs="?", choices=list(commands), help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"mrcontrast {__version__}")
    return parser


def run_plain(command: str, arguments: list[str]) -> int:
    """Run a command with its own command line: ``add_arguments(parser)`` and ``run(args)``."""
    module = module_of(command)
    parser = argparse.ArgumentParser(
        prog=f"mrcontrast {command}",
        description=f"{PLAIN_COMMANDS[command]}.",
        epilog="every command takes --trust MODULE and --debug: see mrcontrast --help",
    )
    parser.set_defaults(command=command)
    module.add_arguments(parser)
    return module.run(parser.parse_intermixed_args(renamed_options(command, arguments)))


def run_hydra(command: str, arguments: list[str]) -> int:
    """Run a command that takes overrides; its flags (-m, --cfg, ...) are Hydra's."""
    if "-h" in arguments or "--help" in arguments:
        sys.stdout.write(hydra_help(command))
        return 0
    arguments = renamed_keys(command, arguments)
    check_flags(command, arguments, config_dir())
    flags = {argument for argument in arguments if argument.startswith("-")}
    if flags and flags <= SWEEP_FLAGS:
        if command == "prepare":
            raise UsageError("Expected train or study with -m, got prepare. Prepare one data set.")
        from mrcontrast.sweeps.sweep import sweep

        return sweep(command, [word for word in arguments if word not in SWEEP_FLAGS])
    if flags:
        return run_hydra_main(command, arguments)
    return exit_code(getattr(module_of(command), command)(compose(command, arguments)))


def run_hydra_main(command: str, arguments: list[str]) -> int:
    """Let Hydra's own main parse its flags, such as --cfg."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from mrcontrast.config.build import register_resolvers
    from mrcontrast.config.errors import usage_error

    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors instead of printing them
    # Overrides go last: argparse takes them only in one piece.
    ordered = sorted(arguments, key=lambda argument: "=" in argument and argument[0] != "-")
    sys.argv = [f"mrcontrast {command}", *ordered]
    decorate = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=command)
    codes, run = [0], getattr(module_of(command), command)

    @wraps(run)
    def keep(config: Any) -> None:  # noqa: ANN401 - Hydra drops the returned value
        codes.append(exit_code(run(config)))

    try:
        decorate(keep)()
    except (HydraException, OmegaConfBaseException) as error:
        raise usage_error(error, command, folder=config_dir()) from error
    return max(codes)


def module_of(command: str) -> ModuleType:
    """Import the module of a command; a Hydra command is a function of it, named like it."""
    return import_module(f"mrcontrast.{MODULES.get(command, f'commands.{command}')}")


def hydra_help(command: str) -> str:
    """Return usage, the choices of each config group, and the entry's YAML with its comments."""
    folder = config_dir()
    text = (folder / f"{command}.yaml").read_text(encoding="utf-8")
    choice = "stage=autoencoder " if command == "train" else ""
    lines = [
        f"usage: mrcontrast {command} [KEY=VALUE ...] [-m] [--cfg job] [--hydra-help]",
        "                  [--trust MODULE] [--debug]",
        "",
        f"{HYDRA_COMMANDS[command]}.",
        "",
        "choices, GROUP=NAME:",
        *(f"  {group}: {', '.join(names)}" for group, names in choices(folder, text)),
        "",
        "All keys of the chosen groups with their values:",
        f"  mrcontrast {command} {choice}--cfg job",
        "",
        text,
    ]
    return "\n".join(lines)


def choices(folder: Path, text: str) -> list[tuple[str, list[str]]]:
    """Return the config groups of an entry's YAML and the groups inside them, with their files."""
    named = [path for path in sorted(folder.iterdir()) if f"- {path.name}:" in text]
    inner = [path for group in named for path in sorted(group.rglob("*")) if path.is_dir()]
    parts = [path for path in inner if path.parent.name != "experiment"]  # those are names
    groups = [path for path in sorted([*named, *parts]) if path.is_dir() and path.name != "hydra"]
    listed = [(str(path.relative_to(folder)), names_in(path)) for path in groups]
    return [(group, names) for group, names in listed if names]


def exit_code(result: Any) -> int:  # noqa: ANN401 - whatever a command returns
    """Return a command's exit code; 0 for a score or None."""
    return result if isinstance(result, int) else 0


def stopped(stop: SystemExit) -> int:
    """Return the code of an exit: usage (2), a signal, or --help (0)."""
    code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    if code in SIGNALS:
        complain(f"stopped by {SIGNALS[code]}. {GOES_ON}", code)
    return code


def complain(message: str, code: int) -> int:
    """Write one line to the standard error and return the exit code."""
    sys.stderr.write(f"mrcontrast: error: {message}\n")
    return code
