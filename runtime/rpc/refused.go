package rpc

// Refused is told of a request that is refused before it is a call, so that it can be counted: what the request speaks ("grpc", "grpcweb", "connect", or "http" when
// it is none of them), and why. Both are from short lists: they become labels.
type Refused func(protocol, reason string)

// Why requests are refused before they are calls.
const (
	// RefusedProcedure is that nothing is at the path.
	RefusedProcedure = "unknown_procedure"
	// RefusedMethod is that the HTTP method is not that of a call.
	RefusedMethod = "http_method"
	// RefusedType is that the method does not take the content type.
	RefusedType = "content_type"
	// RefusedMalformed is that the request breaks the rules of its protocol: a timeout that is none, a compression that nobody knows.
	RefusedMalformed = "malformed"
)

// RefusedReasons are all of them.
func RefusedReasons() []string {
	return []string{RefusedProcedure, RefusedMethod, RefusedType, RefusedMalformed}
}
