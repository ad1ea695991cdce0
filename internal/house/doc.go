// Package house holds the house rules as tests: who may import whom, what production code may not do, what must be documented.
//
// A rule looks at the module's packages ([Load]) and returns a [Violation] for each place that breaks it, with file, line and the reason of the rule. The
// rules' tables are data: a layer, an exception or a limit is a line there, and each line carries its reason. Every rule has a test on a small module
// that breaks it (testdata/bad), so that a rule which cannot fail is noticed.
package house
