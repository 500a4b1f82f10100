package testreport

import (
	"github.com/haechi-dev/haechi/word/fault"
)

// Parse reads a report of a format, in CodeBuild's words; "" is told by what it holds.
func Parse(text []byte, format string) (*Report, error) {
	return nil, fault.Unsupported.Errorf("format %q is not read here", format)
}
