package rpc

import "google.golang.org/protobuf/proto"

// Request applies options to a request, in order, and returns it.
func Request[R proto.Message](request R, options []func(R)) R {
	for _, option := range options {
		option(request)
	}
	return request
}
