package keyvaluetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// maxBatch is the most items of a batch.
	maxBatch = 1000
	// maxMessage is the most bytes of a message.
	maxMessage = 4 << 20
)

// Batch is the suite of keyvalue_batch.
func Batch(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.KeyValueBasic, i.KeyValueBatch)
		})
	}

	run("BatchSetStoresEachItem", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		set(t, basic, "b", []byte("before"))
		batchSet(t, batch, "a", "1", "b", "2", "c", "")
		requireValue(t, basic, "a", []byte("1"))
		requireValue(t, basic, "b", []byte("2"))
		requireValue(t, basic, "c", nil)
		requireMissing(t, basic, "d")
	})
	run("BatchSetOfARepeatedKeyKeepsTheLast", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		batchSet(t, batch, "a", "1", "b", "1", "a", "2", "a", "a longer third", "b", "2")
		requireValue(t, basic, "a", []byte("a longer third"))
		requireValue(t, basic, "b", []byte("2"))
		var pairs []string
		for i := range maxBatch {
			pairs = append(pairs, fmt.Sprint("key-", i%50), fmt.Sprint(i))
		}
		batchSet(t, batch, pairs...)
		for i := range 50 {
			requireValue(t, basic, fmt.Sprint("key-", i), fmt.Append(nil, maxBatch-50+i))
		}
	})
	run("BatchGetAnswersInTheOrderOfTheRequest", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		keys := numbered(t, basic, "key-", 100)
		for range 5 {
			rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			requireResults(t, keys, nil, batchGet(t, batch, keys...))
		}
	})
	run("BatchGetOfAMissingKeyIsFoundFalseWithStatusOK", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		requireResults(t, []string{"a", "b"}, []string{"a", "b"}, batchGet(t, batch, "a", "b"))
		setAll(t, basic, valuesOf([]string{"a", "c"}))
		requireResults(t, []string{"missing", "a", "b", "c"}, []string{"missing", "b"}, batchGet(t, batch, "missing", "a", "b", "c"))
		set(t, basic, "empty", nil)
		result := batchGet(t, batch, "empty").GetResults()[0]
		require.True(t, result.GetFound(), "an empty value is a value")
		require.Empty(t, result.GetValue())
	})
	run("BatchGetOfARepeatedKeyAnswersAtEachPlace", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		setAll(t, basic, valuesOf([]string{"a", "b"}))
		keys := []string{"a", "b", "a", "missing", "a", "missing", "b"}
		requireResults(t, keys, []string{"missing"}, batchGet(t, batch, keys...))
	})
	run("BatchGetLeavesOutValuesBeyondTheMessageLimit", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		want := make(map[string][]byte)
		for i := range 9 {
			want[fmt.Sprint("large-", i)] = expect.Bytes(i, maxValue-i)
		}
		setAll(t, basic, want)
		set(t, basic, "small", []byte("small"))
		ask := append(slices.Sorted(maps.Keys(want)), "small", "missing")
		for round := 0; len(ask) > 0; round++ {
			require.Less(t, round, 10, "asking again does not lead to an end")
			response := batchGet(t, batch, ask...)
			require.LessOrEqual(t, proto.Size(response), maxMessage, "the answer is within the message limit")
			require.Len(t, response.GetResults(), len(ask))
			var again []string
			for i, result := range response.GetResults() {
				require.Equal(t, ask[i], result.GetKey())
				require.Equal(t, ask[i] != "missing", result.GetFound(), "%q: found", ask[i])
				switch fault.Code(result.GetStatus().GetCode()) {
				case fault.OK:
					switch ask[i] {
					case "small":
						expect.EqualBytes(t, []byte("small"), result.GetValue())
					case "missing":
						require.Empty(t, result.GetValue())
					default:
						expect.EqualBytes(t, want[ask[i]], result.GetValue())
					}
				case fault.ResourceExhausted:
					require.Empty(t, result.GetValue(), "a value that is left out is empty")
					require.NotEmpty(t, result.GetStatus().GetMessage())
					require.NotEqual(t, "missing", ask[i])
					again = append(again, ask[i])
				default:
					require.FailNow(t, "wrong status", "%q: %v", ask[i], result.GetStatus())
				}
			}
			require.Less(t, len(again), len(ask), "some values fit into the answer")
			if round == 0 {
				require.NotEmpty(t, again, "9 MiB do not fit into a message")
				require.LessOrEqual(t, len(again), 6, "3 values of 1 MiB fit into a message")
			}
			ask = again
		}
	})
	run("LargestAnswersAreWithinTheMessageLimit", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		// 1,000 keys of 1,024 bytes with values of 4 KiB: 5 MiB, of which much is keys.
		var keys []string
		for i := range maxBatch {
			keys = append(keys, fmt.Sprintf("%01024d", i))
		}
		for part := range slices.Chunk(keys, 250) {
			request := &keyvaluev1.BatchSetRequest{}
			for i, key := range part {
				request.Items = append(request.Items, &keyvaluev1.BatchItem{Key: key, Value: expect.Bytes(i, 4<<10)})
			}
			response, err := batch.BatchSet(t.Context(), request)
			require.NoError(t, err)
			requireStatuses(t, len(part), response.GetStatuses())
		}
		requireValue(t, basic, keys[7], expect.Bytes(7, 4<<10))
		response := batchGet(t, batch, keys...)
		require.LessOrEqual(t, proto.Size(response), maxMessage)
		require.Len(t, response.GetResults(), maxBatch)
		whole := 0
		for i, result := range response.GetResults() {
			require.Equal(t, keys[i], result.GetKey())
			if result.GetStatus().GetCode() == 0 {
				expect.EqualBytes(t, expect.Bytes(i%250, 4<<10), result.GetValue())
				whole++
			}
		}
		require.Greater(t, whole, 500, "most of 3 MiB of values fit beside 1 MiB of keys")
	})
	run("BatchDeleteRemovesEachKeyAndDoesNotMindMissingOnes", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		setAll(t, basic, valuesOf([]string{"a", "b", "c"}))
		response, err := batch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: []string{"a", "missing", "c", "a"}})
		require.NoError(t, err)
		requireStatuses(t, 4, response.GetStatuses())
		requireMissing(t, basic, "a")
		requireMissing(t, basic, "c")
		requireValue(t, basic, "b", []byte("value of b"))
		response, err = batch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: []string{"a", "b"}})
		require.NoError(t, err)
		requireStatuses(t, 2, response.GetStatuses())
		require.False(t, exists(t, basic, "b"))
	})
	t.Run("BatchSetClearsTheTimeToLive", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		if i.KeyValueTTL == nil {
			t.Skip("keyvalue_ttl is not offered, so there is no time to live")
		}
		setWithTTL(t, i.KeyValueTTL, "a", []byte("value"), time.Hour)
		setWithTTL(t, i.KeyValueTTL, "b", []byte("value"), time.Hour)
		batchSet(t, i.KeyValueBatch, "a", "new")
		requireNoTTL(t, i.KeyValueTTL, "a")
		requireTTL(t, i.KeyValueTTL, "b", 0, time.Hour)
	})
	run("BatchIs1To1000Items", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		requireInvalidBatch := func(keys []string) {
			t.Helper()
			items := make([]*keyvaluev1.BatchItem, len(keys))
			for i, key := range keys {
				items[i] = &keyvaluev1.BatchItem{Key: key}
			}
			_, err := batch.BatchSet(t.Context(), &keyvaluev1.BatchSetRequest{Items: items})
			expect.Invalid(t, "items", err)
			_, err = batch.BatchGet(t.Context(), &keyvaluev1.BatchGetRequest{Keys: keys})
			expect.Invalid(t, "keys", err)
			_, err = batch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: keys})
			expect.Invalid(t, "keys", err)
		}
		keys := make([]string, maxBatch+1)
		var pairs []string
		for i := range keys {
			keys[i] = fmt.Sprint("key-", i)
			pairs = append(pairs, keys[i], "value of "+keys[i])
		}
		requireInvalidBatch(nil)
		requireInvalidBatch(keys)
		requireMissing(t, basic, "key-0")
		batchSet(t, batch, pairs[:2*maxBatch]...)
		requireInvalidBatch(keys)
		requireResults(t, keys[:maxBatch], nil, batchGet(t, batch, keys[:maxBatch]...))
		response, err := batch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: keys[:maxBatch]})
		require.NoError(t, err)
		requireStatuses(t, maxBatch, response.GetStatuses())
		requireMissing(t, basic, "key-999")
	})
	run("KeysAre1To1024BytesWithoutNUL", func(t *testing.T, _ keyvaluev1.Basic, batch keyvaluev1.Batch) {
		requireKeyRules(t, batchCalls(batch))
	})
	run("InvalidItemIsNamedAndNothingIsStored", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		_, err := batch.BatchSet(t.Context(), &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "a"}, {Key: ""}, {Key: "c"}}})
		expect.Invalid(t, "items[1].key", err)
		_, err = batch.BatchSet(t.Context(), &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "a"}, {Key: "b"}, {Key: "c", Value: expect.Bytes(1, maxValue+1)}}})
		expect.Invalid(t, "items[2].value", err)
		_, err = batch.BatchGet(t.Context(), &keyvaluev1.BatchGetRequest{Keys: []string{"a", "b", strings.Repeat("k", maxKey+1)}})
		expect.Invalid(t, "keys[2]", err)
		set(t, basic, "b", []byte("value"))
		_, err = batch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: []string{"\x00", "b"}})
		expect.Invalid(t, "keys[0]", err)
		requireMissing(t, basic, "a")
		requireMissing(t, basic, "c")
		requireValue(t, basic, "b", []byte("value"))
	})
	run("ValuesMayBe1MiB", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		response, err := batch.BatchSet(t.Context(), &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{
			{Key: "a", Value: expect.Bytes(1, maxValue)}, {Key: "b", Value: expect.Bytes(2, maxValue)},
		}})
		require.NoError(t, err)
		requireStatuses(t, 2, response.GetStatuses())
		requireValue(t, basic, "a", expect.Bytes(1, maxValue))
		for i, result := range batchGet(t, batch, "a", "b").GetResults() {
			require.Zero(t, result.GetStatus().GetCode())
			expect.EqualBytes(t, expect.Bytes(i+1, maxValue), result.GetValue())
		}
	})
	run("HostileKeysAreOrdinaryAndDistinct", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		keys := hostileKeys()
		var pairs []string
		for _, key := range keys {
			pairs = append(pairs, key, "value of "+key)
		}
		batchSet(t, batch, pairs...)
		requireResults(t, keys, nil, batchGet(t, batch, keys...))
		for i, key := range keys {
			if i%2 == 0 {
				requireValue(t, basic, key, []byte("value of "+key))
			}
		}
		response, err := batch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: keys[:len(keys)/2]})
		require.NoError(t, err)
		requireStatuses(t, len(keys)/2, response.GetStatuses())
		requireResults(t, keys, keys[:len(keys)/2], batchGet(t, batch, keys...))
	})
	run("RequestsAreNotChanged", func(t *testing.T, _ keyvaluev1.Basic, batch keyvaluev1.Batch) {
		setting := &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "b", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b"}}}
		expect.Unchanged(t, setting, func() error { _, err := batch.BatchSet(t.Context(), setting); return err })
		getting := &keyvaluev1.BatchGetRequest{Keys: []string{"b", "a", "b"}}
		expect.Unchanged(t, getting, func() error { _, err := batch.BatchGet(t.Context(), getting); return err })
		removing := &keyvaluev1.BatchDeleteRequest{Keys: []string{"b", "a", "b"}}
		expect.Unchanged(t, removing, func() error { _, err := batch.BatchDelete(t.Context(), removing); return err })
	})
	run("ResponsesAreNotChangedAfterwards", func(t *testing.T, _ keyvaluev1.Basic, batch keyvaluev1.Batch) {
		batchSet(t, batch, "a", "before", "b", "before")
		response := batchGet(t, batch, "a", "b")
		before := proto.Clone(response)
		batchSet(t, batch, "a", "behind", "b", "behind")
		batchGet(t, batch, "b", "a")
		require.True(t, proto.Equal(before, response), "got %v, want %v", response, before)
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, _ keyvaluev1.Basic, batch keyvaluev1.Batch) {
		requireContextRules(t, batchCalls(batch))
	})
	run("CallsRunConcurrently", func(t *testing.T, basic keyvaluev1.Basic, batch keyvaluev1.Batch) {
		expect.Concurrently(t, 8, func(i int) error {
			var keys []string
			request := &keyvaluev1.BatchSetRequest{}
			for n := range 40 {
				keys = append(keys, fmt.Sprint("caller-", i, "-", n))
				request.Items = append(request.Items,
					&keyvaluev1.BatchItem{Key: keys[n], Value: []byte(keys[n])},
					&keyvaluev1.BatchItem{Key: fmt.Sprint("shared-", n), Value: []byte("shared")})
			}
			for range 5 {
				if _, err := batch.BatchSet(t.Context(), request); err != nil {
					return err
				}
				response, err := batch.BatchGet(t.Context(), &keyvaluev1.BatchGetRequest{Keys: keys})
				if err != nil {
					return err
				}
				for n, result := range response.GetResults() {
					if result.GetKey() != keys[n] || string(result.GetValue()) != keys[n] {
						return fmt.Errorf("%s: got %q with %q", keys[n], result.GetKey(), result.GetValue())
					}
				}
				if _, err := batch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: keys}); err != nil {
					return err
				}
			}
			return nil
		})
		for n := range 40 {
			requireValue(t, basic, fmt.Sprint("shared-", n), []byte("shared"))
			requireMissing(t, basic, fmt.Sprint("caller-0-", n))
		}
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		batchSet(t, one.KeyValueBatch, "a", "value of a", "b", "value of b")
		requireResults(t, []string{"a", "b"}, []string{"a", "b"}, batchGet(t, other.KeyValueBatch, "a", "b"))
		_, err := other.KeyValueBatch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: []string{"a", "b"}})
		require.NoError(t, err)
		requireResults(t, []string{"a", "b"}, nil, batchGet(t, one.KeyValueBatch, "a", "b"))
	})
}

