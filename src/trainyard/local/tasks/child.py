"""What happens between fork and exec in the child that becomes a task's process.

Everything that takes time for one task alone (copying its code, unpacking its model, building its
environment) is done here, so that the supervisor waits for nobody.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from ...machine import namespace
from ...worker.contract import contract
from ...worker.process import session
from ..home.home import Home
from ..home.runfolder import pid_of

Body = Callable[[], int]
"""Runs in the child: either becomes another program, or returns an exit status."""

SEEN_ROOT = "/opt/ml"
WORKER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "worker")


class Child(NamedTuple):
    """A forked child. `pipe` closes when its program starts; what comes through it first is why not."""

    pid: int
    pipe: int


class Recorded(NamedTuple):
    """What the ledger of a home has of folders that a task reads: path -> hash (`sha256:…`, or "")."""

    home: Home
    hashes: Mapping[str, str]

    def check(self) -> None:
        """Raise `BadInput` for the first folder that has another content now."""
        if any(self.hashes.values()):
            from ..home import contents  # for versions of the catalogue alone

            for folder, recorded in self.hashes.items():
                contents.check(self.home, folder, recorded)


class HostStart(NamedTuple):
    """All that a host of a training run is started from. `root` stands for its `/opt/ml`; `links` is where
    `mountable` channels are made."""

    spec: contract.TrainingSpec
    attempt: int
    root: str
    scratch: str
    checkpoints: str
    links: str
    channels: Mapping[str, str]
    code: str
    interpreter: str
    variables: Mapping[str, str]
    recorded: Recorded


class WorkerStart(NamedTuple):
    """All that one of the worker's verbs (plan, shard, commit) is started from. `folder` is its own; `links`
    is where a `mountable` model is made."""

    verb: str
    spec: Mapping[str, object]
    folder: str
    links: str
    code: str
    model: str
    interpreter: str
    variables: Mapping[str, str]
    recorded: Recorded


def fork(body: Body, log: str) -> Child:
    """Start `body` in a session of its own, its output in the file `log`."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _become(body, log, writer, parent)
    os.close(writer)
    return Child(pid, reader)


