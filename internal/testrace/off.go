//go:build !race

package testrace

// Enabled tells whether this build has the race detector.
const Enabled = false
