package pubsubtest

import "time"

// Hurry makes the suites wait for a third of the time. Mutants make them wait in vain, and one that is rejected too soon is rejected all the same.
func Hurry() { patience = 10 * time.Second }