def _become(body: Body, log: str, pipe: int, parent: int) -> NoReturn:
    status = 125
    try:
        session.begin()
        namespace.die_with_parent(parent)
        session.redirect(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
        os.closerange(3, pipe)
        os.closerange(pipe + 1, 65_536)
        with open(pid_of(log), "w", encoding="ascii") as stream:
            stream.write(f"{os.getpid()}\n")
        status = body()
    except BaseException as error:
        _tell(pipe, error)
    finally:
        os._exit(status)


def _tell(pipe: int, error: BaseException) -> None:
    expected = isinstance(error, (OSError, contract.ModelConflict, contract.ModelRefused)) or hasattr(
        error, "exit_status"
    )
    if not expected:
        import traceback

        os.write(2, traceback.format_exc().encode())
    bad_input = getattr(error, "exit_status", 1) == 2
    if isinstance(error, OSError):
        from ...core.files.oserrors import refusal  # for failures alone

        error = refusal(error)
    text = " ".join(str(error).split()) or type(error).__name__
    os.write(pipe, json.dumps({"reason": text, "bad_input": bad_input}).encode()[:4000])


def start_host(start: HostStart) -> int:
    """Become the training script of one host, in the container contract of SageMaker."""
    start.recorded.check()
    physical = contract.Layout(start.root, checkpoints=start.checkpoints)
    contract.prepare(start.spec, physical)
    copy_code(start.code, physical.code)
    if namespace.refusal():
        seen = _link_channels(start, physical)
    else:
        seen = contract.Layout(SEEN_ROOT)
        namespace.enter(_mounts(start, seen), hosts=start.spec.hosts, scratch=start.scratch)
    variables = {**start.variables, **contract.environment(start.spec, seen, start.attempt)}
    variables["TRAINYARD_TASK"] = start.variables["TRAINYARD_TASK"]
    os.chdir(seen.code)
    arguments = contract.arguments(start.spec.hyperparameters)
    _exec(contract.command(start.interpreter, seen.code, start.spec.entry_script, arguments), variables)


def _mounts(start: HostStart, seen: contract.Layout) -> list[namespace.Mount]:
    from ...machine.copying import mountable

    mounts = [
        namespace.Mount(start.root, SEEN_ROOT, False),
        namespace.Mount(start.checkpoints, seen.checkpoints, False),
    ]
    for name, path in start.channels.items():
        target = seen.channel(name)
        if os.path.isfile(path):
            target = os.path.join(target, os.path.basename(path))
        else:
            path = mountable(path, os.path.join(start.links, "channels", name))
        mounts.append(namespace.Mount(path, target, True))
    return mounts


def _link_channels(start: HostStart, physical: contract.Layout) -> contract.Layout:
    """Stand-ins for the mounts where namespaces are refused: symbolic links to the sources."""
    folders = {}
    for name, path in start.channels.items():
        if os.path.isfile(path):
            place = os.path.join(physical.channel(name), os.path.basename(path))
            if not os.path.lexists(place):
                os.symlink(path, place)
        else:
            folders[name] = path
    contract.link(contract.Layout(start.root, checkpoints=start.checkpoints, channels=folders))
    return contract.Layout(start.root)


def start_worker(start: WorkerStart) -> int:
    """Become one of the worker's verbs, in the script's own interpreter."""
    start.recorded.check()
    code = os.path.join(start.folder, "code")
    copy_code(start.code, code)
    spec = {**start.spec, "code": code}
    if start.model:
        spec["model_dir"] = _show_model(start)
    path = os.path.join(start.folder, "task.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(spec, stream)
    os.chdir(code)
    variables = {**start.variables, "SM_MODEL_DIR": str(spec.get("model_dir", ""))}
    _exec([start.interpreter, WORKER, start.verb, path], variables)


def _show_model(start: WorkerStart) -> str:
    """The model's folder as the handler sees it: read-only at /opt/ml/model where that can be had."""
    if namespace.refusal():
        return start.model
    from ...machine.copying import mountable

    root = os.path.join(start.folder, "ml")
    place = os.path.join(SEEN_ROOT, "model")
    os.makedirs(os.path.join(root, "model"), exist_ok=True)
    model = mountable(start.model, os.path.join(start.links, "model"))
    mounts = [namespace.Mount(root, SEEN_ROOT, False), namespace.Mount(model, place, True)]
    namespace.enter(mounts, scratch=start.folder)
    return place


def publish(folders: list[str], merged: str, result: str) -> int:
    """Merge the hosts' model folders and write the hash and size of what came of it to `result`.

    May be repeated after a crash: what was merged, wholly or in part, stays so.
    """
    from ...core.files.trees import hash_tree

    if not (os.path.isdir(merged) and os.listdir(merged)):
        for folder in folders:
            contract.open_up(folder)
        _merge(folders, merged)
    if not os.path.isdir(merged) and os.path.exists(result):
        # It is in the catalogue's folder already.
        return 0
    facts: dict[str, object] = {"files": 0}
    if os.path.isdir(merged):
        content = hash_tree(merged)
        facts = {"files": content.files, "bytes": content.bytes, "hash": f"sha256:{content.hash}"}
    with open(result + ".new", "w", encoding="utf-8") as stream:
        json.dump(facts, stream)
    os.replace(result + ".new", result)
    return 0


def _merge(folders: list[str], merged: str) -> None:
    begun, kept = merged + ".merging", merged + ".kept"
    hosts = [folder.split(os.sep)[-3] for folder in folders]
    if os.path.isdir(begun):
        os.rename(begun, kept)
    if os.path.isdir(kept):
        folders, hosts = [kept, *folders], ["an earlier merge", *hosts]
    contract.merge_models(folders, merged, hosts)


def copy_code(source: str, target: str) -> None:
    """A copy of the source `code/<hash>` of the home, fresh: what a step that was ended has left there goes.

    Raises `BadInput` where the copy is not what the hash names: nothing of it is to run.
    """
    from ...core.errors import BadInput
    from ...core.files.trees import hash_source
    from ...machine.copying import copy_tree

    if os.path.isdir(target) and os.listdir(target):
        import shutil  # 4 ms that only a step done again is worth

        shutil.rmtree(target)
    elif os.path.isdir(target):
        os.rmdir(target)
    copy_tree(source, target)
    recorded, found = os.path.basename(source), hash_source(target)
    if found != recorded:
        cure = "remove the folder and start the run anew"
        raise BadInput(
            f"the source was changed after it was kept: it hashes to {found}", where=source, cure=cure
        )


def _exec(command: list[str], variables: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    try:
        os.execve(command[0], command, dict(variables))
    except FileNotFoundError:
        raise FileNotFoundError(2, "the run's interpreter is gone", command[0]) from None
