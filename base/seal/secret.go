package seal

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is text that must not be seen by accident: whatever prints, logs or
// marshals it gets [sealed]. Only Reveal, and a conversion, tell it.
type Secret string

const sealed = "[sealed]"

// Reveal is the text itself: for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String is [sealed], or nothing where there is nothing to hide.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return sealed
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format writes String whatever the verb: a wrong one would else print the value.
func (s Secret) Format(w fmt.State, _ rune) {
	_, _ = io.WriteString(w, s.String()) // fmt.State keeps no error
}

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String: JSON and XML go through it. (Keys of maps do not: make no secret one.)
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}
