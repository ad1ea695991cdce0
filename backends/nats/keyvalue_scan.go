package nats

import (
	"context"
	"encoding/binary"
	"strings"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// page is what Scan and ScanKeys are asked for.
type page struct {
	method, prefix, token string
	size                  int
}

// Scan streams keys and values.
func (k *keyValue) Scan(ctx context.Context, request *keyvaluev1.ScanRequest, send func(*keyvaluev1.ScanResponse) error) error {
	asked := page{"Scan", request.GetPrefix(), request.GetPageToken(), int(request.GetPageSize())}
	return k.scan(ctx, asked, func(found *entry, token string) error {
		return send(&keyvaluev1.ScanResponse{Key: found.key, Value: found.value, PageToken: token})
	})
}

// ScanKeys streams keys.
func (k *keyValue) ScanKeys(ctx context.Context, request *keyvaluev1.ScanKeysRequest, send func(*keyvaluev1.ScanKeysResponse) error) error {
	asked := page{"ScanKeys", request.GetPrefix(), request.GetPageToken(), int(request.GetPageSize())}
	return k.scan(ctx, asked, func(found *entry, token string) error {
		return send(&keyvaluev1.ScanKeysResponse{Key: found.key, PageToken: token})
	})
}

// scan sends a page. A page goes by the stream's sequences: a key that is written meanwhile moves behind what is still to be read, and is met there.
func (k *keyValue) scan(ctx context.Context, asked page, send func(found *entry, token string) error) error {
	from := uint64(1)
	if asked.token != "" {
		position, err := k.store.tokens.Open(asked.token, k.name, asked.method, asked.prefix)
		if err != nil {
			return err
		}
		from = binary.BigEndian.Uint64(position) + 1
	}
	sent := 0
	var held *entry // it is sent when it is known whether one follows
	full := false
	err := k.walk(ctx, "nats.keyvalue."+asked.method, from, func(found *entry) (bool, error) {
		if there, err := k.alive(ctx, found); err != nil || !there || !strings.HasPrefix(found.key, asked.prefix) {
			return err == nil, err
		}
		if held != nil {
			token := ""
			if sent++; sent == asked.size {
				full = true
				token = k.store.tokens.Seal(binary.BigEndian.AppendUint64(nil, held.sequence), k.name, asked.method, asked.prefix)
			}
			if err := send(held, token); err != nil || full {
				return false, err
			}
		}
		held = found
		return true, nil
	})
	if err != nil || full || held == nil {
		return err
	}
	return send(held, "")
}

// walk visits the namespace's entries from a sequence on, until there are none or visit returns false.
func (k *keyValue) walk(ctx context.Context, op string, from uint64, visit func(*entry) (bool, error)) error {
	for more := true; more; {
		messages, further, err := k.store.read(ctx, op, k.store.keys, k.store.subject(kindKeys, k.token, "*"), from)
		if err != nil {
			return err
		}
		for _, message := range messages {
			if err := ctx.Err(); err != nil {
				return err
			}
			found, err := decodeEntry(message)
			if err != nil {
				return failed(op, err)
			}
			if on, err := visit(&found); err != nil || !on {
				return err
			}
			from = message.Sequence + 1
		}
		more = further
	}
	return nil
}

// Count counts keys. It remembers those that match, because one that is written meanwhile is met twice.
func (k *keyValue) Count(ctx context.Context, request *keyvaluev1.CountRequest) (*keyvaluev1.CountResponse, error) {
	there := make(map[string]struct{})
	err := k.walk(ctx, "nats.keyvalue.Count", 1, func(found *entry) (bool, error) {
		if !strings.HasPrefix(found.key, request.GetPrefix()) {
			return true, nil
		}
		alive, err := k.alive(ctx, found)
		if alive {
			there[found.key] = struct{}{}
		} else {
			delete(there, found.key)
		}
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.CountResponse{Count: uint64(len(there))}, nil
}
