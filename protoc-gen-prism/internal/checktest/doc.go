// Package checktest holds generated checks against protovalidate, which interprets the same rules by reflection and CEL.
//
// The folder schema has a message for each family of rules, and configuration; rules and settings are generated from it, by `go test -update` here; the tests that use it are in oracle, so that
// they need not compile when it is generated.
package checktest
