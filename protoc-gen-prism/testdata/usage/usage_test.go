// Package usage_test uses what is generated of the golden cases. It is built in a module of its own; see TestUsage.
package usage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.org/shop/gen/prism"
	"example.org/shop/gen/sdk"
	commonv1 "example.org/shop/gen/shop/common/v1"
	deskv1 "example.org/shop/gen/shop/desk/v1"
	"example.org/shop/gen/shop/desk/v1/deskrpc"
	shelfv1 "example.org/shop/gen/shop/shelf/v1"
	"example.org/shop/gen/shop/shelf/v1/shelfrpc"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// frontDesk answers questions in capitals.
type frontDesk struct{}

func answer(request *deskv1.AskRequest) *deskv1.AskResponse {
	return &deskv1.AskResponse{Answer: strings.ToUpper(request.GetQuestion())}
}

func (frontDesk) Ask(_ context.Context, request *deskv1.AskRequest) (*deskv1.AskResponse, error) {
	return answer(request), nil
}

func (frontDesk) Watch(_ context.Context, request *deskv1.AskRequest, send func(*deskv1.AskResponse) error) error {
	return errors.Join(send(answer(request)), send(answer(request)))
}

func (frontDesk) Collect(_ context.Context, receive func() (*deskv1.AskRequest, error)) (*deskv1.AskResponse, error) {
	var answers []string
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			return &deskv1.AskResponse{Answer: strings.Join(answers, " ")}, nil
		}
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer(request).GetAnswer())
	}
}

func (frontDesk) Chat(_ context.Context, receive func() (*deskv1.AskRequest, error), send func(*deskv1.AskResponse) error) error {
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(answer(request)); err != nil {
			return err
		}
	}
}

// questions returns the questions one by one, and then io.EOF.
func questions(all ...string) func() (*deskv1.AskRequest, error) {
	return func() (*deskv1.AskRequest, error) {
		if len(all) == 0 {
			return nil, io.EOF
		}
		question := all[0]
		all = all[1:]
		return &deskv1.AskRequest{Question: question}, nil
	}
}

func TestAForeignServiceOfEveryShape(t *testing.T) {
	var desk deskrpc.FrontDesk = deskrpc.NewFrontDeskClient(rpc.InProcess(deskrpc.FrontDeskHandlers(frontDesk{})))
	var answers []string
	collect := func(response *deskv1.AskResponse) error {
		answers = append(answers, response.GetAnswer())
		return nil
	}

	response, err := desk.Ask(t.Context(), &deskv1.AskRequest{Question: "who"})
	require.NoError(t, err)
	require.Equal(t, "WHO", response.GetAnswer())
	require.NoError(t, desk.Watch(t.Context(), &deskv1.AskRequest{Question: "when"}, collect))
	response, err = desk.Collect(t.Context(), questions("where", "why"))
	require.NoError(t, err)
	require.Equal(t, "WHERE WHY", response.GetAnswer())
	require.NoError(t, desk.Chat(t.Context(), questions("how", "what"), collect))
	require.Equal(t, []string{"WHEN", "WHEN", "HOW", "WHAT"}, answers)

	_, err = deskrpc.NewBackDeskClient(rpc.InProcess(nil)).Ask(t.Context(), &deskv1.AskRequest{})
	require.Equal(t, fault.Unimplemented, fault.CodeOf(err))
}

func TestTablesSayWhatTheSchemaSays(t *testing.T) {
	methods := shelfrpc.BasicMethods()
	require.Len(t, methods, 3)
	take := methods[1]
	require.Equal(t, "/shop.shelf.v1.ShelfBasicInterface/Take", take.Procedure)
	require.Equal(t, "shelf_basic", take.Interface)
	require.Equal(t, []bool{true, true}, []bool{take.Blocking, take.Destructive})
	require.Equal(t, 8<<20, take.MessageLimit())
	require.Equal(t, rpc.IdempotencyUnknown, take.Idempotency)
	require.Equal(t, rpc.Idempotent, methods[0].Idempotency)
	require.IsType(t, &shelfv1.TakeRequest{}, take.NewRequest())
	require.IsType(t, &shelfv1.TakeResponse{}, take.NewResponse())

	methods[0] = nil
	require.NotNil(t, shelfrpc.BasicMethods()[0], "the table cannot be changed")

	shapes := map[string]rpc.Shape{}
	for _, m := range deskrpc.FrontDeskMethods() {
		require.Empty(t, m.Interface)
		shapes[m.Name] = m.Shape
	}
	want := map[string]rpc.Shape{"Ask": rpc.ShapeUnary, "Watch": rpc.ShapeServerStream, "Collect": rpc.ShapeClientStream, "Chat": rpc.ShapeBidi}
	require.Equal(t, want, shapes)
}

