package rpc

import (
	"errors"
	"iter"

	"google.golang.org/protobuf/proto"
)

// errLeft ends a call whose caller has left the loop. It goes no further than [Iterate].
var errLeft = errors.New("rpc: the caller has left the loop")

// Iterate makes a sequence of a call that answers with a stream. Each loop over the sequence makes the call once. A call that fails ends the sequence with
// its error and no response; leaving the loop ends the call, silently.
func Iterate[Response proto.Message](call func(send func(Response) error) error) iter.Seq2[Response, error] {
	return func(yield func(Response, error) bool) {
		left := false
		err := call(func(response Response) error {
			// After yield has said no it must not be called again, also if the call sends on against its contract.
			if left || !yield(response, nil) {
				left = true
				return errLeft
			}
			return nil
		})
		if err != nil && !left {
			var none Response
			yield(none, err)
		}
	}
}
