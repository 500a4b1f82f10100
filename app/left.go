package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// left takes what builds leave through the door that takes all reports.
type left struct{ app *App }

// Take imports a report that a build has left, and says in one line what came of it. What it suppresses counts where
// counted says so: else it is a proposal, as everything is that a push changes.
func (l left) Take(ctx context.Context, s finding.Scan, counted bool, file *os.File) (string, error) {
	a, err := l.app.reports.TakeFile(ctx, reports.Ask{Target: s.Target, Branch: s.Branch, Commit: s.Commit, Tool: s.Tool, Scan: s.ID, VEX: counted, Own: counted}, file, false)
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
	if a.Proposed > 0 {
		line += fmt.Sprintf("; %d statements on other tools' findings are a proposal: they count from a protected branch", a.Proposed)
	}
	return line, nil
}

// ownScan tells whether the server itself scans a target by that name: a repository, by one of its scanners.
func (a *App) ownScan(ctx context.Context, target, tool string) bool {
	own := slices.ContainsFunc(a.ownTools, func(name string) bool { return strings.EqualFold(name, strings.TrimSpace(tool)) })
	if !own {
		return false
	}
	_, err := a.Source.Repository(ctx, target)
	return fault.Of(err) != fault.NotFound // where it cannot be told, nobody speaks for them
}