func TestVisitorsReachEveryFieldAndChangeIt(t *testing.T) {
	request := &shelfv1.PutRequest{
		Key:      "key",
		Note:     proto.String("note"),
		Value:    []byte("value"),
		Envelope: &commonv1.Envelope{Body: []byte("body")},
		Labels:   map[string]string{"l": "label"},
		Tags:     []string{"tag"},
		Parts:    []*shelfv1.Part{{Pictures: [][]byte{[]byte("picture")}, Parts: []*shelfv1.Part{{Rank: []byte("rank")}}}, nil},
		Drawers:  map[int32]*shelfv1.Part{1: {Samples: map[string][]byte{"s": []byte("sample")}, Sticker: &shelfv1.Part_Sticker{Key: []byte("bytes key")}}},
		Content:  &shelfv1.PutRequest_Part{Part: &shelfv1.Part{Rank: []byte("last")}},
	}
	capitals := func(value *[]byte) error {
		*value = []byte(strings.ToUpper(string(*value)))
		return nil
	}
	capital := func(value *string) error {
		*value = strings.ToUpper(*value)
		return nil
	}
	require.NoError(t, request.VisitPayload(capitals))
	require.NoError(t, request.VisitCompared(capitals))
	require.NoError(t, request.VisitComparedString(capital))
	require.NoError(t, request.VisitKey(capital))
	require.NoError(t, request.VisitKeyBytes(capitals))
	require.NoError(t, request.VisitSecret(capital))
	want := &shelfv1.PutRequest{
		Key:      "KEY",
		Note:     proto.String("NOTE"),
		Value:    []byte("VALUE"),
		Envelope: &commonv1.Envelope{Body: []byte("BODY")},
		Labels:   map[string]string{"l": "LABEL"},
		Tags:     []string{"TAG"},
		Parts:    []*shelfv1.Part{{Pictures: [][]byte{[]byte("PICTURE")}, Parts: []*shelfv1.Part{{Rank: []byte("RANK")}}}, nil},
		Drawers:  map[int32]*shelfv1.Part{1: {Samples: map[string][]byte{"s": []byte("SAMPLE")}, Sticker: &shelfv1.Part_Sticker{Key: []byte("BYTES KEY")}}},
		Content:  &shelfv1.PutRequest_Part{Part: &shelfv1.Part{Rank: []byte("LAST")}},
	}
	require.True(t, proto.Equal(want, request), "got %v, want %v", request, want)
}

func TestVisitorsOfAOneof(t *testing.T) {
	topics := 0
	count := func(*string) error { topics++; return nil }
	require.NoError(t, (&shelfv1.PutRequest{}).VisitTopic(count))
	require.NoError(t, (&shelfv1.PutRequest{Content: &shelfv1.PutRequest_Picture{}}).VisitTopic(count))
	require.Zero(t, topics)
	require.NoError(t, (&shelfv1.PutRequest{Content: &shelfv1.PutRequest_Title{}}).VisitTopic(count))
	require.Equal(t, 1, topics)
}

func TestVisitorsOfDurations(t *testing.T) {
	request := &shelfv1.PutRequest{Ttl: durationpb.New(time.Second), Content: &shelfv1.PutRequest_Lease{Lease: durationpb.New(time.Second)}}
	require.NoError(t, request.VisitTTL(func(ttl **durationpb.Duration) error {
		*ttl = durationpb.New(2 * (*ttl).AsDuration())
		return nil
	}))
	require.Equal(t, 2*time.Second, request.GetTtl().AsDuration())
	require.Equal(t, 2*time.Second, request.GetLease().AsDuration())
}

func TestVisitorsStopAtTheFirstError(t *testing.T) {
	full := errors.New("full")
	visits := 0
	request := &shelfv1.PutRequest{Value: []byte("a"), Parts: []*shelfv1.Part{{Pictures: [][]byte{nil, nil}}}}
	err := request.VisitPayload(func(*[]byte) error {
		visits++
		if visits == 2 {
			return full
		}
		return nil
	})
	require.Equal(t, full, err)
	require.Equal(t, 2, visits)
}

func TestVisitorsOfNothing(t *testing.T) {
	var none *shelfv1.PutRequest
	require.NoError(t, none.VisitPayload(func(*[]byte) error { return errors.New("visited") }))
}

// shelf keeps the last request and finds what it is asked for, three times.
type shelf struct {
	put  *shelfv1.PutRequest
	sent int
	err  error
}

func (s *shelf) Put(_ context.Context, request *shelfv1.PutRequest) (*shelfv1.PutResponse, error) {
	s.put = request
	return &shelfv1.PutResponse{}, nil
}

func (s *shelf) Take(_ context.Context, request *shelfv1.TakeRequest) (*shelfv1.TakeResponse, error) {
	return &shelfv1.TakeResponse{Envelope: &commonv1.Envelope{Body: []byte(fmt.Sprint(request.GetTitle(), request.GetPosition()))}}, nil
}

func (s *shelf) Count(context.Context, *shelfv1.CountRequest) (*shelfv1.CountResponse, error) {
	return &shelfv1.CountResponse{Count: 7}, nil
}

