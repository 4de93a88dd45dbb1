"""`trainyard`: finds the verb, runs it, and turns what goes wrong into one line and an exit status.

Only the module of the verb that runs is imported, and argparse not even for `trainyard --help`.
"""

from __future__ import annotations

import os
import sys

from ..core.errors import BadInput, TrainyardError, nearest

TYPE_CHECKING = False  # typing's own would cost more than all the rest of the help
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

INTERRUPTED = 130
"""The exit status after Ctrl-C."""

_BROKEN_PIPE = 141


class Verb:
    """A verb of the command line: the module that does it, and what the help says."""

    def __init__(
        self, module: str, usage: str, summary: str, *, starts_runs: bool = False, in_yard: bool = True
    ) -> None:
        self.module, self.usage, self.summary = module, usage, summary
        self.starts_runs, self.in_yard = starts_runs, in_yard


VERBS = {
    "init": Verb("init", "[DIR]", "write a project that runs as it stands", in_yard=False),
    "train": Verb("train", "[FILE]", "train a model", starts_runs=True),
    "infer": Verb("infer", "MODEL INPUT", "predict over a data set, in shards", starts_runs=True),
    "runs": Verb("runs", "", "list the runs, newest first"),
    "show": Verb("show", "RUN", "everything about a run"),
    "logs": Verb("logs", "RUN", "what a run's script printed"),
    "stop": Verb("stop", "RUN", "stop a run, and wait until it has stopped"),
    "resume": Verb("resume", "RUN", "go on with a run that failed or was stopped"),
    "models": Verb("models", "[NAME]", "list the models"),
    "models add": Verb("models_add", "NAME WHAT", "make what a run left, a folder or an archive a version"),
    "data": Verb("data", "[NAME]", "list the data sets"),
    "data push": Verb("push", "NAME PATH", "make a file or folder the next version of a data set"),
    "pull": Verb("pull", "WHAT [DIR]", "copy a model, a data set or what a run left to a folder"),
    "image build": Verb("image", "[DIR]", "build the image of a Dockerfile", in_yard=False),
    "image push": Verb("image", "[DIR]", "push it to an environment's repository"),
    "notebook": Verb("notebook", "", "start an environment's notebook and open it"),
    "synth": Verb("synth", "[ENV]", "write the CloudFormation templates of an environment", in_yard=False),
    "diff": Verb("diff", "[ENV]", "what a deployment would change, and who might do more", in_yard=False),
    "deploy": Verb("deploy", "[ENV]", "make an environment in your account, or update it", in_yard=False),
    "destroy": Verb("destroy", "ENV", "take an environment down, but for what holds data", in_yard=False),
    "sandbox start": Verb("sandbox", "", "emulate AWS here, with trainyard deployed in it", in_yard=False),
    "sandbox stop": Verb("sandbox", "", "end it, and all that is in it", in_yard=False),
    "sandbox status": Verb("sandbox", "", "whether it runs, and where", in_yard=False),
    "sandbox env": Verb("sandbox", "", "what a shell needs to use it with any AWS client", in_yard=False),
    "sandbox interrupt": Verb("sandbox", "RUN", "take a run's machines away, as spot does", in_yard=False),
    "sandbox set": Verb("sandbox", "", "have machines come late, or not at all", in_yard=False),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status: 0 done, 1 failed, 2 bad input, 130 interrupted.

    Without `argv` it is this process's own, which ends here.
    """
    _make_streams_patient()
    status = _guarded(list(sys.argv[1:] if argv is None else argv))
    if argv is None:
        _exit(status)
    return status


def _guarded(argv: list[str]) -> int:
    try:
        status = _run(argv)
        sys.stdout.flush()
        return status
    except TrainyardError as error:
        return _complain(str(error), error.exit_status)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _give_up_stdout()
    except OSError as error:
        return _refuse(error)


def _make_streams_patient() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # started with it closed
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        else:
            # What a script printed is shown on any terminal, whatever its encoding lacks.
            stream.reconfigure(errors="backslashreplace")


def _exit(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass
    # All is told and closed: taking the interpreter down in good order would cost a tenth of a whole run.
    os._exit(status)


def _run(argv: list[str]) -> int:
    if not argv:
        print(_help(), file=sys.stderr)
        return BadInput.exit_status
    if argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if argv[0] in ("-V", "--version"):
        from ..version import __version__

        print(f"trainyard {__version__}")
        return 0
    group = [name for name in VERBS if name.startswith(f"{argv[0]} ")] if argv[0] not in VERBS else []
    if group and argv[1:2] in ([], ["-h"], ["--help"]):
        print("\n".join(["usage:", *_lines(group)]), file=sys.stdout if argv[1:] else sys.stderr)
        return 0 if argv[1:] else BadInput.exit_status
    name, rest = _verb(argv)
    verb = VERBS[name]
    if verb.starts_runs and not _only_tells(rest):
        _warm_up(rest)
    from . import parser  # argparse comes with it, which the help above does without

    return parser.run(name, verb.module, verb.summary, rest)


def _only_tells(words: list[str]) -> bool:
    return any(word.partition("=")[0] in ("-h", "--help", "--dry-run", "--on") for word in words)


def _warm_up(words: list[str]) -> None:
    """Have what runs jobs get ready while the rest of the command is imported."""
    from ..yard.connection import warm_up

    files = [word for word in words if word.endswith(".toml")]
    warm_up(start=os.path.dirname(os.path.abspath(files[0])) if files else ".")


def _verb(argv: list[str]) -> tuple[str, list[str]]:
    both = " ".join(argv[:2])
    if both in VERBS and len(argv) > 1:
        return both, argv[2:]
    if argv[0] in VERBS:
        return argv[0], argv[1:]
    group = [verb.partition(" ")[2] for verb in VERBS if verb.startswith(f"{argv[0]} ")]
    if group:
        cure = f"{nearest(argv[1], group)} (see trainyard {argv[0]} --help)"
        raise BadInput(f"unknown verb {argv[1]!r}", where=argv[0], cure=cure)
    kind = "option" if argv[0].startswith("-") else "verb"
    known = ["--help", "--version"] if kind == "option" else [verb.partition(" ")[0] for verb in VERBS]
    cure = nearest(argv[0], known)
    raise BadInput(f"unknown {kind} {argv[0]!r}", cure=f"{cure} (see trainyard --help)")


def _lines(names: Sequence[str]) -> list[str]:
    """A line of help for each verb; the same columns whichever are asked for."""
    width = max(len(f"{name} {verb.usage}") for name, verb in VERBS.items())
    return [f"  {f'{name} {VERBS[name].usage}':{width}}  {VERBS[name].summary}" for name in names]


def _help() -> str:
    sandbox = [name for name in VERBS if name.startswith("sandbox ")]
    images = [name for name, verb in VERBS.items() if verb.module in ("image", "notebook")]
    others = (*sandbox, *images, "init")
    account = [name for name, verb in VERBS.items() if not verb.in_yard and name not in others]
    return "\n".join(
        [
            "usage: trainyard VERB [...]",
            "",
            "The same training job on this machine and on spot machines in your own AWS account.",
            "",
            *_lines([name for name in VERBS if name not in (*account, *sandbox, *images)]),
            "",
            "Images and notebooks of an environment; --on YARD names it (default: dev):",
            *_lines(images),
            "",
            "The account side; ENV is one of [environments.*] in the job file (default: dev):",
            *_lines(account),
            "",
            "AWS on this machine, thrown away when it stops:",
            *_lines(sandbox),
            "",
            "trainyard VERB --help tells a verb's options; trainyard --version, the version.",
            "Every verb of the first list but init takes --on YARD (default: local) and, but for train,",
            "--file FILE (the job file whose yard it is); all but init take --json (one object a line).",
            "RUN is a run's id, a beginning that only one id has, or latest.",
            "Exit status: 0 done, 1 the job failed, 2 bad input, 130 interrupted.",
        ]
    )


def _complain(line: str, status: int) -> int:
    from .terminal.text import clean  # a file's name may be an escape sequence

    print(f"trainyard: {clean(line)}", file=sys.stderr)
    return status


def _refuse(error: OSError) -> int:
    import errno

    from ..core.files.oserrors import is_refusal, refusal

    if error.errno is None or error.strerror is None:
        raise error
    if is_refusal(error):
        refused = refusal(error)
        return _complain(str(refused), refused.exit_status)
    if error.errno == errno.EIO and not error.filename:
        return _give_up_stdout()
    raise error


def _give_up_stdout() -> int:
    from .terminal.screen import abandon

    abandon(sys.stdout)
    return _BROKEN_PIPE
