package keyvaluetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/conformance/expect"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// Basic is the suite of keyvalue_basic.
func Basic(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic keyvaluev1.Basic)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t).KeyValueBasic)
		})
	}

	run("GetOfAMissingKeyIsFoundFalse", func(t *testing.T, basic keyvaluev1.Basic) {
		requireMissing(t, basic, "missing")
	})
	run("GetReadsBackWhatSetStored", func(t *testing.T, basic keyvaluev1.Basic) {
		set(t, basic, "key", []byte("value"))
		requireValue(t, basic, "key", []byte("value"))
		requireValue(t, basic, "key", []byte("value")) // reading takes nothing away
	})
	run("SetReplacesTheValue", func(t *testing.T, basic keyvaluev1.Basic) {
		for _, next := range []string{"first", "a longer second value", "3", "", "last"} {
			set(t, basic, "key", []byte(next))
			requireValue(t, basic, "key", []byte(next))
		}
	})
	run("SetAgainIsTheSame", func(t *testing.T, basic keyvaluev1.Basic) {
		set(t, basic, "key", []byte("value"))
		set(t, basic, "key", []byte("value"))
		requireValue(t, basic, "key", []byte("value"))
		require.True(t, remove(t, basic, "key"))
		requireMissing(t, basic, "key")
	})
	run("EmptyValueIsAValue", func(t *testing.T, basic keyvaluev1.Basic) {
		set(t, basic, "nil", nil)
		set(t, basic, "empty", []byte{})
		for _, key := range []string{"nil", "empty"} {
			requireValue(t, basic, key, nil)
			require.True(t, exists(t, basic, key))
			require.True(t, remove(t, basic, key))
			require.False(t, exists(t, basic, key))
		}
	})
	run("ValueMayHoldAnyBytes", func(t *testing.T, basic keyvaluev1.Basic) {
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		for i, want := range [][]byte{every, {0}, {0, 0}, []byte("\xff\xfe"), []byte("\r\n"), []byte("\"'`"), bytes.Repeat([]byte{0xc3}, 3)} {
			key := fmt.Sprint("key-", i)
			set(t, basic, key, want)
			requireValue(t, basic, key, want)
		}
	})
	run("ValueMayBe1MiB", func(t *testing.T, basic keyvaluev1.Basic) {
		want := expect.Bytes(1, maxValue)
		set(t, basic, "key", want)
		requireValue(t, basic, "key", want)
		set(t, basic, "key", want[:maxValue-1])
		requireValue(t, basic, "key", want[:maxValue-1])
	})
	run("ValueOver1MiBIsInvalid", func(t *testing.T, basic keyvaluev1.Basic) {
		set(t, basic, "key", []byte("before"))
		_, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key", Value: expect.Bytes(1, maxValue+1)})
		expect.Invalid(t, "value", err)
		requireValue(t, basic, "key", []byte("before"))
	})
	run("KeyIs1To1024BytesWithoutNUL", func(t *testing.T, basic keyvaluev1.Basic) {
		requireKeyRules(t, basicCalls(basic))
	})
	run("HostileKeysAreOrdinaryAndDistinct", func(t *testing.T, basic keyvaluev1.Basic) {
		keys := hostileKeys()
		for i, key := range keys {
			require.False(t, exists(t, basic, key), "%.80q is taken for another key", key)
			set(t, basic, key, fmt.Append(nil, "value of ", i))
		}
		for i, key := range keys {
			requireValue(t, basic, key, fmt.Append(nil, "value of ", i))
		}
		for i, key := range keys {
			require.True(t, remove(t, basic, key), "%.80q went with one of %.80q", key, keys[:i])
			require.False(t, exists(t, basic, key))
		}
	})
	run("DeleteRemovesAndTellsSo", func(t *testing.T, basic keyvaluev1.Basic) {
		set(t, basic, "key", []byte("value"))
		require.True(t, remove(t, basic, "key"))
		requireMissing(t, basic, "key")
		require.False(t, exists(t, basic, "key"))
	})
	run("DeleteOfAMissingKeyIsDeletedFalse", func(t *testing.T, basic keyvaluev1.Basic) {
		require.False(t, remove(t, basic, "missing"))
		set(t, basic, "key", []byte("value"))
		require.True(t, remove(t, basic, "key"))
		require.False(t, remove(t, basic, "key"))
		requireMissing(t, basic, "key")
	})
	run("DeleteLeavesOtherKeysAlone", func(t *testing.T, basic keyvaluev1.Basic) {
		for _, key := range []string{"a", "ab", "abc", "b"} {
			set(t, basic, key, []byte(key))
		}
		require.True(t, remove(t, basic, "ab"))
		for _, key := range []string{"a", "abc", "b"} {
			requireValue(t, basic, key, []byte(key))
		}
	})
	run("DeletedKeyCanBeSetAgain", func(t *testing.T, basic keyvaluev1.Basic) {
		for i := range 3 {
			set(t, basic, "key", fmt.Append(nil, i))
			requireValue(t, basic, "key", fmt.Append(nil, i))
			require.True(t, remove(t, basic, "key"))
			requireMissing(t, basic, "key")
		}
	})
	run("ExistsTellsWhetherAKeyIsThere", func(t *testing.T, basic keyvaluev1.Basic) {
		require.False(t, exists(t, basic, "key"))
		require.False(t, exists(t, basic, "key"), "looking makes no key")
		set(t, basic, "key", []byte("value"))
		require.True(t, exists(t, basic, "key"))
		require.False(t, exists(t, basic, "ke"))
		require.False(t, exists(t, basic, "key2"))
	})
	run("RequestsAreNotChanged", func(t *testing.T, basic keyvaluev1.Basic) {
		setting := &keyvaluev1.SetRequest{Key: "key", Value: []byte("value")}
		expect.Unchanged(t, setting, func() error { _, err := basic.Set(t.Context(), setting); return err })
		getting := &keyvaluev1.GetRequest{Key: "key"}
		expect.Unchanged(t, getting, func() error { _, err := basic.Get(t.Context(), getting); return err })
		asking := &keyvaluev1.ExistsRequest{Key: "key"}
		expect.Unchanged(t, asking, func() error { _, err := basic.Exists(t.Context(), asking); return err })
		removing := &keyvaluev1.DeleteRequest{Key: "key"}
		expect.Unchanged(t, removing, func() error { _, err := basic.Delete(t.Context(), removing); return err })
		expect.Unchanged(t, setting, func() error { return nil })
	})
	run("ResponsesAreNotChangedAfterwards", func(t *testing.T, basic keyvaluev1.Basic) {
		set(t, basic, "key", []byte("before"))
		response, err := basic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
		require.NoError(t, err)
		before := proto.Clone(response)
		set(t, basic, "key", []byte("behind"))
		requireValue(t, basic, "key", []byte("behind"))
		require.True(t, remove(t, basic, "key"))
		require.True(t, proto.Equal(before, response), "got %v, want %v", response, before)
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, basic keyvaluev1.Basic) {
		requireContextRules(t, basicCalls(basic))
	})
	run("CanceledWriteIsWholeOrNothing", func(t *testing.T, basic keyvaluev1.Basic) {
		before, after := expect.Bytes(1, 100_000), expect.Bytes(2, 100_000)
		for i := range 20 {
			set(t, basic, "key", before)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range i * 50 {
					_ = ctx.Err() // passes a little time, a little more each round
				}
				cancel()
			}()
			_, err := basic.Set(ctx, &keyvaluev1.SetRequest{Key: "key", Value: after})
			<-done
			got, found := get(t, basic, "key")
			require.True(t, found)
			if err == nil || !bytes.Equal(got, before) {
				expect.EqualBytes(t, after, got)
			}
		}
	})
	run("CallsRunConcurrently", func(t *testing.T, basic keyvaluev1.Basic) {
		expect.Concurrently(t, 16, func(i int) error { return useConcurrently(t.Context(), basic, i) })
	})
	run("LargeValuesAreReadWholeWhileTheyAreReplaced", func(t *testing.T, basic keyvaluev1.Basic) {
		const size = 256 << 10
		set(t, basic, "key", bytes.Repeat([]byte{0}, size))
		expect.Concurrently(t, 4, func(i int) error {
			for n := range 20 {
				if i == 0 {
					if _, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key", Value: bytes.Repeat([]byte{byte(n)}, size)}); err != nil {
						return err
					}
					continue
				}
				response, err := basic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
				if err != nil {
					return err
				}
				if got := response.GetValue(); len(got) != size || bytes.Count(got, got[:1]) != size {
					return fmt.Errorf("a value of %d bytes is a mixture", len(got))
				}
			}
			return nil
		})
	})
	t.Run("OneKeyIsLinearizable", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		expect.Linearizable(t, registerModel(), recordRegisters(t, i.KeyValueBasic, nil))
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t).KeyValueBasic, open(t).KeyValueBasic
		set(t, one, "key", []byte("one"))
		requireMissing(t, other, "key")
		require.False(t, exists(t, other, "key"))
		require.False(t, remove(t, other, "key"))
		set(t, other, "key", []byte("other"))
		requireValue(t, one, "key", []byte("one"))
		require.True(t, remove(t, one, "key"))
		requireValue(t, other, "key", []byte("other"))
	})
}

