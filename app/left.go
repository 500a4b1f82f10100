package app

import (
	"context"
	"fmt"
	"os"

	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/word/finding"
)

// left takes what builds leave through the door that takes all reports.
type left struct{ app *App }

// Take imports a report that a build has left, and says in one line what came of it.
func (l left) Take(ctx context.Context, s finding.Scan, file *os.File) (string, error) {
	a, err := l.app.reports.TakeFile(ctx, reports.Ask{Target: s.Target, Branch: s.Branch, Commit: s.Commit, Tool: s.Tool, Scan: s.ID}, file, false)
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s by %s: %d findings, %d new, %d closed", a.Format, a.Tool, a.Findings, a.New, a.Closed)
	switch {
	case a.Same:
		line = fmt.Sprintf("the same report by %s as before: %d findings", a.Tool, a.Findings)
	case !a.Complete:
		line += "; INCOMPLETE, and nothing was closed: " + a.Incomplete
	case len(a.Failed) > 0:
		line += fmt.Sprintf("; %d were refused, and nothing was closed: %s", len(a.Failed), a.Failed[0].Message)
	}
	return line, nil
}
