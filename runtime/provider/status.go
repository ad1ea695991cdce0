package provider

import (
	"context"
	"errors"
	"strings"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/prismgate/prism/runtime/fault"
)

// encodeDetails returns the google.rpc.Status of an error that has details, or nil.
func encodeDetails(public *fault.Error) []byte {
	if len(public.Details) == 0 {
		return nil
	}
	s := &rpcstatus.Status{Code: int32(public.Code), Message: strings.ToValidUTF8(public.Message, "?")} //nolint:gosec // codes are small
	for _, detail := range public.Details {
		packed, ok := detail.(*anypb.Any)
		if !ok {
			var err error
			if packed, err = anypb.New(detail); err != nil {
				continue
			}
		}
		s.Details = append(s.Details, packed)
	}
	data, err := proto.Marshal(s)
	if err != nil {
		return nil
	}
	return data
}

// decodeFault makes the error that a call's response tells of.
func decodeFault(code uint64, message string, details []byte) *fault.Error {
	if code > uint64(fault.MaxCode) {
		code = uint64(fault.Unknown)
	}
	err := &fault.Error{Code: fault.Code(code), Message: message} //nolint:gosec // it was bounded
	s := new(rpcstatus.Status)
	if len(details) > 0 && proto.Unmarshal(details, s) == nil {
		err.Details = unpack(s.GetDetails())
	}
	return err
}

// unpack returns details as the messages that they are; those of an unknown type stay packed.
func unpack(details []*anypb.Any) []proto.Message {
	var unpacked []proto.Message
	for _, detail := range details {
		if m, err := detail.UnmarshalNew(); err == nil {
			unpacked = append(unpacked, m)
		} else {
			unpacked = append(unpacked, detail)
		}
	}
	return unpacked
}

// fromGRPC makes a fault of an error of grpc-go. What the library itself has to say is a cause, for the log: it has addresses.
func fromGRPC(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return fault.Wrap(err, fault.Unavailable, "", "the provider cannot be reached")
	}
	known := &fault.Error{Code: fault.Code(s.Code()), Message: s.Message(), Details: unpack(s.Proto().GetDetails())}
	if s.Code() > codes.Code(fault.MaxCode) || s.Code() == codes.OK {
		known.Code = fault.Unknown
	}
	return known
}

// validText is a text as protobuf takes it, of most bytes at most.
func validText(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "?")
}
