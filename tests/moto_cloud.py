"""moto's server, with what a deployment of Pixmill needs and moto 5.2.1 lacks.

`python moto_cloud.py LOG` serves on a free port of loopback and says where on standard error, like `moto_server`; what
goes wrong in it from then on is in the file LOG. It ends when its standard input does, and so with whoever started it.

What is mended here is what moto itself has to answer. What AWS does between the services (poll a queue, run the
function, count log lines, watch alarms) is not: the driver does that, in Rust, from outside, and says so. Three addresses
of our own serve it, beside AWS's: `/harness/code/FUNCTION/VERSION` gives the zip that was deployed, `/harness/events`
hands out, once, the events that S3 sent to Lambda, and `/harness/told/ALARM/TOPIC` notes that an alarm told a topic.

Each mend says in its first line what moto does instead.
"""

import json
import os
import re
import sys
import threading
import urllib.parse
from datetime import datetime, timezone

from moto.awslambda import models as lambdas
from moto.awslambda import responses as lambda_responses
from moto.cloudtrail import models as trails
from moto.cloudwatch import models as alarms
from moto.cloudwatch import responses as cloudwatch
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.responses import ActionResult, EmptyResult
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.logs import responses as logs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3 import models as s3
from moto.s3 import notifications
from moto.sqs import models as sqs
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT = "123456789012"

# ---- CloudWatch: composite alarms ---------------------------------------------------------------

COMPOSITE = (
    "AlarmName",
    "AlarmDescription",
    "AlarmRule",
    "ActionsEnabled",
    "AlarmActions",
    "OKActions",
    "InsufficientDataActions",
    "ActionsSuppressor",
    "ActionsSuppressorWaitPeriod",
    "ActionsSuppressorExtensionPeriod",
)


def put_composite_alarm(self):
    """moto: the action is not implemented."""
    asked = self._get_params()
    name = asked["AlarmName"]
    alarm = {field: asked[field] for field in COMPOSITE if asked.get(field) is not None}
    alarm.setdefault("ActionsEnabled", True)
    now = datetime.now(timezone.utc)
    backend = self.cloudwatch_backend
    arn = alarms.make_arn_for_alarm(backend.region_name, backend.account_id, name)
    alarm.update(
        AlarmArn=arn,
        AlarmConfigurationUpdatedTimestamp=now,
        StateValue="OK",
        StateReason=f"{arn} was created and its alarm rule evaluates to OK",
        StateUpdatedTimestamp=now,
        StateTransitionedTimestamp=now,
    )
    composites(backend)[name] = alarm
    if asked.get("Tags"):
        backend.tagger.tag_resource(arn, asked["Tags"])
    return EmptyResult()


def composites(backend):
    """Beside moto's own alarms, in which a composite has fields that it can't have."""
    return backend.__dict__.setdefault("composite_alarms", {})


stock_describe_alarms = cloudwatch.CloudWatchResponse.describe_alarms


def describe_alarms(self):
    """moto: composites are left out, and so is the choice of kinds."""
    answer = stock_describe_alarms(self)
    kinds = self._get_param("AlarmTypes", []) or ["MetricAlarm"]
    names, prefix = self._get_param("AlarmNames", []), self._get_param("AlarmNamePrefix")
    state = self._get_param("StateValue")
    found = [
        alarm
        for name, alarm in composites(self.cloudwatch_backend).items()
        if (not names or name in names)
        and (not prefix or name.startswith(prefix))
        and (not state or alarm["StateValue"] == state)
    ]
    answer.result["CompositeAlarms"] = found if "CompositeAlarm" in kinds else []
    if "MetricAlarm" not in kinds:
        answer.result["MetricAlarms"] = []
    elif state:
        answer.result["MetricAlarms"] = [alarm for alarm in answer.result["MetricAlarms"] if alarm.state_value == state]
    return answer


stock_delete_alarms = alarms.CloudWatchBackend.delete_alarms


def delete_alarms(self, alarm_names):
    """moto: knows its own alarms only."""
    stock_delete_alarms(self, alarm_names)
    for name in alarm_names:
        composites(self).pop(name, None)


stock_set_alarm_state = alarms.CloudWatchBackend.set_alarm_state