// batchCalls are the calls of keyvalue_batch, each with two items.
func batchCalls(batch keyvaluev1.Batch) []call {
	return []call{
		{"BatchSet", func(ctx context.Context, key string) error {
			_, err := batch.BatchSet(ctx, &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "other"}, {Key: key, Value: []byte("value")}}})
			return err
		}, "items[1].key"},
		{"BatchGet", func(ctx context.Context, key string) error {
			_, err := batch.BatchGet(ctx, &keyvaluev1.BatchGetRequest{Keys: []string{"other", key}})
			return err
		}, "keys[1]"},
		{"BatchDelete", func(ctx context.Context, key string) error {
			_, err := batch.BatchDelete(ctx, &keyvaluev1.BatchDeleteRequest{Keys: []string{"other", key}})
			return err
		}, "keys[1]"},
	}
}

// batchSet sets pairs of keys and values, all of which must succeed.
func batchSet(t *testing.T, batch keyvaluev1.Batch, pairs ...string) {
	t.Helper()
	request := &keyvaluev1.BatchSetRequest{}
	for pair := range slices.Chunk(pairs, 2) {
		request.Items = append(request.Items, &keyvaluev1.BatchItem{Key: pair[0], Value: []byte(pair[1])})
	}
	response, err := batch.BatchSet(t.Context(), request)
	require.NoError(t, err)
	requireStatuses(t, len(request.GetItems()), response.GetStatuses())
}

