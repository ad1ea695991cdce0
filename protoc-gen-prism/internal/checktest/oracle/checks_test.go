package oracle_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	rulesv1 "github.com/prismgate/prism/protoc-gen-prism/internal/checktest/rules/v1"
	"github.com/prismgate/prism/protoc-gen-prism/internal/checktest/rules/v1/rulesrpc"
	settingsv1 "github.com/prismgate/prism/protoc-gen-prism/internal/checktest/settings/v1"
	"github.com/prismgate/prism/runtime/fault"
)

func TestChecksAgreeWithProtovalidate(t *testing.T) {
	t.Parallel()
	for _, c := range []checker{
		checkerOf(rulesrpc.CheckStringsRequest),
		checkerOf(rulesrpc.CheckNumbersRequest),
		checkerOf(rulesrpc.CheckPresenceRequest),
		checkerOf(rulesrpc.CheckCollectionsRequest),
		checkerOf(rulesrpc.CheckTree),
		checkerOf(settingsv1.CheckSettings),
		checkerOf(settingsv1.CheckLimits),
		checkerOf(configv1.CheckConfig),
		checkerOf(configv1.CheckServer),
		checkerOf(configv1.CheckNamespace),
		checkerOf(configv1.CheckSecret),
		checkerOf(keyvaluerpc.CheckSetRequest),
		checkerOf(keyvaluerpc.CheckGetRequest),
		checkerOf(keyvaluerpc.CheckBatchSetRequest),
		checkerOf(keyvaluerpc.CheckBatchGetRequest),
		checkerOf(keyvaluerpc.CheckBatchDeleteRequest),
		checkerOf(keyvaluerpc.CheckCompareAndSwapRequest),
		checkerOf(keyvaluerpc.CheckCompareAndDeleteRequest),
		checkerOf(keyvaluerpc.CheckScanRequest),
		checkerOf(keyvaluerpc.CheckCountRequest),
		checkerOf(keyvaluerpc.CheckBeginTransactionRequest),
		checkerOf(keyvaluerpc.CheckSetInTransactionRequest),
		checkerOf(keyvaluerpc.CheckGetInTransactionRequest),
		checkerOf(keyvaluerpc.CheckExpireRequest),
		checkerOf(keyvaluerpc.CheckSetWithTTLRequest),
	} {
		t.Run(string(c.message.ProtoReflect().Descriptor().Name()), func(t *testing.T) {
			t.Parallel()
			compare(t, c)
		})
	}
}

func TestPayloadIsBoundedToTheByte(t *testing.T) {
	t.Parallel()
	c := checkerOf(keyvaluerpc.CheckSetRequest)
	for _, size := range []int{1<<20 - 1, 1 << 20, 1<<20 + 1} {
		compareOne(t, c, &keyvaluev1.SetRequest{Key: "k", Value: make([]byte, size)})
	}
}

