package testmachine

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// feed is what a stream has brought.
type feed struct {
	id     string
	cancel context.CancelFunc
	ended  chan error

	mu       sync.Mutex
	seen     map[string]int
	receipts map[string]string // the last of each message
}

// follow starts a stream and returns when it is active.
func follow[Request proto.Message, Response interface{ GetSubscribed() *pubsubv1.Subscribed }](t *rapid.T, request Request,
	subscribe func(context.Context, Request, func(Response) error) error,
) *feed {
	ctx, cancel := context.WithCancel(t.Context())
	f := &feed{cancel: cancel, ended: make(chan error, 1), seen: map[string]int{}, receipts: map[string]string{}}
	active := make(chan string, 1)
	go func() {
		f.ended <- subscribe(ctx, request, func(response Response) error {
			if subscribed := response.GetSubscribed(); subscribed != nil {
				active <- subscribed.GetSubscriptionId()
				return nil
			}
			f.take(response)
			return nil
		})
	}()
	select {
	case f.id = <-active:
	case err := <-f.ended:
		cancel()
		t.Fatalf("a stream has ended before it was active: %v", err)
	case <-time.After(patience):
		cancel()
		t.Fatalf("a stream does not become active")
	}
	return f
}

// take keeps what a stream brings: messages come in several wrappings.
func (f *feed) take(response any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r := response.(type) {
	case interface{ GetMessage() *pubsubv1.Message }:
		f.seen[string(r.GetMessage().GetPayload())]++
	case *pubsubv1.SubscribeOrderedResponse:
		f.seen[string(r.GetMessage().GetMessage().GetPayload())]++
	case *pubsubv1.SubscribeDurableResponse:
		payload := string(r.GetMessage().GetMessage().GetPayload())
		f.seen[payload]++
		f.receipts[payload] = r.GetMessage().GetReceipt()
	}
}

// counts tells how often each message came. A Missed counts as one without a payload.
func (f *feed) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.seen)
}

func (f *feed) receipt(payload string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.receipts[payload]
}

// end waits for the end of a stream that somebody else ends.
func (f *feed) end() error {
	defer f.cancel()
	select {
	case err := <-f.ended:
		return err
	case <-time.After(patience):
		return errors.New("it does not end")
	}
}

// stop ends a stream and waits for that.
func (f *feed) stop() {
	f.cancel()
	_ = f.end() // how a stream ends that was cancelled is the suites' business
}

// eventually asks again and again until there is no error, for as long as patience.
func eventually(t *rapid.T, holds func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		<-time.After(200 * time.Microsecond)
	}
}
