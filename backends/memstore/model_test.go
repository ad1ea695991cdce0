package memstore_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/backend"
)

// model is the simplest store that could be right: a map, and for each open transaction what it has read and written.
type model struct {
	values       map[string]string
	expires      map[string]bool     // keys with a time to live, all far in the future
	transactions []*modelTransaction // in the order in which they were begun
}

type modelTransaction struct {
	handle string
	read   map[string]*string // nil: was missing
	writes map[string]*string // nil: delete
}

func (m *model) get(key string) *string {
	if value, ok := m.values[key]; ok {
		return &value
	}
	return nil
}

func (m *model) set(key, value string, expires bool) {
	m.values[key] = value
	delete(m.expires, key)
	if expires {
		m.expires[key] = true
	}
}

func (m *model) remove(key string) {
	delete(m.values, key)
	delete(m.expires, key)
}

func same(a, b *string) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// optional turns an optional field into the model's terms.
func optional(value []byte) *string {
	if value == nil {
		return nil
	}
	text := string(value)
	return &text
}

// TestRandomOperationsMatchTheModel runs random operations of all interfaces on a store and on the model, and compares every answer.
func TestRandomOperationsMatchTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, err := memstore.Open(t.Context(), backend.Env{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close(t.Context()) }()
		opened, err := store.Namespace(t.Context(), "name")
		if err != nil {
			t.Fatal(err)
		}
		machine := &machine{
			interfaces: opened.Interfaces(),
			model:      &model{values: map[string]string{}, expires: map[string]bool{}},
		}
		t.Repeat(rapid.StateMachineActions(machine))
	})
}

// machine has one method per operation; rapid calls them in any order.
type machine struct {
	interfaces *prism.Interfaces
	model      *model
}

var (
	someKeys   = rapid.SampledFrom([]string{"a", "ab", "abc", "b", "*", "é", "k1", "k2"})
	someValues = rapid.SampledFrom([]string{"", "0", "1", "one", "\x00\xff"})
)

func noError(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *rapid.T, what string, want, got T) {
	t.Helper()
	if want != got {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// Check compares everything that is stored, after each operation.
func (m *machine) Check(t *rapid.T) {
	got := map[string]string{}
	noError(t, m.interfaces.KeyValueScan.Scan(t.Context(), &keyvaluev1.ScanRequest{}, func(response *keyvaluev1.ScanResponse) error {
		got[response.GetKey()] = string(response.GetValue())
		return nil
	}))
	if !maps.Equal(m.model.values, got) {
		t.Fatalf("got %q, want %q", got, m.model.values)
	}
}

// Set stores.
func (m *machine) Set(t *rapid.T) {
	key, value := someKeys.Draw(t, "key"), someValues.Draw(t, "value")
	_, err := m.interfaces.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: []byte(value)})
	noError(t, err)
	m.model.set(key, value, false)
}

// Get reads, and looks whether the key exists.
func (m *machine) Get(t *rapid.T) {
	key := someKeys.Draw(t, "key")
	got, err := m.interfaces.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
	noError(t, err)
	value, found := m.model.values[key]
	equal(t, "found", found, got.GetFound())
	equal(t, "value", value, string(got.GetValue()))
	there, err := m.interfaces.KeyValueBasic.Exists(t.Context(), &keyvaluev1.ExistsRequest{Key: key})
	noError(t, err)
	equal(t, "exists", found, there.GetExists())
}

// Delete removes.
func (m *machine) Delete(t *rapid.T) {
	key := someKeys.Draw(t, "key")
	got, err := m.interfaces.KeyValueBasic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: key})
	noError(t, err)
	equal(t, "deleted", m.model.get(key) != nil, got.GetDeleted())
	m.model.remove(key)
}

