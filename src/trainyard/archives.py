"""Model archives, `model.tar.gz`, as SageMaker packs what a training job leaves in its model folder."""

from __future__ import annotations

import os

from .errors import BadInput


def unpack(archive: str, target: str, *, where: str = "") -> None:
    """Unpack a `model.tar.gz` to the new folder `target`, whole or not at all.

    Raises `BadInput` for a file that is no such archive or that reaches outside of the folder; it names
    `where` the archive came from.
    """
    # Only models need them.
    import shutil
    import tarfile
    import zlib

    aside = f"{target}.{os.getpid()}"
    try:
        with tarfile.open(archive) as tar:
            # Since 3.11.4; it refuses absolute names, `..`, devices and links that lead outside.
            tar.extractall(aside, filter="data")
            # The checksum of what was compressed stands at its end.
            while tar.fileobj and tar.fileobj.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError) and error.errno:
            raise
        raise BadInput(f"is no model archive: {error}", where=where or archive) from None
    os.rename(aside, target)
