// Package inner is a part of a.
package inner
