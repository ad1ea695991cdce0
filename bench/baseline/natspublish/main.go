// Command natspublish publishes to a JetStream stream from many goroutines, each of which waits for the acknowledgement before it goes on: what applications do that have no gateway. It
// prints "begin" when it is warm, and "end", the number of messages and the seconds when it is done.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	url := flag.String("url", "", "the server")
	publishers := flag.Int("publishers", 128, "goroutines")
	shared := flag.Bool("shared", false, "one connection for all, instead of one for each")
	warmUp := flag.Duration("warm-up", 300*time.Millisecond, "how long is published before it counts")
	duration := flag.Duration("duration", 2*time.Second, "how long is measured")
	flag.Parse()
	if err := run(context.Background(), *url, *publishers, *shared, *warmUp, *duration); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string, publishers int, shared bool, warmUp, duration time.Duration) error {
	streams := make([]jetstream.JetStream, publishers)
	for i := range streams {
		if shared && i > 0 {
			streams[i] = streams[0]
			continue
		}
		conn, err := nats.Connect(url)
		if err != nil {
			return err
		}
		defer conn.Close()
		if streams[i], err = jetstream.New(conn); err != nil {
			return err
		}
	}
	if _, err := streams[0].CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "bench_direct", Subjects: []string{"bench.direct"}, MaxAge: time.Hour}); err != nil {
		return err
	}
	payload := bytes.Repeat([]byte("v"), 100)
	var published atomic.Int64
	until := time.Now().Add(warmUp + duration)
	var group sync.WaitGroup
	for _, stream := range streams {
		group.Go(func() {
			for time.Now().Before(until) {
				if _, err := stream.Publish(ctx, "bench.direct", payload); err != nil {
					log.Fatal(err)
				}
				published.Add(1)
			}
		})
	}
	time.Sleep(warmUp)
	before, began := published.Load(), time.Now()
	fmt.Println("begin")
	time.Sleep(time.Until(until))
	fmt.Println("end", published.Load()-before, time.Since(began).Seconds())
	group.Wait()
	return nil
}
