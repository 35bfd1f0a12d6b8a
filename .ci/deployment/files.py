"""Reads the files of the repository: template.yaml as data, Rust code as text without comments and unit tests."""

import copy
import functools
import logging
import re

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = "template.yaml"


class Files:
    def __init__(self, root, changed=()):
        self.root = root
        self.changed = dict(changed)

    def with_mutant(self, path, old, new):
        """Returns these files with the first `old` in a file replaced."""
        return Files(self.root, {**self.changed, path: self.text(path).replace(old, new, 1)})

    def text(self, path):
        return self.changed.get(path) or (self.root / path).read_text()

    def rust(self, pattern):
        """Returns the production code of the files under shared/src that match the pattern."""
        paths = sorted((self.root / "shared/src").glob(pattern))
        assert paths, f"no file matches shared/src/{pattern}"
        texts = (self.text(str(path.relative_to(self.root))).partition("#[cfg(test)]\nmod tests")[0] for path in paths)
        return "\n".join(re.sub(r"(?m)^\s*//.*$", "", text) for text in texts)

    # --- template.yaml

    @functools.cached_property
    def template(self):
        return yaml_parse(self.text(TEMPLATE))

    def resources(self, *types):
        """Returns name → properties of the resources of these types."""
        return {n: r["Properties"] for n, r in self.template["Resources"].items() if r["Type"] in types}

    @property
    def functions(self):
        return self.resources("AWS::Serverless::Function")

    def variables(self):
        """Returns the environment of the functions in the cloud: name → value, without absent variables."""
        variables = dict(self.template["Globals"]["Function"]["Environment"]["Variables"])
        for properties in self.functions.values():
            variables |= properties.get("Environment", {}).get("Variables", {})
        deployed = {name: in_cloud(value) for name, value in variables.items()}
        return {name: value for name, value in deployed.items() if value != {"Ref": "AWS::NoValue"}}

    def variables_of_sam_local(self):
        return set(self.template["Globals"]["Function"]["Environment"]["Variables"])

    def statements(self):
        """Yields every IAM statement of the functions' roles and policies."""
        for properties in self.resources("AWS::IAM::Role", "AWS::IAM::ManagedPolicy").values():
            yield from find_statements([properties.get("Policies"), properties.get("PolicyDocument")])

    def statements_of(self, role):
        """Yields every IAM statement that applies to a role."""
        role, policies = self.resources("AWS::IAM::Role")[role], self.resources("AWS::IAM::ManagedPolicy")
        attached = [policies[arn["Ref"]]["PolicyDocument"] for arn in role["ManagedPolicyArns"] if "Ref" in arn]
        yield from find_statements([role["Policies"], attached])

    def expanded_resources(self):
        """Returns the resources of the CloudFormation template that SAM makes of this one."""
        template = copy.deepcopy(self.template)
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                resource["Properties"]["CodeUri"] = "s3://bucket/key"
        logging.disable(logging.WARNING)
        defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
        return Translator({}, Parser()).translate(template, defaults)["Resources"]

    def routes(self):
        """Returns the routes of the API as (path, method in lower case)."""
        events = [e for f in self.functions.values() for e in f["Events"].values() if e["Type"] == "HttpApi"]
        return {(e["Properties"]["Path"], e["Properties"]["Method"].lower()) for e in events}


def in_cloud(value):
    """Returns the branch of an `Fn::If` that holds outside `sam local`."""
    if isinstance(value, dict) and value.get("Fn::If", [None])[0] == "Local":
        return value["Fn::If"][2]
    return value


def find_statements(node):
    """Yields the IAM statements in a document, also those inside `Fn::If`."""
    if isinstance(node, dict):
        if "Effect" in node and "Action" in node:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from find_statements(value)


def as_list(value):
    return value if isinstance(value, list) else [value]


def constant(expression, code):
    """Returns the text that a Rust expression stands for: a literal, or a constant of this code."""
    if expression.startswith('"'):
        return expression.strip('"')
    name = expression.rpartition("::")[2]
    found = re.search(rf'const {name}: &(?:\'static )?str = "([^"]*)"', code)
    assert found, f"the constant {name} was not found"
    return found[1]
