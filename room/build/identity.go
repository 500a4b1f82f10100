package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

// Principal is who a build is, as roles name it: repo:REPOSITORY:ref:refs/heads/BRANCH.
// A build of a commit that no ref was named for, or whose buildspec is not the
// ref's own, is nobody whom a role for the ref would trust.
func (b *Build) Principal() string {
	f := b.Facts
	switch {
	case f.Repository == "":
		return "project:" + b.Project
	case f.Ref == "":
		return "repo:" + f.Repository + ":commit:" + f.Commit
	case f.Override:
		return "repo:" + f.Repository + ":override:" + f.Ref
	}
	return "repo:" + f.Repository + ":ref:" + f.Ref
}

// TokenFile is where a build finds its token.
const TokenFile = "/run/haechi/token"

// token is a build's token, or "" where it goes without.
func (b *Builds) token(ctx context.Context, made Build) (seal.Secret, error) {
	if b.config.Identity == nil {
		return "", nil
	}
	token, err := b.config.Identity.Token(ctx, made)
	if fault.Of(err) == fault.Unavailable { // nobody can say yet how the server is reached: the build goes without
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("giving the build its token: %w", err)
	}
	return token, nil
}

// identityEnv is what AWS's SDKs look for to change a token for credentials.
func (b *Builds) identityEnv(made Build) []Pair {
	env := []Pair{
		{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: TokenFile}, {Name: "AWS_ROLE_SESSION_NAME", Value: sessionName(made)},
		{Name: "AWS_ENDPOINT_URL_STS", Value: b.config.Identity.Endpoint()},
	}
	if made.ServiceRole != "" {
		env = append(env, Pair{Name: "AWS_ROLE_ARN", Value: made.ServiceRole})
	}
	return env
}

// WriteToken writes a token into a new folder below dir, where a step can be shown it.
func WriteToken(dir string, token seal.Secret) (file string, done func(), err error) {
	own, err := os.MkdirTemp(dir, "token-")
	if err != nil {
		return "", nil, err
	}
	done = func() { os.RemoveAll(own) }
	file = filepath.Join(own, "token")
	// The step's user is another than ours; the folder around is ours alone.
	if err := os.WriteFile(file, []byte(token.Reveal()), 0o644); err != nil {
		done()
		return "", nil, err
	}
	return file, done, nil
}

// sessionName is a name for sessions of a build, of the characters that there may be.
func sessionName(made Build) string {
	name := []byte(fmt.Sprintf("%s-%d", made.Project, made.Number))
	for i, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			name[i] = '-'
		}
	}
	return string(name[max(0, len(name)-64):])
}