def set_alarm_state(self, alarm_name, reason, reason_data, state_value):
    """moto: knows its own alarms only, and keeps no history that one could ask for."""
    alarm = composites(self).get(alarm_name)
    old = alarm["StateValue"] if alarm else self.alarms[alarm_name].state_value if alarm_name in self.alarms else None
    remember(self, alarm_name, "StateUpdate", f"Alarm updated from {old} to {state_value}")
    if alarm is None:
        stock_set_alarm_state(self, alarm_name, reason, reason_data, state_value)
    else:
        now = datetime.now(timezone.utc)
        alarm.update(StateValue=state_value, StateReason=reason, StateUpdatedTimestamp=now)


def remember(backend, alarm, kind, summary):
    item = {
        "AlarmName": alarm,
        "AlarmType": "CompositeAlarm" if alarm in composites(backend) else "MetricAlarm",
        "Timestamp": datetime.now(timezone.utc),
        "HistoryItemType": kind,
        "HistorySummary": summary,
    }
    backend.__dict__.setdefault("history", []).append(item)


def describe_alarm_history(self):
    """moto: the action is not implemented."""
    name, kind = self._get_param("AlarmName"), self._get_param("HistoryItemType")
    found = [
        item
        for item in reversed(self.cloudwatch_backend.__dict__.get("history", []))
        if (not name or item["AlarmName"] == name) and (not kind or item["HistoryItemType"] == kind)
    ]
    return ActionResult({"AlarmHistoryItems": found})


# ---- CloudWatch Logs: saved queries, and who writes where ----------------------------------------


def saved_queries(self):
    return self.logs_backend.__dict__.setdefault("query_definitions", {})


def put_query_definition(self):
    """moto: the action is not implemented."""
    name, query = self._get_param("name"), self._get_param("queryString")
    identity = self._get_param("queryDefinitionId") or f"{len(saved_queries(self)):08x}-0000-4000-8000-000000000000"
    while not self._get_param("queryDefinitionId") and identity in saved_queries(self):
        identity = f"{int(identity[:8], 16) + 1:08x}{identity[8:]}"
    saved_queries(self)[identity] = {
        "queryDefinitionId": identity,
        "name": name,
        "queryString": query,
        "logGroupNames": self._get_param("logGroupNames") or [],
    }
    return json.dumps({"queryDefinitionId": identity})


def describe_query_definitions(self):
    """moto: the action is not implemented."""
    prefix = self._get_param("queryDefinitionNamePrefix") or ""
    found = [query for query in saved_queries(self).values() if query["name"].startswith(prefix)]
    return json.dumps({"queryDefinitions": found})


def delete_query_definition(self):
    """moto: the action is not implemented."""
    gone = saved_queries(self).pop(self._get_param("queryDefinitionId"), None)
    return json.dumps({"success": gone is not None})


def log_resource(self):
    """moto: takes every request for one to the resource `*`, so that no role may write a log."""
    group, stream = self._get_param("logGroupName") or "*", self._get_param("logStreamName") or ""
    return f"arn:aws:logs:{self.region}:{self.current_account}:log-group:{group}:log-stream:{stream}"


# ---- Lambda ----------------------------------------------------------------------------------------

stock_function = lambdas.LambdaFunction.__init__


def new_function(self, account_id, spec, *rest, **more):
    """moto: forgets these two settings."""
    stock_function(self, account_id, spec, *rest, **more)
    self.logging_config = spec.get("LoggingConfig")
    self.kms_key_arn = spec.get("KMSKeyArn")


stock_configuration = lambdas.LambdaFunction.get_configuration


def configuration(self, *rest, **more):
    """moto: does not give these two settings back."""
    answer = stock_configuration(self, *rest, **more)
    if self.logging_config:
        answer["LoggingConfig"] = self.logging_config
    if self.kms_key_arn:
        answer["KMSKeyArn"] = self.kms_key_arn
    return answer


stock_update = lambdas.LambdaFunction.update_configuration


def update_configuration(self, updates):
    """moto: does not change these two settings."""
    self.logging_config = updates.get("LoggingConfig", self.logging_config)
    self.kms_key_arn = updates.get("KMSKeyArn", self.kms_key_arn)
    return stock_update(self, updates)


stock_new_mapping = lambdas.LambdaBackend.create_event_source_mapping


def new_mapping(self, spec):
    """moto: points it to the version behind the alias, and works it off by itself, inside of each PutObject."""
    asked = spec["FunctionName"]
    mapping = stock_new_mapping(self, spec)
    if asked.startswith("arn:"):
        mapping.function_arn = asked
    for queue in sqs.sqs_backends[self.account_id][self.region_name].queues.values():
        queue.lambda_event_source_mappings.clear()
    return mapping


