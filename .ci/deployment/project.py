"""The files of a deployment, read once, and questions about them."""

import copy
import dataclasses
import functools
import graphlib
import json
import logging
import pathlib
import re
import tomllib

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


# Where the functions' metrics are listed.
METRICS = "shared/src/metrics/metric.rs"


def as_list(value):
    return value if isinstance(value, list) else [value]


@dataclasses.dataclass
class Project:
    root: pathlib.Path
    # path → text
    files: dict

    @staticmethod
    def read(root):
        paths = [root / name for name in ("template.yaml", "samconfig.toml", "env.example.json")]
        paths += sorted((root / "events").glob("*.json"))
        paths.append(root / METRICS)
        return Project(root, {str(path.relative_to(root)): path.read_text() for path in paths})

    @property
    def text(self):
        return self.files["template.yaml"]

    @functools.cached_property
    def template(self):
        return yaml_parse(self.text)

    @property
    def samconfig(self):
        return tomllib.loads(self.files["samconfig.toml"])

    @property
    def env(self):
        return json.loads(self.files["env.example.json"])

    @functools.cached_property
    def events(self):
        return {pathlib.Path(p).stem: json.loads(text) for p, text in self.files.items() if p.startswith("events/")}

    @property
    def requests(self):
        return {name: event for name, event in self.events.items() if name != "redrive-schedule"}

    def metrics(self):
        """The metrics that the functions count: the variants of `Metric::ALL`."""
        listed = self.files[METRICS].partition("ALL: [Metric; ")[2].partition("];")[0]
        return set(re.findall(r"Metric::(\w+)", listed))

    def has(self, path):
        return (self.root / path).is_file()

    def of_type(self, kind):
        return {name: r for name, r in self.template["Resources"].items() if r["Type"] == kind}

    def properties(self, name):
        return self.template["Resources"][name]["Properties"]

    def kept(self, name):
        resource = self.template["Resources"][name]
        return [resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")]

    def function(self, name):
        """A function with what Globals gives to all, and its Metadata."""
        own = self.properties(name)
        return {**self.template["Globals"]["Function"], **own, "Metadata": self.template["Resources"][name]["Metadata"]}

    def at(self, node, *keys):
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def binary(self, name):
        return self.template["Resources"][name]["Metadata"]["BuildProperties"]["Binary"]

    def variables(self):
        """The environment, which all functions share."""
        assert not any("Environment" in self.properties(name) for name in self.of_type("AWS::Serverless::Function"))
        return self.template["Globals"]["Function"]["Environment"]["Variables"]

    def routes(self):
        routes = {}
        for name in self.of_type("AWS::Serverless::Function"):
            for event in self.properties(name)["Events"].values():
                if event["Type"] == "HttpApi" and event["Properties"]["PayloadFormatVersion"] == "2.0":
                    routes[f"{event['Properties']['Method']} {event['Properties']['Path']}"] = name
        return routes

    def statements(self, name):
        """Every IAM statement of a role or policy, also those inside Fn::If."""

        def walk(node):
            if isinstance(node, dict):
                if "Effect" in node and "Action" in node:
                    assert node["Effect"] == "Allow"
                    yield node
                for value in node.values():
                    yield from walk(value)
            elif isinstance(node, list):
                for value in node:
                    yield from walk(value)

        properties = self.properties(name)
        return list(walk([properties.get("Policies"), properties.get("PolicyDocument")]))

    def statement(self, name, action):
        """The first statement that allows the action."""
        return next(s for s in self.statements(name) if action in as_list(s["Action"]))

    def actions(self, name):
        return sorted({action for s in self.statements(name) for action in as_list(s["Action"])})

    def text_of(self, value):
        """A reference as the name of what it refers to."""
        if isinstance(value, dict):
            ((_, inner),) = value.items()
            return inner
        return value

    def dashboard(self):
        """What the dashboard shows: alarms, our own metrics, others', and widgets that lie over each other."""
        widgets = json.loads(self.properties("Dashboard")["DashboardBody"]["Fn::Sub"])["widgets"]
        alarms = [arn for w in widgets for arn in w["properties"].get("alarms", [])]
        metrics = [m for w in widgets for m in w["properties"].get("metrics", [])]
        assert all(m[2:4] == ["Stack", "${AWS::StackName}"] for m in metrics if m[0] == "CallLog")
        fields = [
            {(x, y) for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])}
            for w in widgets
        ]
        return {
            "alarms": alarms,
            "CallLog": {m[1] for m in metrics if m[0] == "CallLog"},
            "others": {f"{m[0]} {m[1]}" for m in metrics if m[0] != "CallLog"},
            "overlaps": [(a, b) for a in range(len(fields)) for b in range(a) if fields[a] & fields[b]],
        }

    def cycle(self):
        """Resources that wait for each other once SAM has written the template out, which `sam validate` does not see."""
        template = copy.deepcopy(self.template)
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                resource["Properties"]["CodeUri"] = "s3://bucket/key"
        logging.disable(logging.WARNING)
        defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
        resources = Translator({}, Parser()).translate(template, defaults)["Resources"]

        def named(node):
            if isinstance(node, dict):
                for key, value in node.items():
                    if key in ("Ref", "DependsOn"):
                        yield from as_list(value)
                    elif key == "Fn::GetAtt":
                        yield value[0] if isinstance(value, list) else value.split(".")[0]
                    elif key == "Fn::Sub":
                        text = value[0] if isinstance(value, list) else value
                        yield from (name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text))
                    yield from named(value)
            elif isinstance(node, list):
                for value in node:
                    yield from named(value)

        graph = {
            name: {other for other in named(resource) if other in resources} for name, resource in resources.items()
        }
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            return error.args[1]
        return None
