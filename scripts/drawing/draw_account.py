"""Draws the account: an environment's two templates, as `docs/account.svg` and in lean as `account-lean.svg`.

Every box, arrow and letter is read off the templates; a resource that has no place here is an error, so that
the picture can't leave anything out. `make drawing` writes it anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from account_network import EDGE, LEFT, RIGHT, Network, Spans
from account_templates import RIGHTS, Template, name, references, words
from picture import MUTED, Picture

PICTURES = {"private": "account.svg", "lean": "account-lean.svg"}
WIDTH = 1130
GRID, LAST, COLUMN, NARROWEST = 228, 966, 78, 120
DATA, PLATFORM = ("#f1f7f3", "#3f7a5a"), ("#f4f6fb", EDGE)
ROW = "#dfe4ec"
COLOURS = {"R": ("#dbe9fb", "#1d4f91"), "W": ("#fdebc8", "#7d5200"), "D": ("#fbdcd9", "#a12a1f")}
MEANINGS = {"R": "read, pull", "W": "write, push", "D": "delete"}
ROLE, POLICY, BUCKET = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::S3::Bucket"


class Drawing:
    """The picture of two templates, drawn from top to bottom; `_y` is where the next part begins."""

    def __init__(self, data: Template, platform: Template, profile: str) -> None:
        self._data, self._platform, self._profile = data, platform, profile
        facts = data.facts()
        self._held = {
            parameter: references(facts[each["Default"]])[0]
            for parameter, each in platform.content["Parameters"].items()
            if each.get("Default") in facts
        }
        self._count = len(data.resources) + len(platform.resources)
        title = f"What trainyard deploys: the stacks {data.name} and {platform.name}"
        self._picture = Picture(WIDTH, title, f"All {self._count} resources of the two templates")
        self._columns: dict[tuple[str, str], float] = {}
        self._y = 64.0

    def svg(self) -> str:
        """Raises `LookupError` for a resource that is not in the picture."""
        holders = [*self._platform.of(ROLE), *self._platform.of(POLICY)]
        self._picture.text(18, 30, "What trainyard deploys into an account", size=17, bold=True)
        told = f"All {self._count} resources of the two templates of {self._profile}, drawn from them"
        self._picture.text(18, 49, told, colour=MUTED)
        begun = self._begin(self._data, DATA[1], "stay when the stack goes")
        self._storage(self._edges(holders))
        self._end(begun, DATA)
        self._y += 34
        begun = self._begin(self._platform, PLATFORM[1], "all can be thrown away")
        self._matrix(holders)
        self._y = Network(self._picture, self._platform, self._y).draw()
        self._monitoring()
        self._facts(self._platform, RIGHT - LEFT)
        self._y += 14
        self._end(begun, PLATFORM)
        picture = self._picture.svg(self._y + 18)
        for template in (self._data, self._platform):
            for each in sorted(set(template.resources) - shown(picture)):
                raise LookupError(f"{each} ({template.kind(each)}) has no place in the drawing")
        return picture

    def _begin(self, template: Template, colour: str, what: str) -> tuple[int, float]:
        draw, begun = self._picture, (self._picture.reserve(), self._y)
        kept = [each for each in template.resources.values() if "Retain" in each.get("DeletionPolicy", "")]
        draw.text(LEFT, self._y + 23, f"Stack {template.name}", size=14, bold=True, colour=colour)
        told = f"{len(template.resources)} resources; {f'{len(kept)} ' if kept else ''}{what}"
        draw.text(RIGHT, self._y + 23, told, colour=MUTED, anchor="end")
        return begun

    def _end(self, begun: tuple[int, float], look: tuple[str, str]) -> None:
        place, top = begun
        height = self._y - top
        self._picture.box(18, top, WIDTH - 36, height, fill=look[0], stroke=look[1], radius=8, under=place)

    # What holds data, and who may do what with it: the prefixes are the columns, roles and policies the rows.

    def _edges(self, holders: Sequence[str]) -> Spans:
        """Fill `_columns`, the middle of each; a resource -> its left and right edge."""
        places = dict.fromkeys(place for each in holders for place in self._platform.rights(each))
        edges, x = {}, float(GRID)
        for parameter, held in self._held.items():
            mine = [place for place in places if place[0] == parameter]
            wide = max(COLUMN, NARROWEST / max(1, len(mine)))
            for index, place in enumerate(mine):
                self._columns[place] = x + wide * (index + 0.5)
            edges[held] = (x, x + wide * max(1, len(mine)))
            x = edges[held][1] + 10
        others = [each for each in self._data.of(BUCKET) if each not in edges]
        return {**edges, **dict.fromkeys(others, (float(LAST), float(RIGHT)))}

    def _storage(self, edges: Spans) -> None:
        draw, template = self._picture, self._data
        top, bus, height = self._y + 60, self._y + 46, 104
        for held, (left, right) in edges.items():
            properties = template.resources[held]["Properties"]
            policies = template.pointing_at(held, "AWS::S3::BucketPolicy")
            draw.box(left, top, right - left, height, about=[held, *policies], stroke=DATA[1])
            draw.text(left + 8, top + 18, name(held), bold=True)
            room = 16 if right - left < 200 else 80
            for index, line in enumerate(_wrapped(self._qualities(held), room)):
                draw.text(left + 8, top + 34 + 14 * index, line, size=11, colour=MUTED)
            for log in template.pick(properties.get("LoggingConfiguration"), BUCKET):
                x = (edges[log][0] + edges[log][1]) / 2
                draw.arrow([(right - 24, top), (right - 24, bus), (x, bus), (x, top)])
                draw.text(x - 10, bus - 5, "access logs", size=11, colour=MUTED, anchor="end")
        for (_, prefix), x in self._columns.items():
            draw.text(x, top + height - 10, prefix or "images", size=11, anchor="middle")
        self._y = top
        self._facts(template, 184, height)
        x = LEFT + 92
        draw.arrow([(x, top + height), (x, top + height + 48)])
        told = f"looked up by {self._platform.name}, as its parameters {', '.join(self._held)}"
        draw.text(x + 10, top + height + 35, told, size=11, colour=MUTED)
        self._y = top + height + 14

    def _qualities(self, held: str) -> list[str]:
        template, mine = self._data, self._data.resources[held]["Properties"]
        policies = template.pointing_at(held, "AWS::S3::BucketPolicy")
        rules = mine.get("LifecycleConfiguration", {}).get("Rules", [])
        days = [each["ExpirationInDays"] for each in rules if "ExpirationInDays" in each]
        told = {
            "versioned": mine.get("VersioningConfiguration", {}).get("Status") == "Enabled",
            "encrypted": "BucketEncryption" in mine,
            "not public": all(mine.get("PublicAccessBlockConfiguration", {"": False}).values()),
            "TLS only": any("aws:SecureTransport" in str(template.resources[each]) for each in policies),
            "immutable": mine.get("ImageTagMutability") == "IMMUTABLE",
            "scanned": mine.get("ImageScanningConfiguration", {}).get("ScanOnPush"),
            f"kept {max(days, default=0)} days": days,
        }
        return [quality for quality, true in told.items() if true]

    def _facts(self, template: Template, width: float, height: float = 0) -> None:
        """The SSM parameters, by name: where the stacks and the people's side meet."""
        found = template.of("AWS::SSM::Parameter")
        root = next(iter(found.values()))["Name"].rpartition("/")[0] + "/"
        title = [f"{len(found)} SSM parameters", f"{root}…"]
        title = title if height else [" ".join(title)]
        names = [each["Name"].removeprefix(root) for each in found.values()]
        lines = [*title, *_wrapped(names, int((width - 16) / 6.1))]
        draw = self._picture
        draw.box(LEFT, self._y, width, height or 14 * len(lines) + 16, about=found)
        for index, line in enumerate(lines):
            y = self._y + 18 + 15 * index
            draw.text(
                LEFT + 8,
                y,
                line,
                size=11 if index else 12,
                bold=not index,
                colour=MUTED if index else "#1f2933",
            )
        self._y += height or 14 * len(lines) + 16

    def _matrix(self, holders: Sequence[str]) -> None:
        draw, top, x = self._picture, self._y + 62, float(GRID)
        draw.text(LEFT, top - 11, "Who may do what with it", size=13, bold=True)
        for letter, meaning in MEANINGS.items():
            self._letter(x, top - 24, letter)
            draw.text(x + 23, top - 11, meaning, size=11, colour=MUTED)
            x += 108
        draw.text(LAST, top - 11, "with the policy", size=11, colour=MUTED)
        for index, holder in enumerate(holders):
            y = top + 34 * index
            about = [holder, *self._platform.pointing_at(holder, "AWS::IAM::RolePolicy")]
            draw.box(LEFT - 6, y, RIGHT - LEFT + 12, 32, about=about, stroke=ROW, radius=4)
            draw.text(LEFT, y + 14, words(holder), bold=True)
            draw.text(LEFT, y + 27, self._whose(holder), size=10.5, colour=MUTED)
            rights = self._platform.rights(holder)
            for place, middle in self._columns.items():
                self._letters(middle, y, rights.get(place, ""))
            attached = [words(each) for each in self._platform.attached(holder)]
            for line, each in enumerate(attached):
                draw.text(LAST, y + 26 - 6 * len(attached) + 13 * line, each, size=11)
        self._y = top + 34 * len(holders) + 10

    def _letters(self, middle: float, y: float, allowed: str) -> None:
        for slot, letter in enumerate(RIGHTS):
            x = middle - 28 + 19 * slot
            if letter in allowed:
                self._letter(x, y + 7, letter)
            else:
                self._picture.text(x + 9, y + 20, "·", colour="#b4bdc8", anchor="middle")

    def _letter(self, x: float, y: float, letter: str) -> None:
        fill, ink = COLOURS[letter]
        self._picture.box(x, y, 18, 18, fill=fill, stroke=fill, radius=3)
        self._picture.text(x + 9, y + 13, letter, size=11, colour=ink, bold=True, anchor="middle")

    def _whose(self, holder: str) -> str:
        template = self._platform
        if template.kind(holder) == POLICY:
            count = len([each for each in template.of(ROLE) if holder in template.attached(each)])
            published = any(references(value) == [holder] for value in template.facts().values())
            roles = [f"of {count} role{'s' if count > 1 else ''}"] if count else []
            return ", ".join([*roles, "for people"] if published else roles)
        statement = template.resources[holder]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
        return f"assumed by {statement['Principal']['Service']}"

    # Failures, and who is told.

    def _monitoring(self) -> None:
        draw, template, top = self._picture, self._platform, self._y + 36
        draw.text(LEFT, top - 10, "Monitoring", size=13, bold=True)
        rules, alarms = template.of("AWS::Events::Rule"), template.of("AWS::CloudWatch::Alarm")
        tall = 44 * max(len(rules), len(alarms)) - 6
        for topic in template.of("AWS::SNS::Topic"):
            mails = template.of("AWS::SNS::Subscription")
            about = [topic, *template.pointing_at(topic, "AWS::SNS::TopicPolicy"), *mails]
            lines = ["SNS topic", f"{len(mails)} subscriber{'s' if len(mails) != 1 else ''}"]
            draw.card(430, top, 112, tall, lines, about=about)
        for index, (rule, properties) in enumerate(rules.items()):
            y = top + 44 * index
            kind = properties["EventPattern"]["detail-type"][0]
            draw.card(LEFT, y, 340, 38, [f"EventBridge rule: {name(rule).lower()}", kind], about=[rule])
            draw.arrow([(LEFT + 340, y + 19), (430, y + 19)])
        for index, (alarm, properties) in enumerate(alarms.items()):
            y = top + 44 * index
            source = name(references(properties["Dimensions"])[0]).lower()
            limit = f"{properties['Threshold']} in {properties['Period']} s"
            told = f"{properties['MetricName']} of {source} ≥ {limit}"
            draw.card(600, y, 328, 38, [name(alarm), told], about=[alarm])
            draw.arrow([(600, y + 19), (542, y + 19)])
        for board, properties in template.of("AWS::CloudWatch::Dashboard").items():
            widgets = len(re.findall(r'"type": ?"metric"', str(properties["DashboardBody"])))
            draw.card(LAST, top, RIGHT - LAST, tall, [name(board), f"{widgets} widgets"], about=[board])
        self._y = top + tall + 18


def shown(picture: str) -> set[str]:
    """The logical ids of all resources that are in a picture."""
    return {each for ids in re.findall(r'data-resource="([^"]*)"', picture) for each in ids.split()}


def _wrapped(parts: Sequence[str], room: int) -> list[str]:
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > room:
            lines.append(part)
        else:
            lines[-1] = joined
    return lines


def draw(profile: str) -> str:
    """The picture of an environment that is all default but for its network."""
    from trainyard.core.environments.environment import Environment
    from trainyard.infra.synthesis import synthesise

    data, platform = (Template(each.name, each.content) for each in synthesise(Environment(network=profile)))
    what = "the default environment" if profile == "private" else f'an environment with network = "{profile}"'
    return Drawing(data, platform, what).svg()


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs"
    for profile, file in PICTURES.items():
        (folder / file).write_text(draw(profile), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
