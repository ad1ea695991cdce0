// Package shelftest is the suites of Shelf.
package shelftest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.org/shop/gen/prism"
	shelfv1 "example.org/shop/gen/shop/shelf/v1"
)

// Open returns what is tested.
type Open func(t *testing.T) *prism.Interfaces

// Basic tests shelf_basic.
func Basic(t *testing.T, open Open) {
	_, err := open(t).ShelfBasic.Put(t.Context(), &shelfv1.PutRequest{Name: "tea"})
	require.NoError(t, err)
}

// Count tests shelf_count.
func Count(t *testing.T, open Open) {
	response, err := open(t).ShelfCount.CountGoods(t.Context(), &shelfv1.CountGoodsRequest{})
	require.NoError(t, err)
	require.Zero(t, response.GetGoods())
}
