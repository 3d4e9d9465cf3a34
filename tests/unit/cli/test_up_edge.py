"""The edge's configuration: filled in whole, valid for the real Envoy, and every refusal of one shape."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

import rhythmiq_protos
from rhythmiq_cli.identity.keys import SigningKey
from rhythmiq_cli.up import edge, programs

# Imported for what importing does: the detail types become known to json_format.
DETAIL_TYPES = (error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo)


def settings(folder: Path) -> edge.EdgeSettings:
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(SigningKey.load_or_create(folder / "key.pem").jwks()))
    return edge.EdgeSettings(
        bind_address="127.0.0.1",
        port=8080,
        descriptors=rhythmiq_protos.DESCRIPTORS,
        jwks=jwks,
        issuer="https://issuer.example",
        audience="rhythmiq",
        access_log=folder / "access.log",
    )


def connection_manager(listener: dict[str, Any]) -> dict[str, Any]:
    manager: dict[str, Any] = listener["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def template() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(edge.listener_template().read_text())
    return parsed


def test_every_placeholder_is_filled_with_a_value_of_its_type(tmp_path: Path) -> None:
    listener = edge.fill(template(), settings(tmp_path).placeholders())
    assert "${" not in json.dumps(listener)
    assert listener["resources"][0]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8080}


def test_a_value_cannot_break_out_of_its_place() -> None:
    assert edge.fill({"path": "${PATH}"}, {"PATH": 'x", port: 1 #'}) == {"path": 'x", port: 1 #'}


def test_a_placeholder_inside_a_longer_string_is_filled() -> None:
    assert edge.fill(["a ${B} c"], {"B": "b"}) == ["a b c"]


def test_a_placeholder_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        edge.fill("${UNKNOWN}", {})


def test_envoy_accepts_the_listener_with_its_clusters(tmp_path: Path) -> None:
    """Listener and clusters as static resources, because only those are checked without starting."""
    sockets = {name: tmp_path / f"{name}.sock" for name in programs.SERVICES}
    main = edge.write_config(tmp_path, settings(tmp_path), sockets, tmp_path / "admin.sock")
    config = json.loads(main.read_text())
    del config["dynamic_resources"]
    config["static_resources"] = {
        kind: [{key: value for key, value in resource.items() if key != "@type"} for resource in resources]
        for kind, resources in (
            ("listeners", json.loads((tmp_path / "listener.json").read_text())["resources"]),
            ("clusters", json.loads((tmp_path / "clusters.json").read_text())["resources"]),
        )
    }
    static = tmp_path / "static.json"
    static.write_text(json.dumps(config))
    result = subprocess.run(
        [programs.find_envoy(), "--mode", "validate", "-c", str(static)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def replies() -> Iterator[tuple[str, dict[str, str]]]:
    """Body and added headers of each reply of the edge's own."""
    for mapper in connection_manager(template())["local_reply_config"]["mappers"]:
        headers = {one["header"]["key"]: one["header"]["value"] for one in mapper.get("headers_to_add", [])}
        yield mapper["body_format_override"]["text_format_source"]["inline_string"], headers


def test_every_refusal_as_json_is_a_status_with_one_error_info() -> None:
    bodies = [body for body, headers in replies() if "grpc-status" not in headers and body != "%LOCAL_REPLY_BODY%"]
    assert len(bodies) >= 10
    for body in bodies:
        status = json_format.Parse(body, status_pb2.Status())
        infos = [detail for detail in status.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
        assert len(infos) == 1
        info = error_details_pb2.ErrorInfo.FromString(infos[0].value)
        assert info.domain == "rhythmiq.dev"
        assert re.fullmatch("[A-Z_]+", info.reason)
        assert status.message


def test_every_refusal_to_native_callers_carries_the_details_that_its_status_says() -> None:
    native = [(body, headers) for body, headers in replies() if "grpc-status" in headers]
    assert len(native) >= 9
    for message, headers in native:
        status = status_pb2.Status.FromString(_decode(headers["grpc-status-details-bin"]))
        assert str(status.code) == headers["grpc-status"]
        assert status.message == message
        assert status.details[0].Is(error_details_pb2.ErrorInfo.DESCRIPTOR)


def test_unavailable_always_comes_with_a_retry_hint() -> None:
    for body, headers in replies():
        if headers.get("grpc-status") == "14":
            assert (
                status_pb2.Status.FromString(_decode(headers["grpc-status-details-bin"]))
                .details[1]
                .Is(error_details_pb2.RetryInfo.DESCRIPTOR)
            )
        elif '"code":14' in body:
            assert headers["retry-after"] == "1"
            assert "RetryInfo" in body


def test_the_replies_to_failures_of_the_grpc_library_say_what_their_details_say() -> None:
    [lua] = [one for one in connection_manager(template())["http_filters"] if one["name"] == "envoy.filters.http.lua"]
    script = lua["typed_config"]["default_source_code"]["inline_string"]
    entries = re.findall(r'\{"(\d+)", "([^"]*)", "([^"]*)"\}', script)
    assert len(entries) == 9
    for code, message, details in entries:
        status = status_pb2.Status.FromString(_decode(details))
        assert (str(status.code), status.message) == (code, message)


def test_only_public_services_are_routed() -> None:
    routes = connection_manager(template())["route_config"]["virtual_hosts"][0]["routes"]
    matches = [route["match"] for route in routes if "route" in route]
    routed = {(match.get("prefix") or match["path"]).split("/")[1] for match in matches}
    assert routed == {
        "rhythmiq.profile.v1.ProfileService",
        "rhythmiq.preference.v1.PreferenceService",
        "rhythmiq.variable.v1.VariableService",
        "rhythmiq.tunevector.v1.TuneVectorService",
        "rhythmiq.recommender.v1.CatalogService",
        "rhythmiq.recommender.v1.RecommenderService",
        "rhythmiq.recommender.v1.CompatService",
        "rhythmiq.recommender.v1.InteractionService",
        "rhythmiq.recommender.v1.BlockService",
    }


def test_every_route_has_a_deadline() -> None:
    for route in connection_manager(template())["route_config"]["virtual_hosts"][0]["routes"]:
        if "route" in route:
            bound = route["route"]["max_stream_duration"]
            assert bound["max_stream_duration"] == bound["grpc_timeout_header_max"]


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
