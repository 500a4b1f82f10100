package app

import (
	"context"
	"math"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/door/runner"
	"github.com/haechi-dev/haechi/keeper/audit"
)

// visited keeps a record of somebody who enters the folder of a failed build at
// a terminal, and another one of how they left.
func (a *App) visited(ctx context.Context, v runner.Visit) error {
	n := noteOf(ctx)
	e := audit.Entry{Time: a.now(), Principal: n.who, Key: n.key, SourceIP: n.from, UserAgent: n.agent}
	for _, asked := range n.asks {
		e.Action, e.Resources = asked.Action, append(e.Resources, asked.Resource)
	}
	asked := struct {
		Build string `json:"buildId"`
		Term  string `json:"terminal"`
	}{v.Build.ID, v.Term}
	var err error
	if e.Parameters, err = json.Marshal(asked); err != nil {
		return err
	}
	if v.Left == nil {
		if n.who.Session == nil { // a key that stays
			a.Access.Used(n.key, "codebuild", a.Config.Region)
		}
		return a.Audit.Keep(ctx, e)
	}
	e.Action = "haechi:LeaveBuild"
	left := struct {
		Seconds float64 `json:"durationInSeconds"`
		Exit    int     `json:"exitCode"`
		Typed   int64   `json:"bytesTyped"`
		Shown   int64   `json:"bytesShown"`
		Why     string  `json:"closedBecause,omitzero"`
	}{math.Round(v.Left.Took.Seconds()*10) / 10, v.Left.Exit, v.Left.Typed, v.Left.Shown, ""}
	if v.Left.Why != nil {
		left.Why = v.Left.Why.Error()
	}
	if e.Answer, err = json.Marshal(left); err != nil {
		return err
	}
	return a.Audit.Keep(ctx, e)
}
