package front_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/listen"
)

// every returns limits whose fields are all set, each to its own number.
func every() *configv1.Limits {
	limits := new(configv1.Limits)
	fields := limits.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch n := int(field.Number()); {
		case field.Message() != nil:
			limits.ProtoReflect().Set(field, protoreflect.ValueOfMessage(durationpb.New(time.Duration(n)*time.Second).ProtoReflect()))
		case field.Kind() == protoreflect.Uint64Kind:
			limits.ProtoReflect().Set(field, protoreflect.ValueOfUint64(uint64(n)))
		default:
			limits.ProtoReflect().Set(field, protoreflect.ValueOfUint32(uint32(n)))
		}
	}
	return limits
}

func TestEveryLimitIsEnforcedSomewhere(t *testing.T) {
	require.Equal(t, listen.Limits{
		MaxConnections: 1, MaxStreams: 2, MaxHeaderBytes: 3, HandshakeTimeout: 4 * time.Second, IdleTimeout: 5 * time.Second,
	}, front.ListenLimits(every()))
	require.Equal(t, h2.Limits{
		MaxStreams: 2, MaxHeaderBytes: 3, HandshakeTimeout: 4 * time.Second, IdleTimeout: 5 * time.Second, MaxAge: 6 * time.Second, AgeGrace: 7 * time.Second,
		MinPingInterval: 8 * time.Second, BodyTimeout: 9 * time.Second, WriteTimeout: 10 * time.Second, StallTimeout: 11 * time.Second, MemoryBytes: 12, FloodAllowance: 13,
	}, front.H2Limits(every()))

	// A field that one of them gains has to come from the configuration.
	for _, limits := range []any{front.ListenLimits(every()), front.H2Limits(every())} {
		value := reflect.ValueOf(limits)
		for i := range value.NumField() {
			require.False(t, value.Field(i).IsZero(), "%T.%s", limits, value.Type().Field(i).Name)
		}
	}
	require.Zero(t, front.ListenLimits(nil))
	require.Zero(t, front.H2Limits(nil))
}
