// Package sigv4 signs HTTP requests as AWS does, and verifies signatures without trusting anything that was not signed.
package sigv4

import (
	"fmt"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	terminal  = "aws4_request"
	basic     = "20060102T150405Z" // how X-Amz-Date is written

	// Skew is how far a client's clock may be off, either way.
	Skew = 5 * time.Minute
	// MaxExpires is the longest life that a presigned URL may ask for.
	MaxExpires = 7 * 24 * time.Hour
	// DefaultExpires is the life of a presigned URL that asks for none, as those of STS do.
	DefaultExpires = 15 * time.Minute
)

// A Reason is why a request was refused. It is itself an error, so that
// errors.Is(err, sigv4.Expired) holds for every refusal for that reason.
type Reason int

const (
	// Missing is a request that bears no signature at all.
	Missing Reason = iota + 1
	// Malformed is a signature that cannot be read, or is there twice.
	Malformed
	// Unsigned is a header that had to be signed and was not.
	Unsigned
	// Mismatch is a signature that another secret, or another request, was signed with.
	Mismatch
	// Expired is a signature that was good once.
	Expired
	// Early is a signature from a clock that is too far ahead.
	Early
	// BodyChanged is a body that has not the hash that was signed.
	BodyChanged
	// TooLarge is a body above the limit that was handed in.
	TooLarge
	// Unsupported is a way of signing that is not verified here.
	Unsupported
)

var reasons = [...]string{"", "no signature", "malformed signature", "header not signed", "signature does not match",
	"signature expired", "signature not yet valid", "body does not match its signature", "body too large", "unsupported signature"}

// Error says the reason in words.
func (r Reason) Error() string { return reasons[r] }

// A Refusal is why a request was not accepted, in words that hold no secret.
type Refusal struct {
	Reason Reason
	Detail string
}

// Error is the reason and the detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Reason.Error()
	}
	return r.Reason.Error() + ": " + r.Detail
}

// Unwrap is the reason.
func (r *Refusal) Unwrap() error { return r.Reason }

func (r Reason) because(format string, a ...any) error {
	return &Refusal{r, fmt.Sprintf(format, a...)}
}
