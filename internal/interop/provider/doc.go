// Package provider has a gateway use a provider that a stranger could have written: examples/provider-python. Its tests need Python, see `make provider-python`.
package provider
