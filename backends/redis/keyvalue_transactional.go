package redis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"time"

	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// maxOpenTransactions bounds what clients that never commit can hold on to.
	maxOpenTransactions = 10_000
	// maxTransactionKeys is the most keys that a transaction touches, and maxTransactionBytes the most bytes of values that it writes; the contract's.
	maxTransactionKeys, maxTransactionBytes = 100, 4 << 20
	// defaultTransactionTimeout and maxTransactionTimeout are the contract's too.
	defaultTransactionTimeout, maxTransactionTimeout = 30 * time.Second, 5 * time.Minute
	// notOpen is the reason that is given with FAILED_PRECONDITION.
	notOpen = "TRANSACTION_NOT_OPEN"
)

// What the scripts of transactions answer. A number is the only answer, but for that of keyvalue_see.lua.
const (
	transactionDone = iota
	transactionNotOpen
	transactionFull
	transactionTooLarge
	transactionChanged
	transactionsFull
)

var (
	//go:embed lua/keyvalue_begin.lua
	beginText string
	//go:embed lua/keyvalue_note.lua
	noteText string
	//go:embed lua/keyvalue_see.lua
	seeText string
	//go:embed lua/keyvalue_commit.lua
	commitText string

	beginScript  = newScript(beginText)
	noteScript   = newScript(noteText)
	seeScript    = newScript(seeText)
	commitScript = newScript(commitText)
)

// transaction is the key of an open transaction: a hash of what it has read and will write, that expires with it.
func (k *keyValue) transaction(handle string) string { return k.place.key(k.name, "t", handle) }

// BeginTransaction opens a transaction. Its handle is random, so that nobody can guess another's.
func (k *keyValue) BeginTransaction(ctx context.Context, request *keyvaluev1.BeginTransactionRequest) (*keyvaluev1.BeginTransactionResponse, error) {
	timeout := defaultTransactionTimeout.Milliseconds()
	if request.GetTimeout() != nil {
		timeout = milliseconds(request.GetTimeout())
	}
	random := make([]byte, 18) // 144 bits, and no padding
	_, _ = rand.Read(random)   // never fails: crypto/rand ends the process instead
	handle := base64.RawURLEncoding.EncodeToString(random)
	err := k.transact(ctx, "redis.keyvalue.BeginTransaction", false, beginScript, []string{k.transaction(handle), k.open},
		handle, timeout, maxOpenTransactions, maxTransactionTimeout.Milliseconds())
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.BeginTransactionResponse{Transaction: handle}, nil
}

// SetInTransaction notes a value to store.
func (k *keyValue) SetInTransaction(ctx context.Context, request *keyvaluev1.SetInTransactionRequest) (*keyvaluev1.SetInTransactionResponse, error) {
	err := k.transact(ctx, "redis.keyvalue.SetInTransaction", false, noteScript, []string{k.transaction(request.GetTransaction())},
		request.GetKey(), maxTransactionKeys, maxTransactionBytes, request.GetValue())
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.SetInTransactionResponse{}, nil
}

// DeleteInTransaction notes a key to remove.
func (k *keyValue) DeleteInTransaction(ctx context.Context, request *keyvaluev1.DeleteInTransactionRequest) (*keyvaluev1.DeleteInTransactionResponse, error) {
	err := k.transact(ctx, "redis.keyvalue.DeleteInTransaction", false, noteScript, []string{k.transaction(request.GetTransaction())},
		request.GetKey(), maxTransactionKeys, maxTransactionBytes)
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.DeleteInTransactionResponse{}, nil
}

// GetInTransaction reads what the transaction sees.
func (k *keyValue) GetInTransaction(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
	response := &keyvaluev1.GetInTransactionResponse{}
	err := k.place.do(ctx, "redis.keyvalue.GetInTransaction", true, func(ctx context.Context) error {
		keys := []string{k.transaction(request.GetTransaction()), k.values + request.GetKey()}
		answer, err := k.place.eval(ctx, seeScript, keys, request.GetKey(), maxTransactionKeys).Result()
		if err != nil {
			return err
		}
		if number, ok := answer.(int64); ok {
			return transactionError(number)
		}
		seen := answer.(string) //nolint:forcetypeassert // the script answers a number, or "=" and the value, or "-"
		response.Found = seen[0] == '='
		if response.GetFound() {
			response.Value = []byte(seen[1:])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// Commit ends a transaction and applies it if what it has read still holds.
func (k *keyValue) Commit(ctx context.Context, request *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error) {
	handle := request.GetTransaction()
	err := k.transact(ctx, "redis.keyvalue.Commit", false, commitScript, k.place.together(k.transaction(handle), k.open, k.index), handle, k.values)
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.CommitResponse{}, nil
}

// Rollback ends a transaction.
func (k *keyValue) Rollback(ctx context.Context, request *keyvaluev1.RollbackRequest) (*keyvaluev1.RollbackResponse, error) {
	handle := request.GetTransaction()
	err := k.place.do(ctx, "redis.keyvalue.Rollback", true, func(ctx context.Context) error {
		return k.place.eval(ctx, deleteScript, []string{k.transaction(handle), k.open}, handle).Err()
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.RollbackResponse{}, nil
}

// transact runs a script that answers how it went.
func (k *keyValue) transact(ctx context.Context, op string, repeatable bool, script script, keys []string, arguments ...any) error {
	return k.place.do(ctx, op, repeatable, func(ctx context.Context) error {
		answer, err := k.place.eval(ctx, script, keys, arguments...).Int64()
		if err != nil {
			return err
		}
		return transactionError(answer)
	})
}

// transactionError is what a script's answer says; nil when it went well.
func transactionError(answer int64) error {
	switch answer {
	case transactionDone:
		return nil
	case transactionNotOpen:
		return fault.New(fault.FailedPrecondition, "transaction: is not open in this namespace; it has ended, or it expired, or the handle was not issued here; begin a new one").
			WithReason(notOpen)
	case transactionFull:
		return fault.New(fault.ResourceExhausted, "transaction: touches %d keys, as many as it may; commit and begin a new one", maxTransactionKeys)
	case transactionTooLarge:
		return fault.New(fault.ResourceExhausted, "value: the values of a transaction may be %d bytes in all; commit and begin a new one", maxTransactionBytes)
	case transactionChanged:
		return fault.New(fault.Aborted, "transaction: a key that it has read was changed meanwhile; begin again")
	case transactionsFull:
		return fault.New(fault.ResourceExhausted, "the namespace has %d open transactions, as many as it may have; commit or roll back", maxOpenTransactions)
	}
	return fault.New(fault.Internal, "a script has answered %d, which means nothing", answer)
}
