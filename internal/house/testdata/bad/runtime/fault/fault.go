// Package fault imports what it must not.
package fault

import _ "example.com/bad/runtime/rpc"
