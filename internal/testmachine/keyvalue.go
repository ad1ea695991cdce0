package testmachine

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/gen/go/prism"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// KeyValue runs the machine of the KeyValue interfaces.
func KeyValue(t rapid.TB, subject, oracle *prism.Interfaces) {
	t.Helper()
	var all runs
	rapid.Check(t, func(t *rapid.T) {
		m := &keyValue{subject: subject, oracle: oracle, prefix: all.prefix()}
		t.Repeat(m.actions())
	})
}

// keyValue is one run. Its keys have a prefix.
type keyValue struct {
	subject, oracle *prism.Interfaces
	prefix          string
	transactions    []transaction
}

// transaction has the handles of one that is open on both.
type transaction struct{ subject, oracle string }

func (m *keyValue) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){"set": m.set, "get": m.get, "delete": m.delete, "": m.check}
	if m.subject.KeyValueTTL != nil {
		maps.Copy(actions, map[string]func(*rapid.T){"set with ttl": m.setWithTTL, "expire": m.expire, "persist": m.persist})
	}
	if m.subject.KeyValueCAS != nil {
		maps.Copy(actions, map[string]func(*rapid.T){"compare and swap": m.compareAndSwap, "compare and delete": m.compareAndDelete})
	}
	if m.subject.KeyValueBatch != nil {
		maps.Copy(actions, map[string]func(*rapid.T){"batch set": m.batchSet, "batch get": m.batchGet, "batch delete": m.batchDelete})
	}
	if m.subject.KeyValueScan != nil {
		actions["scan"] = m.scan
	}
	if m.subject.KeyValueTransactional != nil {
		maps.Copy(actions, map[string]func(*rapid.T){"begin": m.begin, "step": m.step, "end": m.end})
	}
	return actions
}

// names are few, so that operations meet, and have what an implementation may take for syntax.
func names() []string { return []string{"a", "ab", "A", "*", "é", "{k}", "a%", `"`, "a.b", "a/b"} }

func (m *keyValue) key(t *rapid.T) string {
	return m.prefix + rapid.SampledFrom(names()).Draw(t, "key")
}

func someValue(t *rapid.T, what string) []byte {
	return []byte(rapid.SampledFrom([]string{"", "0", "1", "one", "\x00\xff"}).Draw(t, what))
}

func (m *keyValue) set(t *rapid.T) {
	request := &keyvaluev1.SetRequest{Key: m.key(t), Value: someValue(t, "value")}
	same(t, "Set", request, nil, m.subject.KeyValueBasic.Set, m.oracle.KeyValueBasic.Set)
}

func (m *keyValue) get(t *rapid.T) {
	key := m.key(t)
	same(t, "Get", &keyvaluev1.GetRequest{Key: key}, nil, m.subject.KeyValueBasic.Get, m.oracle.KeyValueBasic.Get)
	same(t, "Exists", &keyvaluev1.ExistsRequest{Key: key}, nil, m.subject.KeyValueBasic.Exists, m.oracle.KeyValueBasic.Exists)
}

func (m *keyValue) delete(t *rapid.T) {
	same(t, "Delete", &keyvaluev1.DeleteRequest{Key: m.key(t)}, nil, m.subject.KeyValueBasic.Delete, m.oracle.KeyValueBasic.Delete)
}

// anHour is a time to live that does not end here.
const anHour = time.Hour

func (m *keyValue) setWithTTL(t *rapid.T) {
	request := &keyvaluev1.SetWithTTLRequest{Key: m.key(t), Value: someValue(t, "value"), Ttl: durationpb.New(anHour)}
	same(t, "SetWithTTL", request, nil, m.subject.KeyValueTTL.SetWithTTL, m.oracle.KeyValueTTL.SetWithTTL)
}

func (m *keyValue) expire(t *rapid.T) {
	request := &keyvaluev1.ExpireRequest{Key: m.key(t), Ttl: durationpb.New(anHour)}
	same(t, "Expire", request, nil, m.subject.KeyValueTTL.Expire, m.oracle.KeyValueTTL.Expire)
}

