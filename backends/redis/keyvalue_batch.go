package redis

import (
	"context"
	_ "embed"
	"errors"

	"github.com/redis/go-redis/v9"

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

var (
	//go:embed lua/keyvalue_fetch.lua
	fetchText string

	fetchScript = newScript(fetchText)
)

// BatchSet stores values, in one step. Of a repeated key the last value is stored.
func (k *keyValue) BatchSet(ctx context.Context, request *keyvaluev1.BatchSetRequest) (*keyvaluev1.BatchSetResponse, error) {
	items := request.GetItems()
	last := make(map[string]int, len(items))
	for i, item := range items {
		last[item.GetKey()] = i
	}
	set, add := make([]any, 1, 1+2*len(items)), make([]any, 2, 2+2*len(items))
	set[0], add[0], add[1] = "mset", "zadd", k.index
	for i, item := range items {
		if last[item.GetKey()] == i {
			set = append(set, k.values+item.GetKey(), item.GetValue())
			add = append(add, 0, item.GetKey())
		}
	}
	err := k.place.do(ctx, "redis.keyvalue.BatchSet", false, func(ctx context.Context) error {
		stored, indexed := redis.NewCmd(ctx, set...), redis.NewCmd(ctx, add...)
		if err := k.place.exchange(ctx, k.index, []redis.Cmder{stored, indexed}); err != nil {
			return err
		}
		return errors.Join(stored.Err(), indexed.Err())
	})
	statuses := newStatuses(len(items))
	if fault.CodeOf(err) == fault.ResourceExhausted {
		full := fault.Public(err)
		for _, status := range statuses {
			status.Code, status.Message = int32(full.Code), full.Message
		}
	} else if err != nil {
		return nil, err
	}
	return &keyvaluev1.BatchSetResponse{Statuses: statuses}, nil
}

// BatchDelete removes keys, in one step.
func (k *keyValue) BatchDelete(ctx context.Context, request *keyvaluev1.BatchDeleteRequest) (*keyvaluev1.BatchDeleteResponse, error) {
	keys := request.GetKeys()
	names, members := make([]string, 0, len(keys)+1), make([]any, 0, len(keys))
	for _, key := range keys {
		names, members = append(names, k.values+key), append(members, key)
	}
	err := k.place.do(ctx, "redis.keyvalue.BatchDelete", false, func(ctx context.Context) error {
		return k.place.eval(ctx, deleteScript, append(names, k.index), members...).Err()
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.BatchDeleteResponse{Statuses: newStatuses(len(keys))}, nil
}

// BatchGet reads values, in one step. The server counts what fits into the answer, so that no more than that travels.
func (k *keyValue) BatchGet(ctx context.Context, request *keyvaluev1.BatchGetRequest) (*keyvaluev1.BatchGetResponse, error) {
	keys := request.GetKeys()
	names := make([]string, len(keys))
	room := maxAnswer
	for i, key := range keys {
		names[i] = k.values + key
		room -= len(key) + resultOverhead
	}
	var answers []any
	err := k.place.do(ctx, "redis.keyvalue.BatchGet", true, func(ctx context.Context) (err error) {
		answers, err = k.place.eval(ctx, fetchScript, names, room).Slice()
		return err
	})
	if err != nil {
		return nil, err
	}
	slab := make([]keyvaluev1.BatchGetResult, len(keys))
	response := &keyvaluev1.BatchGetResponse{Results: make([]*keyvaluev1.BatchGetResult, len(keys))}
	for i, status := range newStatuses(len(keys)) {
		result := &slab[i]
		result.Key, result.Status = keys[i], status
		switch answer := answers[i].(type) {
		case string:
			result.Found, result.Value = true, []byte(answer)
		case int64:
			result.Found = true
			status.Code, status.Message = int32(fault.ResourceExhausted), leftOut
		}
		response.Results[i] = result
	}
	return response, nil
}

// newStatuses returns n statuses of OK, in one allocation.
func newStatuses(n int) []*keyvaluev1.BatchStatus {
	slab := make([]keyvaluev1.BatchStatus, n)
	all := make([]*keyvaluev1.BatchStatus, n)
	for i := range slab {
		all[i] = &slab[i]
	}
	return all
}
