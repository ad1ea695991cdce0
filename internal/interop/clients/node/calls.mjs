// The calls of calls.md with connect-es, over any transport, in Node and in a browser.

import { Code, ConnectError, createClient } from "@connectrpc/connect";

import { BadRequestSchema } from "./gen/google/rpc/error_details_pb.js";
import { Health, HealthCheckResponse_ServingStatus } from "./gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "./gen/grpc/reflection/v1/reflection_pb.js";
import { KeyValueBasicInterface } from "./gen/prism/keyvalue/v1/keyvalue_basic_pb.js";
import { KeyValueScanInterface } from "./gen/prism/keyvalue/v1/keyvalue_scan_pb.js";

const large = new TextEncoder().encode("prism ".repeat(50_000));
const options = { headers: { "prism-namespace": "default", "note-bin": "AAH/" } };

function must(holds, what) {
  if (!holds) {
    throw new Error(what);
  }
}

function same(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

// failure returns the error that a call ends with.
async function failure(call) {
  try {
    await call();
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call succeeds");
}

async function unary(transport) {
  const client = createClient(KeyValueBasicInterface, transport);
  for (const key of ["es/1", "es/2", "es/3"]) {
    await client.set({ key, value: large }, options);
  }
  const got = await client.get({ key: "es/1" }, options);
  must(got.found && same(got.value, large), "the value does not come back");
  must(!(await client.get({ key: "es/none" }, options)).found, "a key that is not there is found");
}

async function serverStream(transport) {
  const keys = [];
  for await (const response of createClient(KeyValueScanInterface, transport).scan({ prefix: "es/" }, options)) {
    must(same(response.value, large), `${response.key} has another value`);
    keys.push(response.key);
  }
  must(keys.sort().join() === "es/1,es/2,es/3", `the keys are ${keys}`);
}

async function bidi(transport) {
  const question = { messageRequest: { case: "listServices", value: "" } };
  let answers = 0;
  let next = () => {};
  async function* questions() {
    yield question;
    await new Promise((resolve) => (next = resolve));
    must(answers === 1, "the answer did not come before the next question");
    yield question;
  }
  for await (const response of createClient(ServerReflection, transport).serverReflectionInfo(questions())) {
    must(response.messageResponse.value.service.length > 10, "few services are listed");
    answers++;
    next();
  }
  must(answers === 2, `${answers} answers came`);
}

async function details(transport) {
  const error = await failure(() => createClient(KeyValueBasicInterface, transport).set({}, options));
  must(error.code === Code.InvalidArgument, `an empty key is ${error}`);
  must(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field === "key", "no detail names the field");
}

async function noNamespace(transport) {
  await failure(() => createClient(KeyValueBasicInterface, transport).get({ key: "a" }));
}

async function deadline(transport) {
  let first;
  const error = await failure(async () => {
    for await (const response of createClient(Health, transport).watch({}, { timeoutMs: 300 })) {
      first ??= response.status;
    }
  });
  must(first === HealthCheckResponse_ServingStatus.SERVING, `the gateway is ${first}`);
  must(error.code === Code.DeadlineExceeded, `the call ends with ${error}`);
}

// callAll makes all calls that a transport can make.
export async function callAll(name, transport, withBidi) {
  const calls = [unary, serverStream, details, noNamespace, deadline];
  if (withBidi) {
    calls.push(bidi);
  }
  for (const call of calls) {
    try {
      await call(transport);
    } catch (error) {
      throw new Error(`${name}: ${call.name}: ${error.stack ?? error}`);
    }
  }
}
