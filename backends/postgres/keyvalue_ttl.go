package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/durationpb"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// SetWithTTL stores a value that expires.
func (k *keyValue) SetWithTTL(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error) {
	if err := k.set(ctx, "postgres.keyvalue.SetWithTTL", request.GetKey(), request.GetValue(), milliseconds(request.GetTtl())); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetWithTTLResponse{}, nil
}

const expireStatement = `update kv set expires = clock_timestamp() + $3 * interval '1 millisecond'
where namespace = $1 and key = $2 and (expires is null or expires > clock_timestamp())`

// Expire gives a key a time to live.
func (k *keyValue) Expire(ctx context.Context, request *keyvaluev1.ExpireRequest) (*keyvaluev1.ExpireResponse, error) {
	response := &keyvaluev1.ExpireResponse{}
	err := k.store.do(ctx, "postgres.keyvalue.Expire", false, func(ctx context.Context) error {
		tag, err := k.store.pool.Exec(ctx, expireStatement, k.namespace, []byte(request.GetKey()), milliseconds(request.GetTtl()))
		response.Found = tag.RowsAffected() > 0
		return err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

const ttlStatement = `select (extract(epoch from expires - clock_timestamp()) * 1000000)::bigint from kv where namespace = $1 and key = $2`

// GetTTL tells how long a key has still to live.
func (k *keyValue) GetTTL(ctx context.Context, request *keyvaluev1.GetTTLRequest) (*keyvaluev1.GetTTLResponse, error) {
	response := &keyvaluev1.GetTTLResponse{}
	err := k.store.do(ctx, "postgres.keyvalue.GetTTL", true, func(ctx context.Context) error {
		var left *int64 // in microseconds
		err := k.store.pool.QueryRow(ctx, ttlStatement, k.namespace, []byte(request.GetKey())).Scan(&left)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil
		case err != nil:
			return err
		case left == nil:
			response.Found = true
		case *left > 0:
			response.Found = true
			response.Ttl = durationpb.New(wholeMilliseconds(time.Duration(*left) * time.Microsecond))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// The second column is null for a missing key; else it tells whether the key had no time to live when the statement began.
const persistStatement = `with persisted as (
	update kv set expires = null where namespace = $1 and key = $2 and expires > clock_timestamp() returning true
) select exists (select from persisted), (select expires is null from kv where namespace = $1 and key = $2 and (expires is null or expires > clock_timestamp()))`

// Persist takes a key's time to live away.
func (k *keyValue) Persist(ctx context.Context, request *keyvaluev1.PersistRequest) (*keyvaluev1.PersistResponse, error) {
	response := &keyvaluev1.PersistResponse{}
	err := k.store.do(ctx, "postgres.keyvalue.Persist", false, func(ctx context.Context) error {
		for {
			var unlimited *bool
			err := k.store.pool.QueryRow(ctx, persistStatement, k.namespace, []byte(request.GetKey())).Scan(&response.Persisted, &unlimited)
			if err != nil {
				return err
			}
			if response.Persisted || unlimited == nil || *unlimited {
				response.Found = response.Persisted || unlimited != nil
				return nil
			}
			// It was there with a time to live, and was changed before it could be locked.
		}
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// milliseconds returns a time to live, rounded up as the contract has it.
func milliseconds(ttl *durationpb.Duration) int64 {
	return wholeMilliseconds(ttl.AsDuration()).Milliseconds()
}

// wholeMilliseconds rounds a positive duration up to whole milliseconds.
func wholeMilliseconds(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
