package postgres

import "context"

// Probe is what the breaker asks the server by.
func (s *Store) Probe(ctx context.Context) error { return s.probe(ctx) }
