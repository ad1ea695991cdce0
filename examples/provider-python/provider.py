"""A provider in Python, written against the schema alone. It offers keyvalue_basic as the backend memstore, from memory.

    python provider.py --listen unix:/run/provider.sock
"""

import argparse
import os
import secrets
import signal
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf.message import DecodeError
from prism.keyvalue.v1 import keyvalue_basic_pb2 as kv
from prism.provider.v1 import provider_pb2 as pb
from prism.provider.v1 import provider_pb2_grpc

PROTOCOL_VERSION = 1
BACKEND = "memstore"
INTERFACE = "keyvalue_basic"
SERVICE = "/prism.keyvalue.v1.KeyValueBasicInterface/"


class Refused(Exception):
    """A call that fails: its code and why."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code.value[0], message


class Instance:
    """What an instance keeps: the values of each namespace."""

    def __init__(self, opened_as):
        self.opened_as = opened_as
        self.lock = threading.Lock()
        self.namespaces = {}
        self.procedures = {
            SERVICE + "Set": (kv.SetRequest, self.set),
            SERVICE + "Get": (kv.GetRequest, self.get),
            SERVICE + "Delete": (kv.DeleteRequest, self.delete),
            SERVICE + "Exists": (kv.ExistsRequest, self.exists),
        }

    def set(self, values, request):
        if len(request.value) > 1 << 20:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "value: must be at most 1,048,576 bytes")
        values[request.key] = request.value
        return kv.SetResponse()

    def get(self, values, request):
        return kv.GetResponse(found=request.key in values, value=values.get(request.key, b""))

    def delete(self, values, request):
        return kv.DeleteResponse(deleted=values.pop(request.key, None) is not None)

    def exists(self, values, request):
        return kv.ExistsResponse(exists=request.key in values)

    def call(self, start, payload):
        if start.HasField("timeout") and start.timeout.ToNanoseconds() <= 0:
            raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline has passed")
        if start.procedure not in self.procedures:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"{start.procedure} is not offered")
        kind, do = self.procedures[start.procedure]
        try:
            request = kind.FromString(payload)
        except DecodeError:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"the payload is no {kind.DESCRIPTOR.full_name}") from None
        if not 1 <= len(request.key.encode()) <= 1024 or "\0" in request.key:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "key: must be 1 to 1,024 bytes without NUL")
        with self.lock:
            return do(self.namespaces.setdefault(start.namespace, {}), request).SerializeToString()


class Provider(provider_pb2_grpc.PatternProviderServicer):
    """The RPCs. ExecuteStream is left out, so that it is UNIMPLEMENTED: the gateway then uses Execute."""

    def __init__(self, end):
        self.end = end  # ends the process
        self.lock = threading.Lock()
        self.instances = {}

    def Initialize(self, request, context):
        if request.protocol_version != PROTOCOL_VERSION:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"this provider speaks protocol version {PROTOCOL_VERSION}")
        if request.backend != BACKEND:
            context.abort(grpc.StatusCode.NOT_FOUND, f"this provider has the backend {BACKEND}, and no other")
        opened_as = (request.instance_name, request.config.type_url, request.config.value)
        with self.lock:
            found = [handle for handle, instance in self.instances.items() if instance.opened_as == opened_as]
            handle = found[0] if found else secrets.token_hex(16)
            if not found:
                self.instances[handle] = Instance(opened_as)
        # A provider that knows the hash it was written against compares it here; this one believes the gateway.
        offered = {name: hash for name, hash in request.interfaces.items() if name == INTERFACE}
        return pb.InitializeResponse(instance=handle, protocol_version=PROTOCOL_VERSION, interfaces=offered, provider="provider.py")

    def HealthCheck(self, request, context):
        if request.instance:
            self.find(request.instance, context)
        return pb.HealthCheckResponse(state=pb.HEALTH_STATE_READY)

    def Execute(self, request, context):
        instance = self.find(request.instance, context)
        try:
            payload = instance.call(request.start, request.payload)
        except Refused as refused:
            return pb.ExecuteResponse(response=pb.CallResponse(code=refused.code, message=refused.message))
        return pb.ExecuteResponse(payload=payload, response=pb.CallResponse())

    def Shutdown(self, request, context):
        with self.lock:
            for handle in [request.instance] if request.instance else list(self.instances):
                self.instances.pop(handle, None)
        if not request.instance and "PRISM_SIDECAR" in os.environ:
            self.end()
        return pb.ShutdownResponse()

    def find(self, handle, context):
        with self.lock:
            if handle in self.instances:
                return self.instances[handle]
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "there is no such instance; call Initialize")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--listen", default="127.0.0.1:8990", help="host:port, or unix: and the path of a socket")
    os.umask(0o177)  # nobody else can open the socket
    ended = threading.Event()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_PatternProviderServicer_to_server(Provider(ended.set), server)
    server.add_insecure_port(arguments.parse_args().listen)
    server.start()
    for received in (signal.SIGTERM, signal.SIGINT):
        signal.signal(received, lambda *_: ended.set())
    if "PRISM_SIDECAR" in os.environ:  # standard input ends when the gateway does
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    ended.wait()
    server.stop(grace=5).wait()


if __name__ == "__main__":
    main()
