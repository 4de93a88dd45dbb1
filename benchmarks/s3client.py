"""`python s3client.py WHO WAY URL SOURCE [TARGET]`: a folder's files to the bucket `bench`, or from it.

WHO is `ours`, trainyard's store without its ledger, or `limit`, the standard library with nothing signed,
hashed or tried again. WAY is `up`, or `down` to TARGET once `ours up` has sent the SOURCE.
"""

from __future__ import annotations

import functools
import http.client
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

BUCKET = "bench"
_THREADS = 8


def limit(way: str, url: str, source: Path, target: Path) -> None:
    """Each file by one request."""
    local = threading.local()
    prefix = "limit/" if way == "up" else _note(source).read_text().removeprefix(f"s3://{BUCKET}/")

    def ask(method: str, name: str, body: bytes | None = None) -> bytes:
        if not hasattr(local, "line"):
            local.line = http.client.HTTPConnection(urlsplit(url).netloc)
        local.line.request(method, f"/{BUCKET}/{prefix}{name}", body)
        content: bytes = local.line.getresponse().read()
        return content

    def send(name: str) -> None:
        ask("PUT", name, (source / name).read_bytes())

    def fetch(name: str) -> None:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(ask("GET", name))

    names = [str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(send if way == "up" else fetch, names))


def ours(way: str, url: str, source: Path, target: Path) -> None:
    """What `trainyard data push` and `pull` do between the command line and the ledger."""
    from trainyard.aws.account.session import Session
    from trainyard.aws.s3.store import S3Store
    from trainyard.core.files import trees

    class Where:
        dataset_bucket = model_bucket = BUCKET

    session = Session("us-east-1", endpoint=url, credentials=("bench", "bench"))
    store = S3Store(session, Where())  # type: ignore[arg-type]
    if way == "up":
        _note(source).write_text(store.stage(str(source)).address)
    else:
        address = _note(source).read_text()
        recorded = address.rstrip("/").rpartition("/")[2]
        check = functools.partial(trees.check, recorded=recorded, where=address, cure="nothing was copied")
        store.fetch(address, str(target), check=check)


def _note(source: Path) -> Path:
    return source.with_name(f"{source.name}.address")


if __name__ == "__main__":
    who, way, url, *folders = sys.argv[1:]
    do = {"ours": ours, "limit": limit}[who]
    do(way, url, Path(folders[0]), Path(folders[-1]))
