package keyvaluetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// manyKeys is more keys than a backend returns at once.
const manyKeys = 2000

// resumableKeys is more keys than those between two places where a backend can resume.
const resumableKeys = 300

// Scan is the suite of keyvalue_scan.
func Scan(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.KeyValueBasic, i.KeyValueScan)
		})
	}
	// both runs a case for Scan and for ScanKeys.
	both := func(name string, test func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc)) {
		run(name+"/Scan", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) { test(t, basic, scanner(scan)) })
		run(name+"/ScanKeys", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) { test(t, basic, keyScanner(scan)) })
	}

	both("EmptyNamespaceIsAnEmptyStream", func(t *testing.T, _ keyvaluev1.Basic, scan scanFunc) {
		require.Empty(t, scanPage(t, scan, "", 0, ""))
		require.Empty(t, scanPage(t, scan, "prefix", 10, ""))
	})
	both("PrefixThatNothingMatchesIsAnEmptyStream", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		set(t, basic, "key", []byte("value"))
		for _, prefix := range []string{"other", "key2", "ey", "K", "*", " key", strings.Repeat("k", maxKey)} {
			require.Empty(t, scanPage(t, scan, prefix, 0, ""), "prefix %.40q", prefix)
		}
	})
	both("EmptyPrefixMatchesEveryKey", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		want := numbered(t, basic, "key-", 30)
		requireKeys(t, want, scanAll(t, scan, "", 0))
	})
	both("PrefixSelectsTheKeysThatBeginWithIt", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		keys := []string{"a", "ab", "abc", "abd", "b", "ba", "cab", "á", "日", "日本", "月"}
		setAll(t, basic, valuesOf(keys))
		for _, prefix := range append(keys, "c", "日本語", "abcd") {
			requireKeys(t, withPrefix(keys, prefix), scanAll(t, scan, prefix, 0))
			requireKeys(t, withPrefix(keys, prefix), scanAll(t, scan, prefix, 1))
		}
	})
	both("NoCharacterOfAPrefixIsSpecial", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		keys := hostileKeys()
		setAll(t, basic, valuesOf(keys))
		requireKeys(t, keys, scanAll(t, scan, "", 0))
		for _, prefix := range keys {
			requireKeys(t, withPrefix(keys, prefix), scanAll(t, scan, prefix, 0))
		}
		requireKeys(t, keys, scanAll(t, scan, "", 7))
		requireKeys(t, withPrefix(keys, "*"), scanAll(t, scan, "*", 1))
		requireKeys(t, withPrefix(keys, "k"), scanAll(t, scan, "k", 1)) // tokens at keys of 1,024 bytes
	})
	run("ScanCarriesTheValues", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		want := make(map[string][]byte)
		for i := range 60 {
			want[fmt.Sprint("key-", i)] = expect.Bytes(i, i*7)
		}
		setAll(t, basic, want)
		for _, size := range []uint32{0, 7} {
			got := make(map[string][]byte)
			for _, message := range scanAll(t, scanner(scan), "", size) {
				got[message.key] = message.value
			}
			require.Len(t, got, len(want))
			for key := range want {
				expect.EqualBytes(t, want[key], got[key])
			}
		}
	})
	both("DeletedKeysAreNotReturned", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		keys := numbered(t, basic, "key-", 20)
		for _, key := range keys[:10] {
			require.True(t, remove(t, basic, key))
		}
		requireKeys(t, keys[10:], scanAll(t, scan, "", 0))
		requireKeys(t, keys[10:], scanAll(t, scan, "", 3))
	})
	both("PageSize0ReturnsEverything", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		want := numbered(t, basic, "key-", manyKeys)
		messages := scanPage(t, scan, "", 0, "")
		require.Empty(t, messages[len(messages)-1].token, "the enumeration is complete")
		requireKeys(t, want, messages)
	})
	both("PagesOfAnySizeAddUpToEverything", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		want := numbered(t, basic, "key-", 60)
		numbered(t, basic, "other-", 60)
		for _, size := range []uint32{1, 2, 7, 59, 60, 61, 1000, 1_000_000} {
			requireKeys(t, want, scanAll(t, scan, "key-", size))
		}
	})
	both("PageEndsSoonAfterPageSize", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		want := numbered(t, basic, "key-", manyKeys)
		messages := scanPage(t, scan, "", 10, "")
		require.GreaterOrEqual(t, len(messages), 10, "a page that is not the last one is full")
		require.Less(t, len(messages), manyKeys, "page_size is respected")
		require.NotEmpty(t, messages[len(messages)-1].token)
		rest := scanPage(t, scan, "", 0, messages[len(messages)-1].token)
		requireKeys(t, want, append(messages, rest...))
	})
	both("EveryTokenResumesAfterItsMessage", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		want := numbered(t, basic, "key-", 40)
		var before []scanned
		for token, more := "", true; more; {
			messages := scanPage(t, scan, "", 7, token)
			more = false
			for _, message := range messages {
				before = append(before, message)
				if message.token == "" {
					continue
				}
				token, more = message.token, true
				for _, size := range []uint32{0, 3} { // twice: a token can be used again
					after := scanFrom(t, scan, "", size, token)
					requireKeys(t, want, append(slices.Clone(before), after...))
				}
			}
			more = more && messages[len(messages)-1].token != ""
		}
		requireKeys(t, want, before)
	})
	both("TokenSurvivesDeletes", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		keys := numbered(t, basic, "key-", resumableKeys)
		messages := scanPage(t, scan, "", 10, "")
		require.NotEmpty(t, messages)
		token := messages[len(messages)-1].token
		require.NotEmpty(t, token)
		left := keys
		for _, message := range messages { // also the key that the token was issued at
			require.True(t, remove(t, basic, message.key))
			left = slices.DeleteFunc(left, func(key string) bool { return key == message.key })
		}
		requireKeys(t, left, scanFrom(t, scan, "", 10, token))
		for _, key := range left {
			require.True(t, remove(t, basic, key))
		}
		require.Empty(t, scanPage(t, scan, "", 10, token), "nothing is left")
	})
	both("TokenThatWasChangedIsInvalid", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		numbered(t, basic, "key-", resumableKeys)
		token := lastToken(t, scan, "", 5)
		wrong := []string{"x", "0", "AAAA", token + "A", token + "\n", token[:len(token)-1], token[1:], token + token, strings.Repeat("A", 4096), "日本", "\x00"}
		for i := range token {
			if i%3 == 0 {
				other := byte('A')
				if token[i] == 'A' {
					other = 'w'
				}
				wrong = append(wrong, token[:i]+string(other)+token[i+1:])
			}
		}
		for _, wrong := range wrong {
			_, err := scan(t.Context(), "", 5, wrong, keep)
			require.Error(t, err, "a token is accepted that was changed from %q to %q", token, wrong)
			expect.Invalid(t, "page_token", err)
		}
		require.NotEmpty(t, scanPage(t, scan, "", 5, token), "the token is still good")
	})
	both("TokenOfAnotherPrefixIsInvalid", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		numbered(t, basic, "key-", resumableKeys)
		for _, prefix := range []string{"", "k", "key-1"} {
			token := lastToken(t, scan, prefix, 3)
			for _, other := range []string{"", "k", "ke", "key-1", "x"} {
				_, err := scan(t.Context(), other, 3, token, keep)
				if other == prefix {
					require.NoError(t, err)
					continue
				}
				require.Error(t, err, "a token for prefix %q is accepted for %q", prefix, other)
				expect.Invalid(t, "page_token", err)
			}
		}
	})
	run("TokenOfTheOtherRPCIsInvalid", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		numbered(t, basic, "key-", resumableKeys)
		_, err := keyScanner(scan)(t.Context(), "", 3, lastToken(t, scanner(scan), "", 3), keep)
		expect.Invalid(t, "page_token", err)
		_, err = scanner(scan)(t.Context(), "", 3, lastToken(t, keyScanner(scan), "", 3), keep)
		expect.Invalid(t, "page_token", err)
	})
	for _, rpc := range []struct {
		name string
		of   func(keyvaluev1.Scan) scanFunc
	}{{"Scan", scanner}, {"ScanKeys", keyScanner}} {
		t.Run("TokenOfAnotherNamespaceIsInvalid/"+rpc.name, func(t *testing.T) {
			t.Parallel()
			one, other := open(t), open(t)
			numbered(t, one.KeyValueBasic, "key-", resumableKeys)
			numbered(t, other.KeyValueBasic, "key-", resumableKeys)
			token := lastToken(t, rpc.of(one.KeyValueScan), "", 3)
			_, err := rpc.of(other.KeyValueScan)(t.Context(), "", 3, token, keep)
			expect.Invalid(t, "page_token", err)
		})
	}
	both("RequestIsBounded", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		set(t, basic, "key", []byte("value"))
		for _, prefix := range []string{strings.Repeat("k", maxKey+1), strings.Repeat("é", maxKey/2+1), "\x00", "k\x00"} {
			_, err := scan(t.Context(), prefix, 0, "", keep)
			expect.Invalid(t, "prefix", err)
		}
		_, err := scan(t.Context(), "", 1_000_001, "", keep)
		expect.Invalid(t, "page_size", err)
		_, err = scan(t.Context(), "", 0, strings.Repeat("A", 4097), keep)
		expect.Invalid(t, "page_token", err)
	})
	both("KeysThatStayAreReturnedWhileOthersComeAndGo", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		stay := numbered(t, basic, "stay-", 300)
		comeAndGo := func(i, n int) error {
			key := fmt.Sprintf("come-%d-%d", i, n%200)
			if _, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: []byte("value")}); err != nil {
				return err
			}
			_, err := basic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: key})
			return err
		}
		during(t, 2, comeAndGo, func() {
			for _, size := range []uint32{0, 10, 50, 0} {
				var stayed []scanned
				for _, message := range scanAll(t, scan, "", size) {
					if !strings.HasPrefix(message.key, "come-") {
						stayed = append(stayed, message)
					}
				}
				requireKeys(t, stay, stayed)
			}
		})
	})
	run("ScannedValueWasTheValueAtSomeMomentOfTheCall", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		numbered(t, basic, "key-", 100)
		var stored, storing atomic.Int64 // the last version that was answered, and the last that was begun
		set(t, basic, "key-changing", []byte("0"))
		change := func(_, n int) error {
			version := int64(n + 1)
			storing.Store(version)
			_, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key-changing", Value: strconv.AppendInt(nil, version, 10)})
			stored.Store(version)
			return err
		}
		during(t, 1, change, func() {
			for range 30 {
				oldest := stored.Load()
				messages := scanPage(t, scanner(scan), "key-", 0, "")
				newest := storing.Load()
				at := slices.IndexFunc(messages, func(message scanned) bool { return message.key == "key-changing" })
				require.GreaterOrEqual(t, at, 0, "the key is there all the time")
				got, err := strconv.ParseInt(string(messages[at].value), 10, 64)
				require.NoError(t, err)
				require.GreaterOrEqual(t, got, oldest, "the value was replaced before the call")
				require.LessOrEqual(t, got, newest)
			}
		})
	})
	both("ErrorOfSendComesBackAndNoMoreIsSent", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		numbered(t, basic, "key-", 50)
		for _, size := range []uint32{0, 3, 20} {
			for failAt := 1; failAt <= 3; failAt++ {
				sent := 0
				_, err := scan(t.Context(), "", size, "", func(scanned) error {
					if sent++; sent >= failAt {
						return errSend
					}
					return nil
				})
				require.ErrorIs(t, err, errSend)
				require.Equal(t, failAt, sent, "nothing is sent after an error")
			}
		}
	})
	both("BreakingEarlyEndsTheCall", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		pairs := make(map[string][]byte)
		for i := range 500 {
			pairs[fmt.Sprint("key-", i)] = expect.Bytes(i, 1024)
		}
		setAll(t, basic, pairs)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		sent := 0
		begin := time.Now()
		_, err := scan(ctx, "", 0, "", func(scanned) error {
			sent++
			cancel()
			return nil
		})
		if sent < len(pairs) { // a client may have received everything by then
			expect.Code(t, fault.Canceled, err)
		}
		require.Less(t, time.Since(begin), expect.Patience)
		requireKeys(t, slices.Collect(maps.Keys(pairs)), scanAll(t, scan, "", 0))
	})
	both("SendIsCalledByOneGoroutineAtATime", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		numbered(t, basic, "key-", 200)
		var sending atomic.Int32
		_, err := scan(t.Context(), "", 0, "", func(scanned) error {
			defer sending.Add(-1)
			if sending.Add(1) != 1 {
				return errSend
			}
			return nil
		})
		require.NoError(t, err)
		require.Zero(t, sending.Load(), "send is not called after the call has returned")
	})
	run("MessagesAreNotChangedAfterTheyWereSent", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		numbered(t, basic, "key-", 100)
		var kept, copies []proto.Message
		require.NoError(t, scan.Scan(t.Context(), &keyvaluev1.ScanRequest{PageSize: 50}, func(response *keyvaluev1.ScanResponse) error {
			kept, copies = append(kept, response), append(copies, proto.Clone(response))
			return nil
		}))
		require.NoError(t, scan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 50}, func(response *keyvaluev1.ScanKeysResponse) error {
			kept, copies = append(kept, response), append(copies, proto.Clone(response))
			return nil
		}))
		for i := range 100 {
			set(t, basic, fmt.Sprint("key-", i), []byte("changed behind its back"))
		}
		for i := range kept {
			require.True(t, proto.Equal(copies[i], kept[i]), "got %v, want %v", kept[i], copies[i])
		}
	})
	run("RequestsAreNotChanged", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		numbered(t, basic, "key-", resumableKeys)
		scanning := &keyvaluev1.ScanRequest{Prefix: "key", PageSize: 3, PageToken: lastToken(t, scanner(scan), "key", 3)}
		expect.Unchanged(t, scanning, func() error {
			return scan.Scan(t.Context(), scanning, func(*keyvaluev1.ScanResponse) error { return nil })
		})
		keys := &keyvaluev1.ScanKeysRequest{Prefix: "key", PageSize: 3, PageToken: lastToken(t, keyScanner(scan), "key", 3)}
		expect.Unchanged(t, keys, func() error {
			return scan.ScanKeys(t.Context(), keys, func(*keyvaluev1.ScanKeysResponse) error { return nil })
		})
	})
	run("ManyLargeValuesAreStreamed", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		const values = 8 // more in all than one message may be
		for i := range values {
			set(t, basic, fmt.Sprint("large-", i), expect.Bytes(i, maxValue))
		}
		messages := scanAll(t, scanner(scan), "large-", 0)
		require.Len(t, messages, values)
		for _, message := range messages {
			i, err := strconv.Atoi(strings.TrimPrefix(message.key, "large-"))
			require.NoError(t, err)
			expect.EqualBytes(t, expect.Bytes(i, maxValue), message.value)
		}
	})
	run("CountIsExactWhenNothingIsWritten", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		require.EqualValues(t, 0, count(t, scan, ""))
		keys := append(hostileKeys(), numbered(t, basic, "key-", 300)...)
		setAll(t, basic, valuesOf(keys))
		require.EqualValues(t, len(keys), count(t, scan, ""))
		for _, prefix := range append(hostileKeys(), "key-", "key-1", "nothing") {
			require.EqualValues(t, len(withPrefix(keys, prefix)), count(t, scan, prefix), "prefix %.40q", prefix)
		}
		require.True(t, remove(t, basic, "key-1"))
		set(t, basic, "key-2", []byte("replaced"))
		require.EqualValues(t, len(keys)-1, count(t, scan, ""))
		require.EqualValues(t, 299, count(t, scan, "key-"))
	})
	run("CountLiesBetweenSmallestAndLargestWhileKeysComeAndGo", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		numbered(t, basic, "stay-", 100)
		const writers = 3 // each has at most one key more
		comeAndGo := func(i, _ int) error {
			key := fmt.Sprint("come-", i)
			if _, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key}); err != nil {
				return err
			}
			_, err := basic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: key})
			return err
		}
		during(t, writers, comeAndGo, func() {
			for range 50 {
				got := count(t, scan, "")
				require.GreaterOrEqual(t, got, uint64(100))
				require.LessOrEqual(t, got, uint64(100+writers))
			}
		})
	})
	run("CountPrefixIsBounded", func(t *testing.T, _ keyvaluev1.Basic, scan keyvaluev1.Scan) {
		for _, prefix := range []string{strings.Repeat("k", maxKey+1), "\x00"} {
			_, err := scan.Count(t.Context(), &keyvaluev1.CountRequest{Prefix: prefix})
			expect.Invalid(t, "prefix", err)
		}
		require.EqualValues(t, 0, count(t, scan, strings.Repeat("k", maxKey)))
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, basic keyvaluev1.Basic, scan keyvaluev1.Scan) {
		set(t, basic, "key", []byte("value"))
		requireContextRules(t, []call{
			{"Scan", func(ctx context.Context, key string) error {
				_, err := scanner(scan)(ctx, key, 0, "", keep)
				return err
			}, ""},
			{"ScanKeys", func(ctx context.Context, key string) error {
				_, err := keyScanner(scan)(ctx, key, 0, "", keep)
				return err
			}, ""},
			{"Count", func(ctx context.Context, key string) error {
				_, err := scan.Count(ctx, &keyvaluev1.CountRequest{Prefix: key})
				return err
			}, ""},
		})
	})
	both("CallsRunConcurrently", func(t *testing.T, basic keyvaluev1.Basic, scan scanFunc) {
		want := numbered(t, basic, "key-", 200)
		expect.Concurrently(t, 8, func(i int) error {
			messages, err := scan(t.Context(), "key-", 0, "", keep)
			if got := keysOf(messages); err == nil && len(got) != len(want) {
				err = fmt.Errorf("caller %d got %d keys, want %d", i, len(got), len(want))
			}
			return err
		})
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		mine := numbered(t, one.KeyValueBasic, "key-", 20)
		theirs := numbered(t, other.KeyValueBasic, "yek-", 10)
		for _, size := range []uint32{0, 3} {
			requireKeys(t, mine, scanAll(t, scanner(one.KeyValueScan), "", size))
			requireKeys(t, theirs, scanAll(t, scanner(other.KeyValueScan), "", size))
			requireKeys(t, mine, scanAll(t, keyScanner(one.KeyValueScan), "", size))
			requireKeys(t, theirs, scanAll(t, keyScanner(other.KeyValueScan), "", size))
		}
		require.EqualValues(t, 20, count(t, one.KeyValueScan, ""))
		require.EqualValues(t, 10, count(t, other.KeyValueScan, ""))
	})
}

