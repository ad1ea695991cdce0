// Package a imports another backend, and a package of its own, which is fine.
package a

import (
	_ "example.com/bad/backends/a/inner"
	_ "example.com/bad/backends/b"
)
