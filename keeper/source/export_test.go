package source

import (
	"context"

	"github.com/haechi-dev/haechi/word/event"
)

// Between calls f when git has made a move of the server's, and nobody has confirmed it yet.
func (s *Source) Between(f func()) { s.between = f }

// Handle does what follows from an event.
func (s *Source) Handle(ctx context.Context, e event.Event) error { return s.follow(ctx, e) }

// OwnersOf are the owners of a file by a CODEOWNERS file.
func OwnersOf(text, file string) [][]string { return parseOwners(text).of(file) }

// Pooled tells whether a member of a pool means somebody.
func Pooled(member, arn string) bool { return pooled(member, arn) }

// CheckContent reads an approval rule, or a template.
func CheckContent(content string, template bool) error {
	_, err := parseApprovers(content, template)
	return err
}

// CheckSignature looks at a signature over a text.
func CheckSignature(payload []byte, signature string) error {
	_, err := checkSSH(payload, signature)
	return err
}
