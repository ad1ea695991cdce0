package redis

import (
	"bytes"
	"context"
	"crypto/rand"

	"github.com/prismgate/prism/runtime/backend"
)

// sealing is what tokens are sealed under. The key is on the server, so that all gateways have the same: who comes first makes it.
type sealing struct {
	*backend.Tokens
	key []byte
}

// tokens returns what the tokens of the place are sealed under.
func (p *place) tokens(ctx context.Context) (*backend.Tokens, error) {
	if known := p.sealing.Load(); known != nil {
		return known.Tokens, nil
	}
	return p.readTokens(ctx)
}

// readTokens gets the key from the server. One that was known here is put back when it is not there any more, and is given up when another gateway has put its own there.
func (p *place) readTokens(ctx context.Context) (*backend.Tokens, error) {
	known := p.sealing.Load()
	var key []byte
	if known != nil {
		key = known.key
	} else {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	}
	err := p.do(ctx, "redis.tokens", true, func(ctx context.Context) error {
		found, err := p.client.Get(ctx, p.tokensKey).Bytes()
		if isNil(err) { // a server whose memory is full refuses SETNX also when there is nothing to set
			if err := p.client.SetNX(ctx, p.tokensKey, key, 0).Err(); err != nil {
				return err
			}
			found, err = p.client.Get(ctx, p.tokensKey).Bytes()
		}
		if err == nil {
			key = found
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if known == nil || !bytes.Equal(known.key, key) {
		p.sealing.CompareAndSwap(known, &sealing{backend.NewTokens(key), key})
	}
	return p.sealing.Load().Tokens, nil
}

// open opens a token. When it does not open, another gateway may have sealed it under another key: a server that has lost the first one, by a fail-over or since it keeps nothing on disk, has got a new
// one from the gateway that was started next.
func (p *place) open(ctx context.Context, token string, binding ...string) ([]byte, error) {
	known, err := p.tokens(ctx)
	if err != nil {
		return nil, err
	}
	position, refusal := known.Open(token, binding...)
	if refusal == nil {
		return position, nil
	}
	now, err := p.readTokens(ctx)
	if err != nil {
		return nil, err
	}
	if now == known {
		return nil, refusal
	}
	return now.Open(token, binding...)
}
