package provider_test

import (
	"testing"
)

// BenchmarkLoneCaller is the latency of one caller who waits for each answer.
func BenchmarkLoneCaller(b *testing.B) {
	n := clients(b, open(b, optionsFor(b, serve(b).address)), "n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := get(b.Context(), n, "key"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkManyCallers is what a call costs both sides together when 128 share frames.
func BenchmarkManyCallers(b *testing.B) {
	n := clients(b, open(b, optionsFor(b, serve(b).address)), "n")
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := get(b.Context(), n, "key"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
