// Package fault says which kind of wrong an error is, so that every door can answer it in its own words.
package fault

import (
	"errors"
	"fmt"
)

// Kind is what the one who asked can do about an error. A Kind is itself an
// error, so that errors.Is(err, fault.NotFound) holds for every error of it.
type Kind int

const (
	// Internal is ours to mend; it is what an error is when it says nothing.
	Internal Kind = iota
	// Invalid is input that will never be accepted as it is.
	Invalid
	// NotFound names something that is not there.
	NotFound
	// Exists names something that is there already.
	Exists
	// Conflict is a change to something that is in another state than the caller thinks.
	Conflict
	// Unauthenticated is a caller we do not know.
	Unauthenticated
	// Denied is a caller we know, who may not.
	Denied
	// Limit is more than is allowed: in size, in number or in rate.
	Limit
	// Unavailable may work when tried again.
	Unavailable
	// Unsupported is understood, and not answered here.
	Unsupported
)

var names = [...]string{"internal fault", "invalid", "not found", "exists already", "conflict", "unauthenticated", "denied", "over the limit", "unavailable", "unsupported"}

// Error makes a Kind an error, to be compared with by errors.Is.
func (k Kind) Error() string { return names[k] }

type fault struct {
	kind Kind
	err  error
}

func (f *fault) Error() string   { return f.err.Error() }
func (f *fault) Unwrap() []error { return []error{f.kind, f.err} }

// Errorf is fmt.Errorf with a kind; %w keeps what it wraps.
func (k Kind) Errorf(format string, a ...any) error {
	return &fault{k, fmt.Errorf(format, a...)}
}

// Wrap gives err a kind and leaves its words alone; nil stays nil.
func (k Kind) Wrap(err error) error {
	if err == nil {
		return nil
	}
	return &fault{k, err}
}

// Of tells the kind of err: the outermost one it was given, or Internal.
func Of(err error) Kind {
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return Internal
}

// Permanent tells whether trying the same again is pointless: true for every
// kind but Internal, Unavailable and Limit.
func Permanent(err error) bool {
	switch Of(err) {
	case Internal, Unavailable, Limit:
		return false
	}
	return true
}
