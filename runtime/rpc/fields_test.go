package rpc_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/rpc"
)

// upperer and repeater are two contracts, set a set of them as it is generated.
type upperer interface {
	Upper(ctx context.Context, request *text) (*text, error)
}

type repeater interface {
	Repeat(ctx context.Context, request *text, send func(*text) error) error
}

type set struct {
	Upper  upperer
	Repeat repeater
}

var fields = rpc.Fields[set]{
	rpc.FieldOf("z_upper", func(s *set) *upperer { return &s.Upper }, func(u upperer) []rpc.Handler {
		return []rpc.Handler{rpc.Unary(upper, u.Upper)}
	}, func(conn rpc.Conn) upperer { return upperClient{conn} }),
	rpc.FieldOf("a_repeat", func(s *set) *repeater { return &s.Repeat }, nil, func(rpc.Conn) repeater { return repeatServer{} }),
}

type upperServer struct{}

func (upperServer) Upper(_ context.Context, request *text) (*text, error) {
	return wrapperspb.String("served " + request.GetValue()), nil
}

type repeatServer struct{}

func (repeatServer) Repeat(ctx context.Context, request *text, send func(*text) error) error {
	return repeatThrice(ctx, request, send)
}

type upperClient struct{ conn rpc.Conn }

func (c upperClient) Upper(ctx context.Context, request *text) (*text, error) {
	return rpc.CallUnary[*text](ctx, c.conn, upper, request)
}

func TestFieldsThatAreNilAreNotOffered(t *testing.T) {
	t.Parallel()
	require.Empty(t, fields.Names(&set{}))
	require.Empty(t, fields.Handlers(&set{}))
	both := &set{Upper: upperServer{}, Repeat: repeatServer{}}
	require.Equal(t, []string{"a_repeat", "z_upper"}, fields.Names(both))
	handlers := fields.Handlers(both)
	require.Len(t, handlers, 1, "what is never served has no handler")
	require.Same(t, upper, handlers[0].Method)
}

func TestOnlyKeepsTheNamedFields(t *testing.T) {
	t.Parallel()
	both := &set{Upper: upperServer{}, Repeat: repeatServer{}}
	require.Equal(t, &set{Repeat: repeatServer{}}, fields.Only(both, []string{"a_repeat", "unknown"}))
	require.Equal(t, &set{Upper: upperServer{}, Repeat: repeatServer{}}, both)
	require.Equal(t, &set{}, fields.Only(both, nil))
}

func TestClientsCallTheNamedInterfaces(t *testing.T) {
	t.Parallel()
	conn := rpc.InProcess(fields.Handlers(&set{Upper: upperServer{}}))
	clients := fields.Clients(conn, []string{"z_upper", "unknown"})
	require.Equal(t, []string{"z_upper"}, fields.Names(clients))
	response, err := clients.Upper.Upper(t.Context(), wrapperspb.String("a"))
	require.NoError(t, err)
	require.Equal(t, "served a", response.GetValue())
}

func TestAnOfferingOfAnotherTypeFillsASet(t *testing.T) {
	t.Parallel()
	require.Nil(t, fields.From(nil))
	require.Equal(t, &set{}, fields.From(offering{}))
	filled := fields.From(offering{"z_upper": upperServer{}, "a_repeat": "not a repeater", "unknown": upperServer{}})
	require.Equal(t, &set{Upper: upperServer{}}, filled, "what does not fulfil the contract, or has no field, is left out")
	require.Equal(t, upperServer{}, fields.Interface(filled, "z_upper"))
	require.Nil(t, fields.Interface(filled, "a_repeat"))
	require.Nil(t, fields.Interface(filled, "unknown"))
}

// offering stands for a set of another module.
type offering map[string]any

func (o offering) Interface(name string) any { return o[name] }
