package memstore

import (
	"crypto/rand"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prismgate/prism/runtime/fault"
)

const (
	// maxTransactionKeys is the most keys that a transaction touches; the contract's.
	maxTransactionKeys = 100
	// maxTransactionBytes is the most bytes of values that a transaction writes; the contract's.
	maxTransactionBytes = 4 << 20
	// maxBufferedBytes is the most bytes of values that the open transactions of a namespace hold together: 64 transactions that are full. Without it
	// max_open_transactions alone would allow 40 GB.
	maxBufferedBytes = 256 << 20
	// notOpen is the reason that is given with FAILED_PRECONDITION.
	notOpen = "TRANSACTION_NOT_OPEN"
)

// transactions are a namespace's open transactions, by handle. A handle is random, so that nobody can guess another's.
type transactions struct {
	clock clock
	limit int64
	count atomic.Int64
	open  sync.Map // string to *transaction; read without a lock
	// buffered is the bytes of values that open transactions hold.
	buffered atomic.Int64
}

// transaction is what an open transaction has read and will write.
type transaction struct {
	deadline int64
	timer    *time.Timer

	mu    sync.Mutex // held during each call of the transaction, so that calls that overlap come one after the other
	ended bool
	keys  map[string]access
	bytes int // of the values to write
}

// access is what a transaction has done to a key.
type access struct {
	// read tells that the key was read from the store, and found and seen what was there.
	read, found bool
	seen        []byte
	// write tells what Commit will do.
	write write
	value []byte
}

// write is what Commit will do to a key.
type write uint8

const (
	writeNothing write = iota
	writeValue
	writeDelete
)

func (t *transactions) init(clock clock, limit uint32) {
	t.clock, t.limit = clock, int64(limit)
	if limit == 0 {
		t.limit = defaultMaxOpenTransactions
	}
}

// begin opens a transaction and returns its handle.
func (t *transactions) begin(timeout time.Duration) (string, error) {
	for {
		count := t.count.Load()
		if count >= t.limit {
			return "", fault.New(fault.ResourceExhausted, "max_open_transactions: the namespace has %d open transactions, as many as it may have; commit or roll back", t.limit)
		}
		if t.count.CompareAndSwap(count, count+1) {
			break
		}
	}
	random := make([]byte, 18) // 144 bits, and no padding
	_, _ = rand.Read(random)   // never fails: crypto/rand ends the process instead
	handle := base64.RawURLEncoding.EncodeToString(random)
	opened := &transaction{deadline: t.clock.now() + int64(timeout)}
	opened.mu.Lock() // the timer must not find it half made
	defer opened.mu.Unlock()
	t.open.Store(handle, opened)
	opened.timer = time.AfterFunc(timeout, func() { t.end(handle) })
	return handle, nil
}

// within runs a step of an open transaction. Steps of one transaction do not overlap.
func (t *transactions) within(handle string, step func(*transaction) error) error {
	if found, ok := t.open.Load(handle); ok {
		found := found.(*transaction)
		found.mu.Lock()
		defer found.mu.Unlock()
		if !found.ended && t.clock.now() < found.deadline {
			return step(found)
		}
	}
	return fault.New(fault.FailedPrecondition, "transaction: is not open in this namespace; it has ended, or it expired, or the handle was not issued here; begin a new one").
		WithReason(notOpen)
}

// end ends a transaction, if it is still open.
func (t *transactions) end(handle string) {
	if found, ok := t.open.Load(handle); ok {
		found := found.(*transaction)
		found.mu.Lock()
		defer found.mu.Unlock()
		t.forget(handle, found)
	}
}

// forget ends a transaction whose lock is held.
func (t *transactions) forget(handle string, ended *transaction) {
	if ended.ended {
		return
	}
	ended.ended, ended.keys = true, nil
	t.buffered.Add(-int64(ended.bytes))
	ended.timer.Stop()
	t.open.Delete(handle)
	t.count.Add(-1)
}

// close ends all transactions.
func (t *transactions) close() {
	for handle := range t.open.Range {
		t.end(handle.(string))
	}
}

// access returns what the transaction has done to a key so far. It is an error when the key would be one too many.
func (t *transaction) access(key string) (access, error) {
	found, ok := t.keys[key]
	if !ok && len(t.keys) >= maxTransactionKeys {
		return access{}, fault.New(fault.ResourceExhausted, "transaction: touches %d keys, as many as it may; commit and begin a new one", maxTransactionKeys)
	}
	return found, nil
}

// buffer makes room for a value in place of another one, in a transaction and in the namespace.
func (t *transactions) buffer(in *transaction, value, instead int) error {
	change := value - instead
	if in.bytes+change > maxTransactionBytes {
		return fault.New(fault.ResourceExhausted, "value: the values of a transaction may be %d bytes in all; commit and begin a new one", maxTransactionBytes)
	}
	if t.buffered.Add(int64(change)) > maxBufferedBytes && change > 0 {
		t.buffered.Add(-int64(change))
		return fault.New(fault.ResourceExhausted, "value: the open transactions of the namespace may hold %d bytes of values in all; commit or roll back some, and try again", maxBufferedBytes)
	}
	return nil
}

// note keeps what the transaction has done to a key. Room for its value was made by buffer.
func (t *transaction) note(key string, done access) {
	if t.keys == nil {
		t.keys = make(map[string]access)
	}
	t.bytes += len(done.value) - len(t.keys[key].value)
	t.keys[key] = done
}
