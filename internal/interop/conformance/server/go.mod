// The server that the connectrpc conformance suite tests. It is a module of its own because it needs what is generated from the suite's schema, which is not in this
// repository: `make conformance` copies it, generates, and gives it the requirements of Prism's go.mod.
module conformance.test/server

go 1.26.0
