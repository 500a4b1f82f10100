package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/haechi-dev/haechi/word/fault"
)

// The outermost kind is what counts, and what is wrapped is still found.
func TestKinds(t *testing.T) {
	inner := fault.NotFound.Errorf("repository %q: %w", "shop", io.EOF)
	err := fmt.Errorf("checking out: %w", inner)
	if got := fault.Of(err); got != fault.NotFound {
		t.Errorf("Of(%v) = %v, want not found", err, got)
	}
	if !errors.Is(err, fault.NotFound) || !errors.Is(err, io.EOF) || errors.Is(err, fault.Denied) {
		t.Errorf("%v is not exactly what it should be", err)
	}
	if got, want := err.Error(), `checking out: repository "shop": EOF`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fault.Of(fault.Invalid.Wrap(err)); got != fault.Invalid {
		t.Errorf("outer kind is %v, want invalid", got)
	}
	if fault.Of(io.EOF) != fault.Internal || fault.Of(nil) != fault.Internal || fault.Invalid.Wrap(nil) != nil {
		t.Error("an error without a kind is internal, and nil stays nil")
	}
}

// Only what may pass by itself is worth trying again.
func TestPermanent(t *testing.T) {
	for _, k := range []fault.Kind{fault.Internal, fault.Unavailable, fault.Limit} {
		if fault.Permanent(k.Errorf("x")) {
			t.Errorf("%v is not permanent", k)
		}
	}
	for _, k := range []fault.Kind{fault.Invalid, fault.NotFound, fault.Exists, fault.Conflict, fault.Unauthenticated, fault.Denied, fault.Unsupported} {
		if !fault.Permanent(k.Errorf("x")) {
			t.Errorf("%v is permanent", k)
		}
	}
}
