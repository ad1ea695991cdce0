package keyvaluetest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// maxTransactionKeys is the most distinct keys that a transaction touches.
	maxTransactionKeys = 100
	// maxTransactionValues is how many values of 1 MiB a transaction may write.
	maxTransactionValues = 4
)

// Transactional is the suite of keyvalue_transactional.
func Transactional(t *testing.T, open Open) {
	transactionalCommit(t, open)
	transactionalHandle(t, open)
	transactionalRequests(t, open)
	transactionalConcurrency(t, open)
}

// transactionalCase returns what runs a case on a backend of its own.
func transactionalCase(t *testing.T, open Open) func(name string, test func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional)) {
	return func(name string, test func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.KeyValueBasic, i.KeyValueTransactional)
		})
	}
}

// openTransaction is a transaction of a test, whose calls must succeed.
type openTransaction struct {
	t             *testing.T
	transactional keyvaluev1.Transactional
	handle        string
}

func begin(t *testing.T, transactional keyvaluev1.Transactional) *openTransaction {
	t.Helper()
	return beginFor(t, transactional, nil)
}

func beginFor(t *testing.T, transactional keyvaluev1.Transactional, timeout *durationpb.Duration) *openTransaction {
	t.Helper()
	response, err := transactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{Timeout: timeout})
	require.NoError(t, err, "BeginTransaction")
	return &openTransaction{t, transactional, response.GetTransaction()}
}

func (o *openTransaction) set(key, value string) {
	o.t.Helper()
	_, err := o.transactional.SetInTransaction(o.t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: o.handle, Key: key, Value: []byte(value)})
	require.NoError(o.t, err, "SetInTransaction %.80q", key)
}

func (o *openTransaction) get(key string) ([]byte, bool) {
	o.t.Helper()
	response, err := o.transactional.GetInTransaction(o.t.Context(), &keyvaluev1.GetInTransactionRequest{Transaction: o.handle, Key: key})
	require.NoError(o.t, err, "GetInTransaction %.80q", key)
	return response.GetValue(), response.GetFound()
}

func (o *openTransaction) requireValue(key, want string) {
	o.t.Helper()
	got, found := o.get(key)
	require.True(o.t, found, "%.80q is there", key)
	expect.EqualBytes(o.t, []byte(want), got)
}

func (o *openTransaction) requireMissing(key string) {
	o.t.Helper()
	got, found := o.get(key)
	require.False(o.t, found, "%.80q is missing", key)
	require.Empty(o.t, got)
}

func (o *openTransaction) delete(key string) {
	o.t.Helper()
	_, err := o.transactional.DeleteInTransaction(o.t.Context(), &keyvaluev1.DeleteInTransactionRequest{Transaction: o.handle, Key: key})
	require.NoError(o.t, err, "DeleteInTransaction %.80q", key)
}

func (o *openTransaction) commit() {
	o.t.Helper()
	_, err := o.transactional.Commit(o.t.Context(), &keyvaluev1.CommitRequest{Transaction: o.handle})
	require.NoError(o.t, err, "Commit")
}

func (o *openTransaction) rollback() {
	o.t.Helper()
	_, err := o.transactional.Rollback(o.t.Context(), &keyvaluev1.RollbackRequest{Transaction: o.handle})
	require.NoError(o.t, err, "Rollback")
}

func (o *openTransaction) requireAborted() {
	o.t.Helper()
	_, err := o.transactional.Commit(o.t.Context(), &keyvaluev1.CommitRequest{Transaction: o.handle})
	expect.Code(o.t, fault.Aborted, err)
}

// requireNotOpen fails unless every call but Rollback is FAILED_PRECONDITION.
func (o *openTransaction) requireNotOpen() {
	o.t.Helper()
	for _, call := range transactionCalls(o.transactional) {
		if call.name == "Rollback" {
			continue
		}
		if got := fault.CodeOf(call.run(o.t.Context(), o.handle, "key")); got != fault.FailedPrecondition {
			require.FailNow(o.t, "wrong code", "%s: got %s, want FAILED_PRECONDITION", call.name, got)
		}
	}
}
