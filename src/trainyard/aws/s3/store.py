"""Bytes in the buckets of an environment: named by their content, so that what is there is not sent again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence

from ...core.environments.facts import PREDICTIONS
from ...core.errors import BadInput
from ...core.files import archives, trees
from ...core.files.oserrors import in_words
from ...core.files.whole import new_folder
from ...core.ports.store import (
    CHECKPOINTS,
    MODEL,
    OUTPUT,
    Check,
    Copied,
    Part,
    Placed,
    SourceFile,
    Staged,
    unrecorded,
)
from ...core.runs.run import Run, State
from ...worker.protocol import SOURCE_FILE, STATE_FOLDER
from ...worker.s3.address import S3Address
from ..account import names
from ..account.deployment import Deployment
from ..account.session import Session
from . import objects, transfers, wheels, zipping

_ARCHIVES = {MODEL: "model.tar.gz", OUTPUT: "output.tar.gz"}
"""What SageMaker makes of a job's folders."""
_LONGEST_KEY = 1024
"""Bytes of UTF-8 (Amazon S3 user guide, "Naming Amazon S3 objects")."""


class S3Store:
    """The `Store` of an environment on AWS. Data lie in the data set bucket, code in the model bucket.

    `progress` is told how far a transfer has come. Its methods raise `AccountRefused`, `BadInput` for what
    cannot be read or written here, and `DiskFull`.
    """

    def __init__(
        self, session: Session, deployment: Deployment, progress: transfers.Progress | None = None
    ) -> None:
        self._session, self._deployment = session, deployment
        self._datasets, self._models = deployment.dataset_bucket, deployment.model_bucket
        self._progress = progress
        self._kept: dict[str, str] = {}

    def stage(self, path: str) -> Staged:
        """Send `path` to the place that its content names; an upload that broke off goes on."""
        with in_words(path):
            content = self._send(path)
        address = S3Address(self._datasets, names.dataset_prefix(content.hash)).uri
        return Staged(address, f"sha256:{content.hash}", content.bytes, content.files)

    def stage_model(self, fill: Callable[[str], Copied], address: str = "") -> tuple[Staged, Copied]:
        """Send it as an archive, as SageMaker makes them."""
        with in_words(""), tempfile.TemporaryDirectory(prefix="trainyard-model-") as folder:
            model = os.path.join(folder, MODEL)
            copied = fill(model)
            content = trees.hash_tree(model)
            if not address:
                archive = os.path.join(folder, _ARCHIVES[MODEL])
                archives.pack(model, archive)
                address = self.publish(archive).address
        return Staged(address, f"sha256:{content.hash}", content.bytes, content.files), copied

    def discard(self, staged: Staged) -> None:
        """Nothing: what was sent is found again by its content, and nothing is ever deleted."""

    def publish(self, path: str) -> Placed:
        """The address of the file, or of the folder with a `/` at its end."""
        if S3Address.is_one(path):
            return self._known(path)
        with in_words(path):
            return self._address(path, self._send(path))

    def address(self, path: str) -> Placed:
        if S3Address.is_one(path):
            return self._known(path)
        with in_words(path):
            return self._address(path, trees.hash_tree(path))

    def keep_code(self, code: str, files: Sequence[SourceFile]) -> str:
        prefix = names.source_prefix(code)
        if prefix in self._kept:
            return self._kept[prefix]
        kept = ""
        there = dict(objects.sizes(self._session, self._models, prefix))
        # The source comes last: where it is, its wheels are, unless nobody needed any at that time.
        if wheels.are_needed(files, self._deployment):
            place = prefix + names.WHEELS
            kept = wheels.send(self._session, self._models, place, files, there, self._progress)
        if prefix + SOURCE_FILE not in there:
            with in_words(""), tempfile.TemporaryDirectory(prefix="trainyard-source-") as folder:
                path = os.path.join(folder, SOURCE_FILE)
                zipping.write_source(files, code, path)
                self._upload(self._models, prefix, trees.hash_files(path), {})
        self._kept[prefix] = kept
        return kept

    def keep_worker(self) -> str:
        """The address of `worker.pyz`, which is sent where it is not there."""
        packed = zipping.worker_archive()
        key = names.worker_key(packed.sha256)
        if key not in self._kept and key not in objects.keys(self._session, self._models, key):
            new = objects.new(self._models, key, packed.content, "application/zip")
            objects.put_new(self._session, new)
        self._kept[key] = packed.sha256
        return S3Address(self._models, key).uri

    def worker_address(self) -> str:
        """The same, with nothing sent."""
        return S3Address(self._models, names.worker_key(zipping.worker_archive().sha256)).uri

    def fetch(self, address: str, target: str, *, check: Check, version: str = "") -> tuple[int, int]:
        """Fetch an object, or what lies below an address that ends in `/`; an archive of SageMaker's is
        unpacked.

        Raises `BadInput` too for an object whose name leads out of the folder.
        """
        return self._fetch(address, target, None, check, version)[:2]

    def _fetch(
        self,
        address: str,
        target: str,
        lost: list[str] | None,
        check: Check = unrecorded,
        version: str = "",
    ) -> Copied:
        """The same; `lost` takes the names of what an archive holds that cannot be unpacked."""
        bucket, key = S3Address.parse(address)
        with new_folder(target) as aside:
            os.makedirs(aside)
            if key.rpartition("/")[2] in _ARCHIVES.values():
                self._fetch_archive(bucket, key, version, aside, lost)
            else:
                self._fetch_below(bucket, key, aside)
            check(aside)
            counted = _counted(aside)
        return Copied(*counted, tuple(lost or ()))

    def left(self, run: Run) -> Mapping[str, Part | str]:
        if not run.is_training:
            address = run.output or ""
            is_there = run.state.ended and any(objects.keys(self._session, *S3Address.parse(address)))
            return {OUTPUT: self._part(address) if is_there else f"the run is {run.state}"}
        found: dict[str, Part | str] = {name: _why_none(run, name) for name in _ARCHIVES}
        for launch in range(1, run.launch + 1) if run.state.ended else ():
            job = names.launch_name(self._deployment.prefix, run.replace(launch=launch))
            folder = names.model_key(job).removesuffix(_ARCHIVES[MODEL])
            there = set(objects.keys(self._session, self._models, folder))
            for name, archive in _ARCHIVES.items():
                if folder + archive in there:
                    found[name] = self._part(S3Address(self._models, folder + archive).uri)
        prefix = names.checkpoint_prefix(run.id)
        kept = any(objects.keys(self._session, self._models, prefix))
        found[CHECKPOINTS] = (
            self._part(S3Address(self._models, prefix).uri) if kept else "nothing was written"
        )
        return found

    def _part(self, address: str) -> Part:
        is_model = address.endswith("/" + _ARCHIVES[MODEL])
        return Part(lambda target: self._fetch(address, target, []), address if is_model else "")

    def _fetch_archive(self, bucket: str, key: str, version: str, aside: str, lost: list[str] | None) -> None:
        archive = aside + ".tar.gz"
        size = objects.size(self._session, bucket, key, version)
        if size is None:
            raise BadInput("is gone", where=S3Address(bucket, key).uri)
        try:
            item = transfers.Item(key, size, archive, version)
            transfers.download(self._session, bucket, [item], progress=self._progress)
            os.rmdir(aside)
            archives.unpack(archive, aside, where=S3Address(bucket, key).uri, lost=lost)
        finally:
            if os.path.exists(archive):
                os.unlink(archive)

    def _fetch_below(self, bucket: str, prefix: str, aside: str) -> None:
        found = []
        for key, size in objects.sizes(self._session, bucket, prefix):
            name = key.removeprefix(prefix) if prefix.endswith("/") else key.rpartition("/")[2]
            if not name or (prefix.startswith(PREDICTIONS) and name.startswith(STATE_FOLDER)):
                continue
            path = _inside(aside, name.removesuffix("/"), S3Address(bucket, key).uri)
            if name.endswith("/"):
                os.makedirs(path, exist_ok=True)  # S3's consoles mark folders so
            else:
                found.append(transfers.Item(key, size, path))
        if not found:
            raise BadInput("is gone", where=S3Address(bucket, prefix).uri)
        transfers.download(self._session, bucket, found, progress=self._progress)

    def _send(self, path: str) -> trees.TreeHash:
        """Send a file or folder, but for what is there, and say what it holds."""
        files = trees.hash_files(path)
        content = trees.hash_of(files)
        prefix = names.dataset_prefix(content.hash)
        for file in files:
            _check_key(prefix + file.relative, file.path)
        if files:
            there = dict(objects.sizes(self._session, self._datasets, prefix))
            self._upload(self._datasets, prefix, files, there)
        return content

    def _upload(
        self, bucket: str, prefix: str, files: Sequence[trees.HashedFile], there: dict[str, int]
    ) -> None:
        transfers.upload(self._session, bucket, prefix, files, there=there, progress=self._progress)

    def _address(self, path: str, content: trees.TreeHash) -> Placed:
        name = os.path.basename(os.path.abspath(path)) if os.path.isfile(path) else ""
        address = S3Address(self._datasets, names.dataset_prefix(content.hash) + name).uri
        return Placed(address, content.hash)

    def _known(self, address: str) -> Placed:
        """By its address a data set is no less one than by its name."""
        bucket, key = S3Address.parse(address)
        is_dataset = bucket == self._datasets
        return Placed(address, names.dataset_hash(key) if is_dataset else "")


def _why_none(run: Run, name: str) -> str:
    if not run.state.ended:
        return f"the run is {run.state}"
    if run.state is State.SUCCEEDED:
        return "nothing was written"
    of = "it of a job that fails" if name == OUTPUT else "the model folder of a job that fails"
    return f"nothing was written, or SageMaker has not kept it, which does not promise to keep {of}"


def _check_key(key: str, path: str) -> None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        problem = "its name is no UTF-8, which S3 takes alone"
        raise BadInput(problem, where=os.fsencode(path).decode(errors="replace"), cure="rename it") from None
    if length > _LONGEST_KEY:
        raise BadInput(
            f"its path is too long for S3, by {length - _LONGEST_KEY} bytes", where=path, cure="shorten it"
        )


def _inside(folder: str, name: str, where: str) -> str:
    if "\0" in name or not all(part not in ("", os.curdir, os.pardir) for part in name.split("/")):
        raise BadInput("the object's name is no path within a folder", where=where)
    return os.path.join(folder, name)


def _counted(folder: str) -> tuple[int, int]:
    sizes = [
        os.lstat(os.path.join(where, name)).st_size for where, _, found in os.walk(folder) for name in found
    ]
    return len(sizes), sum(sizes)