func batchGet(t *testing.T, batch keyvaluev1.Batch, keys ...string) *keyvaluev1.BatchGetResponse {
	t.Helper()
	response, err := batch.BatchGet(t.Context(), &keyvaluev1.BatchGetRequest{Keys: keys})
	require.NoError(t, err)
	require.Len(t, response.GetResults(), len(keys), "one result per key")
	return response
}

// requireStatuses fails unless there are n statuses, all OK.
func requireStatuses(t *testing.T, n int, statuses []*keyvaluev1.BatchStatus) {
	t.Helper()
	require.Len(t, statuses, n, "one status per item")
	for i, status := range statuses {
		require.Zero(t, status.GetCode(), "item %d: %s", i, status.GetMessage())
		require.Empty(t, status.GetMessage(), "item %d", i)
	}
}

// requireResults fails unless each key has its result, in order: the missing ones are missing, the others have the values that valuesOf gives.
func requireResults(t *testing.T, keys, missing []string, response *keyvaluev1.BatchGetResponse) {
	t.Helper()
	require.Len(t, response.GetResults(), len(keys), "one result per key")
	for i, result := range response.GetResults() {
		require.Equal(t, keys[i], result.GetKey(), "key of result %d", i)
		require.Zero(t, result.GetStatus().GetCode(), "status of result %d: %s", i, result.GetStatus().GetMessage())
		if slices.Contains(missing, keys[i]) {
			require.False(t, result.GetFound(), "%.80q is missing", keys[i])
			require.Empty(t, result.GetValue())
			continue
		}
		require.True(t, result.GetFound(), "%.80q is there", keys[i])
		expect.EqualBytes(t, []byte("value of "+keys[i]), result.GetValue())
	}
}
