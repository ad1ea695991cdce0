package backend_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

func newTokens() *backend.Tokens { return backend.NewTokens(bytes.Repeat([]byte{7}, 32)) }

func requireRefused(t *testing.T, tokens *backend.Tokens, token string, binding ...string) {
	t.Helper()
	position, err := tokens.Open(token, binding...)
	require.Nil(t, position)
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "%q with %q: %v", token, binding, err)
	var refused *fault.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "page_token", refused.Details[0].(*errdetails.BadRequest).GetFieldViolations()[0].GetField())
}

func TestTokenOpensForTheRequestItIsBoundTo(t *testing.T) {
	t.Parallel()
	for _, position := range [][]byte{nil, {}, {0}, []byte("user:42"), bytes.Repeat([]byte{0xff}, 2000)} {
		for _, binding := range [][]string{nil, {""}, {"orders", "/prism.keyvalue.v1.KeyValueScanInterface/Scan", "user:"}} {
			token := newTokens().Seal(position, binding...)
			opened, err := newTokens().Open(token, binding...)
			require.NoError(t, err)
			require.True(t, bytes.Equal(position, opened), "%q became %q", position, opened)
		}
	}
}

func TestTokenOfAnotherRequestIsRefused(t *testing.T) {
	t.Parallel()
	tokens := newTokens()
	token := tokens.Seal([]byte("at"), "orders", "Scan", "user:")
	for _, other := range [][]string{
		nil,
		{"orders"},
		{"orders", "Scan"},
		{"orders", "ScanKeys", "user:"},
		{"Scan", "orders", "user:"},
		{"orders", "Scan", "user:", ""},
		{"", "orders", "Scan", "user:"},
		// The same text, cut elsewhere.
		{"ordersScan", "user:"},
		{"orders", "Scanuser:"},
		{"ordersScanuser:"},
		{"o", "rdersScan", "user:"},
	} {
		requireRefused(t, tokens, token, other...)
	}
}

// TestBindingAndPositionDoNotRunTogether tries to pass the end of a binding as the beginning of a position.
func TestBindingAndPositionDoNotRunTogether(t *testing.T) {
	t.Parallel()
	tokens := newTokens()
	sealed, err := base64.RawURLEncoding.DecodeString(tokens.Seal([]byte("position"), "orders", "b"))
	require.NoError(t, err)
	tag := sealed[:len(sealed)-len("position")]
	moved := slices.Concat(tag, []byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte("bposition"))
	requireRefused(t, tokens, base64.RawURLEncoding.EncodeToString(moved), "orders")
}

func TestTamperedTokenIsRefused(t *testing.T) {
	t.Parallel()
	tokens := newTokens()
	token := tokens.Seal([]byte("user:42"), "orders")
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	for bit := range len(sealed) * 8 {
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		requireRefused(t, tokens, base64.RawURLEncoding.EncodeToString(changed), "orders")
	}
	for end := range len(token) {
		requireRefused(t, tokens, token[:end], "orders")
	}
	for _, other := range []string{"", "=", "not base64!", token + "=", token + "A", token + token, " " + token, token + "\n", strings.ToLower(token)} {
		requireRefused(t, tokens, other, "orders")
	}
}

func TestTokenOfAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	token := backend.NewTokens([]byte("another key")).Seal([]byte("user:42"), "orders")
	requireRefused(t, newTokens(), token, "orders")
}

// FuzzTokenIsBoundToItsRequest looks for two different bindings that accept one token.
func FuzzTokenIsBoundToItsRequest(f *testing.F) {
	f.Add([]byte("at"), "orders", "Scan", "orders", "Scan")
	f.Add([]byte("at"), "ab", "c", "a", "bc")
	f.Add([]byte(""), "", "", "\x00", "")
	f.Fuzz(func(t *testing.T, position []byte, a, b, c, d string) {
		tokens := newTokens()
		token := tokens.Seal(position, a, b)
		opened, err := tokens.Open(token, a, b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(position, opened))
		if a != c || b != d {
			requireRefused(t, tokens, token, c, d)
		}
		requireRefused(t, tokens, token, a+b)
		requireRefused(t, tokens, token, a, b, "")
	})
}

// FuzzTokenThatWasNotSealedIsRefused looks for a text that passes for a token.
func FuzzTokenThatWasNotSealedIsRefused(f *testing.F) {
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAA")
	f.Add(backend.NewTokens([]byte("another key")).Seal([]byte("at"), "orders"))
	f.Fuzz(func(t *testing.T, token string) { requireRefused(t, newTokens(), token, "orders") })
}
