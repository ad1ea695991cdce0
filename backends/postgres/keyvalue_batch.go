package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// maxAnswer is the message limit, which bounds what BatchGet answers.
	maxAnswer = 4 << 20
	// leftOut is the message of a result whose value did not fit.
	leftOut = "the values of the answer exceed the message limit of 4 MiB; ask for this key again"
	// resultOverhead is more than a result takes in the answer beside its key and value: tags and lengths, found, and the status of one that was left out.
	resultOverhead = len(leftOut) + 32
)

// BatchSet stores values in one statement.
func (k *keyValue) BatchSet(ctx context.Context, request *keyvaluev1.BatchSetRequest) (*keyvaluev1.BatchSetResponse, error) {
	last := make(map[string]*setCall, len(request.GetItems()))
	for _, item := range request.GetItems() {
		last[item.GetKey()] = &setCall{row: k.row(item.GetKey()), value: present(item.GetValue())}
	}
	err := k.store.do(ctx, "postgres.keyvalue.BatchSet", false, func(ctx context.Context) error { return k.store.setRows(ctx, slices.Collect(maps.Values(last))) })
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.BatchSetResponse{Statuses: statuses(len(request.GetItems()))}, nil
}

// The answer has no more values than fit into a message, the smallest ones first, which are the most.
const batchGetStatement = `select at, case when sum(octet_length(value)) over (order by octet_length(value), at) <= $3 then value end from (
	select w.at::int, kv.value from unnest($2::bytea[]) with ordinality w (key, at),
	lateral (select value from kv where namespace = $1 and key = w.key and (expires is null or expires > clock_timestamp()) offset 0) kv
) found`

// BatchGet reads values in one statement.
func (k *keyValue) BatchGet(ctx context.Context, request *keyvaluev1.BatchGetRequest) (*keyvaluev1.BatchGetResponse, error) {
	room := maxAnswer
	keys := make(pgtype.FlatArray[[]byte], len(request.GetKeys()))
	for i, key := range request.GetKeys() {
		room -= len(key) + resultOverhead
		keys[i] = []byte(key)
	}
	response := &keyvaluev1.BatchGetResponse{Results: make([]*keyvaluev1.BatchGetResult, len(keys))}
	err := k.store.do(ctx, "postgres.keyvalue.BatchGet", true, func(ctx context.Context) error {
		for i, status := range statuses(len(keys)) {
			response.Results[i] = &keyvaluev1.BatchGetResult{Key: request.GetKeys()[i], Status: status}
		}
		return k.store.rows(ctx, batchGetStatement, []any{k.namespace, keys, room}, func(values [][]byte) {
			result := response.GetResults()[position(values[0])]
			result.Found = true
			if values[1] == nil {
				result.Status = &keyvaluev1.BatchStatus{Code: int32(fault.ResourceExhausted), Message: leftOut}
				return
			}
			result.Value = append([]byte{}, values[1]...)
		})
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// BatchDelete removes keys in one statement.
func (k *keyValue) BatchDelete(ctx context.Context, request *keyvaluev1.BatchDeleteRequest) (*keyvaluev1.BatchDeleteResponse, error) {
	once := make(map[string]*deleteCall, len(request.GetKeys()))
	for _, key := range request.GetKeys() {
		once[key] = &deleteCall{row: k.row(key)}
	}
	err := k.store.do(ctx, "postgres.keyvalue.BatchDelete", false, func(ctx context.Context) error { return k.store.deleteRows(ctx, slices.Collect(maps.Values(once))) })
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.BatchDeleteResponse{Statuses: statuses(len(request.GetKeys()))}, nil
}

// statuses returns n statuses of OK, in one allocation.
func statuses(n int) []*keyvaluev1.BatchStatus {
	slab := make([]keyvaluev1.BatchStatus, n)
	all := make([]*keyvaluev1.BatchStatus, n)
	for i := range slab {
		all[i] = &slab[i]
	}
	return all
}
