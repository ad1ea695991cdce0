package httprpc

import (
	"iter"
	"net/http"
	"strings"
)

// requestHeader is net/http's header as an rpc.Header.
type requestHeader http.Header

func (h requestHeader) Get(name string) string      { return http.Header(h).Get(name) }
func (h requestHeader) Values(name string) []string { return http.Header(h).Values(name) }

func (h requestHeader) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, values := range h {
			name = strings.ToLower(name)
			for _, value := range values {
				if !yield(name, value) {
					return
				}
			}
		}
	}
}
