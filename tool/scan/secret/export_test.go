package secret

import "fmt"

// Say is all that a rule is made of.
func Say(r *Rule) string {
	pattern := ""
	if r.pattern != nil {
		pattern = r.pattern().String()
	}
	return fmt.Sprint(r.ID, r.Title, r.Description, r.Severity, r.Fix, r.Link, r.keywords, pattern, r.before, r.after, r.names, r.says, r.with, r.check != nil, r.entropy, r.rank, r.lexer)
}
