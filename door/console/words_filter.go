package console

import "github.com/haechi-dev/haechi/keeper/hub"

// ParseFilter reads filters as people type them over lists of findings: key:value,
// -key:value, key:value* for what begins so, and other words for what is said anywhere.
func ParseFilter(text string) (hub.Filters, error) { return parseFilter(text) }