// scanned is one message of Scan or ScanKeys.
type scanned struct {
	key   string
	value []byte
	token string
}

// scanFunc is Scan or ScanKeys. It returns the messages that send has taken.
type scanFunc func(ctx context.Context, prefix string, size uint32, token string, send func(scanned) error) ([]scanned, error)

// keep takes every message.
func keep(scanned) error { return nil }

func scanner(scan keyvaluev1.Scan) scanFunc {
	return func(ctx context.Context, prefix string, size uint32, token string, send func(scanned) error) ([]scanned, error) {
		var all []scanned
		request := &keyvaluev1.ScanRequest{Prefix: prefix, PageSize: size, PageToken: token}
		err := scan.Scan(ctx, request, func(response *keyvaluev1.ScanResponse) error {
			message := scanned{key: response.GetKey(), value: response.GetValue(), token: response.GetPageToken()}
			all = append(all, message)
			return send(message)
		})
		return all, err
	}
}

func keyScanner(scan keyvaluev1.Scan) scanFunc {
	return func(ctx context.Context, prefix string, size uint32, token string, send func(scanned) error) ([]scanned, error) {
		var all []scanned
		request := &keyvaluev1.ScanKeysRequest{Prefix: prefix, PageSize: size, PageToken: token}
		err := scan.ScanKeys(ctx, request, func(response *keyvaluev1.ScanKeysResponse) error {
			message := scanned{key: response.GetKey(), token: response.GetPageToken()}
			all = append(all, message)
			return send(message)
		})
		return all, err
	}
}

