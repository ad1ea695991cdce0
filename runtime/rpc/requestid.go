package rpc

import (
	"encoding/hex"
	"math/rand/v2"
)

// RequestIDHeader is the header that carries a call's id, in requests and in answers.
const RequestIDHeader = "x-request-id"

// newRequestID makes an id that no other call has. It is a name, not a secret.
func newRequestID() string {
	var id [16]byte
	for i := range id {
		id[i] = byte(rand.Uint32()) //nolint:gosec // a name, not a secret
	}
	return hex.EncodeToString(id[:])
}
