//go:build race

// Package testrace tells whether this build has the race detector, with which everything takes several times as long.
package testrace

// Enabled tells so.
const Enabled = true