// scanPage returns the messages of one page.
func scanPage(t *testing.T, scan scanFunc, prefix string, size uint32, token string) []scanned {
	t.Helper()
	messages, err := scan(t.Context(), prefix, size, token, keep)
	require.NoError(t, err, "prefix %.40q, page_size %d", prefix, size)
	return messages
}

// scanAll returns the messages of an enumeration, page by page.
func scanAll(t *testing.T, scan scanFunc, prefix string, size uint32) []scanned {
	t.Helper()
	return scanFrom(t, scan, prefix, size, "")
}

// scanFrom returns the messages of an enumeration from a token on.
func scanFrom(t *testing.T, scan scanFunc, prefix string, size uint32, token string) []scanned {
	t.Helper()
	var all []scanned
	for range manyKeys * 2 {
		messages := scanPage(t, scan, prefix, size, token)
		all = append(all, messages...)
		if len(messages) == 0 || messages[len(messages)-1].token == "" {
			return all
		}
		token = messages[len(messages)-1].token
		require.NotZero(t, size, "page_size 0 returns everything")
		require.GreaterOrEqual(t, len(messages), int(size), "a page that is not the last one is full")
	}
	require.FailNow(t, "the enumeration does not end")
	return nil
}

// lastToken returns the token of the first page of an enumeration, which must not be all.
func lastToken(t *testing.T, scan scanFunc, prefix string, size uint32) string {
	t.Helper()
	messages := scanPage(t, scan, prefix, size, "")
	require.NotEmpty(t, messages)
	token := messages[len(messages)-1].token
	require.NotEmpty(t, token, "the page is the last one; a backend that can resume nowhere among %d keys does not page", resumableKeys)
	return token
}