// TimeToLive sets, changes, takes away and reads times to live.
func (m *machine) TimeToLive(t *rapid.T) {
	key, value := someKeys.Draw(t, "key"), someValues.Draw(t, "value")
	ttl, found := m.interfaces.KeyValueTTL, m.model.get(key) != nil
	switch rapid.SampledFrom([]string{"set", "expire", "persist"}).Draw(t, "what") {
	case "set":
		_, err := ttl.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: key, Value: []byte(value), Ttl: durationpb.New(time.Hour)})
		noError(t, err)
		m.model.set(key, value, true)
	case "expire":
		got, err := ttl.Expire(t.Context(), &keyvaluev1.ExpireRequest{Key: key, Ttl: durationpb.New(time.Hour)})
		noError(t, err)
		equal(t, "found", found, got.GetFound())
		if found {
			m.model.expires[key] = true
		}
	case "persist":
		got, err := ttl.Persist(t.Context(), &keyvaluev1.PersistRequest{Key: key})
		noError(t, err)
		equal(t, "found", found, got.GetFound())
		equal(t, "persisted", m.model.expires[key], got.GetPersisted())
		delete(m.model.expires, key)
	}
	got, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: key})
	noError(t, err)
	equal(t, "found", m.model.get(key) != nil, got.GetFound())
	equal(t, "expires", m.model.expires[key], got.GetTtl() != nil)
}

// CompareAndSwap swaps or does not.
func (m *machine) CompareAndSwap(t *rapid.T) {
	key, value := someKeys.Draw(t, "key"), someValues.Draw(t, "value")
	request := &keyvaluev1.CompareAndSwapRequest{Key: key, Value: []byte(value)}
	if rapid.Bool().Draw(t, "expects a value") {
		request.Expected = append([]byte{}, someValues.Draw(t, "expected")...)
	}
	got, err := m.interfaces.KeyValueCAS.CompareAndSwap(t.Context(), request)
	noError(t, err)
	holds := same(m.model.get(key), optional(request.GetExpected()))
	if request.Expected == nil {
		holds = m.model.get(key) == nil
	}
	equal(t, "swapped", holds, got.GetSwapped())
	if holds {
		m.model.set(key, value, false)
	}
	if !same(m.model.get(key), optional(got.Current)) {
		t.Fatalf("wrong current value %q", got.GetCurrent())
	}
}

// CompareAndDelete removes or does not.
func (m *machine) CompareAndDelete(t *rapid.T) {
	key, expected := someKeys.Draw(t, "key"), someValues.Draw(t, "expected")
	got, err := m.interfaces.KeyValueCAS.CompareAndDelete(t.Context(), &keyvaluev1.CompareAndDeleteRequest{Key: key, Expected: []byte(expected)})
	noError(t, err)
	holds := same(m.model.get(key), &expected)
	equal(t, "deleted", holds, got.GetDeleted())
	if holds {
		m.model.remove(key)
	}
	if !same(m.model.get(key), optional(got.Current)) {
		t.Fatalf("wrong current value %q", got.GetCurrent())
	}
}

// Batch sets, reads or removes many keys.
func (m *machine) Batch(t *rapid.T) {
	keys := rapid.SliceOfN(someKeys, 1, 12).Draw(t, "keys")
	batch := m.interfaces.KeyValueBatch
	switch rapid.SampledFrom([]string{"set", "get", "delete"}).Draw(t, "what") {
	case "set":
		request := &keyvaluev1.BatchSetRequest{}
		for _, key := range keys {
			value := someValues.Draw(t, "value")
			request.Items = append(request.Items, &keyvaluev1.BatchItem{Key: key, Value: []byte(value)})
			m.model.set(key, value, false)
		}
		got, err := batch.BatchSet(t.Context(), request)
		noError(t, err)
		equal(t, "statuses", len(keys), len(got.GetStatuses()))
	case "get":
		got, err := batch.BatchGet(t.Context(), &keyvaluev1.BatchGetRequest{Keys: keys})
		noError(t, err)
		equal(t, "results", len(keys), len(got.GetResults()))
		for i, result := range got.GetResults() {
			value, found := m.model.values[keys[i]]
			equal(t, "key", keys[i], result.GetKey())
			equal(t, "found", found, result.GetFound())
			equal(t, "value", value, string(result.GetValue()))
			equal(t, "status", 0, result.GetStatus().GetCode())
		}
	case "delete":
		_, err := batch.BatchDelete(t.Context(), &keyvaluev1.BatchDeleteRequest{Keys: keys})
		noError(t, err)
		for _, key := range keys {
			m.model.remove(key)
		}
	}
}