func (m *keyValue) persist(t *rapid.T) {
	same(t, "Persist", &keyvaluev1.PersistRequest{Key: m.key(t)}, nil, m.subject.KeyValueTTL.Persist, m.oracle.KeyValueTTL.Persist)
}

func (m *keyValue) compareAndSwap(t *rapid.T) {
	request := &keyvaluev1.CompareAndSwapRequest{Key: m.key(t), Value: someValue(t, "value")}
	if rapid.Bool().Draw(t, "expects a value") {
		request.Expected = append([]byte{}, someValue(t, "expected")...)
	}
	same(t, "CompareAndSwap", request, nil, m.subject.KeyValueCAS.CompareAndSwap, m.oracle.KeyValueCAS.CompareAndSwap)
}

func (m *keyValue) compareAndDelete(t *rapid.T) {
	request := &keyvaluev1.CompareAndDeleteRequest{Key: m.key(t), Expected: someValue(t, "expected")}
	same(t, "CompareAndDelete", request, nil, m.subject.KeyValueCAS.CompareAndDelete, m.oracle.KeyValueCAS.CompareAndDelete)
}

func (m *keyValue) keys(t *rapid.T) []string {
	keys := rapid.SliceOfN(rapid.SampledFrom(names()), 1, 12).Draw(t, "keys")
	for i := range keys {
		keys[i] = m.prefix + keys[i]
	}
	return keys
}

func (m *keyValue) batchSet(t *rapid.T) {
	request := &keyvaluev1.BatchSetRequest{}
	for _, key := range m.keys(t) {
		request.Items = append(request.Items, &keyvaluev1.BatchItem{Key: key, Value: someValue(t, "value")})
	}
	same(t, "BatchSet", request, nil, m.subject.KeyValueBatch.BatchSet, m.oracle.KeyValueBatch.BatchSet)
}

func (m *keyValue) batchGet(t *rapid.T) {
	same(t, "BatchGet", &keyvaluev1.BatchGetRequest{Keys: m.keys(t)}, nil, m.subject.KeyValueBatch.BatchGet, m.oracle.KeyValueBatch.BatchGet)
}

func (m *keyValue) batchDelete(t *rapid.T) {
	same(t, "BatchDelete", &keyvaluev1.BatchDeleteRequest{Keys: m.keys(t)}, nil, m.subject.KeyValueBatch.BatchDelete, m.oracle.KeyValueBatch.BatchDelete)
}

// scan enumerates a prefix in pages, and counts it. No order is promised, and a key may come twice.
func (m *keyValue) scan(t *rapid.T) {
	prefix := m.prefix + rapid.SampledFrom([]string{"", "a", "ab", "*", "x"}).Draw(t, "prefix")
	size := rapid.Uint32Range(0, 4).Draw(t, "page size")
	got, want := enumerate(t, m.subject, prefix, size), enumerate(t, m.oracle, prefix, size)
	if !maps.Equal(got, want) {
		t.Fatalf("Scan %q: got %q, want %q", prefix, got, want)
	}
	same(t, "Count", &keyvaluev1.CountRequest{Prefix: prefix}, nil, m.subject.KeyValueScan.Count, m.oracle.KeyValueScan.Count)
}

func enumerate(t *rapid.T, i *prism.Interfaces, prefix string, size uint32) map[string]string {
	all := map[string]string{}
	for token, more := "", true; more; more = token != "" {
		request := &keyvaluev1.ScanRequest{Prefix: prefix, PageSize: size, PageToken: token}
		token = ""
		if err := i.KeyValueScan.Scan(t.Context(), request, func(response *keyvaluev1.ScanResponse) error {
			all[response.GetKey()], token = string(response.GetValue()), response.GetPageToken()
			return nil
		}); err != nil {
			t.Fatalf("Scan %q: %v", prefix, err)
		}
	}
	return all
}

