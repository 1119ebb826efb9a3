"""The generated messages of the external scaler protocol."""

from pathlib import Path

from grpc_tools import protoc

from autoscaler.sdk import externalscaler
from autoscaler.sdk.externalscaler import GetMetricsRequest, ScaledObjectRef, method_path

FOLDER = Path("autoscaler/sdk/externalscaler")
ROOT = Path(__file__).parents[3]


def test_committed_messages_are_what_the_compiler_makes_of_the_contract(tmp_path: Path):
    """``make proto`` would change nothing."""
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    source = str(ROOT / FOLDER / "externalscaler.proto")
    code = protoc.main(["protoc", f"-I{ROOT}", *outputs, source])
    assert code == 0
    for name in ("externalscaler_pb2.py", "externalscaler_pb2.pyi"):
        assert (tmp_path / FOLDER / name).read_text() == (ROOT / FOLDER / name).read_text()


def test_field_numbers_are_those_of_the_wire():
    """Bytes written by hand from the published field numbers mean what they should."""
    ref = b"\x0a\x01n\x12\x02ns\x1a\x06\x0a\x01k\x12\x01v"
    request = GetMetricsRequest.FromString(b"\x0a" + bytes([len(ref)]) + ref + b"\x12\x01m")
    assert request == GetMetricsRequest(
        scaledObjectRef=ScaledObjectRef(name="n", namespace="ns", scalerMetadata={"k": "v"}),
        metricName="m",
    )


def test_every_method_of_the_service_has_its_path():
    """The published five, under the published name."""
    service = externalscaler.DESCRIPTOR.services_by_name["ExternalScaler"]
    assert service.full_name == externalscaler.SERVICE
    assert [method_path(method.name) for method in service.methods] == [
        "/externalscaler.ExternalScaler/IsActive",
        "/externalscaler.ExternalScaler/StreamIsActive",
        "/externalscaler.ExternalScaler/GetMetricSpec",
        "/externalscaler.ExternalScaler/GetMetrics",
        "/externalscaler.ExternalScaler/StreamMetricSpec",
    ]
