"""What template.yaml, env.example.json and events/ promise, beyond being valid."""

import base64
import json
import pathlib
import tomllib

from samtranslator.yaml_helper import yaml_parse

text = pathlib.Path("template.yaml").read_text()
template = yaml_parse(text)
resources = template["Resources"]


def of_type(kind):
    return {name: r for name, r in resources.items() if r["Type"] == kind}


def statements(node):
    """Every IAM statement, also those inside Fn::If."""
    if isinstance(node, dict):
        if "Effect" in node and "Action" in node:
            yield node
        for value in node.values():
            yield from statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from statements(value)


def as_list(value):
    return value if isinstance(value, list) else [value]


# Rights: these actions and no others; a wildcard only where AWS knows no resources.
(role,) = of_type("AWS::IAM::Role").values()
assert "ManagedPolicyArns" not in text and "Policies" in role["Properties"]
granted = {}
for statement in statements(role["Properties"]["Policies"]):
    assert statement["Effect"] == "Allow"
    for action in as_list(statement["Action"]):
        granted[action] = as_list(statement["Resource"])
assert set(granted) == {
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
    "ssm:GetParameters",
    "kms:Decrypt",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
}, granted
for action, where in granted.items():
    if not action.startswith("xray:"):
        assert "*" not in json.dumps(where), (action, where)
    if action.startswith("dynamodb:"):
        assert where == [{"Fn::GetAtt": ["Table", "Arn"]}], where

# Functions and routes.
shared = template["Globals"]["Function"]
assert shared["Runtime"] == "provided.al2023" and shared["Architectures"] == ["arm64"]
assert shared["Timeout"] < 30
routes = {}
for name, function in of_type("AWS::Serverless::Function").items():
    properties = function["Properties"]
    assert function["Metadata"]["BuildMethod"] == "rust-cargolambda"
    assert properties["CodeUri"] == "functions/" + function["Metadata"]["BuildProperties"]["Binary"]
    assert pathlib.Path(properties["CodeUri"], "Cargo.toml").is_file()
    assert "Policies" not in properties and properties["Role"] == {"Fn::GetAtt": ["FunctionsRole", "Arn"]}
    (event,) = properties["Events"].values()
    assert event["Type"] == "HttpApi" and event["Properties"]["PayloadFormatVersion"] == "2.0"
    routes[f"{event['Properties']['Method']} {event['Properties']['Path']}"] = name
assert routes == {"POST /callLog": "CreateCallLogFunction", "PATCH /callLog": "UpdateCallLogFunction"}, routes

# The access log has no room for a token: neither path, query, header nor body.
(api,) = of_type("AWS::Serverless::HttpApi").values()
log_format = json.loads(api["Properties"]["AccessLogSettings"]["Format"])
assert not [v for v in log_format.values() if any(word in v.lower() for word in ("path", "query", "header", "authorizer", "identity"))]
assert api["Properties"]["DefaultRouteSettings"]["ThrottlingRateLimit"]

# The table survives the stack; logs do not pile up.
(table,) = of_type("AWS::DynamoDB::Table").values()
assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
for name in ("DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "SSESpecification", "TimeToLiveSpecification"):
    assert table["Properties"][name], name
assert all(group["Properties"]["RetentionInDays"] for group in of_type("AWS::Logs::LogGroup").values())

# What only tests may set is not in it; what `sam local` is to pass on, is.
variables = shared["Environment"]["Variables"]
assert "CRM_BASE_URL" not in text
for function, values in json.loads(pathlib.Path("env.example.json").read_text()).items():
    assert function in routes.values() and set(values) <= set(variables), (function, values)
for environment in tomllib.loads(pathlib.Path("samconfig.toml").read_text()).values():
    overrides = environment.get("deploy", {}).get("parameters", {}).get("parameter_overrides", []) if isinstance(environment, dict) else []
    assert {o.split("=")[0] for o in overrides} <= set(template["Parameters"]), overrides

# Events: whole and alike; no token but the placeholder.
events = sorted(pathlib.Path("events").glob("*.json"))
for path in events:
    event = json.loads(path.read_text())
    body = base64.b64decode(event["body"]).decode() if event["isBase64Encoded"] else event["body"]
    if path.stem != "create-malformed":
        assert isinstance(json.loads(body), dict), path
    headers = {name.lower(): value for name, value in event["headers"].items()}
    query = (event.get("queryStringParameters") or {}).get("jwtToken")
    tokens = [t for t in (headers.get("authorization"), query) if t]
    assert tokens in ([], ["Bearer TOKEN"], ["TOKEN"]), (path, tokens)
    assert bool(tokens) == (path.stem != "create-no-token"), path
    if event.get("version") == "2.0":
        method = event["requestContext"]["http"]["method"]
        assert event["routeKey"] == event["requestContext"]["routeKey"] == f"{method} /callLog", path
        assert event["routeKey"] in routes and path.stem.startswith({"POST": "create", "PATCH": "update"}[method]), path

print(f"template.yaml, env.example.json and {len(events)} events keep their promises")
