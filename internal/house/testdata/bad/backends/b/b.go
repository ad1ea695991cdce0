// Package b is a backend.
package b
