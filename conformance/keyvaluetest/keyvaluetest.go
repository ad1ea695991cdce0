// Package keyvaluetest holds the conformance suites of the KeyValue interfaces: one function per interface, one case per sentence of its contract.
//
// A suite runs against the value that a backend or a pattern gives, and against a client of it over any transport alike: errors are compared by code, messages
// by content, and nothing is known of time but that a key never expires early. A case that needs another interface of the model runs when that is
// offered too.
//
// Cases run in parallel, each in a namespace of its own: what open makes is to be undone by t.Cleanup, not by defer.
package keyvaluetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// Open returns the interfaces of a fresh, empty namespace at each call. Two namespaces of one test are of one instance.
type Open = func(t *testing.T) *prism.Interfaces

const (
	maxKey   = 1024
	maxValue = 1 << 20
)

// errSend is what a case's send function fails with.
var errSend = errors.New("keyvaluetest: send fails")

// hostileKeys are different keys that an implementation may mistake for one another, for patterns, or for syntax.
func hostileKeys() []string {
	return []string{
		"a", "A", "aa", "a ", " a", "á", "a\u0301", // the last two look alike
		"*", "?", "a*", "a?", "[a]", "[^a]", "[a-z]*", "%", "_", "a%", "a_", `\`, `\*`, `a\`, "a.b", "a>", ">",
		"{a}", "{a", "a}", "{}", "{{}}", "}{",
		`"`, `'`, "`", `a"b`, `a'b`, "';--", "$1", "${a}", "%s", "%00", `\x00`, `\u0000`,
		"\n", "a\nb", "\r\n", "\t", "\x01", "\x7f", "\u2028", "\ufeff", "\ufeffa",
		"/", "a/b", "a//b", "../a", "..", ".", "a:b", ":", "::", "a|b", "a,b", "a;b", "a=b", "a&b", "#", "@", "~", "a+b",
		"日本語", "😀", "\U0010ffff", "ÿ", "ﬀ", "ß", "SS", "İ",
		"0", "00", "-1", "1e3", "null", "nil", "true", "NaN",
		strings.Repeat("k", maxKey), strings.Repeat("k", maxKey-1), strings.Repeat("é", maxKey/2), strings.Repeat("*", maxKey),
	}
}

// during runs a function on the test's goroutine while n others repeat theirs, step after step.
func during(t *testing.T, n int, step func(i, n int) error, run func()) {
	t.Helper()
	done := make(chan struct{})
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			for n := 0; errs[i] == nil; n++ {
				select {
				case <-done:
					return
				default:
					errs[i] = step(i, n)
				}
			}
		})
	}
	func() {
		defer group.Wait()
		defer close(done)
		run()
	}()
	require.NoError(t, errors.Join(errs...))
}

// set, get and the like are for cases about something else: they fail the test when the call fails.
func set(t *testing.T, basic keyvaluev1.Basic, key string, value []byte) {
	t.Helper()
	_, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: value})
	require.NoError(t, err, "Set %.80q", key)
}

func get(t *testing.T, basic keyvaluev1.Basic, key string) ([]byte, bool) {
	t.Helper()
	response, err := basic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
	require.NoError(t, err, "Get %.80q", key)
	return response.GetValue(), response.GetFound()
}

func remove(t *testing.T, basic keyvaluev1.Basic, key string) bool {
	t.Helper()
	response, err := basic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: key})
	require.NoError(t, err, "Delete %.80q", key)
	return response.GetDeleted()
}

func exists(t *testing.T, basic keyvaluev1.Basic, key string) bool {
	t.Helper()
	response, err := basic.Exists(t.Context(), &keyvaluev1.ExistsRequest{Key: key})
	require.NoError(t, err, "Exists %.80q", key)
	return response.GetExists()
}

// requireValue fails unless a key has a value.
func requireValue(t *testing.T, basic keyvaluev1.Basic, key string, want []byte) {
	t.Helper()
	got, found := get(t, basic, key)
	require.True(t, found, "%.80q is there", key)
	expect.EqualBytes(t, want, got)
}

// requireMissing fails unless a key is missing.
func requireMissing(t *testing.T, basic keyvaluev1.Basic, key string) {
	t.Helper()
	got, found := get(t, basic, key)
	require.False(t, found, "%.80q is missing", key)
	require.Empty(t, got, "a missing key has no value")
}

// setAll sets many keys, some at once.
func setAll(t *testing.T, basic keyvaluev1.Basic, pairs map[string][]byte) {
	t.Helper()
	keys := make(chan string, len(pairs))
	for key := range pairs {
		keys <- key
	}
	close(keys)
	expect.Concurrently(t, 8, func(int) error {
		for key := range keys {
			if _, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: pairs[key]}); err != nil {
				return fmt.Errorf("set %.80q: %w", key, err)
			}
		}
		return nil
	})
}

// call is one RPC of an interface with a valid request, as the cases about every RPC need it.
type call struct {
	name string
	// withKey makes the call with a key; nil when the RPC has none.
	withKey func(ctx context.Context, key string) error
	// field is the field that the key is in.
	field string
}

// requireKeyRules checks what every RPC asks of a key.
func requireKeyRules(t *testing.T, calls []call) {
	t.Helper()
	for _, call := range calls {
		if call.withKey == nil {
			continue
		}
		for name, key := range map[string]string{
			"empty":                         "",
			"1,025 bytes":                   strings.Repeat("k", maxKey+1),
			"513 characters of 2 bytes":     strings.Repeat("é", maxKey/2+1),
			"NUL alone":                     "\x00",
			"NUL within":                    "a\x00b",
			"1,024 bytes that end with NUL": strings.Repeat("k", maxKey-1) + "\x00",
		} {
			err := call.withKey(t.Context(), key)
			require.Error(t, err, "%s accepts a key that is not allowed: %s", call.name, name)
			expect.Invalid(t, call.field, err)
		}
		require.NoError(t, call.withKey(t.Context(), strings.Repeat("k", maxKey)), "%s with a key of 1,024 bytes", call.name)
		require.NoError(t, call.withKey(t.Context(), strings.Repeat("é", maxKey/2)), "%s with a key of 512 characters in 1,024 bytes", call.name)
	}
}

// requireContextRules checks that each call tells CANCELED and DEADLINE_EXCEEDED when its context has ended.
func requireContextRules(t *testing.T, calls []call) {
	t.Helper()
	canceled, late := expect.Ended(t)
	for _, call := range calls {
		require.NoError(t, call.withKey(t.Context(), "key"), "%s in a context that has not ended", call.name)
		if got := fault.CodeOf(call.withKey(canceled, "key")); got != fault.Canceled {
			require.FailNow(t, "wrong code", "%s in a canceled context: got %s, want CANCELED", call.name, got)
		}
		if got := fault.CodeOf(call.withKey(late, "key")); got != fault.DeadlineExceeded {
			require.FailNow(t, "wrong code", "%s after its deadline: got %s, want DEADLINE_EXCEEDED", call.name, got)
		}
	}
}