func (m *keyValue) begin(t *rapid.T) {
	got, want := same(t, "BeginTransaction", &keyvaluev1.BeginTransactionRequest{Timeout: durationpb.New(5 * time.Minute)},
		func(response *keyvaluev1.BeginTransactionResponse) { response.Transaction = "" },
		m.subject.KeyValueTransactional.BeginTransaction, m.oracle.KeyValueTransactional.BeginTransaction)
	m.transactions = append(m.transactions, transaction{got.GetTransaction(), want.GetTransaction()})
}

// step reads or writes in a transaction.
func (m *keyValue) step(t *rapid.T) {
	handles, key := m.transaction(t), m.key(t)
	subject, oracle := m.subject.KeyValueTransactional, m.oracle.KeyValueTransactional
	switch rapid.SampledFrom([]string{"set", "get", "delete"}).Draw(t, "what") {
	case "set":
		value := someValue(t, "value")
		request := func(handle string) *keyvaluev1.SetInTransactionRequest {
			return &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: key, Value: value}
		}
		sameOf(t, "SetInTransaction", request(handles.subject), request(handles.oracle), nil, subject.SetInTransaction, oracle.SetInTransaction)
	case "get":
		request := func(handle string) *keyvaluev1.GetInTransactionRequest {
			return &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: key}
		}
		sameOf(t, "GetInTransaction", request(handles.subject), request(handles.oracle), nil, subject.GetInTransaction, oracle.GetInTransaction)
	case "delete":
		request := func(handle string) *keyvaluev1.DeleteInTransactionRequest {
			return &keyvaluev1.DeleteInTransactionRequest{Transaction: handle, Key: key}
		}
		sameOf(t, "DeleteInTransaction", request(handles.subject), request(handles.oracle), nil, subject.DeleteInTransaction, oracle.DeleteInTransaction)
	}
}

// end commits a transaction or rolls it back, and then finds that it has ended.
func (m *keyValue) end(t *rapid.T) {
	handles := m.transaction(t)
	m.transactions = slices.DeleteFunc(m.transactions, func(open transaction) bool { return open == handles })
	subject, oracle := m.subject.KeyValueTransactional, m.oracle.KeyValueTransactional
	if rapid.IntRange(0, 4).Draw(t, "rollback if 0") == 0 {
		sameOf(t, "Rollback", &keyvaluev1.RollbackRequest{Transaction: handles.subject}, &keyvaluev1.RollbackRequest{Transaction: handles.oracle}, nil,
			subject.Rollback, oracle.Rollback)
	}
	for range 2 {
		sameOf(t, "Commit", &keyvaluev1.CommitRequest{Transaction: handles.subject}, &keyvaluev1.CommitRequest{Transaction: handles.oracle}, nil,
			subject.Commit, oracle.Commit)
	}
}

func (m *keyValue) transaction(t *rapid.T) transaction {
	if len(m.transactions) == 0 {
		t.Skip("no transaction is open")
	}
	return m.transactions[rapid.IntRange(0, len(m.transactions)-1).Draw(t, "transaction")]
}

// check compares everything that is stored, after each operation.
func (m *keyValue) check(t *rapid.T) {
	for _, name := range names() {
		key := m.prefix + name
		same(t, "Get", &keyvaluev1.GetRequest{Key: key}, nil, m.subject.KeyValueBasic.Get, m.oracle.KeyValueBasic.Get)
		if m.subject.KeyValueTTL != nil {
			same(t, "GetTTL", &keyvaluev1.GetTTLRequest{Key: key}, aboutAnHour, m.subject.KeyValueTTL.GetTTL, m.oracle.KeyValueTTL.GetTTL)
		}
	}
}

// aboutAnHour lets times to live be equal that began within ten minutes.
func aboutAnHour(response *keyvaluev1.GetTTLResponse) {
	if left := response.GetTtl().AsDuration(); left > anHour-10*time.Minute && left <= anHour {
		response.Ttl = durationpb.New(anHour)
	}
}
