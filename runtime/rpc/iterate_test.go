package rpc_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/rpc"
)

// sendAll is a call that sends values and then returns an error.
func sendAll(err error, values ...string) func(func(*text) error) error {
	return func(send func(*text) error) error {
		for _, value := range values {
			if err := send(wrapperspb.String(value)); err != nil {
				return err
			}
		}
		return err
	}
}

func TestIterateYieldsEveryResponse(t *testing.T) {
	t.Parallel()
	sequence := rpc.Iterate(sendAll(nil, "a", "b"))
	for range 2 { // each loop is a call
		var got []string
		for response, err := range sequence {
			require.NoError(t, err)
			got = append(got, response.GetValue())
		}
		require.Equal(t, []string{"a", "b"}, got)
	}
}

func TestIterateYieldsTheErrorOnceAndLast(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	var got []string
	var errs []error
	for response, err := range rpc.Iterate(sendAll(failed, "a")) {
		if err != nil {
			require.Nil(t, response)
			errs = append(errs, err)
			continue
		}
		got = append(got, response.GetValue())
	}
	require.Equal(t, []string{"a"}, got)
	require.Equal(t, []error{failed}, errs)
}

func TestIterateEndsTheCallWhenTheLoopIsLeft(t *testing.T) {
	t.Parallel()
	var ended error
	sent := 0
	sequence := rpc.Iterate(func(send func(*text) error) error {
		ended = sendAll(nil, "a", "b")(func(response *text) error { sent++; return send(response) })
		return ended
	})
	for _, err := range sequence {
		require.NoError(t, err)
		break
	}
	require.Error(t, ended)
	require.Equal(t, 1, sent)
}

func TestIterateStaysSilentAfterTheLoopWasLeft(t *testing.T) {
	t.Parallel()
	for _, last := range []error{nil, errors.New("something else")} {
		count := 0
		sequence := rpc.Iterate(func(send func(*text) error) error {
			_ = send(new(text))
			_ = send(new(text)) // against the contract
			return last
		})
		for _, err := range sequence {
			require.NoError(t, err)
			count++
			break
		}
		require.Equal(t, 1, count)
	}
}

func TestRequestAppliesOptionsInOrder(t *testing.T) {
	t.Parallel()
	options := []func(*text){func(r *text) { r.Value += "b" }, func(r *text) { r.Value += "c" }}
	require.Equal(t, "abc", rpc.Request(wrapperspb.String("a"), options).GetValue())
}
