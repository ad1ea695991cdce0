// Command queuecycles takes messages through a queue from some workers: each enqueues one, leases the first there is, and acknowledges it. It does so through a gateway, with
// the statements of the gateway's backend by itself, or with three plain statements on a table of its own, as an application does that has no gateway. It prints "begin" when it is warm, and "end", the number of cycles and the seconds when it is done.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/postgres"
	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

func main() {
	dsn := flag.String("dsn", "", "the database, for statements of its own")
	backends := flag.Bool("same", false, "on the database: the statements of the gateway's backend")
	address := flag.String("address", "", "the gateway")
	workers := flag.Int("workers", 32, "goroutines")
	warmUp := flag.Duration("warm-up", 300*time.Millisecond, "how long goes by before it counts")
	duration := flag.Duration("duration", 2*time.Second, "how long is measured")
	flag.Parse()
	ctx := context.Background()
	cycle, err := directly(ctx, *dsn, *workers)
	switch {
	case *address != "":
		cycle, err = through(*address)
	case *backends:
		cycle, err = same(ctx, *dsn, *workers)
	}
	if err != nil {
		log.Fatal(err)
	}
	run(ctx, cycle, *workers, *warmUp, *duration)
}

func run(ctx context.Context, cycle func(context.Context) error, workers int, warmUp, duration time.Duration) {
	var cycles atomic.Int64
	until := time.Now().Add(warmUp + duration)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for time.Now().Before(until) {
				if err := cycle(ctx); err != nil {
					log.Fatal(err)
				}
				cycles.Add(1)
			}
		})
	}
	time.Sleep(warmUp)
	before, began := cycles.Load(), time.Now()
	fmt.Println("begin")
	time.Sleep(time.Until(until))
	fmt.Println("end", cycles.Load()-before, time.Since(began).Seconds())
	group.Wait()
}

var payload = bytes.Repeat([]byte("v"), 100)

// queue is what cycles are made on.
type queue interface {
	Enqueue(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error)
	DequeueWithTimeout(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error)
	Acknowledge(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error)
}

func cycles(q queue) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := q.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: "bench", Payload: payload}); err != nil {
			return err
		}
		leased, err := q.DequeueWithTimeout(ctx, &queuev1.DequeueWithTimeoutRequest{Queue: "bench", VisibilityTimeout: durationpb.New(time.Minute), WaitTime: durationpb.New(10 * time.Second)})
		if err != nil || !leased.GetFound() {
			return fmt.Errorf("no message was leased: %w", err)
		}
		_, err = q.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: "bench", Receipt: leased.GetReceipt()})
		return err
	}
}

// through makes cycles through a gateway, with grpc-go's client.
func through(address string) (func(context.Context) error, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return cycles(remote{conn}), nil
}

// remote calls a gateway.
type remote struct{ conn *grpc.ClientConn }

func call[R any](ctx context.Context, r remote, procedure string, request any) (*R, error) {
	response := new(R)
	return response, r.conn.Invoke(metadata.AppendToOutgoingContext(ctx, "prism-namespace", "default"), procedure, request, response)
}

func (r remote) Enqueue(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
	return call[queuev1.EnqueueResponse](ctx, r, "/prism.queue.v1.QueueBasicInterface/Enqueue", request)
}

func (r remote) DequeueWithTimeout(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
	return call[queuev1.DequeueWithTimeoutResponse](ctx, r, "/prism.queue.v1.QueueVisibilityInterface/DequeueWithTimeout", request)
}

func (r remote) Acknowledge(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
	return call[queuev1.AcknowledgeResponse](ctx, r, "/prism.queue.v1.QueueVisibilityInterface/Acknowledge", request)
}

// same makes cycles with the very statements of the gateway's backend, each call by itself, in this process.
func same(ctx context.Context, dsn string, workers int) (func(context.Context) error, error) {
	const variable = "QUEUECYCLES_DSN"
	if err := os.Setenv(variable, dsn); err != nil {
		return nil, err
	}
	store, err := postgres.Open(ctx, backend.Env{}, &backendsv1.Postgres{
		Dsn: &configv1.Secret{Source: &configv1.Secret_Env{Env: variable}}, Schema: "bench_same", MaxConnections: uint32(workers), Coalescing: &configv1.Coalescing{Off: true},
	})
	if err != nil {
		return nil, err
	}
	opened, err := store.Namespace(ctx, "bench")
	if err != nil {
		return nil, err
	}
	of := opened.Interfaces()
	return cycles(struct {
		queuev1.Basic
		queuev1.Visibility
	}{of.QueueBasic, of.QueueVisibility}), nil
}

// directly makes cycles with the three statements that such a queue is usually made of, on a connection for each worker.
func directly(ctx context.Context, dsn string, workers int) (func(context.Context) error, error) {
	if dsn == "" {
		return nil, nil
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = int32(workers), int32(workers)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, `create table if not exists bench_queue (
			id bigserial primary key, queue text not null, visible timestamptz not null default now(), lease uuid, receives int not null default 0, payload bytea not null);
		create index if not exists bench_queue_first on bench_queue (queue, visible, id)`); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if _, err := pool.Exec(ctx, "insert into bench_queue (queue, payload) values ('bench', $1)", payload); err != nil {
			return err
		}
		for {
			var id int64
			var lease [16]byte
			var got []byte
			err := pool.QueryRow(ctx, `update bench_queue set visible = now() + interval '1 minute', lease = gen_random_uuid(), receives = receives + 1
				where id = (select id from bench_queue where queue = 'bench' and visible <= now() order by visible, id for update skip locked limit 1) returning id, lease, payload`).Scan(&id, &lease, &got)
			if err != nil && err.Error() == "no rows in result set" {
				continue // others hold all that there are for a moment
			}
			if err != nil {
				return err
			}
			_, err = pool.Exec(ctx, "delete from bench_queue where id = $1 and lease = $2", id, lease)
			return err
		}
	}, nil
}
