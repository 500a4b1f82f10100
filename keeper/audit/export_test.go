package audit

import "context"

// Tidy is what Run does once an hour.
func Tidy(t *Trail, ctx context.Context) error { return t.tidy(ctx) }

// Anchor is what Run does once a minute.
func Anchor(t *Trail, ctx context.Context) error { return t.anchor(ctx) }
