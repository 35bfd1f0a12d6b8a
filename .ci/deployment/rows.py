"""What the files promise: a sentence, what they say about it, and what they must say. `p` is the project."""

import json
import re

from project import as_list
from questions import (
    FUNCTIONS,
    alarm,
    metrics_of,
    of_functions,
    overrides,
    parameters_read,
    taken,
    tokens,
    unlike_requests,
    wrong_parameters,
)

ALARMS = {
    # what counts it, over how long, and when it is too much
    "DuplicateFoundAlarm": ("CallLog DuplicateFound Sum, 1 × 60 s, >= 1, missing: notBreaching", "duplicate-found"),
    "UndeliveredAlarm": ("CallLog QueueAgeMax Maximum, 1 × 60 s, > 900, missing: notBreaching", "undelivered"),
    "DeadLettersAlarm": ("CallLog Dead Sum, 1 × 60 s, >= 1, missing: notBreaching", "dead-letters"),
    "LostRefreshAlarm": ("CallLog RefreshLost Sum, 1 × 60 s, >= 1, missing: notBreaching", "lost-refresh"),
    "UnreadableAlarm": ("CallLog Unreadable Sum, 1 × 60 s, >= 1, missing: notBreaching", "unreadable"),
    "FunctionErrorsAlarm": (
        "FILL(create, 0) + FILL(update, 0) + FILL(redrive, 0), 1 × 60 s, >= 1, missing: notBreaching",
        "errors",
    ),
    "ServerErrorsAlarm": (
        "IF(errors >= 3, 100 * errors / requests, 0), 1 × 300 s, > 1, missing: notBreaching",
        "errors",
    ),
    "LatencyAlarm": ("AWS/ApiGateway Latency p99, 3 × 300 s, > 10000, missing: notBreaching", "p99"),
    "ThrottlesAlarm": (
        "FILL(create, 0) + FILL(update, 0) + FILL(reads, 0) + FILL(writes, 0) + FILL(queries, 0), 1 × 60 s, >= 1, missing: notBreaching",
        "throttles",
    ),
    "RedriveSilentAlarm": ("AWS/Lambda Invocations Sum, 5 × 60 s, < 1, missing: breaching", "redrive-silent"),
}
ROWS = [
    # --- functions
    ("there are three functions", lambda p: sorted(p.of_type("AWS::Serverless::Function")), FUNCTIONS),
    ("each is built by cargo-lambda", lambda p: of_functions(p, "Metadata", "BuildMethod"), "rust-cargolambda"),
    (
        "each is the binary of a package in functions/",
        lambda p: [
            f
            for f in FUNCTIONS
            if not (
                p.properties(f)["CodeUri"] == f"functions/{p.binary(f)}"
                and p.has(f"functions/{p.binary(f)}/Cargo.toml")
            )
        ],
        [],
    ),
    ("they run on Amazon Linux 2023", lambda p: of_functions(p, "Runtime"), "provided.al2023"),
    ("on arm64", lambda p: of_functions(p, "Architectures"), ["arm64"]),
    ("with 256 MB", lambda p: of_functions(p, "MemorySize"), 256),
    (
        "requests end before the API gives up, the redrive after its minute",
        lambda p: of_functions(p, "Timeout"),
        {"CreateCallLogFunction": 25, "RedriveCallLogsFunction": 60, "UpdateCallLogFunction": 25},
    ),
    (
        "POST and PATCH go to one function each",
        lambda p: p.routes(),
        {"POST /callLog": "CreateCallLogFunction", "PATCH /callLog": "UpdateCallLogFunction"},
    ),
    (
        "the redrive runs every minute, and neither EventBridge nor Lambda repeats a run",
        lambda p: [
            p.properties("RedriveCallLogsFunction")["Events"]["EveryMinute"],
            p.properties("RedriveCallLogsFunction")["EventInvokeConfig"],
        ],
        [
            {
                "Type": "Schedule",
                "Properties": {
                    "Schedule": "rate(1 minute)",
                    "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
                },
            },
            {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
        ],
    ),
    (
        "one redrive at a time, as many requests as the parameter says, unless nothing is reserved",
        lambda p: {f: p.at(p.function(f), "ReservedConcurrentExecutions")["Fn::If"][:2] for f in FUNCTIONS},
        {
            "CreateCallLogFunction": ["ReservesConcurrency", {"Ref": "ReservedConcurrency"}],
            "RedriveCallLogsFunction": ["ReservesConcurrency", 1],
            "UpdateCallLogFunction": ["ReservesConcurrency", {"Ref": "ReservedConcurrency"}],
        },
    ),
    (
        "50 environments, 50 requests a second, 100 at once, if nothing else is said",
        lambda p: [
            p.template["Parameters"][n]["Default"]
            for n in ("ReservedConcurrency", "ThrottlingRateLimit", "ThrottlingBurstLimit")
        ],
        [50, 50, 100],
    ),
    (
        "each logs JSON into a group of its own",
        lambda p: sorted(
            f"{p.at(p.function(f), 'LoggingConfig', 'LogFormat')} {p.at(p.function(f), 'LoggingConfig', 'LogGroup', 'Ref')}"
            for f in FUNCTIONS
        ),
        ["JSON CreateCallLogLogs", "JSON RedriveCallLogsLogs", "JSON UpdateCallLogLogs"],
    ),
    ("metrics carry the stack's name", lambda p: p.variables()["METRICS_STACK"], {"Ref": "AWS::StackName"}),
    # --- deployment
    (
        "every change becomes a version behind the alias live",
        lambda p: [of_functions(p, "AutoPublishAlias"), of_functions(p, "AutoPublishAliasAllProperties")],
        ["live", True],
    ),
    (
        "traffic moves as the parameter says, by default one tenth for five minutes",
        lambda p: [
            of_functions(p, "DeploymentPreference", "Type"),
            p.template["Parameters"]["DeploymentPreference"]["Default"],
        ],
        [{"Ref": "DeploymentPreference"}, "Canary10Percent5Minutes"],
    ),
    (
        "a crash or a duplicate rolls it back",
        lambda p: of_functions(p, "DeploymentPreference", "Alarms"),
        [{"Ref": "FunctionErrorsAlarm"}, {"Ref": "DuplicateFoundAlarm"}],
    ),
    ("no two resources wait for each other", lambda p: p.cycle(), None),
    # --- rights
    (
        "no function has rights but of these roles",
        lambda p: {f: [p.at(p.function(f), "Role", "Fn::GetAtt"), p.at(p.function(f), "Policies")] for f in FUNCTIONS},
        {
            "CreateCallLogFunction": [["FunctionsRole", "Arn"], None],
            "RedriveCallLogsFunction": [["RedriveRole", "Arn"], None],
            "UpdateCallLogFunction": [["FunctionsRole", "Arn"], None],
        },
    ),
    (
        "no role has a policy of AWS's",
        lambda p: [r["Properties"].get("ManagedPolicyArns") for r in p.of_type("AWS::IAM::Role").values()],
        [[{"Ref": "FunctionsPolicy"}]] * 2,
    ),
    (
        "what every function may do",
        lambda p: p.actions("FunctionsPolicy"),
        [
            "dynamodb:GetItem",
            "dynamodb:UpdateItem",
            "kms:Decrypt",
            "ssm:GetParameters",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ],
    ),
    (
        "what request functions may do besides",
        lambda p: p.actions("FunctionsRole"),
        ["logs:CreateLogStream", "logs:PutLogEvents"],
    ),
    (
        "what the redrive may do besides",
        lambda p: p.actions("RedriveRole"),
        ["dynamodb:Query", "logs:CreateLogStream", "logs:PutLogEvents"],
    ),
    (
        "nothing may put, delete or scan, and no action is a pattern",
        lambda p: [
            a
            for r in ("FunctionsPolicy", "FunctionsRole", "RedriveRole")
            for a in p.actions(r)
            if "*" in a or re.search("Put[IR]|Delete|Scan|Batch", a)
        ],
        [],
    ),
    (
        "items are read and changed in the table only",
        lambda p: p.statement("FunctionsPolicy", "dynamodb:GetItem")["Resource"],
        {"Fn::GetAtt": ["Table", "Arn"]},
    ),
    (
        "the query is of the index `due` only",
        lambda p: p.statement("RedriveRole", "dynamodb:Query")["Resource"],
        {"Fn::Sub": "${Table.Arn}/index/due"},
    ),
    (
        "decrypting is with the credentials' key, and through Parameter Store with the operator's own",
        lambda p: [
            [s["Resource"], s.get("Condition")] for s in p.statements("FunctionsPolicy") if s["Action"] == "kms:Decrypt"
        ],
        [
            [
                {"Fn::GetAtt": ["CredentialsKey", "Arn"]},
                {"StringEquals": {"kms:EncryptionContext:purpose": "call-log credentials"}},
            ],
            [
                {"Ref": "SecretsKeyArn"},
                {"StringEquals": {"kms:ViaService": {"Fn::Sub": "ssm.${AWS::Region}.amazonaws.com"}}},
            ],
        ],
    ),
    (
        "exactly the named parameters are read",
        parameters_read,
        {
            "${JwtSecretParameter}": "always",
            "${CredentialsDataKeyParameter}": "always",
            "${JwtSecretPreviousParameter}": "HasPreviousSecret",
            "${CredentialsDataKeyPreviousParameter[0]}": "HasPreviousDataKey1",
            "${CredentialsDataKeyPreviousParameter[1]}": "HasPreviousDataKey2",
            "${CredentialsDataKeyPreviousParameter[2]}": "HasPreviousDataKey3",
            "${CredentialsKeyParameter}": "HasCredentialsKey",
            "${PipedriveClientSecretParameter}": "HasPipedriveSecret",
        },
    ),
    (
        "a function writes to its own log groups only",
        lambda p: [p.statement(r, "logs:PutLogEvents")["Resource"] for r in ("FunctionsRole", "RedriveRole")],
        [
            [{"Fn::GetAtt": ["CreateCallLogLogs", "Arn"]}, {"Fn::GetAtt": ["UpdateCallLogLogs", "Arn"]}],
            {"Fn::GetAtt": ["RedriveCallLogsLogs", "Arn"]},
        ],
    ),
    (
        "only X-Ray, which knows no resources, is allowed on all",
        lambda p: sorted(
            {
                a
                for r in ("FunctionsPolicy", "FunctionsRole", "RedriveRole")
                for s in p.statements(r)
                if "*" in as_list(s["Resource"])
                for a in as_list(s["Action"])
            }
        ),
        ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
    ),
    # --- secrets
    (
        "in the cloud no variable holds a secret: each comes by name",
        lambda p: {
            n: v["Fn::If"][2]
            for n, v in p.variables().items()
            if re.fullmatch(r"JWT_SECRET.*|CREDENTIALS_.*|.*_CLIENT_SECRET.*", n)
        },
        {
            "JWT_SECRET_PARAMETER": {"Ref": "JwtSecretParameter"},
            "JWT_SECRET_PREVIOUS_PARAMETER": {"Ref": "JwtSecretPreviousParameter"},
            "CREDENTIALS_DATA_KEY_PARAMETER": {"Ref": "CredentialsDataKeyParameter"},
            "CREDENTIALS_DATA_KEY_PREVIOUS_PARAMETER": {"Ref": "CredentialsDataKeyPreviousParameter"},
            "CREDENTIALS_KEY_PARAMETER": {"Ref": "CredentialsKeyParameter"},
            "PIPEDRIVE_CLIENT_SECRET_PARAMETER": {"Ref": "PipedriveClientSecretParameter"},
            "JWT_SECRET": {"Ref": "AWS::NoValue"},
            "JWT_SECRET_PREVIOUS": {"Ref": "AWS::NoValue"},
            "CREDENTIALS_KEY": {"Ref": "AWS::NoValue"},
            "PIPEDRIVE_CLIENT_SECRET": {"Ref": "AWS::NoValue"},
        },
    ),
    ("what only tests may set is not there", lambda p: "CRM_BASE_URL" in p.text, False),
    (
        "the credentials' key rotates, outlives the stack and has a name",
        lambda p: [
            p.properties("CredentialsKey")["EnableKeyRotation"],
            p.kept("CredentialsKey"),
            p.properties("CredentialsKeyAlias"),
        ],
        [
            True,
            ["Retain", "Retain"],
            {"AliasName": {"Fn::Sub": "alias/${AWS::StackName}-credentials"}, "TargetKeyId": {"Ref": "CredentialsKey"}},
        ],
    ),
    (
        "its policy leaves it to this account's IAM",
        lambda p: [s["Principal"] for s in p.properties("CredentialsKey")["KeyPolicy"]["Statement"]],
        [{"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}],
    ),
    # --- the API
    (
        "the API is throttled by the parameters",
        lambda p: [
            p.properties("Api")["DefaultRouteSettings"][k] for k in ("ThrottlingRateLimit", "ThrottlingBurstLimit")
        ],
        [{"Ref": "ThrottlingRateLimit"}, {"Ref": "ThrottlingBurstLimit"}],
    ),
    (
        "the extension may call it from any page",
        lambda p: [p.properties("Api")["CorsConfiguration"][k] for k in ("AllowOrigins", "AllowMethods")],
        [["*"], ["POST", "PATCH", "OPTIONS"]],
    ),
    (
        "with these headers",
        lambda p: p.properties("Api")["CorsConfiguration"]["AllowHeaders"],
        ["authorization", "content-type", "rc-account-id", "rc-extension-id", "developer-author-name", "x-correlation-id", "x-request-id"],
    ),
    (
        "the access log has these fields and no room for a token or a person",
        lambda p: sorted(
            v.removeprefix("$context.") for v in json.loads(p.properties("Api")["AccessLogSettings"]["Format"]).values()
        ),
        [
            "integrationLatency",
            "integrationStatus",
            "requestId",
            "requestTime",
            "responseLatency",
            "responseLength",
            "routeKey",
            "status",
        ],
    ),
    # --- the table
    ("the table outlives the stack", lambda p: p.kept("Table"), ["Retain", "Retain"]),
    (
        "it refuses to be deleted, unless the parameter says otherwise",
        lambda p: [
            p.properties("Table")["DeletionProtectionEnabled"],
            p.template["Parameters"]["DeletionProtection"]["Default"],
        ],
        [{"Ref": "DeletionProtection"}, "true"],
    ),
    ("it is paid for as it is used", lambda p: p.properties("Table")["BillingMode"], "PAY_PER_REQUEST"),
    (
        "it can be restored to any second of the last 35 days",
        lambda p: p.properties("Table")["PointInTimeRecoverySpecification"],
        {"PointInTimeRecoveryEnabled": True},
    ),
    ("it is encrypted", lambda p: p.properties("Table")["SSESpecification"], {"SSEEnabled": True}),
    (
        "items end at `ttl`",
        lambda p: p.properties("Table")["TimeToLiveSpecification"],
        {"AttributeName": "ttl", "Enabled": True},
    ),
    (
        "its keys are pk and sk",
        lambda p: p.properties("Table")["KeySchema"],
        [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    ),
    (
        "the index `due` has keys, and since when a call waits",
        lambda p: p.properties("Table")["GlobalSecondaryIndexes"],
        [
            {
                "IndexName": "due",
                "KeySchema": [{"AttributeName": "dq", "KeyType": "HASH"}, {"AttributeName": "due", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["since"]},
            }
        ],
    ),
    (
        "keys are text, due is a number",
        lambda p: {d["AttributeName"]: d["AttributeType"] for d in p.properties("Table")["AttributeDefinitions"]},
        {"pk": "S", "sk": "S", "dq": "S", "due": "N"},
    ),
    # --- logs
    (
        "logs end when the parameter says",
        lambda p: [
            n
            for n, g in p.of_type("AWS::Logs::LogGroup").items()
            if g["Properties"]["RetentionInDays"] != {"Ref": "LogRetentionDays"}
        ],
        [],
    ),
    (
        "each function and the API has a log group",
        lambda p: sorted(p.of_type("AWS::Logs::LogGroup")),
        ["AccessLogs", "CreateCallLogLogs", "RedriveCallLogsLogs", "UpdateCallLogLogs"],
    ),
    # --- alarms
    ("there are these alarms", lambda p: sorted(p.of_type("AWS::CloudWatch::Alarm")), sorted(ALARMS)),
    *[(f"{name}: when", lambda p, name=name: alarm(p, name), when) for name, (when, _) in ALARMS.items()],
    *[
        (
            f"{name}: what to do",
            lambda p, name=name: p.properties(name)["AlarmDescription"].rpartition(". ")[2],
            f"See docs/operate.md#{anchor}",
        )
        for name, (_, anchor) in ALARMS.items()
    ],
    (
        "each tells the topic, if there is one",
        lambda p: [
            n
            for n in ALARMS
            if p.properties(n)["AlarmActions"]
            != {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
        ],
        [],
    ),
    (
        "own metrics are of this stack",
        lambda p: [
            n
            for n, a in p.of_type("AWS::CloudWatch::Alarm").items()
            if a["Properties"].get("Namespace") == "CallLog"
            and a["Properties"]["Dimensions"] != [{"Name": "Stack", "Value": {"Ref": "AWS::StackName"}}]
        ],
        [],
    ),
    (
        "5xx are those of this API",
        lambda p: metrics_of(p, "ServerErrorsAlarm"),
        {"errors": "AWS/ApiGateway 5xx of Api", "requests": "AWS/ApiGateway Count of Api"},
    ),
    (
        "crashes are those behind the alias",
        lambda p: metrics_of(p, "FunctionErrorsAlarm"),
        {
            k: f"AWS/Lambda Errors of {f} ${{{f}}}:live"
            for k, f in (
                ("create", "CreateCallLogFunction"),
                ("update", "UpdateCallLogFunction"),
                ("redrive", "RedriveCallLogsFunction"),
            )
        },
    ),
    (
        "throttles are Lambda's and DynamoDB's",
        lambda p: metrics_of(p, "ThrottlesAlarm"),
        {
            "create": "AWS/Lambda Throttles of CreateCallLogFunction",
            "update": "AWS/Lambda Throttles of UpdateCallLogFunction",
            "reads": "AWS/DynamoDB ThrottledRequests of Table GetItem",
            "writes": "AWS/DynamoDB ThrottledRequests of Table UpdateItem",
            "queries": "AWS/DynamoDB ThrottledRequests of Table Query",
        },
    ),
    (
        "silence is the redrive's",
        lambda p: p.properties("RedriveSilentAlarm")["Dimensions"],
        [{"Name": "FunctionName", "Value": {"Ref": "RedriveCallLogsFunction"}}],
    ),
    # --- the dashboard
    (
        "the dashboard shows every alarm",
        lambda p: sorted(p.dashboard()["alarms"]),
        sorted(f"${{{name}.Arn}}" for name in ALARMS),
    ),
    (
        "and every metric that the functions count, and no other of theirs",
        lambda p: p.dashboard()["CallLog"] ^ p.metrics() if p.metrics() else "no metrics",
        set(),
    ),
    (
        "alarms look at metrics that the functions count",
        lambda p: (
            {
                a["Properties"]["MetricName"]
                for a in p.of_type("AWS::CloudWatch::Alarm").values()
                if a["Properties"].get("Namespace") == "CallLog"
            }
            - p.metrics()
        ),
        set(),
    ),
    (
        "and what the alarms look at besides",
        lambda p: p.dashboard()["others"],
        {
            "AWS/ApiGateway 4xx",
            "AWS/ApiGateway 5xx",
            "AWS/ApiGateway Count",
            "AWS/ApiGateway Latency",
            "AWS/DynamoDB ThrottledRequests",
            "AWS/Lambda ConcurrentExecutions",
            "AWS/Lambda Errors",
            "AWS/Lambda Invocations",
            "AWS/Lambda Throttles",
        },
    ),
    ("no two widgets lie over each other", lambda p: p.dashboard()["overlaps"], []),
    # --- parameters and outputs
    ("each parameter has a default and says what is wrong with a value", wrong_parameters, []),
    (
        "up to three previous data keys",
        lambda p: taken(p, "CredentialsDataKeyPreviousParameter", "", "/a", "/a,/b,/c", "/a,/b,/c,/d", "a", "/a, /b"),
        ["", "/a", "/a,/b,/c"],
    ),
    (
        "a secret itself is no name",
        lambda p: taken(p, "JwtSecretParameter", "/call-log/jwt-secret", "", "c2VjcmV0", "a secret"),
        ["/call-log/jwt-secret"],
    ),
    (
        "an alias is no key's ARN",
        lambda p: taken(
            p,
            "SecretsKeyArn",
            "",
            "arn:aws:kms:us-east-1:123456789012:key/1-a",
            "arn:aws:kms:us-east-1:123456789012:alias/a",
        ),
        ["", "arn:aws:kms:us-east-1:123456789012:key/1-a"],
    ),
    (
        "an e-mail address is no topic",
        lambda p: taken(p, "AlarmTopicArn", "", "arn:aws:sns:us-east-1:123456789012:call-log-alarms", "me@example.com"),
        ["", "arn:aws:sns:us-east-1:123456789012:call-log-alarms"],
    ),
    (
        "outputs are what the next step needs",
        lambda p: sorted(p.template["Outputs"]),
        [
            "ApiUrl",
            "CreateCallLogFunction",
            "CredentialsKeyAlias",
            "DashboardUrl",
            "RedriveCallLogsFunction",
            "TableName",
            "UpdateCallLogFunction",
        ],
    ),
    # --- samconfig.toml
    (
        "dev moves at once and keeps little",
        lambda p: overrides(p, "dev"),
        {
            "JwtSecretParameter": "/call-log/dev/jwt-secret",
            "CredentialsDataKeyParameter": "/call-log/dev/credentials-data-key",
            "DeploymentPreference": "AllAtOnce",
            "DeletionProtection": "false",
            "ReservedConcurrency": "0",
            "LogRetentionDays": "7",
        },
    ),
    (
        "prod moves with care and protects its table",
        lambda p: overrides(p, "prod"),
        {
            "JwtSecretParameter": "/call-log/prod/jwt-secret",
            "CredentialsDataKeyParameter": "/call-log/prod/credentials-data-key",
            "DeploymentPreference": "Canary10Percent5Minutes",
            "DeletionProtection": "true",
            "ReservedConcurrency": "50",
            "LogRetentionDays": "90",
        },
    ),
    (
        "they override what there is",
        lambda p: [o for e in ("dev", "prod") for o in overrides(p, e) if o not in p.template["Parameters"]],
        [],
    ),
    (
        "each is a stack of its own",
        lambda p: [p.samconfig[e]["global"]["parameters"]["stack_name"] for e in ("dev", "prod")],
        ["call-log-dev", "call-log-prod"],
    ),
    # --- sam local and events
    ("env.example.json is for each function", lambda p: sorted(p.env), FUNCTIONS),
    (
        "and sets only variables that `sam local` passes on, as the template has them",
        lambda p: sorted({v for values in p.env.values() for v in values} - set(p.variables())),
        [],
    ),
    (
        "and no name of a parameter, since there is no parameter store",
        lambda p: sorted({v for values in p.env.values() for v in values if v.endswith("_PARAMETER")}),
        [],
    ),
    ("events of requests are whole and of one of our routes", unlike_requests, []),
    (
        "no event has a token but the placeholder",
        lambda p: [
            n
            for n, e in p.requests.items()
            if tokens(e) not in ([["Bearer TOKEN"], ["TOKEN"]] if n != "create-no-token" else [[]])
        ],
        [],
    ),
    (
        "the redrive's event is EventBridge's of a schedule",
        lambda p: [p.events["redrive-schedule"][k] for k in ("source", "detail-type")],
        ["aws.events", "Scheduled Event"],
    ),
    (
        "and comes from the rule that SAM makes of the template",
        lambda p: bool(
            re.search(r":rule/.*RedriveCallLogsFunctionEveryMinute", p.events["redrive-schedule"]["resources"][0])
        ),
        True,
    ),
]