// ScanAndCount enumerates a prefix in pages, and counts it.
func (m *machine) ScanAndCount(t *rapid.T) {
	prefix, size := rapid.SampledFrom([]string{"", "a", "ab", "k", "*", "x"}).Draw(t, "prefix"), rapid.Uint32Range(0, 4).Draw(t, "page size")
	var want, got []string
	for key := range m.model.values {
		if strings.HasPrefix(key, prefix) {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	for token, more := "", true; more; more = token != "" {
		request := &keyvaluev1.ScanKeysRequest{Prefix: prefix, PageSize: size, PageToken: token}
		token = ""
		noError(t, m.interfaces.KeyValueScan.ScanKeys(t.Context(), request, func(response *keyvaluev1.ScanKeysResponse) error {
			got, token = append(got, response.GetKey()), response.GetPageToken()
			return nil
		}))
	}
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Fatalf("got %q, want %q", got, want)
	}
	counted, err := m.interfaces.KeyValueScan.Count(t.Context(), &keyvaluev1.CountRequest{Prefix: prefix})
	noError(t, err)
	equal(t, "count", uint64(len(want)), counted.GetCount())
}

// Begin opens a transaction.
func (m *machine) Begin(t *rapid.T) {
	got, err := m.interfaces.KeyValueTransactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
	noError(t, err)
	m.model.transactions = append(m.model.transactions, &modelTransaction{handle: got.GetTransaction(), read: map[string]*string{}, writes: map[string]*string{}})
}

// Step reads or writes in a transaction.
func (m *machine) Step(t *rapid.T) {
	handle, transaction := m.transaction(t)
	key, value := someKeys.Draw(t, "key"), someValues.Draw(t, "value")
	transactional := m.interfaces.KeyValueTransactional
	switch rapid.SampledFrom([]string{"set", "get", "delete"}).Draw(t, "what") {
	case "set":
		_, err := transactional.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: key, Value: []byte(value)})
		noError(t, err)
		transaction.writes[key] = &value
	case "delete":
		_, err := transactional.DeleteInTransaction(t.Context(), &keyvaluev1.DeleteInTransactionRequest{Transaction: handle, Key: key})
		noError(t, err)
		transaction.writes[key] = nil
	case "get":
		got, err := transactional.GetInTransaction(t.Context(), &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: key})
		noError(t, err)
		want, written := transaction.writes[key]
		if !written {
			if _, again := transaction.read[key]; !again {
				transaction.read[key] = m.model.get(key)
			}
			want = transaction.read[key]
		}
		equal(t, "found", want != nil, got.GetFound())
		if want != nil && !bytes.Equal([]byte(*want), got.GetValue()) {
			t.Fatalf("got %q, want %q", got.GetValue(), *want)
		}
	}
}

// End commits a transaction or rolls it back.
func (m *machine) End(t *rapid.T) {
	handle, transaction := m.transaction(t)
	m.model.transactions = slices.DeleteFunc(m.model.transactions, func(open *modelTransaction) bool { return open == transaction })
	transactional := m.interfaces.KeyValueTransactional
	if rapid.IntRange(0, 4).Draw(t, "rollback if 0") == 0 {
		_, err := transactional.Rollback(t.Context(), &keyvaluev1.RollbackRequest{Transaction: handle})
		noError(t, err)
	} else {
		want := fault.OK
		for key, read := range transaction.read {
			if !same(read, m.model.get(key)) {
				want = fault.Aborted
			}
		}
		_, err := transactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: handle})
		equal(t, "code", want, fault.CodeOf(err))
		for key, value := range transaction.writes {
			switch {
			case want != fault.OK:
			case value == nil:
				m.model.remove(key)
			default:
				m.model.set(key, *value, false)
			}
		}
	}
	_, err := transactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: handle})
	equal(t, "code of a second end", fault.FailedPrecondition, fault.CodeOf(err))
}

// transaction draws an open transaction; a step that needs one is skipped when there is none.
func (m *machine) transaction(t *rapid.T) (string, *modelTransaction) {
	if len(m.model.transactions) == 0 {
		t.Skip("no transaction is open")
	}
	drawn := m.model.transactions[rapid.IntRange(0, len(m.model.transactions)-1).Draw(t, "transaction")]
	return drawn.handle, drawn
}
