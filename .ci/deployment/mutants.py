"""A change for each row that must break it: the sentence, the file (and the resource in it), what, and into what."""

import dataclasses

from project import METRICS
from rows import ALARMS

TEMPLATE = "template.yaml"
EVENT = "events/redrive-schedule.json"

MUTANTS = [
    # --- functions
    ("there are three functions", "RedriveCallLogsFunction", "RedriveCallLogsFunction:", "RedriveFunction:"),
    ("each is built by cargo-lambda", "UpdateCallLogFunction", "rust-cargolambda", "makefile"),
    (
        "each is the binary of a package in functions/",
        "CreateCallLogFunction",
        "CodeUri: functions/create",
        "CodeUri: f/create",
    ),
    ("they run on Amazon Linux 2023", "Globals", "provided.al2023", "provided.al2"),
    ("on arm64", "Globals", "[arm64]", "[x86_64]"),
    ("with 256 MB", "Globals", "MemorySize: 256", "MemorySize: 128"),
    ("requests end before the API gives up, the redrive after its minute", "Globals", "Timeout: 25", "Timeout: 60"),
    ("POST and PATCH go to one function each", "UpdateCallLogFunction", "Method: PATCH", "Method: PUT"),
    (
        "the redrive runs every minute, and neither EventBridge nor Lambda repeats a run",
        "RedriveCallLogsFunction",
        "MaximumRetryAttempts: 0",
        "MaximumRetryAttempts: 2",
    ),
    (
        "one redrive at a time, as many requests as the parameter says, unless nothing is reserved",
        "RedriveCallLogsFunction",
        "[ReservesConcurrency, 1,",
        "[ReservesConcurrency, 2,",
    ),
    (
        "50 environments, 50 requests a second, 100 at once, if nothing else is said",
        "ThrottlingBurstLimit",
        "Default: 100",
        "Default: 10",
    ),
    (
        "each logs JSON into a group of its own",
        "UpdateCallLogFunction",
        "!Ref UpdateCallLogLogs",
        "!Ref CreateCallLogLogs",
    ),
    ("metrics carry the stack's name", "Globals", "METRICS_STACK: !Ref AWS::StackName", "METRICS_STACK: prod"),
    # --- deployment
    (
        "every change becomes a version behind the alias live",
        "RedriveCallLogsFunction",
        "AutoPublishAliasAllProperties: true",
        "AutoPublishAliasAllProperties: false",
    ),
    (
        "traffic moves as the parameter says, by default one tenth for five minutes",
        "DeploymentPreference",
        "Default: Canary10Percent5Minutes",
        "Default: AllAtOnce",
    ),
    ("a crash or a duplicate rolls it back", "RedriveCallLogsFunction", "!Ref FunctionErrorsAlarm, ", ""),
    (
        "no two resources wait for each other",
        "CreateCallLogFunction",
        "!Ref DuplicateFoundAlarm",
        "!Ref ServerErrorsAlarm",
    ),
    # --- rights
    (
        "no function has rights but of these roles",
        "CreateCallLogFunction",
        "Role: !GetAtt FunctionsRole.Arn",
        "Role: !GetAtt FunctionsRole.Arn\n      Policies: [AdministratorAccess]",
    ),
    (
        "no role has a policy of AWS's",
        "RedriveRole",
        "[!Ref FunctionsPolicy]",
        "[!Ref FunctionsPolicy, arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess]",
    ),
    (
        "what every function may do",
        "FunctionsPolicy",
        "- dynamodb:GetItem",
        "- dynamodb:GetItem\n              - dynamodb:Query",
    ),
    (
        "what request functions may do besides",
        "FunctionsRole",
        "- logs:PutLogEvents",
        "- logs:PutLogEvents\n                  - logs:CreateLogGroup",
    ),
    (
        "what the redrive may do besides",
        "RedriveRole",
        "Action: dynamodb:Query",
        "Action: [dynamodb:Query, dynamodb:UpdateItem]",
    ),
    (
        "nothing may put, delete or scan, and no action is a pattern",
        "RedriveRole",
        "Action: dynamodb:Query",
        "Action: dynamodb:*",
    ),
    ("items are read and changed in the table only", "FunctionsPolicy", "Resource: !GetAtt Table.Arn", 'Resource: "*"'),
    ("the query is of the index `due` only", "RedriveRole", "${Table.Arn}/index/due", "${Table.Arn}/index/*"),
    (
        "decrypting is with the credentials' key, and through Parameter Store with the operator's own",
        "FunctionsPolicy",
        "Resource: !GetAtt CredentialsKey.Arn",
        'Resource: "*"',
    ),
    ("exactly the named parameters are read", "FunctionsPolicy", "parameter${JwtSecretParameter}", "parameter/*"),
    (
        "a function writes to its own log groups only",
        "RedriveRole",
        "!GetAtt RedriveCallLogsLogs.Arn",
        "!GetAtt AccessLogs.Arn",
    ),
    (
        "only X-Ray, which knows no resources, is allowed on all",
        "FunctionsPolicy",
        "Resource: !GetAtt Table.Arn",
        'Resource: "*"',
    ),
    # --- secrets
    (
        "in the cloud no variable holds a secret: each comes by name",
        "Globals",
        'JWT_SECRET: !If [Local, "", !Ref "AWS::NoValue"]',
        'JWT_SECRET: !If [Local, "", !Ref JwtSecretParameter]',
    ),
    (
        "what only tests may set is not there",
        "Globals",
        "PIPEDRIVE_CLIENT_ID:",
        'CRM_BASE_URL_PIPEDRIVE: ""\n        PIPEDRIVE_CLIENT_ID:',
    ),
    (
        "the credentials' key rotates, outlives the stack and has a name",
        "CredentialsKey",
        "EnableKeyRotation: true",
        "EnableKeyRotation: false",
    ),
    (
        "its policy leaves it to this account's IAM",
        "CredentialsKey",
        'Principal: { AWS: !Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:root" }',
        'Principal: "*"',
    ),
    # --- the API
    (
        "the API is throttled by the parameters",
        "Api",
        "ThrottlingRateLimit: !Ref ThrottlingRateLimit",
        "ThrottlingRateLimit: 1000",
    ),
    ("the extension may call it from any page", "Api", "[POST, PATCH, OPTIONS]", "[POST]"),
    ("with these headers", "Api", "authorization, ", ""),
    (
        "the access log has these fields and no room for a token or a person",
        "Api",
        "$context.routeKey",
        "$context.path",
    ),
    # --- the table
    ("the table outlives the stack", "Table", "DeletionPolicy: Retain", "DeletionPolicy: Delete"),
    (
        "it refuses to be deleted, unless the parameter says otherwise",
        "DeletionProtection",
        'Default: "true"',
        'Default: "false"',
    ),
    ("it is paid for as it is used", "Table", "PAY_PER_REQUEST", "PROVISIONED"),
    (
        "it can be restored to any second of the last 35 days",
        "Table",
        "PointInTimeRecoveryEnabled: true",
        "PointInTimeRecoveryEnabled: false",
    ),
    ("it is encrypted", "Table", "SSEEnabled: true", "SSEEnabled: false"),
    ("items end at `ttl`", "Table", "AttributeName: ttl", "AttributeName: expires"),
    (
        "its keys are pk and sk",
        "Table",
        "{ AttributeName: sk, KeyType: RANGE }",
        "{ AttributeName: due, KeyType: RANGE }",
    ),
    ("the index `due` has keys, and since when a call waits", "Table", "[since]", "[pay]"),
    (
        "keys are text, due is a number",
        "Table",
        "{ AttributeName: due, AttributeType: N }",
        "{ AttributeName: due, AttributeType: S }",
    ),
    # --- logs
    (
        "logs end when the parameter says",
        "RedriveCallLogsLogs",
        "RetentionInDays: !Ref LogRetentionDays",
        "RetentionInDays: 3653",
    ),
    ("each function and the API has a log group", "AccessLogs", "  AccessLogs:", "  OtherLogs:"),
    # --- alarms
    ("there are these alarms", "UnreadableAlarm", "  UnreadableAlarm:", "  OtherAlarm:"),
    *[(f"{name}: when", name, "Threshold: ", "Threshold: 7") for name in ALARMS],
    *[(f"{name}: what to do", name, "docs/operate.md#", "docs/operate.md#about-") for name in ALARMS],
    ("each tells the topic, if there is one", "UnreadableAlarm", "[!Ref AlarmTopicArn]", "[]"),
    ("own metrics are of this stack", "UnreadableAlarm", "Value: !Ref AWS::StackName", "Value: prod"),
    ("5xx are those of this API", "ServerErrorsAlarm", "MetricName: 5xx", "MetricName: 4xx"),
    (
        "crashes are those behind the alias",
        "FunctionErrorsAlarm",
        "CreateCallLogFunction}:live",
        "CreateCallLogFunction}",
    ),
    ("throttles are Lambda's and DynamoDB's", "ThrottlesAlarm", "Value: UpdateItem", "Value: PutItem"),
    ("silence is the redrive's", "RedriveSilentAlarm", "!Ref RedriveCallLogsFunction", "!Ref CreateCallLogFunction"),
    # --- the dashboard
    ("the dashboard shows every alarm", "Dashboard", '"${RedriveSilentAlarm.Arn}"', '"${UnreadableAlarm.Arn}"'),
    ("and every metric that the functions count, and no other of theirs", "Dashboard", '"BudgetLeft"', '"Budget"'),
    ("alarms look at metrics that the functions count", METRICS, "Metric::Dead,", "Metric::DeadLetter,"),
    ("and what the alarms look at besides", "Dashboard", '"ThrottledRequests"', '"Throttled"'),
    ("no two widgets lie over each other", "Dashboard", '"x": 8, "y": 3', '"x": 7, "y": 3'),
    # --- parameters and outputs
    (
        "each parameter has a default and says what is wrong with a value",
        "Tracing",
        "ConstraintDescription: Tracing must",
        "ConstraintDescription: It must",
    ),
    ("up to three previous data keys", "CredentialsDataKeyPreviousParameter", "{0,2}", "{0,3}"),
    ("a secret itself is no name", "JwtSecretParameter", "^/[A-Za-z0-9_./-]+$", "^[A-Za-z0-9_./-]+$"),
    ("an alias is no key's ARN", "SecretsKeyArn", ":key/", ":(key|alias)/"),
    ("an e-mail address is no topic", "AlarmTopicArn", "AllowedPattern: ^$|", "AllowedPattern: ^$|.+@.+|"),
    ("outputs are what the next step needs", "Outputs", "  ApiUrl:", "  Url:"),
    # --- samconfig.toml
    (
        "dev moves at once and keeps little",
        "samconfig.toml",
        "DeploymentPreference=AllAtOnce",
        "DeploymentPreference=Canary10Percent5Minutes",
    ),
    (
        "prod moves with care and protects its table",
        "samconfig.toml",
        "DeletionProtection=true",
        "DeletionProtection=false",
    ),
    ("they override what there is", "samconfig.toml", "ReservedConcurrency=50", "Concurrency=50"),
    ("each is a stack of its own", "samconfig.toml", 'stack_name = "call-log-dev"', 'stack_name = "call-log-prod"'),
    # --- sam local and events
    ("env.example.json is for each function", "env.example.json", "RedriveCallLogsFunction", "RedriveFunction"),
    (
        "and sets only variables that `sam local` passes on, as the template has them",
        "env.example.json",
        "TABLE_NAME",
        "TABLE",
    ),
    (
        "and no name of a parameter, since there is no parameter store",
        "env.example.json",
        '"JWT_SECRET"',
        '"JWT_SECRET_PARAMETER"',
    ),
    (
        "events of requests are whole and of one of our routes",
        "events/update-note.json",
        "PATCH /callLog",
        "PUT /callLog",
    ),
    (
        "no event has a token but the placeholder",
        "events/create-extension.json",
        "Bearer TOKEN",
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
    ),
    ("the redrive's event is EventBridge's of a schedule", EVENT, "Scheduled Event", "Event"),
    ("and comes from the rule that SAM makes of the template", EVENT, "EveryMinute", "EveryHour"),
]


def mutated(project, place, old, new):
    """The project with the first `old` of a file, or of that part of the template, replaced."""
    path = place if place in project.files else TEMPLATE
    text = project.files[path]
    start = 0
    if path == TEMPLATE:
        heads = [h for h in (f"\n{place}:\n", f"\n  {place}:\n") if h in text]
        assert heads, f"{place} is not in {path}"
        start = text.index(heads[0])
    at = text.find(old, start)
    assert at >= 0, f"{old!r} is not in {place}"
    return dataclasses.replace(project, files={**project.files, path: text[:at] + new + text[at + len(old) :]})