func TestNilRequestIsTheEmptyOne(t *testing.T) {
	t.Parallel()
	for name, errs := range map[string][2]error{
		"strings":     {rulesrpc.CheckStringsRequest(nil), rulesrpc.CheckStringsRequest(&rulesv1.StringsRequest{})},
		"numbers":     {rulesrpc.CheckNumbersRequest(nil), rulesrpc.CheckNumbersRequest(&rulesv1.NumbersRequest{})},
		"presence":    {rulesrpc.CheckPresenceRequest(nil), rulesrpc.CheckPresenceRequest(&rulesv1.PresenceRequest{})},
		"collections": {rulesrpc.CheckCollectionsRequest(nil), rulesrpc.CheckCollectionsRequest(&rulesv1.CollectionsRequest{})},
		"tree":        {rulesrpc.CheckTree(nil), rulesrpc.CheckTree(&rulesv1.Tree{})},
	} {
		if got, want := message(errs[0]), message(errs[1]); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestErrorsSayWhereAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	valid := func() *rulesv1.CollectionsRequest {
		return &rulesv1.CollectionsRequest{Numbers: []int32{1}, Required: []bool{true}, Labels: map[string]string{"a": "b"}, MapRequired: map[string][]byte{"a": nil}}
	}
	with := func(change func(*rulesv1.CollectionsRequest)) error {
		m := valid()
		change(m)
		return rulesrpc.CheckCollectionsRequest(m)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{keyvaluerpc.CheckSetRequest(&keyvaluev1.SetRequest{}), `key: must be 1 to 1,024 bytes, has 0`},
		{keyvaluerpc.CheckSetRequest(&keyvaluev1.SetRequest{Key: strings.Repeat("k", 2000)}), `key: must be 1 to 1,024 bytes, has 2,000`},
		{keyvaluerpc.CheckSetRequest(&keyvaluev1.SetRequest{Key: "a\x00b"}), `key: must not contain "\x00", has "a\x00b"`},
		{keyvaluerpc.CheckExpireRequest(&keyvaluev1.ExpireRequest{Key: "k"}), `ttl: must be set`},
		{keyvaluerpc.CheckExpireRequest(&keyvaluev1.ExpireRequest{Key: "k", Ttl: durationpb.New(1)}), `ttl: must be 1ms to 3,650 days, is 1ns`},
		{keyvaluerpc.CheckBatchSetRequest(&keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "a"}, nil}}), `items[1].key: must be 1 to 1,024 bytes, has 0`},
		{with(func(*rulesv1.CollectionsRequest) {}), ``},
		{with(func(m *rulesv1.CollectionsRequest) { m.Numbers = []int32{1, 2, 1} }), `numbers[2]: must not repeat a former item`},
		{with(func(m *rulesv1.CollectionsRequest) { m.Labels["A"] = "" }), `labels["A"]: must, as a key, be 1 to 3 characters of a-z, has "A"`},
		{with(func(m *rulesv1.CollectionsRequest) { m.Labels["a"] = "long" }), `labels["a"]: must be at most 2 characters, has 4`},
		{with(func(m *rulesv1.CollectionsRequest) { m.Hues = []rulesv1.Hue{2} }), `hues[0]: must be a declared value, is 2`},
		{with(func(m *rulesv1.CollectionsRequest) {
			m.Forest = map[bool]*rulesv1.Tree{true: {Branches: []*rulesv1.Tree{{}, {Label: "long"}}}}
		}), `forest[true].branches[1].label: must be at most 2 characters, has 4`},
		{rulesrpc.CheckTotalsRequest(&rulesv1.TotalsRequest{Labels: map[string][]byte{"a": []byte("bc")}, Texts: []string{"ab", "c"}}), ``},
		{rulesrpc.CheckTotalsRequest(&rulesv1.TotalsRequest{Labels: map[string][]byte{"a": []byte("bc"), "d": nil}}), `labels: must hold at most 3 bytes in all, has 4`},
		{rulesrpc.CheckTotalsRequest(&rulesv1.TotalsRequest{Texts: []string{"ab", "cd"}}), `texts: must hold at most 3 bytes in all, has 4`},
		{settingsv1.CheckSettings(&settingsv1.Settings{Name: "a", Password: "hunter2"}), `password: must begin with "b"`},
		{settingsv1.CheckSettings(&settingsv1.Settings{Name: "a", Password: "b", Parts: []*settingsv1.Settings_Part{{}}}), `parts[0].choice: must be set: one of its fields`},
		{settingsv1.CheckSettings(&settingsv1.Settings{Name: "a", Password: "b", Others: map[string]*rulesv1.Unused{"x": {Name: "abc"}}}), `others["x"].name: must be at most 2 characters, has 3`},
		{configv1.CheckConfig(&configv1.Config{Namespaces: []*configv1.Namespace{{Name: "a b"}}}), `namespaces[0].name: must be 1 to 200 characters of A-Za-z0-9._-, has "a b"`},
		{configv1.CheckConfig(&configv1.Config{}), ``},
		{rulesrpc.CheckTotalsRequest(&rulesv1.TotalsRequest{Shared: &rulesv1.Shared{Name: "abc"}}), `shared.name: must be at most 2 characters, has 3`},
	} {
		if got := message(c.err); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestChecksThatPassAllocateNothing(t *testing.T) {
	batch := &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "a", Value: []byte("v")}, {Key: "b"}}}
	collections := &rulesv1.CollectionsRequest{
		Numbers: []int32{1, 2, 3}, Data: [][]byte{[]byte("a"), []byte("b")}, Required: []bool{true}, Labels: map[string]string{"a": "b"},
		MapRequired: map[string][]byte{"a": nil}, Trees: []*rulesv1.Tree{{Label: "x"}}, Durations: []*durationpb.Duration{durationpb.New(2e9)},
	}
	allocated := testing.AllocsPerRun(100, func() {
		if keyvaluerpc.CheckBatchSetRequest(batch) != nil || rulesrpc.CheckCollectionsRequest(collections) != nil {
			t.Error("invalid")
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func message(err error) string {
	var invalid *fault.Error
	if !errors.As(err, &invalid) {
		return ""
	}
	return invalid.Message
}
