// Package keyvaluetest may import testing.
package keyvaluetest

import _ "testing"
