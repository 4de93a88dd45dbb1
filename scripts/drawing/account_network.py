"""The part of the account's picture that is a VPC: subnets, what is put into them, what stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from account_templates import Template, as_list, name, references, words
from picture import LINE, MUTED, Picture

LEFT, RIGHT = 32, 1098
VPC_RIGHT, SIDE, SIDE_2, NARROW = 700, 728, 884, 140
BAR, STEP = 32, 38
EDGE, TABLE, SUBNET, GROUP = "#4a66a0", "#c3cedd", "#cbd7e6", "#7c5622"
SUBNETS, QUEUE = "AWS::EC2::Subnet", "AWS::Batch::JobQueue"
ENDPOINT, MACHINES = "AWS::EC2::VPCEndpoint", "AWS::Batch::ComputeEnvironment"
NOTEBOOK = "AWS::SageMaker::NotebookInstance"

Spans = dict[str, tuple[float, float]]


class Network:
    """Draws from `top` downwards; `_y` is where the next part begins."""

    def __init__(self, picture: Picture, platform: Template, top: float) -> None:
        self._picture, self._platform, self._y = picture, platform, top

    def draw(self) -> float:
        """All VPCs of the template; where they end."""
        draw, template = self._picture, self._platform
        for vpc, properties in template.of("AWS::EC2::VPC").items():
            place, top = draw.reserve(), self._y
            draw.text(LEFT + 12, top + 21, f"VPC {properties['CidrBlock']}", size=13, bold=True)
            self._y = top + 32
            for tables in self._alike():
                self._tables(tables)
            draw.box(LEFT, top, VPC_RIGHT - LEFT, self._y - top, about=[vpc], stroke=EDGE, under=place)
        return self._y

    def _alike(self) -> list[list[str]]:
        """Route tables, those together that have the same routes."""
        found: dict[frozenset[tuple[str, str]], list[str]] = {}
        for table in self._platform.of("AWS::EC2::RouteTable"):
            routes = self._platform.pointing_at(table, "AWS::EC2::Route")
            ways = frozenset(
                (self._route(each)["DestinationCidrBlock"], self._target(each)) for each in routes
            )
            found.setdefault(ways, []).append(table)
        return list(found.values())

    def _tables(self, tables: Sequence[str]) -> None:
        """Route tables of the same routes as the frame around their subnets, which hold what is in them."""
        draw, template = self._picture, self._platform
        subnets = [each for table in tables for each in self._subnets_of(table)]
        routes = [each for table in tables for each in template.pointing_at(table, "AWS::EC2::Route")]
        endpoints = dict.fromkeys(each for table in tables for each in template.pointing_at(table, ENDPOINT))
        place, top, left, right = draw.reserve(), self._y, LEFT + 12, VPC_RIGHT - 12
        ways = dict.fromkeys(
            f"{self._route(each)['DestinationCidrBlock']} to {name(self._target(each))}" for each in routes
        )
        title = name(tables[0]) if len(tables) == 1 else f"{len(tables)} tables of private routes"
        draw.text(left + 10, top + 18, title, bold=True)
        draw.text(
            left + 12 + 8 * len(title), top + 18, "; ".join(ways) or "no way out", size=11, colour=MUTED
        )
        for endpoint in endpoints:
            draw.box(right - 170, top + 5, 160, 20, about=[endpoint])
            draw.text(right - 90, top + 19, f"{name(endpoint)}, a gateway", size=11, anchor="middle")
        places = [draw.reserve() for _ in subnets]
        wide = (right - left - 20 - 10 * (len(subnets) - 1)) / len(subnets)
        spans = {each: (left + 10 + (wide + 10) * index, wide) for index, each in enumerate(subnets)}
        self._y = top + 56
        nats = [self._nats(each, *span, top + 58) for each, span in spans.items()]
        self._y += BAR + 6 if any(nats) else 0
        for group, members in self._groups():
            trains = self._takes_training_jobs(group) and self._are_for_training(subnets)
            if trains or any(self._lies_in(each, subnets) for each in members):
                self._group(group, members, spans)
        for way in routes[:1]:
            self._way(way, top)
        for (subnet, (x, width)), under in zip(spans.items(), places, strict=True):
            self._subnet(subnet, (x, top + 30, width, self._y - top - 28), under)
        self._y += 12
        about = [*tables, *routes]
        draw.box(
            left,
            top,
            right - left,
            self._y - top,
            about=about,
            fill="#fbfcfe",
            stroke=TABLE,
            dash="5 3",
            under=place,
        )
        self._y += 12

    def _subnets_of(self, table: str) -> list[str]:
        associations = self._platform.of("AWS::EC2::SubnetRouteTableAssociation").values()
        mine = [each for each in associations if table in references(each["RouteTableId"])]
        return [self._platform.pick(each, SUBNETS)[0] for each in mine]

    def _route(self, route: str) -> Any:
        return self._platform.resources[route]["Properties"]

    def _target(self, route: str) -> str:
        return next(
            each
            for key, value in self._route(route).items()
            if key != "RouteTableId"
            for each in references(value)
        )

    def _way(self, route: str, top: float) -> None:
        """Where a route leads: out of the VPC to the internet gateway, or up to a NAT gateway."""
        draw, target = self._picture, self._target(route)
        if self._platform.kind(target) == "AWS::EC2::InternetGateway":
            attached = self._platform.pointing_at(target, "AWS::EC2::VPCGatewayAttachment")
            draw.card(SIDE, top + 34, NARROW, 40, [name(target)], about=[target, *attached])
            draw.arrow([(VPC_RIGHT - 12, top + 54), (SIDE, top + 54)])
        else:
            draw.arrow([(LEFT + 52, top), (LEFT + 52, top - 32)])

    def _subnet(self, subnet: str, place: tuple[float, float, float, float], under: int) -> None:
        draw, template, (x, y, width, height) = self._picture, self._platform, place
        properties = template.resources[subnet]["Properties"]
        about = [subnet, *template.pointing_at(subnet, "AWS::EC2::SubnetRouteTableAssociation")]
        draw.box(x, y, width, height, about=about, fill="#eaf0f8", stroke=SUBNET, under=under)
        draw.text(x + 10, y + 18, name(subnet), bold=True)
        zone = properties["AvailabilityZone"]["Fn::Select"][0] + 1
        told = f"zone {zone}, {properties['CidrBlock']}"
        draw.text(x + width - 10, y + 18, told, size=11, colour=MUTED, anchor="end")

    def _nats(self, subnet: str, x: float, width: float, y: float) -> bool:
        template = self._platform
        found = template.pointing_at(subnet, "AWS::EC2::NatGateway")
        for nat in found:
            addresses = template.pick(template.resources[nat]["Properties"], "AWS::EC2::EIP")
            self._bar(
                nat,
                (x + 10, y, width - 20),
                f"{name(nat)} gateway",
                f"with {', '.join(map(name, addresses))}",
                addresses,
            )
        return bool(found)

    def _groups(self) -> Iterator[tuple[str, list[str]]]:
        """Security groups with what is in them; those of endpoints last."""
        found = {
            group: [
                each
                for kind in (NOTEBOOK, MACHINES, ENDPOINT)
                for each in self._platform.pointing_at(group, kind)
            ]
            for group in self._platform.of("AWS::EC2::SecurityGroup")
        }
        yield from sorted(
            found.items(), key=lambda each: any(self._platform.kind(one) == ENDPOINT for one in each[1])
        )

    def _lies_in(self, member: str, subnets: Sequence[str]) -> bool:
        return bool({*self._platform.pick(self._platform.resources[member], SUBNETS)} & {*subnets})

    def _group(self, group: str, members: Sequence[str], spans: Spans) -> None:
        draw, template, top = self._picture, self._platform, self._y
        rules = template.pointing_at(group, "AWS::EC2::SecurityGroupIngress")
        left = min(x for x, _ in spans.values()) + 8
        right = max(x + width for x, width in spans.values()) - 8
        place = draw.reserve()
        draw.text(left + 10, top + 19, words(group, "Network"), bold=True, colour=GROUP)
        draw.text(right - 10, top + 19, self._ingress(group, rules), size=11, colour=GROUP, anchor="end")
        self._y = top + 30
        for member in members:
            mine = template.pick(template.resources[member]["Properties"], SUBNETS)
            # A notebook has one of them, by Fn::Select.
            last = spans[mine[0] if template.kind(member) == NOTEBOOK else mine[-1]]
            x = spans[mine[0]][0] + 18
            self._member(member, x, last[0] + last[1] - 18 - x)
            self._y += STEP
        if self._takes_training_jobs(group):
            draw.box(left + 10, self._y, right - left - 20, BAR, fill="none", stroke=LINE, dash="4 3")
            draw.text(
                (left + right) / 2,
                self._y + 20,
                "training jobs, while they run",
                colour=MUTED,
                anchor="middle",
            )
            self._y += STEP
        draw.box(
            left,
            top,
            right - left,
            self._y - top + 2,
            about=[group, *rules],
            fill="none",
            stroke=GROUP,
            dash="2 3",
            under=place,
        )
        self._y += 10

    def _takes_training_jobs(self, group: str) -> bool:
        """A published fact says so."""
        return group in references(self._fact("security-group-ids"))

    def _are_for_training(self, subnets: Sequence[str]) -> bool:
        return bool({*references(self._fact("subnet-ids"))} & {*subnets})

    def _fact(self, name: str) -> Any:
        facts = self._platform.facts().items()
        return next((value for key, value in facts if key.endswith(f"/{name}")), None)

    def _ingress(self, group: str, rules: Sequence[str]) -> str:
        inline = as_list(self._platform.resources[group]["Properties"].get("SecurityGroupIngress"))
        told = [f"in: {each['IpProtocol']} {each['FromPort']} from the VPC" for each in inline]
        for rule in rules:
            source = self._platform.resources[rule]["Properties"].get("SourceSecurityGroupId")
            told.append("in: all from itself" if references(source) == [group] else "in: from elsewhere")
        return "; ".join(told) or "nothing comes in"

    def _member(self, member: str, x: float, width: float) -> None:
        template, place = self._platform, (x, self._y, width)
        properties = template.resources[member]["Properties"]
        if template.kind(member) == ENDPOINT:
            service = properties["ServiceName"]["Fn::Sub"].rpartition("}.")[2]
            count = len(template.pick(properties, SUBNETS))
            self._bar(member, place, f"Endpoint of {service}", f"an interface in {count} subnets")
        elif template.kind(member) == MACHINES:
            wanted = properties["ComputeResources"]
            types = wanted["InstanceTypes"]
            if isinstance(types, dict):  # chosen by the region; the last are the most regions'
                types = types["Fn::If"][-1]
            kinds = " ".join(dict.fromkeys(each.partition(".")[0] for each in types))
            told = f"{wanted['Type']}, {wanted['MinvCpus']} to {wanted['MaxvCpus']} vCPUs, {kinds}"
            self._bar(member, place, name(member), told)
            self._queue(member, wanted)
        else:
            self._bar(member, place, "Notebook instance", properties["InstanceType"])
            for each in template.pick(properties, "AWS::SageMaker::NotebookInstanceLifecycleConfig"):
                self._picture.card(
                    SIDE, self._y - 4, RIGHT - SIDE, 40, [words(each), "a script at each start"], about=[each]
                )
                self._picture.arrow([(SIDE, self._y + 16), (x + width, self._y + 16)])

    def _bar(
        self,
        member: str,
        place: tuple[float, float, float],
        title: str,
        told: str,
        others: Sequence[str] = (),
    ) -> None:
        x, y, width = place
        self._picture.box(x, y, width, BAR, about=[member, *others])
        self._picture.text(x + 10, y + 20, title, bold=True)
        self._picture.text(x + width - 10, y + 20, told, size=11, colour=MUTED, anchor="end")

    def _queue(self, member: str, wanted: Any) -> None:
        """Beside a compute environment: the queue that it works for, and what else belongs to both."""
        draw, template, y = self._picture, self._platform, self._y
        for queue in template.pointing_at(member, QUEUE):
            order = template.of(QUEUE)[queue]["ComputeEnvironmentOrder"]
            place = [references(each)[0] for each in order].index(member)
            number = str(order[place]["Order"])
            draw.arrow([(SIDE, y + 16), (VPC_RIGHT - 40, y + 16)], label=number, at=(SIDE - 14, y + 11))
            if place == 0:
                draw.card(
                    SIDE, y - 4, NARROW, STEP * len(order) + 2, [name(queue), "jobs wait here"], about=[queue]
                )
                self._jobs(y - 4)
            if place == len(order) - 1:
                self._machines(wanted, y - 4 - STEP * place + 164)

    def _jobs(self, y: float) -> None:
        draw, template, wide = self._picture, self._platform, RIGHT - SIDE_2
        for definition, properties in template.of("AWS::Batch::JobDefinition").items():
            container = properties["ContainerProperties"]
            need = {each["Type"]: each["Value"] for each in container["ResourceRequirements"]}
            attempts = properties["RetryStrategy"]["Attempts"]
            limit = properties["Timeout"]["AttemptDurationSeconds"]
            lines = [
                name(definition),
                container["Image"].rpartition("/")[2],
                f"{need['VCPU']} vCPUs, {need['MEMORY']} MiB",
                f"{attempts} attempts of {limit} s",
                f"as {words(references(container['JobRoleArn'])[0])}",
            ]
            draw.card(SIDE_2, y, wide, 88, lines, about=[definition])
            for group in template.pick(container["LogConfiguration"], "AWS::Logs::LogGroup"):
                days = template.resources[group]["Properties"]["RetentionInDays"]
                draw.card(SIDE_2, y + 112, wide, 40, [name(group), f"kept {days} days"], about=[group])
                draw.arrow([(SIDE_2 + wide / 2, y + 88), (SIDE_2 + wide / 2, y + 112)])

    def _machines(self, wanted: Any, y: float) -> None:
        """What the machines of all compute environments are made with."""
        draw, template = self._picture, self._platform
        told: dict[str, str] = {}
        for each in template.pick(wanted, "AWS::EC2::LaunchTemplate"):
            data = template.resources[each]["Properties"]["LaunchTemplateData"]
            disk, tokens = data["BlockDeviceMappings"][0]["Ebs"], data["MetadataOptions"]["HttpTokens"]
            told[each] = f"{disk['VolumeSize']} GB {disk['VolumeType']}, HttpTokens {tokens}"
        for each in template.pick(wanted, "AWS::IAM::InstanceProfile"):
            told[each] = f"as {words(references(template.resources[each]['Properties']['Roles'])[0])}"
        for each, line in told.items():
            users = ", ".join(name(user).lower() for user in template.pointing_at(each, MACHINES))
            draw.card(SIDE, y, RIGHT - SIDE, 54, [name(each), f"of {users}", line], about=[each])
            y += 66
