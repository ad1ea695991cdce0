package postgres

import (
	"bytes"
	"context"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// Each statement of this file tells whether it has changed the key, and if not, the value that the key had when the statement began. Where the two contradict each other, the key was
// changed meanwhile, and the statement is made again.
const (
	unchanged = ` select changed, case when not changed then (
	select value from kv where namespace = $1 and key = $2 and (expires is null or expires > clock_timestamp())
) end from (select exists (select from done) as changed offset 0) outcome`

	swapMissingStatement = `with done as (
	insert into kv (namespace, key, value) values ($1, $2, $3)
	on conflict (namespace, key) do update set value = excluded.value, expires = null where kv.expires <= clock_timestamp() returning true
)` + unchanged

	swapStatement = `with done as (
	update kv set value = $3, expires = null where namespace = $1 and key = $2 and value = $4 and (expires is null or expires > clock_timestamp()) returning true
)` + unchanged

	compareAndDeleteStatement = `with done as (
	delete from kv where namespace = $1 and key = $2 and value = $3 and (expires is null or expires > clock_timestamp()) returning true
)` + unchanged
)

// CompareAndSwap stores a value if the present one is as expected.
func (k *keyValue) CompareAndSwap(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
	statement, arguments := swapMissingStatement, []any{k.namespace, []byte(request.GetKey()), present(request.GetValue())}
	if request.Expected != nil {
		statement, arguments = swapStatement, append(arguments, request.GetExpected())
	}
	swapped, current, err := k.change(ctx, "postgres.keyvalue.CompareAndSwap", request.Expected, statement, arguments)
	if err != nil {
		return nil, err
	}
	if swapped {
		current = present(request.GetValue())
	}
	return &keyvaluev1.CompareAndSwapResponse{Swapped: swapped, Current: current}, nil
}

// CompareAndDelete removes a key if its value is as expected.
func (k *keyValue) CompareAndDelete(ctx context.Context, request *keyvaluev1.CompareAndDeleteRequest) (*keyvaluev1.CompareAndDeleteResponse, error) {
	expected := present(request.GetExpected())
	deleted, current, err := k.change(ctx, "postgres.keyvalue.CompareAndDelete", expected, compareAndDeleteStatement, []any{k.namespace, []byte(request.GetKey()), expected})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.CompareAndDeleteResponse{Deleted: deleted, Current: current}, nil
}

// change runs a statement until its answer makes sense: it has changed the key, or has found another value than the expected one. Nil is the value of a missing key.
func (k *keyValue) change(ctx context.Context, op string, expected []byte, statement string, arguments []any) (changed bool, found []byte, err error) {
	err = k.store.do(ctx, op, false, func(ctx context.Context) error {
		for {
			err := k.store.pool.QueryRow(ctx, statement, arguments...).Scan(&changed, &found)
			if err != nil || changed || (found == nil) != (expected == nil) || !bytes.Equal(found, expected) {
				return err
			}
		}
	})
	return changed, found, err
}
