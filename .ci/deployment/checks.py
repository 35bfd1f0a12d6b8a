"""The checks. Each compares two files (or two parts of one) that are edited apart, and returns what differs.

The docstring of a check says which fault it catches.
"""

import graphlib
import json
import re
import tomllib
from collections import Counter

import yaml
from files import TEMPLATE, as_list, constant

# Calls to AWS that only the operator's program makes, with the operator's own permissions.
OPERATOR_CALLS = {"CreateTable", "DeleteItem", "DescribeTable", "Scan", "UpdateTimeToLive"}
# Variables that the code reads and a deployed function does not get: AWS sets them or they are for other places.
NOT_DEPLOYED = r"AWS_.*|SSL_CERT_FILE|CREDENTIALS_KEY_FILE.*|CRM_BASE_URL_.*|RINGCENTRAL_BASE_URL|.*_CLIENT_(ID|SECRET)"
# The variable with the prefix of the parameters that hold the OAuth clients of CRMs.
PREFIX = "CRM_SECRETS_PREFIX"
PARAMETERS = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter"
# A name after which a secret could stand.
SECRET = r".*(SECRET|KEY|TOKEN|PASSWORD).*"

CHECKS = []


def check(*mutant):
    """Registers a check with its mutant: in this file, the first text is replaced by the second."""

    def register(function):
        CHECKS.append((function, mutant))
        return function

    return register


def differences(what, found, expected):
    """Returns one problem for each element that only one of the two sets has."""
    problems = [f"{what}: {item} is not expected" for item in sorted(found - expected)]
    return problems + [f"{what}: {item} is missing" for item in sorted(expected - found)]


# --- alarms and metrics


@check(TEMPLATE, "docs/operate.md#dead-letters", "docs/operate.md#dead-letter")
def alarms_link_to_the_runbook(files):
    """An alarm goes off at night and its link leads nowhere, or a section is about an alarm that does not exist."""
    section = files.text("docs/operate.md").partition("\n## Alarms\n")[2].partition("\n## ")[0]
    headings = {h.strip().lower().replace(" ", "-") for h in re.findall(r"(?m)^### (.+)$", section)}
    links, problems = set(), []
    for name, alarm in files.resources("AWS::CloudWatch::Alarm").items():
        link = re.search(r" See docs/operate\.md#([a-z0-9-]+)$", alarm["AlarmDescription"])
        if not link:
            problems.append(f"{name}: its description does not end with `See docs/operate.md#...`")
        links |= {link[1]} if link else set()
    return problems + differences("links to sections of docs/operate.md", links, headings)


def emitted_metrics(files):
    listed = re.search(r"ALL: \[Metric; \d+\] = \[(.*?)\];", files.rust("**/*.rs"), re.DOTALL)[1]
    return set(re.findall(r"Metric::(\w+)", listed))


@check(TEMPLATE, "MetricName: Dead\n", "MetricName: DeadLetter\n")
def alarms_watch_metrics_that_the_code_emits(files):
    """A metric, its namespace or its dimension was renamed in the code: the alarm has no data and never goes off."""
    namespace = constant("NAMESPACE", files.rust("**/*.rs"))
    alarms = files.resources("AWS::CloudWatch::Alarm")
    own = {name: alarm for name, alarm in alarms.items() if "AWS/" not in alarm.get("Namespace", "AWS/")}
    problems = []
    for name, alarm in own.items():
        expected = [{"Name": "Stack", "Value": {"Ref": "AWS::StackName"}}]
        if alarm["Namespace"] != namespace or alarm["Dimensions"] != expected:
            problems.append(f"{name} is not on {namespace} with the dimension Stack")
        if alarm["MetricName"] not in emitted_metrics(files):
            problems.append(f"{name}: the code does not emit {alarm['MetricName']}")
    return problems if own else ["no alarm is on a metric of ours"]