# Events that S3 sent to Lambda and that the driver has not taken yet.
EVENTS = []
EVENTS_LOCK = threading.Lock()


def hand_to_lambda(account_id, event_body, fn_arn, region_name):
    """moto: runs the function in a container, while PutObject waits."""
    with EVENTS_LOCK:
        EVENTS.append({"function": fn_arn, "payload": event_body})


stock_invoke = lambda_responses.LambdaResponse.invoke


def invoke(self):
    """moto: runs the function in a container, also where nobody waits for its answer."""
    if self.headers.get("X-Amz-Invocation-Type") != "Event":
        return stock_invoke(self)
    name = urllib.parse.unquote(self.path.rsplit("/", 2)[-2])
    function = self.backend.get_function(name, self._get_param("Qualifier"))
    hand_to_lambda(self.current_account, json.loads(self.body or "{}"), function.function_arn, self.region)
    return 202, {"status": "202"}, ""


# ---- S3 --------------------------------------------------------------------------------------------

SEQUENCER = iter(range(0x0055AED6DCD90281, 1 << 64))


def s3_event(event_name, bucket, key, notification_id):
    """moto: another shape than AWS documents for version 2.1 (times, slashes, and what is left out)."""
    made = event_name[3:].startswith("ObjectCreated")
    about = {
        "key": urllib.parse.quote_plus(key.name, safe="/-_.*"),
        "sequencer": f"{next(SEQUENCER):016X}",
    }
    if made:
        about.update(size=key.size, eTag=key.etag.strip('"'))
    if bucket.is_versioned and getattr(key, "version_id", None):
        about["versionId"] = key.version_id
    now = datetime.now(timezone.utc)
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region_name,
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z",
        "eventName": event_name[3:],
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "example"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": notification_id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": bucket.arn,
            },
            "object": about,
        },
    }
    return {"Records": [record]}


def log_permissions(target_bucket, target_prefix):
    """moto: fails with 500 on a statement whose principal is `*`, or whose resources are a list."""
    for statement in json.loads(target_bucket.policy or '{"Statement": []}')["Statement"]:
        principal = statement.get("Principal")
        service = principal.get("Service") if isinstance(principal, dict) else None
        if service == "logging.s3.amazonaws.com" and statement.get("Effect") == "Allow":
            return True
    return False


def dispose(self):
    """moto: a delete marker lacks this, so that the last version of a deleted object can't be deleted (500)."""


# ---- SQS -------------------------------------------------------------------------------------------

