// Command postgresget reads single rows of a PostgreSQL table from many goroutines over a small pool, one query a round trip: what an application does that has no gateway. It prints
// "begin" when it is warm, and "end", the number of reads and the seconds when it is done.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	dsn := flag.String("dsn", "", "the database")
	callers := flag.Int("callers", 128, "goroutines")
	pool := flag.Int("pool", 8, "connections")
	keys := flag.Int("keys", 10_000, "rows")
	fill := flag.Bool("fill", false, "make the table and its rows, and end")
	warmUp := flag.Duration("warm-up", 300*time.Millisecond, "how long is read before it counts")
	duration := flag.Duration("duration", 2*time.Second, "how long is measured")
	flag.Parse()
	if err := run(context.Background(), *dsn, *callers, *pool, *keys, *fill, *warmUp, *duration); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dsn string, callers, connections, keys int, fill bool, warmUp, duration time.Duration) error {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return err
	}
	config.MaxConns, config.MinConns = int32(connections), int32(connections)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	if fill {
		_, err := pool.Exec(ctx, `create table if not exists bench_get (k text primary key, v bytea not null);
			insert into bench_get select 'bench-' || n, decode(repeat('76', 100), 'hex') from generate_series(0, `+fmt.Sprint(keys-1)+`) n on conflict do nothing; analyze bench_get`)
		return err
	}
	var reads atomic.Int64
	until := time.Now().Add(warmUp + duration)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for time.Now().Before(until) {
				var value []byte
				if err := pool.QueryRow(ctx, "select v from bench_get where k = $1", fmt.Sprint("bench-", random.IntN(keys))).Scan(&value); err != nil || len(value) != 100 {
					log.Fatalf("%d bytes, %v", len(value), err)
				}
				reads.Add(1)
			}
		})
	}
	time.Sleep(warmUp)
	before, began := reads.Load(), time.Now()
	fmt.Println("begin")
	time.Sleep(time.Until(until))
	fmt.Println("end", reads.Load()-before, time.Since(began).Seconds())
	group.Wait()
	return nil
}
