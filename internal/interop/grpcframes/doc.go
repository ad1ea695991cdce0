// Package grpcframes goes over h2spec's ground once more with gRPC calls: h2spec sets no content type, so that its requests never reach runtime/grpcserver.
//
// Each case carries the number of the section of h2spec that it repeats, and runs on a method of every shape. What h2spec takes for either is taken for either here: a
// stream error may be a connection error of the same code. But a connection error must be a GOAWAY that arrives, and after a stream error the connection must go on and
// serve a call.
package grpcframes
