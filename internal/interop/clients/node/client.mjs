// connect-es in Node: three protocols, over HTTP/1.1 and HTTP/2, in clear and with TLS.

import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";

import { callAll } from "./calls.mjs";

const bases = [`http://${process.env.PRISM_CLEAR}`, `https://${process.env.PRISM_SECURE}`];
for (const baseUrl of bases) {
  for (const httpVersion of ["1.1", "2"]) {
    const transports = [
      ["Connect", createConnectTransport({ baseUrl, httpVersion })],
      ["Connect with JSON and GET", createConnectTransport({ baseUrl, httpVersion, useBinaryFormat: false, useHttpGet: true })],
      ["gRPC-Web", createGrpcWebTransport({ baseUrl, httpVersion })],
    ];
    if (httpVersion === "2") {
      transports.push(["gRPC", createGrpcTransport({ baseUrl })]);
    }
    for (const [name, transport] of transports) {
      await callAll(`${baseUrl}, HTTP/${httpVersion}, ${name}`, transport, httpVersion === "2");
    }
  }
}
// Sessions of HTTP/2 stay open for a while, and would keep the process.
process.exit(0);
