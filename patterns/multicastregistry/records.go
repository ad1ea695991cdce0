package multicastregistry

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

// What the keys of the registry slot begin with; the identity follows.
const (
	recordPrefix    = "r/"
	heartbeatPrefix = "h/"
	streamPrefix    = "s/"
)

const (
	// scanPage is how many records are read from the registry slot at once.
	scanPage = 1000
	// expiredLag is how long the record of an expired registration stays where messages are kept, so that somebody comes across it and drops them.
	expiredLag = 24 * time.Hour
)

// records reads and writes what the registry slot holds.
type records struct {
	basic keyvaluev1.Basic
	scans keyvaluev1.Scan
	ttl   keyvaluev1.TTL // nil when it is not offered
	// lag is how much longer than its registration a record stays.
	lag time.Duration
}

// record returns the record of an identity; nil when there is none.
func (r records) record(ctx context.Context, identity string) (*patternsv1.MulticastRegistryRecord, error) {
	record := new(patternsv1.MulticastRegistryRecord)
	found, err := r.get(ctx, recordPrefix+identity, record)
	if !found || err != nil {
		return nil, err
	}
	return record, nil
}

// sign returns a sign of life; nil when there is none.
func (r records) sign(ctx context.Context, prefix, identity string) (*patternsv1.MulticastRegistrySign, error) {
	sign := new(patternsv1.MulticastRegistrySign)
	found, err := r.get(ctx, prefix+identity, sign)
	if !found || err != nil {
		return nil, err
	}
	return sign, nil
}

func (r records) get(ctx context.Context, key string, message proto.Message) (bool, error) {
	answer, err := r.basic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
	if err != nil || !answer.GetFound() {
		return false, err
	}
	return true, decode(key, answer.GetValue(), message)
}

func decode(key string, value []byte, message proto.Message) error {
	if err := proto.Unmarshal(value, message); err != nil {
		return fault.Wrap(err, fault.Internal, "multicast-registry.registry", "the registry slot holds something else under %q; give the namespace a slot of its own", key)
	}
	return nil
}

// putRecord stores a record for as long as it says, and the lag.
func (r records) putRecord(ctx context.Context, identity string, record *patternsv1.MulticastRegistryRecord) error {
	lives := record.GetTtl().AsDuration()
	if lives > 0 {
		lives += r.lag
	}
	return r.put(ctx, recordPrefix+identity, record, lives)
}

// renewRecord lets a record stay as long as if it had been stored now. It tells whether the record was there, as far as it had to look.
func (r records) renewRecord(ctx context.Context, identity string, record *patternsv1.MulticastRegistryRecord) (bool, error) {
	if r.ttl == nil || record.GetTtl() == nil {
		return true, nil
	}
	answer, err := r.ttl.Expire(ctx, &keyvaluev1.ExpireRequest{Key: recordPrefix + identity, Ttl: durationpb.New(record.GetTtl().AsDuration() + r.lag)})
	return answer.GetFound(), err
}

// put stores a message; lives is for how long where the slot can tell, 0 for ever.
func (r records) put(ctx context.Context, key string, message proto.Message, lives time.Duration) error {
	value, err := proto.Marshal(message)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "multicast-registry.registry", "a record cannot be encoded")
	}
	if r.ttl != nil && lives > 0 {
		_, err = r.ttl.SetWithTTL(ctx, &keyvaluev1.SetWithTTLRequest{Key: key, Value: value, Ttl: durationpb.New(lives)})
	} else {
		_, err = r.basic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: value})
	}
	return err
}

// remove deletes a registration's record and signs. It tells whether the record was there.
func (r records) remove(ctx context.Context, identity string) (bool, error) {
	answer, err := r.basic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: recordPrefix + identity})
	if err != nil {
		return false, err
	}
	for _, prefix := range []string{streamPrefix, heartbeatPrefix} {
		if err := r.removeSign(ctx, prefix, identity); err != nil {
			return answer.GetDeleted(), err
		}
	}
	return answer.GetDeleted(), nil
}

func (r records) removeSign(ctx context.Context, prefix, identity string) error {
	_, err := r.basic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: prefix + identity})
	return err
}

// scan gives all records to visit, page by page, so that neither a large registry nor a slow visit holds much.
func (r records) scan(ctx context.Context, visit func(page []*registration) error) error {
	request := &keyvaluev1.ScanRequest{Prefix: recordPrefix, PageSize: scanPage}
	for {
		var page []*registration
		next := ""
		err := r.scans.Scan(ctx, request, func(response *keyvaluev1.ScanResponse) error {
			next = response.GetPageToken()
			record := new(patternsv1.MulticastRegistryRecord)
			if err := decode(response.GetKey(), response.GetValue(), record); err != nil {
				return err
			}
			page = append(page, &registration{identity: response.GetKey()[len(recordPrefix):], record: record})
			return nil
		})
		if err != nil {
			return err
		}
		if err := visit(page); err != nil || next == "" {
			return err
		}
		request = &keyvaluev1.ScanRequest{Prefix: recordPrefix, PageSize: scanPage, PageToken: next}
	}
}
