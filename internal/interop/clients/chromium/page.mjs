// Runs in the page. It calls with Connect in both formats and with gRPC-Web, and tells over which protocol the browser reached the gateway.

import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { callAll } from "./calls.mjs";

globalThis.callPrism = async () => {
  const baseUrl = location.origin;
  for (const [name, transport] of [
    ["Connect", createConnectTransport({ baseUrl, useBinaryFormat: true })],
    ["Connect with JSON and GET", createConnectTransport({ baseUrl, useHttpGet: true })],
    ["gRPC-Web", createGrpcWebTransport({ baseUrl })],
  ]) {
    await callAll(name, transport, false);
  }
  return performance
    .getEntriesByType("resource")
    .filter((entry) => entry.name.includes("/prism.") || entry.name.includes("/grpc."))
    .map((entry) => ({ path: new URL(entry.name).pathname, protocol: entry.nextHopProtocol, status: entry.responseStatus }));
};
