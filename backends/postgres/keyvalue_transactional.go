package postgres

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// defaultTransactionTimeout is how long a transaction lives when the caller does not say; the contract's.
	defaultTransactionTimeout = 30 * time.Second
	// maxOpenTransactions is about how many open transactions a namespace may have.
	maxOpenTransactions = 10_000
)

// The statuses of the functions in migrations/001_keyvalue.sql.
const (
	transactionDone = iota
	transactionNotOpen
	transactionTooManyKeys
	transactionTooLarge
	transactionChanged
)

const beginStatement = `insert into kv_transactions (namespace, handle, deadline) select $1, $2, clock_timestamp() + $3 * interval '1 microsecond'
where (select count(*) from kv_transactions where namespace = $1 and deadline > clock_timestamp()) < $4`

// BeginTransaction opens a transaction.
func (k *keyValue) BeginTransaction(ctx context.Context, request *keyvaluev1.BeginTransactionRequest) (*keyvaluev1.BeginTransactionResponse, error) {
	timeout := defaultTransactionTimeout
	if request.GetTimeout() != nil {
		timeout = request.GetTimeout().AsDuration()
	}
	random := make([]byte, 18) // 144 bits, and no padding
	_, _ = rand.Read(random)   // never fails: crypto/rand ends the process instead
	handle := base64.RawURLEncoding.EncodeToString(random)
	err := k.store.do(ctx, "postgres.keyvalue.BeginTransaction", false, func(ctx context.Context) error {
		tag, err := k.store.pool.Exec(ctx, beginStatement, k.namespace, []byte(handle), microseconds(timeout), maxOpenTransactions)
		if err == nil && tag.RowsAffected() == 0 {
			return fault.New(fault.ResourceExhausted, "the namespace has %d open transactions, as many as it may have; commit or roll back", maxOpenTransactions)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.BeginTransactionResponse{Transaction: handle}, nil
}

// SetInTransaction notes a value to write.
func (k *keyValue) SetInTransaction(ctx context.Context, request *keyvaluev1.SetInTransactionRequest) (*keyvaluev1.SetInTransactionResponse, error) {
	if err := k.write(ctx, "postgres.keyvalue.SetInTransaction", request.GetTransaction(), request.GetKey(), present(request.GetValue())); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetInTransactionResponse{}, nil
}

// DeleteInTransaction notes a key to remove.
func (k *keyValue) DeleteInTransaction(ctx context.Context, request *keyvaluev1.DeleteInTransactionRequest) (*keyvaluev1.DeleteInTransactionResponse, error) {
	if err := k.write(ctx, "postgres.keyvalue.DeleteInTransaction", request.GetTransaction(), request.GetKey(), nil); err != nil {
		return nil, err
	}
	return &keyvaluev1.DeleteInTransactionResponse{}, nil
}

// write notes a value to write, or with nil a key to remove.
func (k *keyValue) write(ctx context.Context, op, handle, key string, value []byte) error {
	return k.store.do(ctx, op, false, func(ctx context.Context) error {
		var status int
		err := k.store.pool.QueryRow(ctx, `select kv_transaction_write($1, $2, $3, $4)`, k.namespace, []byte(handle), []byte(key), value).Scan(&status)
		return refused(status, err)
	})
}

// GetInTransaction reads what the transaction sees.
func (k *keyValue) GetInTransaction(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
	response := &keyvaluev1.GetInTransactionResponse{}
	err := k.store.do(ctx, "postgres.keyvalue.GetInTransaction", true, func(ctx context.Context) error {
		var status int
		err := k.store.pool.QueryRow(ctx, `select status, current from kv_transaction_read($1, $2, $3)`, k.namespace, []byte(request.GetTransaction()), []byte(request.GetKey())).
			Scan(&status, &response.Value)
		return refused(status, err)
	})
	if err != nil {
		return nil, err
	}
	response.Found = response.GetValue() != nil
	return response, nil
}

// Commit ends a transaction and applies it if what it has read still holds.
func (k *keyValue) Commit(ctx context.Context, request *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error) {
	err := k.store.do(ctx, "postgres.keyvalue.Commit", false, func(ctx context.Context) error {
		var status int
		err := k.store.pool.QueryRow(ctx, `select kv_transaction_commit($1, $2)`, k.namespace, []byte(request.GetTransaction())).Scan(&status)
		return refused(status, err)
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.CommitResponse{}, nil
}

// Rollback ends a transaction.
func (k *keyValue) Rollback(ctx context.Context, request *keyvaluev1.RollbackRequest) (*keyvaluev1.RollbackResponse, error) {
	err := k.store.do(ctx, "postgres.keyvalue.Rollback", true, func(ctx context.Context) error {
		_, err := k.store.pool.Exec(ctx, `delete from kv_transactions where namespace = $1 and handle = $2`, k.namespace, []byte(request.GetTransaction()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.RollbackResponse{}, nil
}

// refused is the error of a call that a function has answered with a status.
func refused(status int, err error) error {
	switch {
	case err != nil:
		return err
	case status == transactionNotOpen:
		return fault.New(fault.FailedPrecondition, "transaction: is not open in this namespace; it has ended, or it expired, or the handle was not issued here; begin a new one").
			WithReason("TRANSACTION_NOT_OPEN")
	case status == transactionTooManyKeys:
		return fault.New(fault.ResourceExhausted, "transaction: touches 100 keys, as many as it may; commit and begin a new one")
	case status == transactionTooLarge:
		return fault.New(fault.ResourceExhausted, "value: the values of a transaction may be 4 MiB in all; commit and begin a new one")
	case status == transactionChanged:
		return fault.New(fault.Aborted, "transaction: a key that it has read was changed meanwhile; begin again")
	}
	return nil
}