func count(t *testing.T, scan keyvaluev1.Scan, prefix string) uint64 {
	t.Helper()
	response, err := scan.Count(t.Context(), &keyvaluev1.CountRequest{Prefix: prefix})
	require.NoError(t, err, "Count %.40q", prefix)
	return response.GetCount()
}

// numbered sets n keys and returns them.
func numbered(t *testing.T, basic keyvaluev1.Basic, prefix string, n int) []string {
	t.Helper()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = prefix + strconv.Itoa(i)
	}
	setAll(t, basic, valuesOf(keys))
	return keys
}

func valuesOf(keys []string) map[string][]byte {
	values := make(map[string][]byte, len(keys))
	for _, key := range keys {
		values[key] = []byte("value of " + key)
	}
	return values
}

func withPrefix(keys []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

// keysOf returns the keys of messages, sorted and each once: a key may come twice.
func keysOf(messages []scanned) []string {
	keys := make([]string, len(messages))
	for i, message := range messages {
		keys[i] = message.key
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// requireKeys fails unless the messages have just these keys.
func requireKeys(t *testing.T, want []string, messages []scanned) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := keysOf(messages); !slices.Equal(want, got) {
		missing := slices.DeleteFunc(slices.Clone(want), func(key string) bool { return slices.Contains(got, key) })
		invented := slices.DeleteFunc(slices.Clone(got), func(key string) bool { return slices.Contains(want, key) })
		require.FailNow(t, "wrong keys", "got %d keys, want %d; missing: %.200q; not wanted: %.200q", len(got), len(want), missing, invented)
	}
}
