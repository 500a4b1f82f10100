package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// An Identity tells builds who they are: a token that is good for a while, for
// one of the roles that trust it, and no key that stays.
type Identity struct {
	Token    func(ctx context.Context, e Execution) (seal.Secret, error)
	Endpoint func() string // where it can be changed for credentials
}

// Principal is who a run is, as roles name it: repo:REPOSITORY:ref:refs/heads/BRANCH.
func (e *Execution) Principal() string {
	return "repo:" + e.Repository + ":ref:refs/heads/" + e.Branch
}

const tokenFile = "/run/haechi/token"

// identify adds a build's token to what it finds, as AWS's SDKs look for
// one. done removes it from the machine.
func (p *Pipelines) identify(ctx context.Context, e Execution, plan *build.Plan) (done func(), err error) {
	done = func() {}
	if p.config.Identity == nil {
		return done, nil
	}
	token, err := p.config.Identity.Token(ctx, e)
	if fault.Of(err) == fault.Unavailable { // nobody can say yet how the server is reached: the build goes without
		return done, nil
	}
	if err != nil {
		return done, fmt.Errorf("giving the build its token: %w", err)
	}
	dir, err := os.MkdirTemp(p.config.Work, "token-")
	if err != nil {
		return done, err
	}
	done = func() { os.RemoveAll(dir) }
	file := filepath.Join(dir, "token")
	// The step's user is another than ours; the folder around is ours alone.
	if err := os.WriteFile(file, []byte(token.Reveal()), 0o644); err != nil {
		done()
		return func() {}, err
	}
	plan.Tools = append(append([]sandbox.Tool{}, plan.Tools...), sandbox.Tool{From: file, To: tokenFile})
	plan.Env = append(plan.Env, build.Variable{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: tokenFile},
		build.Variable{Name: "AWS_ROLE_SESSION_NAME", Value: sessionName(e)}, build.Variable{Name: "AWS_ENDPOINT_URL_STS", Value: p.config.Identity.Endpoint()})
	return done, nil
}

// sessionName is a name for sessions of a run, of the characters that there may be.
func sessionName(e Execution) string {
	name := []byte(fmt.Sprintf("%s-%d", e.Pipeline, e.Number))
	for i, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			name[i] = '-'
		}
	}
	return string(name[max(0, len(name)-64):])
}
