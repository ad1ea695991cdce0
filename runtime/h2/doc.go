// Package h2 is the server side of HTTP/2 (RFC 9113), made for many short calls on few connections.
//
// A [Server] serves connections that somebody else has accepted, and gives each request to a [Handler] as a [Stream]: raw header fields, bytes and trailers,
// which suits gRPC. [HTTP] makes a plan of an [http.Handler] for everything else.
//
// # How it works
//
// A connection has one goroutine, which reads. One read takes as many frames as there are; each request that is complete goes to a worker, a goroutine that is
// reused. Workers append their responses to the connection's buffer, and whoever finds nobody writing writes: after it has let those that are ready add theirs,
// so that a busy connection costs one system call per batch, and a lone caller waits for nobody.
//
// # What it withstands
//
// Everything that a peer can make the server hold is bounded, see [Limits]; [Stats] counts each time that a bound was met.
package h2
