// Package soak wears a front out: for a while, peers do to it what peers on the Internet do. They reset, cancel, vanish, read slowly or never, write slowly, stay silent,
// and send what is no HTTP/2. Clients that behave call all the time beside them and must get right answers. At the end everything is closed, and the server must hold no more
// goroutines, descriptors and memory than before.
//
// All of it is in tests. The server is a process of its own, the test's binary started once more, so that what it holds is its alone. SOAK says how long it takes, FRONT
// which front is meant:
//
//	SOAK=10m FRONT=standard go test -v -timeout 20m ./internal/soak
package soak