@check(TEMPLATE, '["CallLog", "BudgetLeft"', '["CallLog", "Budget"')
def the_dashboard_shows_every_metric_that_the_code_emits(files):
    """A new metric is never seen, or a graph stays empty because its metric was renamed."""
    (dashboard,) = files.resources("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]
    namespace = constant("NAMESPACE", files.rust("**/*.rs"))
    shown = {m[1] for w in widgets for m in w["properties"].get("metrics", []) if m[0] == namespace}
    return differences("metrics of the dashboard", shown, emitted_metrics(files))


# --- environment and parameters


@check(TEMPLATE, "        CRM_SECRETS_PREFIX:", "        CRM_SECRET_PREFIX:")
def functions_get_the_variables_that_they_read(files):
    """A variable is misspelt or was renamed in the code: the function starts without the setting, or not at all. Or a
    variable for tests (CRM_BASE_URL_...), which would send credentials to another host, or a CRM's own variable
    (..._CLIENT_ID), which every other CRM would need too, is deployed."""
    literals = re.findall(r'"((?:[A-Z0-9_]|\{\w*\})+_(?:[A-Z0-9_]|\{\w*\})+)"', files.rust("**/config.rs"))
    read = {re.sub(r"\{\w*\}", "[A-Z0-9]+", name) for name in literals if not name.endswith("}_PARAMETER")}
    read = {name.removesuffix("_PARAMETER") for name in read}
    deployed = {name.removesuffix("_PARAMETER") for name in files.variables()}
    problems = [f"no code reads {n}" for n in sorted(deployed) if not any(re.fullmatch(r, n) for r in read)]
    problems += [f"{n} must not be deployed" for n in sorted(deployed) if re.fullmatch(NOT_DEPLOYED, n)]
    unset = [r for r in sorted(read) if not any(re.fullmatch(r, n) for n in deployed)]
    return problems + [f"the template does not set {r}" for r in unset if not re.fullmatch(NOT_DEPLOYED, r)]


@check("env.example.json", "TABLE_NAME", "TABLE")
def sam_local_passes_on_the_example_environment(files):
    """`sam local` drops each variable that the template does not name, without a warning. The function then starts
    without it, or refuses to start because it has no key for credentials."""
    example = json.loads(files.text("env.example.json"))
    problems = differences("functions of env.example.json", set(example), set(files.functions))
    for function, variables in example.items():
        problems += [f"{function}: {v} is not in the template" for v in set(variables) - files.variables_of_sam_local()]
        problems += [f"{function}: there is no Parameter Store for {v}" for v in variables if v.endswith("_PARAMETER")]
        if not {"CREDENTIALS_DATA_KEY", "CREDENTIALS_KEY_FILE"} & set(variables):
            problems.append(f"{function} has no key for credentials")
    return problems


@check("samconfig.toml", '"ReservedConcurrency=50"', '"Concurrency=50"')
def samconfig_overrides_parameters_that_exist(files):
    """A parameter was renamed in the template and `sam deploy` fails, or deploys with the default."""
    environments = [e for e in tomllib.loads(files.text("samconfig.toml")).values() if isinstance(e, dict)]
    commands = [command["parameters"] for environment in environments for command in environment.values()]
    given = [override for command in commands for override in as_list(command.get("parameter_overrides", []))]
    names = {override.partition("=")[0] for override in given}
    return [f"there is no parameter {name}" for name in sorted(names - set(files.template["Parameters"]))]


@check(TEMPLATE, "parameter${CredentialsDataKeyParameter}", "parameter${JwtSecretParameter}")
def functions_may_read_each_secret_that_they_get_by_name(files):
    """A secret's name is in the environment, but no statement allows reading it: the functions refuse to start."""
    allowed = json.dumps([s["Resource"] for s in files.statements() if "ssm:GetParameters" in as_list(s["Action"])])
    named = {value["Ref"] for name, value in files.variables().items() if name.endswith("_PARAMETER")}
    readable = {name for name in files.template["Parameters"] if f"${{{name}}}" in allowed}
    return differences("parameters with a secret that may be read", readable, named)


@check(TEMPLATE, "ManagedPolicyArns: [!Ref DeliveryPolicy, !Ref SecretsPolicy]\n", "ManagedPolicyArns: [!Ref DeliveryPolicy, !Ref CallersPolicy]\n")
def only_functions_with_a_route_may_read_the_token_secret(files):
    """A function that knows no callers may read the secret that signs their tokens: a fault in it, or an attacker in it,
    can act as every user. Or two functions share a role, so that one may do the other's work."""
    roles = {name: as_list(function["Role"]["Fn::GetAtt"])[0].partition(".")[0] for name, function in files.functions.items()}
    problems = [f"{role} is the role of several functions" for role, n in Counter(roles.values()).items() if n > 1]
    for name, function in files.functions.items():
        allowed = [s["Resource"] for s in files.statements_of(roles[name]) if "ssm:GetParameters" in as_list(s["Action"])]
        has_route = any(event["Type"] == "HttpApi" for event in function["Events"].values())
        if has_route != ("${JwtSecretParameter}" in json.dumps(allowed)):
            problems.append(f"{name} {'cannot' if has_route else 'can'} read the token secret")
    return problems


@check(TEMPLATE, "parameter/call-log/${AWS::StackName}/crm/*", "parameter/call-log/crm/*")
def functions_may_read_the_oauth_client_of_each_crm(files):
    """The prefix in the environment and the one in the permissions differ: no grant can be renewed in the cloud."""
    prefix = files.variables()[PREFIX]["Fn::Sub"]
    allowed = set(re.findall(r'"(arn:[^"]*\*[^"]*)"', json.dumps(list(files.statements()))))
    problems = differences("parameters of CRMs that may be read", allowed, {f"{PARAMETERS}{prefix}/*"})
    return problems if "/${AWS::StackName}/" in prefix else [*problems, f"{prefix} is not of this stack alone"]


# --- permissions and secrets


@check(TEMPLATE, "- dynamodb:GetItem", "- dynamodb:GetItem\n              - dynamodb:Scan")
def permissions_are_the_calls_that_the_code_makes(files):
    """The code makes a call that no role allows, and fails only in the cloud. Or a permission outlives its call."""
    store, all_code = files.rust("store/**/*.rs"), files.rust("**/*.rs")
    operations = "get|put|update|delete|batch_get|batch_write|transact_get|transact_write"
    calls = re.findall(rf"\.((?:{operations})_items?|query|scan|\w+_table|update_time_to_live)\(\)", store)
    calls = {"".join(word.title() for word in call.split("_")) for call in calls}
    if "TransactWriteItems" in calls:
        # It needs the permissions of its parts.
        parts = re.findall(r"TransactWriteItem::builder\(\)\.(update|delete|put)\(", store)
        calls = calls - {"TransactWriteItems"} | {f"{part.title()}Item" for part in parts}
    expected = {f"dynamodb:{call}" for call in calls - OPERATOR_CALLS}
    services = {"AmazonSSM": "ssm", "TrentService": "kms"}
    expected |= {f"{services[s]}:{call}" for s, call in re.findall(r'"(AmazonSSM|TrentService)\.(\w+)"', all_code)}
    granted = {a for s in files.statements() for a in as_list(s["Action"])}
    problems = differences("permissions", {a for a in granted if not a.startswith(("logs:", "xray:"))}, expected)
    indexes = {constant(name, store) for name in re.findall(r"\.index_name\(([^)]+)\)", store)}
    key, value = re.search(r'CONTEXT: \(&str, &str\) = \("([^"]*)", "([^"]*)"\)', all_code).groups()
    conditions = [s.get("Condition") for s in files.statements() if s["Action"] == "kms:Decrypt"]
    if {"StringEquals": {f"kms:EncryptionContext:{key}": value}} not in conditions:
        problems.append(f"kms:Decrypt is not limited to the encryption context {key} = {value}")
    queried = [s["Resource"] for s in files.statements() if "dynamodb:Query" in as_list(s["Action"])]
    queried = {resource.get("Fn::Sub") for resource in queried}
    return problems + differences("what may be queried", queried, {f"${{Table.Arn}}/index/{i}" for i in indexes})


@check(TEMPLATE, "Action: dynamodb:Query", "Action: dynamodb:*")
def permissions_have_no_wildcard(files):
    """A function may do more than its work, so that a fault in it, or an attacker in it, reaches everything."""
    problems = []
    for statement in files.statements():
        actions, resources = as_list(statement["Action"]), json.dumps(statement["Resource"])
        problems += [f"the action {action} is a pattern" for action in actions if "*" in action]
        # The parameters of CRMs are checked above. X-Ray has no resources to name.
        resources = resources.replace(f"{PARAMETERS}{files.variables()[PREFIX]['Fn::Sub']}/*", "")
        if "*" in resources and not all(action.startswith("xray:Put") for action in actions):
            problems.append(f"{', '.join(actions)} is allowed on {resources}")
    for name, function in files.functions.items():
        if "Policies" in function or "Fn::GetAtt" not in function.get("Role", {}):
            problems.append(f"{name} has permissions besides those of its role")
    for name, role in files.resources("AWS::IAM::Role").items():
        # The policies that AWS manages are full of wildcards.
        problems += [f"{name} has {arn}" for arn in role.get("ManagedPolicyArns", []) if "Ref" not in arn]
    return problems


@check(TEMPLATE, 'dynamodb:LeadingKeys: ["U#*", "N#*", "K#*"]', 'dynamodb:LeadingKeys: ["U#*", "T#*", "N#*", "K#*"]')
def logins_cannot_change_what_is_decided_about_a_tenant(files):
    """The function that needs no token may write the items of tenants: a fault in it, or an attacker in it, can make an
    administrator of anyone, and change what a company's notes contain."""
    prefix = constant("TENANT_PREFIX", files.rust("store/**/*.rs"))
    statements = [s for s in files.statements_of("ConnectRole") if "dynamodb:UpdateItem" in as_list(s["Action"])]
    keys = [k for s in statements for k in s.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", ["*"])]
    return [f"the role of logins may write {k}" for k in keys if k[:1] == "*" or k.startswith(prefix)] if keys else ["no keys"]


@check(TEMPLATE, 'JWT_SECRET: !If [Local, "", !Ref "AWS::NoValue"]', "JWT_SECRET: !Ref JwtSecretParameter")
def no_secret_is_in_the_configuration(files):
    """A secret stands in a function's configuration, where many can read it, instead of in Parameter Store."""
    values = {name: value for name, value in files.variables().items() if re.fullmatch(SECRET, name)}
    del values[PREFIX]
    problems = [f"{name} = {value}" for name, value in values.items() if not name.endswith("_PARAMETER")]
    return problems + [f"{n} is not a parameter's name" for n, v in values.items() if set(as_list(v)[0]) != {"Ref"}]


@check(TEMPLATE, "$context.routeKey", "$context.path")
def the_access_log_has_no_field_with_a_token_or_a_person(files):
    """Tokens come in query strings: a path, query, header or address in the access log hands them to its readers."""
    formats = [api["AccessLogSettings"]["Format"] for api in files.resources("AWS::Serverless::HttpApi").values()]
    fields = {f for text in formats for f in re.findall(r"\$context\.([\w.]+)", text)}
    harmless = r"requestId|requestTime|routeKey|status|(response|integration)(Latency|Status|Length)"
    return [f"$context.{field}" for field in sorted(fields) if not re.fullmatch(harmless, field)] if fields else formats


# --- resources, and the code that they run


@check(TEMPLATE, "[!Ref FunctionErrorsAlarm, !Ref DuplicateFoundAlarm]", "[!Ref ServerErrorsAlarm]")
def no_resources_wait_for_each_other(files):
    """A circular dependency, which appears only after SAM has expanded the template: `sam validate` and cfn-lint pass,
    and `sam deploy` fails."""
    resources = files.expanded_resources()

    def references(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("Ref", "DependsOn"):
                    yield from as_list(value)
                elif key == "Fn::GetAtt":
                    yield as_list(value)[0].partition(".")[0]
                elif key == "Fn::Sub":
                    yield from re.findall(r"\$\{(\w+)", as_list(value)[0])
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    graph = {name: set(references(resource)) & set(resources) for name, resource in resources.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" waits for ".join(reversed(error.args[1]))]
    return []


@check(TEMPLATE, "Binary: update-call-log", "Binary: update-log")
def functions_are_the_packages_of_the_workspace(files):
    """A function's package was renamed or added: `sam build` fails, or the function is never deployed."""
    builds = [r["Metadata"]["BuildProperties"] for r in files.template["Resources"].values() if "Metadata" in r]
    built = {build["Binary"] for build in builds}
    packages = {tomllib.loads(p.read_text())["package"]["name"] for p in files.root.glob("functions/*/Cargo.toml")}
    problems = differences("binaries of the template", built, packages)
    folders = {function["CodeUri"] for function in files.functions.values()}
    return problems + [f"{folder} does not exist" for folder in folders if not (files.root / folder).is_dir()]


@check("rust-toolchain.toml", 'channel = "1.95.0"', 'channel = "1.94.0"')
def versions_agree(files):
    """The supported Rust version is not tested, or the OpenAPI document has another version than the code."""
    package = tomllib.loads(files.text("Cargo.toml"))["workspace"]["package"]
    channel = tomllib.loads(files.text("rust-toolchain.toml"))["toolchain"]["channel"]
    problems = [] if channel.startswith(package["rust-version"] + ".") else [f"rust-version is not of {channel}"]
    if f"container: rust:{channel}-" not in files.text(".github/workflows/checks.yaml"):
        problems.append(f"the container of the workflow does not have Rust {channel}")
    if yaml.safe_load(files.text("docs/openapi.yaml"))["info"]["version"] != package["version"]:
        problems.append(f"docs/openapi.yaml is not of version {package['version']}")
    return problems


@check(TEMPLATE, "Method: PATCH", "Method: PUT")
def routes_are_those_of_the_openapi_document(files):
    """A route is documented and not deployed (callers get 404), or deployed and not documented. Or a page of the code is not
    deployed. Or a browser may not call a route, because its method is not among those of the API's CORS settings."""
    paths = yaml.safe_load(files.text("docs/openapi.yaml"))["paths"]
    methods = {"get", "put", "post", "delete", "options", "head", "patch"}
    documented = {(path, method) for path, item in paths.items() for method in item if method in methods}
    # Pages for people are not in the document. The code has a list of them.
    pages = {tuple(route) for route in re.findall(r'open\(\s*"(\w+)",\s*"([^"]+)"', files.rust("api/pages/*.rs"))}
    landing = re.findall(r'page: Some\("(/[^"]+)"\)', files.rust("adapters/**/*.rs")) + [constant("OWN_LANDING", files.rust("api/pages/*.rs"))]
    pages = {(path, method.lower()) for method, path in pages} | {(path, "get") for path in landing}
    documented |= pages
    (api,) = files.resources("AWS::Serverless::HttpApi").values()
    allowed = {method.lower() for method in api["CorsConfiguration"]["AllowMethods"]} - {"options"}
    problems = differences("routes of the template", files.routes(), documented)
    return problems + differences("methods that a browser may use", allowed, {method for _, method in files.routes()})


@check(TEMPLATE, "NonKeyAttributes: [", "NonKeyAttributes: [other, ")
def the_table_is_the_one_that_the_code_creates(files):
    """`call-log table create`, and so every test, makes another table than the one that is deployed."""
    code = files.rust("store/**/*.rs")
    creation = code[code.index("fn create_table") :]
    indexes, table = creation[creation.index("GlobalSecondaryIndex::builder()") :].split("create_table()", 1)
    indexes = indexes.split("GlobalSecondaryIndex::builder()")[1:]

    def pairs(pattern, text):
        return {(constant(name, code), kind) for name, kind in re.findall(pattern, text)}

    keys = r'key_schema\(\s*\w+\(\s*([\w:"]+),\s*KeyType::(\w+)'
    name = r'\(\s*([\w:"]+)\s*\)'
    created = {
        "attributes": pairs(r'attribute\(\s*([\w:"]+),\s*ScalarAttributeType::(\w)', creation),
        "keys": pairs(keys, table),
        "indexes": {constant(re.search(rf"\.index_name{name}", i)[1], code): pairs(keys, i) for i in indexes},
        "other attributes of the indexes": [
            {constant(n, code) for n in re.findall(rf"\.non_key_attributes{name}", i)} for i in indexes
        ],
        "time to live": constant(re.search(rf"\.attribute_name{name}\s*\.enabled", creation)[1], code),
    }
    (deployed,) = files.resources("AWS::DynamoDB::Table").values()
    deployed_indexes = deployed["GlobalSecondaryIndexes"]

    def schema(elements):
        return {(e["AttributeName"], e["KeyType"].title()) for e in elements}

    expected = {
        "attributes": {(a["AttributeName"], a["AttributeType"]) for a in deployed["AttributeDefinitions"]},
        "keys": schema(deployed["KeySchema"]),
        "indexes": {i["IndexName"]: schema(i["KeySchema"]) for i in deployed_indexes},
        "other attributes of the indexes": [set(i["Projection"].get("NonKeyAttributes", [])) for i in deployed_indexes],
        "time to live": deployed["TimeToLiveSpecification"]["AttributeName"],
    }
    return [f"{k}: the code has {created[k]}, the template {expected[k]}" for k in created if created[k] != expected[k]]
