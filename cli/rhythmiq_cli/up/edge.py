"""Envoy's configuration for one machine: the shared listener filled in, clusters on Unix sockets, a bootstrap.

What callers meet (routes, filters, refusals) is in deploy/envoy/listener.yaml and the same in every environment; only
what differs is made here.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class EdgeSettings:
    """What fills the listener's placeholders."""

    bind_address: str
    port: int
    descriptors: Path
    jwks: Path
    issuer: str
    audience: str
    access_log: Path

    def placeholders(self) -> dict[str, str | int]:
        return {
            "BIND_ADDRESS": self.bind_address,
            "PORT": self.port,
            "DESCRIPTORS": str(self.descriptors),
            "JWKS": str(self.jwks),
            "ISSUER": self.issuer,
            "AUDIENCE": self.audience,
            "ACCESS_LOG": str(self.access_log),
        }


def listener_template() -> Path:
    """The shared listener: inside the package where it was installed, else in the source tree."""
    installed = _PACKAGE / "edge" / "listener.yaml"
    return installed if installed.exists() else _PACKAGE.parent.parent / "deploy" / "envoy" / "listener.yaml"


def fill(template: Any, values: Mapping[str, str | int]) -> Any:
    """Replaces `${NAME}` in the strings of a parsed YAML tree. A string that is one placeholder takes the value's type.

    Done on the tree and not on the text, so that no path or name can break out of its place.
    Raises KeyError for a placeholder without a value.
    """
    if isinstance(template, dict):
        return {key: fill(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    if not isinstance(template, str) or "${" not in template:
        return template
    whole = template.removeprefix("${").removesuffix("}")
    return values[whole] if template == f"${{{whole}}}" else string.Template(template).substitute(values)


def clusters(sockets: Mapping[str, Path]) -> dict[str, Any]:
    """CDS resources: one HTTP/2 cluster per service on its Unix socket."""
    return {"resources": [_cluster(name, path) for name, path in sockets.items()]}


def _cluster(name: str, path: Path) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(path)}}}}
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 1000}},
    }
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": 1 << 20,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        # Bursts wait in the service, which knows its deadlines, and are not refused here.
        "circuit_breakers": {
            "thresholds": [{"max_requests": 10000, "max_pending_requests": 10000, "max_retries": 100}]
        },
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def bootstrap(listener: Path, cluster_file: Path, admin_socket: Path) -> dict[str, Any]:
    """Envoy's own configuration: listener and clusters from files; the admin interface on a private socket."""
    return {
        "node": {"id": "edge", "cluster": "rhythmiq"},
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": {"resource_api_version": "V3", "path_config_source": {"path": str(listener)}},
            "cds_config": {"resource_api_version": "V3", "path_config_source": {"path": str(cluster_file)}},
        },
    }


def write_config(folder: Path, settings: EdgeSettings, sockets: Mapping[str, Path], admin_socket: Path) -> Path:
    """Writes listener, clusters and bootstrap into `folder`; returns the bootstrap's path, for `envoy -c`."""
    listener = fill(yaml.safe_load(listener_template().read_text()), settings.placeholders())
    listener_file, cluster_file, main = folder / "listener.json", folder / "clusters.json", folder / "envoy.json"
    listener_file.write_text(json.dumps(listener, indent=1))
    cluster_file.write_text(json.dumps(clusters(sockets), indent=1))
    main.write_text(json.dumps(bootstrap(listener_file, cluster_file, admin_socket), indent=1))
    return main