stock_attributes = sqs.Queue.attributes.fget
stock_set_attributes = sqs.Queue._set_attributes
sqs.Queue.BASE_ATTRIBUTES = [*sqs.Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
sqs.Queue.redrive_allow_policy = None


def queue_attributes(self):
    """moto: spaces in the redrive policy, where AWS gives it back as it came."""
    answer = stock_attributes(self)
    if "RedrivePolicy" in answer and answer["RedrivePolicy"]:
        answer["RedrivePolicy"] = json.dumps(json.loads(answer["RedrivePolicy"]), separators=(",", ":"))
    return {name: value for name, value in answer.items() if name != "RedriveAllowPolicy" or value}


def set_queue_attributes(self, attributes, now=None):
    """moto: setting one attribute takes the queue's policy away."""
    policy = getattr(self, "policy", None)
    stock_set_attributes(self, attributes, now)
    if "Policy" not in attributes:
        self.policy = policy


# ---- CloudTrail ------------------------------------------------------------------------------------


def start_logging(self, name):
    """moto: knows a trail by its name only."""
    self.get_trail(name).start_logging()


def stop_logging(self, name):
    """moto: knows a trail by its name only."""
    self.get_trail(name).stop_logging()


def delete_trail(self, name):
    """moto: knows a trail by its name only."""
    self.trails.pop(self.get_trail(name).trail_name, None)


# ---- IAM: who may do what --------------------------------------------------------------------------


def permitted(self, action, resource="*", principal=None, incoming_condition_values=None):
    """moto: counts an unmet or unknown condition as a refusal; a statement whose condition is not met does not apply."""
    statement = self._statement
    concerned = (
        not self._check_element_matches("NotAction", action)
        if "NotAction" in statement
        else self._check_element_matches("Action", action)
    )
    if not concerned or self.is_unknown_principal(statement.get("Principal")) or is_service(statement):
        return PermissionResult.NEUTRAL
    if not all(is_met(*condition) for condition in statement.get("Condition", {}).items()):
        return PermissionResult.NEUTRAL
    if statement.get("Resource") and not self._check_element_matches("Resource", resource):
        return PermissionResult.NEUTRAL
    return PermissionResult.PERMITTED if statement["Effect"] == "Allow" else PermissionResult.DENIED


def is_service(statement):
    principal = statement.get("Principal")
    return isinstance(principal, dict) and "AWS" not in principal


def is_met(operator, wanted):
    """Loopback stands for TLS. What else a condition may ask of a caller, nobody here has."""
    if operator != "Bool":
        return False
    return all(key == "aws:SecureTransport" and value in ("true", ["true"]) for key, value in wanted.items())


def authorize(self, request_class, resource="*"):
    """moto: holds all requests against IAM, or none; here those made in the name of a role, and no others.

    So the function's calls meet the policy that Terraform gave its role, while Terraform and the driver are the
    account's administrator. Permissions are looked at, signatures aren't.
    """
    if self.headers.get("X-Amz-Security-Token") is None:
        return
    request = request_class(
        account_id=self.current_account,
        method=self.method,
        path=self.uri,
        data=self.data,
        body=self.raw_body,
        headers=self.headers,
        action=self._get_action(),
    )
    request.check_action_permitted(resource)


# ---- All of it ---------------------------------------------------------------------------------------


def mend():
    for kind, name, what in (
        (cloudwatch.CloudWatchResponse, "put_composite_alarm", put_composite_alarm),
        (cloudwatch.CloudWatchResponse, "describe_alarms", describe_alarms),
        (cloudwatch.CloudWatchResponse, "describe_alarm_history", describe_alarm_history),
        (alarms.CloudWatchBackend, "delete_alarms", delete_alarms),
        (alarms.CloudWatchBackend, "set_alarm_state", set_alarm_state),
        (logs.LogsResponse, "put_query_definition", put_query_definition),
        (logs.LogsResponse, "describe_query_definitions", describe_query_definitions),
        (logs.LogsResponse, "delete_query_definition", delete_query_definition),
        (logs.LogsResponse, "_determine_resource", log_resource),
        (lambdas.LambdaFunction, "__init__", new_function),
        (lambdas.LambdaFunction, "get_configuration", configuration),
        (lambdas.LambdaFunction, "update_configuration", update_configuration),
        (lambdas.LambdaBackend, "create_event_source_mapping", new_mapping),
        (lambda_responses.LambdaResponse, "invoke", invoke),
        (notifications, "_invoke_awslambda", hand_to_lambda),
        (notifications, "_get_s3_event", s3_event),
        (s3.FakeBucket, "_log_permissions_enabled_policy", staticmethod(log_permissions)),
        (s3.FakeDeleteMarker, "dispose", dispose),
        (sqs.Queue, "attributes", property(queue_attributes)),
        (sqs.Queue, "_set_attributes", set_queue_attributes),
        (trails.CloudTrailBackend, "start_logging", start_logging),
        (trails.CloudTrailBackend, "stop_logging", stop_logging),
        (trails.CloudTrailBackend, "delete_trail", delete_trail),
        (IAMPolicyStatement, "is_action_permitted", permitted),
        (ActionAuthenticatorMixin, "_authenticate_and_authorize_action", authorize),
    ):
        setattr(kind, name, what)


def harness(path):
    """Our own addresses: what they answer, or None where the path is another."""
    code = re.fullmatch(r"/harness/code/([^/]+)/([^/]+)", path)
    if code:
        backend = lambdas.lambda_backends[ACCOUNT]["us-east-1"]
        return "application/zip", backend.get_function(code[1], code[2]).code_bytes
    told = re.fullmatch(r"/harness/told/([^/]+)/([^/]+)", path)
    if told:
        backend = alarms.cloudwatch_backends[ACCOUNT]["us-east-1"]
        remember(backend, told[1], "Action", f"Successfully executed action {told[2]}")
        return "application/json", b"{}"
    if path == "/harness/events":
        with EVENTS_LOCK:
            taken = json.dumps(EVENTS).encode()
            EVENTS.clear()
        return "application/json", taken
    return None


class Quiet(WSGIRequestHandler):
    def log_request(self, *_):
        pass


def main():
    mend()
    stock = DomainDispatcherApplication(create_backend_app)

    def application(environ, start_response):
        answer = harness(environ["PATH_INFO"])
        if answer is None:
            return stock(environ, start_response)
        start_response("200 OK", [("Content-Type", answer[0])])
        return [answer[1]]

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    print(f"Running on http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