func (s *shelf) Find(_ context.Context, request *shelfv1.FindRequest, send func(*shelfv1.FindResponse) error) error {
	for n := range 3 {
		if err := send(&shelfv1.FindResponse{Key: fmt.Sprint(request.GetText(), n)}); err != nil {
			return err
		}
		s.sent++
	}
	return s.err
}

func (s *shelf) Seal(context.Context, *shelfv1.SealRequest) (*shelfv1.SealResponse, error) {
	return &shelfv1.SealResponse{}, nil
}

func connect(s *shelf) *sdk.Shelf {
	offered := &prism.Interfaces{ShelfBasic: s, ShelfFullText: s}
	return sdk.NewNamespace(rpc.InProcess(offered.Handlers())).Shelf()
}

func TestInterfaces(t *testing.T) {
	s := &shelf{}
	offered := &prism.Interfaces{ShelfBasic: s, ShelfFullText: s, ShelfSeal: s}
	require.Equal(t, []string{"shelf_basic", "shelf_full_text", "shelf_seal"}, offered.Names())
	require.Len(t, offered.Handlers(), 4, "what is for slots only is not served")
	require.Equal(t, []string{"shelf_full_text"}, offered.Only("shelf_full_text", "unknown").Names())

	clients := prism.Clients(rpc.InProcess(offered.Handlers()), "shelf_basic", "unknown")
	require.Equal(t, []string{"shelf_basic"}, clients.Names())
	response, err := clients.ShelfBasic.Count(t.Context(), &shelfv1.CountRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 7, response.GetCount())
}

func TestSDKSetsEveryArgument(t *testing.T) {
	s := &shelf{}
	part := &shelfv1.Part{Rank: []byte("rank")}
	_, err := connect(s).Put(t.Context(), "key", []byte("value"), true, -1, -2, 3, 4, 0.5, 0.25, shelfv1.Material_MATERIAL_OAK, durationpb.New(time.Second),
		&commonv1.Envelope{Token: "token"}, []string{"tag"}, []*shelfv1.Part{part}, map[string]string{"l": "label"}, map[int32]*shelfv1.Part{1: part},
		"note", []byte("seal"), false, shelfv1.Material_MATERIAL_OAK, "title", "range", "s", "options", "string", "shelfv1",
		func(request *shelfv1.PutRequest) { request.Origin = "here" }, func(request *shelfv1.PutRequest) { request.Origin += " and there" })
	require.NoError(t, err)
	want := &shelfv1.PutRequest{
		Key: "key", Value: []byte("value"), Flag: true, Small: -1, Large: -2, Count: 3, Total: 4, Ratio: 0.5, Weight: 0.25,
		Material: shelfv1.Material_MATERIAL_OAK, Ttl: durationpb.New(time.Second), Envelope: &commonv1.Envelope{Token: "token"}, Tags: []string{"tag"},
		Parts: []*shelfv1.Part{part}, Labels: map[string]string{"l": "label"}, Drawers: map[int32]*shelfv1.Part{1: part}, Note: proto.String("note"),
		Seal: []byte("seal"), Fragile: proto.Bool(false), Finish: shelfv1.Material_MATERIAL_OAK.Enum(), Content: &shelfv1.PutRequest_Title{Title: "title"},
		Range: "range", S: "s", Options: "options", String_: "string", Shelfv1: "shelfv1", Origin: "here and there",
	}
	require.True(t, proto.Equal(want, s.put), "got %v, want %v", s.put, want)
}

func TestSDKOptionsComeAfterArguments(t *testing.T) {
	response, err := connect(&shelf{}).Take(t.Context(), "title", func(request *shelfv1.TakeRequest) {
		request.What = &shelfv1.TakeRequest_Position{Position: 3}
	})
	require.NoError(t, err)
	require.Equal(t, "3", string(response.GetEnvelope().GetBody()))
}

func TestSDKSequences(t *testing.T) {
	var found []string
	for response, err := range connect(&shelf{}).Find(t.Context(), "thing ") {
		require.NoError(t, err)
		found = append(found, response.GetKey())
	}
	require.Equal(t, []string{"thing 0", "thing 1", "thing 2"}, found)
}

func TestSDKSequencesEndWithTheError(t *testing.T) {
	var errs []error
	for response, err := range connect(&shelf{err: fault.New(fault.DataLoss, "torn")}).Find(t.Context(), "thing ") {
		if err != nil {
			require.Nil(t, response)
			errs = append(errs, err)
		}
	}
	require.Len(t, errs, 1)
	require.Equal(t, fault.DataLoss, fault.CodeOf(errs[0]))
}

func TestSDKSequencesCanBeLeft(t *testing.T) {
	s := &shelf{}
	for range connect(s).Find(t.Context(), "thing ") {
		break
	}
	require.Less(t, s.sent, 3)
}