// basicCalls are the calls of keyvalue_basic.
func basicCalls(basic keyvaluev1.Basic) []call {
	return []call{
		{"Set", func(ctx context.Context, key string) error {
			_, err := basic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: []byte("value")})
			return err
		}, "key"},
		{"Get", func(ctx context.Context, key string) error {
			_, err := basic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
			return err
		}, "key"},
		{"Exists", func(ctx context.Context, key string) error {
			_, err := basic.Exists(ctx, &keyvaluev1.ExistsRequest{Key: key})
			return err
		}, "key"},
		{"Delete", func(ctx context.Context, key string) error {
			_, err := basic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: key})
			return err
		}, "key"},
	}
}

// useConcurrently works on keys that nobody else works on, and expects what a lone caller expects.
func useConcurrently(ctx context.Context, basic keyvaluev1.Basic, caller int) error {
	for n := range 25 {
		key := fmt.Sprintf("caller-%d-%d", caller, n%5)
		want := strings.Repeat(fmt.Sprint(caller, n, " "), 20)
		if _, err := basic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: []byte(want)}); err != nil {
			return fmt.Errorf("set: %w", err)
		}
		got, err := basic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if !got.GetFound() || string(got.GetValue()) != want {
			return fmt.Errorf("%s: got %v %q, want %q", key, got.GetFound(), got.GetValue(), want)
		}
		removed, err := basic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: key})
		if err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		there, err := basic.Exists(ctx, &keyvaluev1.ExistsRequest{Key: key})
		if err != nil {
			return fmt.Errorf("exists: %w", err)
		}
		if !removed.GetDeleted() || there.GetExists() {
			return fmt.Errorf("%s: deleted=%v, exists=%v afterwards", key, removed.GetDeleted(), there.GetExists())
		}
	}
	return nil
}
