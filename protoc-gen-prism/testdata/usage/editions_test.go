package usage_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"example.org/shop/gen/sdk"
	cratev1 "example.org/shop/gen/shop/crate/v1"
	"example.org/shop/gen/shop/crate/v1/craterpc"
	deskv1 "example.org/shop/gen/shop/desk/v1"
	"example.org/shop/gen/shop/desk/v1/deskrpc"
	desk2v1 "example.org/shop/gen/shop/desk2/v1"
	desk2rpc "example.org/shop/gen/shop/desk2/v1/deskrpc"
	desk2023v1 "example.org/shop/gen/shop/desk2023/v1"
	desk2023rpc "example.org/shop/gen/shop/desk2023/v1/deskrpc"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// oldDesk answers with the question.
type oldDesk struct{}

func (oldDesk) Ask(_ context.Context, request *desk2v1.Question2) (*desk2v1.Answer2, error) {
	return &desk2v1.Answer2{Text: request.Text}, nil
}

// newDesk does the same.
type newDesk struct{}

func (newDesk) Ask(_ context.Context, request *desk2023v1.Question2023, send func(*desk2023v1.Answer2023) error) error {
	return send(&desk2023v1.Answer2023{Text: request.Text})
}

func TestForeignServicesOfOtherEditions(t *testing.T) {
	answer, err := desk2rpc.NewDesk2Client(rpc.InProcess(desk2rpc.Desk2Handlers(oldDesk{}))).Ask(t.Context(), &desk2v1.Question2{Text: proto.String("who")})
	require.NoError(t, err)
	require.Equal(t, "who", answer.GetText())

	var answers []string
	client := desk2023rpc.NewDesk2023Client(rpc.InProcess(desk2023rpc.Desk2023Handlers(newDesk{})))
	require.NoError(t, client.Ask(t.Context(), &desk2023v1.Question2023{Text: proto.String("who")}, func(answer *desk2023v1.Answer2023) error {
		answers = append(answers, answer.GetText())
		return nil
	}))
	require.Equal(t, []string{"who"}, answers)
}

// lower implements the service that is written in lower case.
type lower struct{}

func (lower) Put(_ context.Context, note *deskv1.Note) (*deskv1.Note, error) { return note, nil }

func (lower) GetAll(_ context.Context, note *deskv1.Note, send func(*deskv1.Note) error) error {
	return send(note)
}

func TestAForeignServiceInLowerCase(t *testing.T) {
	require.Equal(t, "/shop.desk.v1.s/get_all", deskrpc.SMethods()[1].Procedure)
	note, err := deskrpc.NewSClient(rpc.InProcess(deskrpc.SHandlers(lower{}))).Put(t.Context(), &deskv1.Note{Text: "tea"})
	require.NoError(t, err)
	require.Equal(t, "tea", note.GetText())
}

// crate keeps the last request.
type crate struct{ last *cratev1.PackRequest }

func (c *crate) Pack(_ context.Context, request *cratev1.PackRequest) (*cratev1.PackResponse, error) {
	c.last = request
	return &cratev1.PackResponse{}, nil
}

func TestFieldsOfAnEditionHavePresence(t *testing.T) {
	valid := func(change func(*cratev1.PackRequest)) error {
		request := &cratev1.PackRequest{Name: "a", Count: proto.Uint32(2)}
		change(request)
		return craterpc.CheckPackRequest(request)
	}
	for name, test := range map[string]struct {
		change func(*cratev1.PackRequest)
		want   string
	}{
		"nothing that may be absent":    {func(*cratev1.PackRequest) {}, ""},
		"a name, which has none":        {func(r *cratev1.PackRequest) { r.Name = "" }, "name: must be at least 1 byte, has 0"},
		"an empty label":                {func(r *cratev1.PackRequest) { r.Label = proto.String("") }, "label: must be at least 2 bytes, has 0"},
		"an unknown kind":               {func(r *cratev1.PackRequest) { r.Kind = cratev1.Kind(3).Enum() }, "kind: must be a declared value, is 3"},
		"large content":                 {func(r *cratev1.PackRequest) { r.Content = []byte("12345") }, "content: must be at most 4 bytes, has 5"},
		"no count, for all its default": {func(r *cratev1.PackRequest) { r.Count = nil }, "count: must be set"},
		"a count of none":               {func(r *cratev1.PackRequest) { r.Count = proto.Uint32(0) }, "count: must be more than 0, is 0"},
		"a member of a oneof":           {func(r *cratev1.PackRequest) { r.Place = &cratev1.PackRequest_Below{} }, "below: must be at least 1 byte, has 0"},
		"a size without height":         {func(r *cratev1.PackRequest) { r.Size = &cratev1.Size{} }, ""},
		"a size that is no number":      {func(r *cratev1.PackRequest) { r.Size = &cratev1.Size{Height: proto.Float64(math.NaN())} }, "size.height: must be more than 0, is NaN"},
	} {
		err := valid(test.change)
		if test.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), name)
		require.ErrorContains(t, err, test.want, name)
	}
}

func TestSDKArgumentsOfAnEdition(t *testing.T) {
	implementation := &crate{}
	crates := sdk.NewNamespace(rpc.InProcess(craterpc.BasicHandlers(implementation))).Crate()
	_, err := crates.Pack(t.Context(), "a", "label", cratev1.Kind_KIND_PAPER, []byte("tea"))
	require.NoError(t, err)
	want := &cratev1.PackRequest{Name: "a", Label: proto.String("label"), Kind: cratev1.Kind_KIND_PAPER.Enum(), Content: []byte("tea")}
	require.True(t, proto.Equal(want, implementation.last), "%v", implementation.last)
}
