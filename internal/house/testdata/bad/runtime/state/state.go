// Package state keeps state where it must not.
package state

import (
	"net/http"
	"sync/atomic"
)

var (
	count   int
	byName  = map[string]int{}
	calls   atomic.Int64
	settled = []int{1, 2}
)

type node struct{ next *node }

var root = &node{}

func init() { byName["init"] = 1 }

// Add changes everything.
func Add() {
	count++
	root.next = nil
	other = "changed"
	delete(byName, "x")
	http.DefaultClient = nil
	calls.Add(1)
}

// Shadow changes nothing that the package holds.
func Shadow() int {
	count, settled := 1, settled
	count++
	settled[0] = 2
	return count
}
