"""Generates everything that is made from the protos: `python protos/generate.py [--check] [--lint]`.

- `gen/rhythmiq/**`: messages, services and their type stubs.
- `gen/buf/**`: the protovalidate annotations, made from the descriptor inside the protovalidate distribution, so that
  no schema registry and no copied .proto is needed.
- `gen/rhythmiq_protos/descriptors.binpb`: the descriptor set that Envoy transcodes JSON with. It includes
  google.rpc's error details, without which Envoy cannot render an error.

`--check` generates elsewhere and fails when the committed files differ; `--lint` runs `buf lint`.
"""

from __future__ import annotations

import argparse
import filecmp
import importlib.resources
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

HERE = Path(__file__).resolve().parent
VALIDATE = "buf/validate/validate.proto"
EDGE_EXTRAS = ["google/rpc/status.proto", "google/rpc/error_details.proto"]


def _validate_descriptors(folder: Path) -> Path:
    """Writes validate.proto and its imports as a descriptor set."""
    descriptors = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(descriptors.file.add())
    descriptors.file.append(descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary()))
    path = folder / "validate.binpb"
    path.write_bytes(descriptors.SerializeToString())
    return path


def _protoc(descriptors: Path, *arguments: str) -> None:
    # A namespace package: google/api and google/rpc stand beside the protobuf runtime's own google/protobuf.
    google = importlib.resources.files("google.api")
    common = Path(str(google / "annotations.proto")).parents[2]
    well_known = Path(str(importlib.resources.files("grpc_tools") / "_proto"))
    roots = [f"-I{root}" for root in (HERE, common, well_known)]
    command = ["protoc", f"--descriptor_set_in={descriptors}", *roots, *arguments]
    if protoc.main(command) != 0:
        sys.exit("protoc failed: see its message above")


def _sources() -> list[str]:
    return sorted(str(path.relative_to(HERE)) for path in (HERE / "rhythmiq").rglob("*.proto"))


def generate(target: Path) -> None:
    """Generates all files below `target`, which must be empty or absent."""
    target.mkdir(parents=True, exist_ok=True)
    package = target / "rhythmiq_protos"
    package.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = _validate_descriptors(Path(scratch))
        sources = _sources()
        _protoc(
            descriptors,
            f"--python_out={target}",
            f"--mypy_out=quiet:{target}",
            *sources,
            VALIDATE,
        )
        _protoc(descriptors, f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet:{target}", *sources)
        _protoc(
            descriptors,
            "--include_imports",
            f"--descriptor_set_out={package / 'descriptors.binpb'}",
            *sources,
            *EDGE_EXTRAS,
        )
    for empty in target.rglob("*_pb2_grpc.py*"):
        if "Stub" not in empty.read_text():
            empty.unlink()
    (package / "__init__.py").write_text(
        '"""Where the edge finds the descriptor set of the whole API."""\n\n'
        "from importlib.resources import files\nfrom pathlib import Path\n\n"
        'DESCRIPTORS = Path(str(files(__package__) / "descriptors.binpb"))\n'
    )
    (package / "py.typed").write_text("")


def lint() -> None:
    """Runs buf lint on this project's files only, with the rules of buf.yaml."""
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image.binpb"
        _protoc(
            _validate_descriptors(Path(scratch)),
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={image}",
            *_sources(),
        )
        command = ["buf", "lint", str(image), "--path", "rhythmiq", "--config", str(HERE / "buf.yaml")]
        if subprocess.run(command, check=False).returncode != 0:
            sys.exit(1)


def _differences(left: Path, right: Path) -> list[str]:
    names = {str(p.relative_to(root)) for root in (left, right) for p in root.rglob("*") if p.is_file()}
    names = {name for name in names if "__pycache__" not in name}
    return sorted(
        name
        for name in names
        if not (left / name).is_file()
        or not (right / name).is_file()
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail when the committed files are not current")
    parser.add_argument("--lint", action="store_true", help="run buf lint")
    options = parser.parse_args()
    # The pinned buf and protoc-gen-mypy stand beside the interpreter, whether or not .venv is activated.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    if options.lint:
        lint()
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "gen"
        generate(fresh)
        if options.check:
            stale = _differences(fresh, HERE / "gen")
            if stale:
                sys.exit("generated files are not current: run `make proto`\n  " + "\n  ".join(stale))
            return
        if not options.lint:
            shutil.rmtree(HERE / "gen", ignore_errors=True)
            shutil.copytree(fresh, HERE / "gen")


if __name__ == "__main__":
    main()
