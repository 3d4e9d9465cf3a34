from __future__ import annotations

import base64
import json
import logging

import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from rhythmiq_mesh import errors
from rhythmiq_mesh.deadline import remaining, set_deadline
from rhythmiq_mesh.interceptors.errors import RemoteError, to_status
from rhythmiq_mesh.interceptors.principal import parse_payload
from rhythmiq_mesh.logs import JsonFormatter

CASES = [
    (errors.InvalidArgument.of("a.b", "must be c"), 3, BadRequest),
    (errors.NotFound("gone", resource_type="t", resource_name="n"), 5, ResourceInfo),
    (errors.AlreadyExists("there", resource_type="t", resource_name="n"), 6, ResourceInfo),
    (errors.PermissionDenied("no"), 7, None),
    (errors.ResourceExhausted("full"), 8, None),
    (errors.FailedPrecondition("x", violations=[errors.PreconditionViolation("T", "s", "d")]), 9, PreconditionFailure),
    (errors.EtagMismatch("n"), 10, None),
    (errors.RequestIdConflict(), 6, None),
    (errors.DeadlineExceeded(), 4, None),
    (errors.Unavailable("away", retry_after=2.5), 14, RetryInfo),
    (errors.Unauthenticated("who"), 16, None),
    (errors.MeshError("broken"), 13, None),
]


@pytest.mark.parametrize(("error", "code", "detail"), CASES, ids=lambda value: type(value).__name__)
def test_every_error_has_exactly_one_error_info_and_the_detail_that_fits(
    error: errors.MeshError, code: int, detail: type[Message] | None
) -> None:
    status = to_status(error)
    assert status.code == code
    infos = [d for d in status.details if d.Is(ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = ErrorInfo()
    infos[0].Unpack(info)
    assert (info.reason, info.domain) == (error.reason, "rhythmiq.dev")
    others = [d for d in status.details if not d.Is(ErrorInfo.DESCRIPTOR)]
    assert [d.Is(detail.DESCRIPTOR) for d in others] == [True] if detail else not others


def test_unavailable_says_when_to_try_again() -> None:
    retry = RetryInfo()
    to_status(errors.Unavailable("away", retry_after=2.5)).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 2500


def test_what_a_peer_refused_is_handed_on_as_it_came() -> None:
    original = to_status(errors.NotFound("gone", resource_type="t", resource_name="n", reason="SEED_NOT_FOUND"))
    remote = RemoteError(original)
    assert remote.reason == "SEED_NOT_FOUND"
    assert to_status(remote) == original
    assert RemoteError(Status(code=5, message="bare")).reason == "UNKNOWN"


def test_several_violations_are_counted_in_the_message_and_all_kept() -> None:
    error = errors.InvalidArgument([errors.FieldViolation("a", "x"), errors.FieldViolation("b", "y")])
    assert error.message == "a: x (and 1 more)"
    assert [violation.field for violation in error.violations] == ["a", "b"]


def test_remaining_time_is_the_smaller_of_default_and_deadline() -> None:
    set_deadline(None)
    assert remaining(3) == 3
    set_deadline(100)
    assert remaining(3) == 3
    set_deadline(1)
    assert 0 < remaining(3) <= 1
    set_deadline(-1)
    with pytest.raises(errors.DeadlineExceeded):
        remaining(3)
    set_deadline(None)


@pytest.mark.parametrize(
    "payload",
    ["", "%%%", "bm90IGpzb24", "W10", "e30", "eyJpc3MiOiAxLCAic3ViIjogMn0", "eyJpc3MiOiAiIiwgInN1YiI6ICJ4In0"],
)
def test_payload_without_issuer_and_subject_is_unauthenticated(payload: str) -> None:
    with pytest.raises(errors.Unauthenticated):
        parse_payload(payload)


def test_log_line_is_one_json_object_with_the_extra_fields_and_the_stack() -> None:
    record = logging.LogRecord("l", logging.ERROR, "f", 1, "said %s", ("this",), None)
    record.method = "M"
    try:
        raise ValueError("inside")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    line = JsonFormatter("profile").format(record)
    assert "\n" not in line
    assert '"message": "said this"' in line
    assert '"method": "M"' in line
    assert "inside" in line


def test_scopes_may_come_as_a_list() -> None:
    claims = {"iss": "https://i", "sub": "s", "scope": ["rhythmiq.admin", "other"]}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
    assert parse_payload(payload).scopes == {"rhythmiq.admin", "other"}
