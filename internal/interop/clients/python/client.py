"""The calls of calls.md with grpcio."""

import os
import queue

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from prism.keyvalue.v1 import keyvalue_basic_pb2 as basic
from prism.keyvalue.v1 import keyvalue_basic_pb2_grpc as basic_grpc
from prism.keyvalue.v1 import keyvalue_scan_pb2 as scan
from prism.keyvalue.v1 import keyvalue_scan_pb2_grpc as scan_grpc

NAMESPACE = (("prism-namespace", "default"), ("note-bin", b"\x00\x01\xff"))
LARGE = b"prism " * 50_000


def unary(channel):
    stub = basic_grpc.KeyValueBasicInterfaceStub(channel)
    for key in ("py/1", "py/2", "py/3"):
        stub.Set(basic.SetRequest(key=key, value=LARGE), metadata=NAMESPACE)
    assert stub.Get(basic.GetRequest(key="py/1"), metadata=NAMESPACE).value == LARGE
    assert not stub.Get(basic.GetRequest(key="py/none"), metadata=NAMESPACE).found
    response, call = stub.Get.with_call(basic.GetRequest(key="py/1"), metadata=NAMESPACE, compression=grpc.Compression.Gzip)
    assert response.found and call.code() == grpc.StatusCode.OK


def server_stream(channel):
    stub = scan_grpc.KeyValueScanInterfaceStub(channel)
    found = list(stub.Scan(scan.ScanRequest(prefix="py/"), metadata=NAMESPACE))
    assert sorted(response.key for response in found) == ["py/1", "py/2", "py/3"], found
    assert all(response.value == LARGE for response in found)


def bidi(channel):
    # grpcio speaks the older version of reflection.
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    questions = queue.SimpleQueue()
    answers = stub.ServerReflectionInfo(iter(questions.get, None), timeout=20)
    for _ in range(2):
        questions.put(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert len(next(answers).list_services_response.service) > 10
    questions.put(None)
    assert not list(answers)


def details(channel):
    try:
        basic_grpc.KeyValueBasicInterfaceStub(channel).Set(basic.SetRequest(), metadata=NAMESPACE)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        bad = error_details_pb2.BadRequest()
        assert rpc_status.from_call(error).details[0].Unpack(bad)
        assert bad.field_violations[0].field == "key", bad
        return
    raise AssertionError("an empty key is taken")


def no_namespace(channel):
    try:
        basic_grpc.KeyValueBasicInterfaceStub(channel).Get(basic.GetRequest(key="a"))
    except grpc.RpcError:
        return
    raise AssertionError("a call without a namespace succeeds")


def deadline(channel):
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=0.3)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    try:
        next(watch)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
        return
    raise AssertionError("the call goes on")


def main():
    with open(os.environ["PRISM_CA"], "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    for channel in (grpc.insecure_channel(os.environ["PRISM_CLEAR"]), grpc.secure_channel(os.environ["PRISM_SECURE"], credentials)):
        with channel:
            for call in (unary, server_stream, bidi, details, no_namespace, deadline):
                call(channel)


if __name__ == "__main__":
    main()
