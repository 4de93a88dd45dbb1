"""A stack as it was deployed, beside the template that it is to have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..core.environments.environment import Environment, stack_tags
from ..infra.synthesis import StackTemplate
from .changes import changes as resource_changes
from .changes import permissions
from .stacks.application import refuse_foreign
from .stacks.stacks import Stacks
from .stacks.steps import Step, next_step

_NOTHING_TO_KEEP = (Step.CREATE, Step.DELETE)


class Comparison(NamedTuple):
    """What would change in a stack; `old` is None where a deployment would keep nothing of it."""

    name: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any]
    changes: list[resource_changes.Change]
    tags: list[str]
    permissions: list[str]

    def lines(self, emphasise: Callable[[str], str] = str, clean: Callable[[str], str] = str) -> list[str]:
        """The comparison in words; what may lose data, or allows more, is as `emphasise` makes it.

        `clean` takes out of a text what a terminal would not show.
        """
        if not (self.changes or self.tags or self.permissions):
            return [f"{self.name}: no differences"]
        allowed = [clean(line) for line in self.permissions]
        parts = {
            "": resource_changes.summarise(self.changes)
            if self.old is None
            else resource_changes.describe(self.changes, emphasise=emphasise),
            "tags": [clean(line) for line in self.tags],
            "permissions": permissions.describe(allowed, emphasise=emphasise),
        }
        lines = [f"{self.name}: {'to be created' if self.old is None else 'to be updated'}"]
        for title, part in parts.items():
            heading = [f"  {title}:"] if part and title else []
            lines += [*heading, *(f"  {'  ' if title else ''}{line}" for line in part)]
        return lines


def compare(stacks: Stacks, environment: Environment, template: StackTemplate) -> Comparison:
    """The template beside the stack of its name. Raises `BadInput` for a stack that is not ours."""
    stack = stacks.find(template.name)
    refuse_foreign(stack, environment)
    # What is left of a creation that failed is deleted by a deployment, which then begins anew.
    stands = stack is not None and next_step(stack.status) not in _NOTHING_TO_KEEP
    old = stacks.template(stack) if stack is not None and stands else None
    new = template.content
    tagged = stack is not None and old is not None
    return Comparison(
        name=template.name,
        old=old,
        new=new,
        changes=resource_changes.changes(old, new),
        tags=resource_changes.tag_changes(stack.tags, stack_tags(environment), new)
        if stack and tagged
        else [],
        permissions=permissions.changes(old, new),
    )
