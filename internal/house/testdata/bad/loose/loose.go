// Package loose is in no layer.
package loose
