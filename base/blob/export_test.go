package blob

import (
	"context"
	"encoding/xml"
	"time"
)

// Address is where an address leads to: URL and prefix.
func Address(text string) (string, error) {
	a, err := parseAddress(text)
	if err != nil {
		return "", err
	}
	return a.endpoint.String() + a.path + " " + a.prefix, nil
}

// EachInBucket lists a bucket.
func EachInBucket(ctx context.Context, b *Bucket, do func(digest string)) error {
	return b.each(ctx, func(d string, _ time.Duration) error { do(d); return nil })
}

// ReadAnswers reads a text as every answer there is.
func ReadAnswers(text []byte) {
	for _, into := range []any{&listed{}, &begun{}, &uploads{}, &refusal{}} {
		_ = xml.Unmarshal(text, into)
	}
}
