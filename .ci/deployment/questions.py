"""Questions to the files that more than one row asks, or that take more than a line."""

import base64
import json
import re

from project import as_list

FUNCTIONS = ["CreateCallLogFunction", "RedriveCallLogsFunction", "UpdateCallLogFunction"]
PARAMETER_STORE = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter"


def of_functions(p, *keys):
    """What all functions have at this place, where they agree; otherwise by function."""
    values = {name: p.at(p.function(name), *keys) for name in FUNCTIONS}
    first, *others = values.values()
    return first if all(other == first for other in others) else values


def parameters_read(p):
    names = {}
    for place in as_list(p.statement("FunctionsPolicy", "ssm:GetParameters")["Resource"]):
        condition, arn = (place["Fn::If"][0], place["Fn::If"][1]) if "Fn::If" in place else ("always", place)
        text = arn["Fn::Sub"]
        if isinstance(text, list):
            index, _ = text[1]["Name"]["Fn::Select"]
            text = text[0].replace("${Name}", f"${{CredentialsDataKeyPreviousParameter[{index}]}}")
        names[text.removeprefix(PARAMETER_STORE)] = condition
    return names


def alarm(p, name):
    a = p.properties(name)
    if "Metrics" in a:
        (what,) = [m["Expression"] for m in a["Metrics"] if "Expression" in m]
        (period,) = {m["MetricStat"]["Period"] for m in a["Metrics"] if "MetricStat" in m}
    else:
        what = f"{a['Namespace']} {a['MetricName']} {a.get('Statistic') or a['ExtendedStatistic']}"
        period = a["Period"]
    sign = {"GreaterThanOrEqualToThreshold": ">=", "GreaterThanThreshold": ">", "LessThanThreshold": "<"}[
        a["ComparisonOperator"]
    ]
    return f"{what}, {a['EvaluationPeriods']} × {period} s, {sign} {a['Threshold']}, missing: {a['TreatMissingData']}"


def metrics_of(p, name):
    """The metrics of an expression: name → namespace, metric and dimensions."""
    shown = {}
    for m in p.properties(name)["Metrics"]:
        if "MetricStat" in m:
            metric = m["MetricStat"]["Metric"]
            where = " ".join(str(p.text_of(d["Value"])) for d in metric["Dimensions"])
            shown[m["Id"]] = f"{metric['Namespace']} {metric['MetricName']} of {where}"
    return shown


def wrong_parameters(p):
    """Parameters that would take nonsense, or refuse it without saying what is wrong."""
    wrong = []
    for name, parameter in p.template["Parameters"].items():
        limited = {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)
        if not limited or name not in parameter.get("ConstraintDescription", "") or "Default" not in parameter:
            wrong.append(name)
        if "AllowedPattern" in parameter and not re.match(parameter["AllowedPattern"], parameter["Default"]):
            wrong.append(f"{name}: its default")
    return wrong


def taken(p, parameter, *values):
    """Which of the values the parameter's pattern lets through."""
    return [v for v in values if re.fullmatch(p.template["Parameters"][parameter]["AllowedPattern"], v)]


def overrides(p, environment):
    given = p.samconfig[environment]["deploy"]["parameters"]["parameter_overrides"]
    return dict(o.split("=", 1) for o in given)


def tokens(event):
    headers = {name.lower(): value for name, value in event["headers"].items()}
    query = (event.get("queryStringParameters") or {}).get("jwtToken")
    return [t for t in (headers.get("authorization"), query) if t]


def unlike_requests(p):
    """Events of requests that are not as API Gateway or a load balancer would send them."""
    wrong = []
    for name, event in p.requests.items():
        body = base64.b64decode(event["body"]).decode() if event["isBase64Encoded"] else event["body"]
        try:
            whole = isinstance(json.loads(body), dict)
        except ValueError:
            whole = False
        if whole == (name == "create-malformed"):
            wrong.append(f"{name}: its body")
        if event.get("version") == "2.0":
            route = f"{event['requestContext']['http']['method']} /callLog"
            if not event["routeKey"] == event["requestContext"]["routeKey"] == route or route not in p.routes():
                wrong.append(f"{name}: its route")
            elif not name.startswith({"POST": "create", "PATCH": "update"}[route.split()[0]]):
                wrong.append(f"{name}: its name")
    return wrong
